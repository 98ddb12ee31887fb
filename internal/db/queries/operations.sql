-- name: ReserveStarts :one
-- Start-time fair queueing: a team takes places in the lane, from where its last operation
-- finishes on but never before the clock of the queue, each a cost behind the one before. As
-- many as the backlog of the team and that of all have room for, or none if that is less than
-- at_least. Tells as well how full the two are, counting no further than their limits.
WITH team AS (
    SELECT t.id, t.name, t.backlog_limit, 1.0::double precision / t.weight AS cost,
           (SELECT count(*) FROM (SELECT 1 FROM operations o WHERE o.team_id = t.id AND o.state = 'QUEUED'
                                   LIMIT t.backlog_limit) AS waiting) AS queued,
           (SELECT count(*) FROM (SELECT 1 FROM operations o WHERE o.account = @account AND o.state = 'QUEUED'
                                   LIMIT @backlog::integer) AS waiting) AS queued_by_all
      FROM teams t WHERE t.id = @team_id
), room AS (
    SELECT team.id, team.cost, least(@places::bigint, team.backlog_limit - team.queued, (@backlog) - team.queued_by_all)::bigint AS places
      FROM team
), reserved AS (
    INSERT INTO fair_teams AS f (account, lane, team_id, virtual_finish)
    SELECT c.account, c.lane, room.id, c.virtual_time + room.cost * room.places
      FROM fair_clocks c, room
     WHERE c.account = @account AND c.lane = @lane AND room.places >= greatest(@at_least::bigint, 1)
    ON CONFLICT (account, lane, team_id) DO UPDATE
       SET virtual_finish = greatest(f.virtual_finish,
               (SELECT c.virtual_time FROM fair_clocks c WHERE c.account = f.account AND c.lane = f.lane))
               + (SELECT room.cost * room.places FROM room)
    RETURNING f.virtual_finish
)
SELECT coalesce(reserved.virtual_finish - team.cost * room.places, 0)::double precision AS virtual_start,
       (CASE WHEN reserved.virtual_finish IS NULL THEN 0 ELSE room.places END)::bigint AS places,
       team.cost::double precision AS cost, team.name, team.queued, team.backlog_limit, team.queued_by_all
  FROM team CROSS JOIN room LEFT JOIN reserved ON true;

-- name: InsertOperations :many
-- Several at once, in their order. What has none of something has the nil uuid, or an empty text.
-- Those are not answered whose idempotency key is taken.
INSERT INTO operations (id, account, team_id, principal_id, actor, method, resource_kind, resource_uuid, resource_name,
       parent_kind, parent_uuid, order_key, also_keys, idempotency_key, request_digest, request, sealed_request, reason,
       expected_version, lane, virtual_start, request_id, client_address, user_agent, acting_service, state, approval_rule, approval_expires_at)
SELECT o.id, @account, o.team_id, nullif(o.principal_id, '00000000-0000-0000-0000-000000000000'), o.actor, o.method, o.resource_kind,
       nullif(o.resource_uuid, '00000000-0000-0000-0000-000000000000'), o.resource_name, o.parent_kind,
       nullif(o.parent_uuid, '00000000-0000-0000-0000-000000000000'), o.order_key, string_to_array(o.also_keys, ','),
       nullif(o.idempotency_key, ''), o.request_digest, o.request, nullif(o.sealed_request, ''), o.reason,
       o.expected_version, o.lane, o.virtual_start, o.request_id, o.client_address, o.user_agent, nullif(o.acting_service, ''),
       CASE WHEN o.approval_rule = '' THEN 'QUEUED' ELSE 'PENDING_APPROVAL' END, nullif(o.approval_rule, ''),
       CASE WHEN o.approval_rule <> '' THEN clock_timestamp() + interval '72 hours' END
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@team_ids::uuid[]) AS team_id, unnest(@principal_ids::uuid[]) AS principal_id,
               unnest(@actors::text[]) AS actor, unnest(@methods::text[]) AS method, unnest(@resource_kinds::text[]) AS resource_kind,
               unnest(@resource_uuids::uuid[]) AS resource_uuid, unnest(@resource_names::text[]) AS resource_name,
               unnest(@parent_kinds::text[]) AS parent_kind, unnest(@parent_uuids::uuid[]) AS parent_uuid,
               unnest(@order_keys::text[]) AS order_key, unnest(@also_keys::text[]) AS also_keys,
               unnest(@idempotency_keys::text[]) AS idempotency_key, unnest(@request_digests::bytea[]) AS request_digest,
               unnest(@requests::bytea[]) AS request, unnest(@sealed_requests::bytea[]) AS sealed_request, unnest(@reasons::text[]) AS reason,
               unnest(@expected_versions::text[]) AS expected_version, unnest(@lanes::smallint[]) AS lane,
               unnest(@virtual_starts::double precision[]) AS virtual_start, unnest(@request_ids::text[]) AS request_id,
               unnest(@client_addresses::text[]) AS client_address, unnest(@user_agents::text[]) AS user_agent,
               unnest(@acting_services::text[]) AS acting_service,
               unnest(@approval_rules::text[]) AS approval_rule) AS o
ON CONFLICT (team_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id, number, created_at, available_at, state, approval_expires_at;

-- name: OperationByKey :one
SELECT * FROM operations WHERE team_id = @team_id AND idempotency_key = @idempotency_key;

-- name: OperationByID :one
SELECT * FROM operations WHERE id = @id;

-- name: OperationOwner :one
SELECT team_id, account FROM operations WHERE id = @id;

-- name: OperationsEnded :many
-- Which of the operations have ended: what waiters poll.
SELECT id FROM operations WHERE id = ANY (@ids::uuid[]) AND finished_at IS NOT NULL;

-- name: ClaimAbandoned :many
-- Operations whose worker stopped renewing its lease, or that wait for a second look
-- at an unknown outcome. What was never sent simply runs again; what was sent is
-- reconciled by whoever claims it, though its team be frozen by now. MATERIALIZED: else the planner may pick anew for each
-- row, and claim more than the limit.
WITH picked AS MATERIALIZED (
    SELECT o.id FROM operations o
     WHERE o.account = @account AND o.state = 'RUNNING' AND o.lease_expires_at <= clock_timestamp()
       AND (o.sent_at IS NOT NULL OR NOT EXISTS
               (SELECT FROM freezes f WHERE f.lifted_at IS NULL AND (f.team_id IS NULL OR f.team_id = o.team_id) OFFSET 0))
       AND (o.sent_at IS NOT NULL OR o.also_keys = '{}' OR NOT EXISTS
               (SELECT FROM unnest(o.also_keys) AS k
                  JOIN resources r ON r.kind = split_part(k, '/', 1) AND r.uuid = split_part(k, '/', 2)::uuid
                  JOIN freezes f ON f.team_id = r.team_id AND f.lifted_at IS NULL OFFSET 0))
     ORDER BY o.lease_expires_at
     LIMIT @at_most
       FOR UPDATE SKIP LOCKED
)
UPDATE operations
   SET lease = gen_random_uuid(), claims = claims + 1, leased_by = @worker,
       lease_expires_at = clock_timestamp() + make_interval(secs => @lease_seconds::double precision)
  FROM picked
 WHERE operations.id = picked.id
RETURNING operations.*;

-- name: ClaimQueued :many
-- Of the lanes from the lowest on, what has waited for so long: all of them and no time, or those whose turn
-- it is although others go before them.
-- The next operations in fair order. One that shares a key with one that runs, or with
-- an older one in the queue, waits its turn without holding up the others: so it has all
-- its keys at once or none of them, and two cannot wait for each other. That no two run
-- with a shared key is for the lock of the budget, under which all claims are made one
-- after the other; the unique index sees to the order keys alone.
-- What belongs to a frozen team waits, and so does what changes something of one besides.
-- Those of the methods named at_once, about which nothing is left to be asked, are marked as sent:
-- it spares them a commit of their own, but this one must be durable then. Something is left where what
-- it is about may have got another owner: see GotAnotherOwner.
-- OFFSET 0 keeps conditions a look-up by index for each: joined, the planner goes through
-- the whole table for them, or through all that waits or runs.
WITH picked AS MATERIALIZED (
    SELECT o.id, coalesce(o.method = ANY (@at_once::text[]), false) AND o.sealed_request IS NULL AND o.expected_version = ''
                 AND (o.parent_operation_id IS NULL OR o.claims = 0) AND o.also_keys = '{}'
                 AND NOT EXISTS (SELECT FROM resource_owners w
                                  WHERE w.valid_to IS NULL AND w.team_id IS DISTINCT FROM o.team_id
                                    AND w.valid_from > o.created_at - interval '1 minute'
                                    AND (w.team_id IS NOT NULL OR o.team_id <> (SELECT t.id FROM teams t WHERE t.name = 'platform'))
                                    AND ((w.kind = o.resource_kind AND w.uuid = o.resource_uuid)
                                         OR (w.kind = o.parent_kind AND w.uuid = o.parent_uuid)) OFFSET 0) AS ready
      FROM operations o
     WHERE o.account = @account AND o.state = 'QUEUED' AND o.available_at <= clock_timestamp()
       AND o.lane >= @lowest_lane AND o.created_at <= clock_timestamp() - make_interval(secs => @waited_seconds::double precision)
       AND NOT EXISTS (SELECT 1 FROM operations r
                        WHERE r.account = o.account AND r.order_key = o.order_key AND r.state = 'RUNNING' OFFSET 0)
       AND NOT EXISTS (SELECT 1 FROM operations q
                        WHERE q.account = o.account AND q.order_key = o.order_key AND q.state = 'QUEUED'
                          AND q.number < o.number OFFSET 0)
       AND (o.also_keys = '{}' OR NOT EXISTS
               (SELECT 1 FROM operations r WHERE r.account = o.account AND r.order_key = ANY (o.also_keys) AND r.state = 'RUNNING')
           AND NOT EXISTS
               (SELECT 1 FROM operations q WHERE q.account = o.account AND q.order_key = ANY (o.also_keys) AND q.state = 'QUEUED'
                   AND q.number < o.number))
       AND NOT EXISTS (SELECT 1 FROM operations s
                        WHERE s.account = o.account AND s.also_keys && (o.order_key || o.also_keys) AND s.also_keys <> '{}'
                          AND s.state IN ('QUEUED', 'RUNNING') AND (s.state = 'RUNNING' OR s.number < o.number)
                       OFFSET 0)
       AND NOT EXISTS (SELECT FROM freezes f WHERE f.lifted_at IS NULL AND (f.team_id IS NULL OR f.team_id = o.team_id) OFFSET 0)
       AND (o.also_keys = '{}' OR NOT EXISTS
               (SELECT FROM unnest(o.also_keys) AS k
                  JOIN resources r ON r.kind = split_part(k, '/', 1) AND r.uuid = split_part(k, '/', 2)::uuid
                  JOIN freezes f ON f.team_id = r.team_id AND f.lifted_at IS NULL OFFSET 0))
     ORDER BY o.lane, o.virtual_start, o.number
     LIMIT @at_most
       FOR UPDATE SKIP LOCKED
)
UPDATE operations
   SET state = 'RUNNING', lease = gen_random_uuid(), claims = claims + 1, leased_by = @worker, started_at = clock_timestamp(),
       lease_expires_at = clock_timestamp() + make_interval(secs => @lease_seconds::double precision),
       sent_at = CASE WHEN picked.ready THEN clock_timestamp() END, attempts = attempts + picked.ready::integer
  FROM picked
 WHERE operations.id = picked.id
RETURNING operations.*;

-- name: GotAnotherOwner :one
-- Whether what an operation is about was given to another team after the caller's access was checked,
-- and before the operation could be seen to wait, as what waits keeps things from being given away. A
-- minute is longer than the two are apart. That another team has it says nothing by itself: a
-- batch of an administrator's is about what several have. What nobody owns is the platform team's.
SELECT EXISTS (SELECT FROM operations o
                CROSS JOIN LATERAL (SELECT o.resource_kind, o.resource_uuid
                                     UNION ALL SELECT o.parent_kind, o.parent_uuid
                                     UNION ALL SELECT split_part(k, '/', 1), split_part(k, '/', 2)::uuid FROM unnest(o.also_keys) AS k) AS on_(kind, uuid)
                 JOIN resource_owners w ON w.kind = on_.kind AND w.uuid = on_.uuid AND w.valid_to IS NULL
                                       AND w.team_id IS DISTINCT FROM o.team_id AND w.valid_from > o.created_at - interval '1 minute'
                                       AND (w.team_id IS NOT NULL OR o.team_id <> (SELECT t.id FROM teams t WHERE t.name = 'platform'))
                WHERE o.id = @id)::boolean;

-- name: AgedLanes :many
-- The lanes in which something has waited for so long, while something waits in a more urgent one.
SELECT lanes.lane::smallint AS lane
  FROM generate_series(2, 3) AS lanes(lane)
 WHERE EXISTS (SELECT 1 FROM operations o
                WHERE o.account = @account AND o.state = 'QUEUED' AND o.lane = lanes.lane AND o.available_at <= clock_timestamp()
                  AND o.created_at <= clock_timestamp() - make_interval(secs => @waited_seconds::double precision))
   AND EXISTS (SELECT 1 FROM operations o
                WHERE o.account = @account AND o.state = 'QUEUED' AND o.lane < lanes.lane AND o.available_at <= clock_timestamp());

-- name: AdvanceClock :exec
UPDATE fair_clocks SET virtual_time = greatest(virtual_time, @virtual_time::double precision)
 WHERE account = @account AND lane = @lane;

-- name: NextWork :one
-- How many seconds until something may be claimed that cannot be now; -1 if nothing waits. What
-- could go, but for what runs or a freeze, may go at any time.
SELECT coalesce(extract(epoch FROM min(due) - clock_timestamp()), -1)::double precision AS seconds,
       EXISTS (SELECT FROM operations WHERE operations.account = @account AND state = 'QUEUED' AND available_at <= clock_timestamp())::boolean AS held_up
  FROM (SELECT min(available_at) AS due FROM operations WHERE operations.account = @account AND state = 'QUEUED' AND available_at > now()
        UNION ALL
        SELECT min(lease_expires_at) FROM operations WHERE operations.account = @account AND state = 'RUNNING') AS waits;

-- name: RenewLeases :many
-- Answers the leases still held, and which of them were renewed. What is locked is being settled or
-- taken over: it is not waited for, as the other leases would run out meanwhile.
WITH mine AS MATERIALIZED (
    SELECT o.id FROM operations o
     WHERE o.lease = ANY (@leases::uuid[]) AND o.id = ANY (@ids::uuid[]) AND o.lease_expires_at IS NOT NULL
       FOR NO KEY UPDATE SKIP LOCKED
), renewed AS (
    UPDATE operations AS r SET lease_expires_at = clock_timestamp() + make_interval(secs => @lease_seconds::double precision)
      FROM mine WHERE r.id = mine.id
    RETURNING r.id
)
SELECT o.id, EXISTS (SELECT FROM renewed WHERE renewed.id = o.id)::boolean AS renewed
  FROM operations o
 WHERE o.lease = ANY (@leases::uuid[]) AND o.id = ANY (@ids::uuid[]) AND o.lease_expires_at IS NOT NULL;

-- name: MarkSent :execrows
-- Committed before the request leaves, with a whole lease ahead. No row: the lease is
-- lost, or the operation was cancelled.
UPDATE operations
   SET sent_at = coalesce(sent_at, clock_timestamp()), missed_at = NULL, attempts = attempts + 1,
       lease_expires_at = clock_timestamp() + make_interval(secs => @lease_seconds::double precision)
 WHERE id = @id AND lease = @lease AND state = 'RUNNING';

-- name: RequeueOperation :execrows
-- Back in line: the vendor has certainly not made the change.
UPDATE operations
   SET state = 'QUEUED', sent_at = NULL, leased_by = NULL, lease_expires_at = NULL,
       available_at = clock_timestamp() + make_interval(secs => @delay_seconds::double precision)
 WHERE id = @id AND lease = @lease AND state = 'RUNNING';

-- name: ParkOperation :execrows
-- Keeps its place and its unknown outcome; claimed again when the lease runs out. The
-- lease is drawn anew, so that a renewal under way does not lengthen it.
UPDATE operations
   SET lease = gen_random_uuid(), leased_by = NULL,
       missed_at = CASE WHEN @missed::boolean THEN coalesce(missed_at, clock_timestamp()) ELSE missed_at END,
       lease_expires_at = clock_timestamp() + make_interval(secs => @delay_seconds::double precision)
 WHERE id = @id AND lease = @lease AND state = 'RUNNING';

-- name: SettleOperations :many
-- Several at once. What is not answered has lost its lease. The nil uuid stands for none. What runs
-- has a time at which its lease ends; asked for its state, the planner would go through all that
-- runs.
UPDATE operations AS o
   SET state = s.state, response = s.response, sealed_response = s.sealed_response, error = s.error, sealed_request = NULL,
       resource_uuid = coalesce(nullif(s.resource_uuid, '00000000-0000-0000-0000-000000000000'), o.resource_uuid),
       vendor_request_id = s.vendor_request_id, leased_by = NULL, lease_expires_at = NULL, finished_at = clock_timestamp()
  FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@leases::uuid[]) AS lease, unnest(@states::text[]) AS state,
               unnest(@responses::bytea[]) AS response, unnest(@sealed_responses::bytea[]) AS sealed_response,
               unnest(@errors::bytea[]) AS error, unnest(@resource_uuids::uuid[]) AS resource_uuid,
               unnest(@vendor_request_ids::text[]) AS vendor_request_id) AS s
 WHERE o.id = s.id AND o.lease = s.lease AND o.lease_expires_at IS NOT NULL
RETURNING o.lease, o.finished_at, o.attempts, o.sent_at, o.missed_at;

-- name: CancelOperation :one
-- No row: it has ended, or the vendor may have seen it.
UPDATE operations
   SET state = 'CANCELLED', sealed_request = NULL, leased_by = NULL, lease_expires_at = NULL, finished_at = clock_timestamp()
 WHERE id = @id AND state IN ('PENDING_APPROVAL', 'QUEUED', 'RUNNING') AND sent_at IS NULL
RETURNING *;

-- name: TakeSealedResponse :one
-- Hands a secret out once: whoever gets the row is the one to deliver it.
UPDATE operations AS o
   SET sealed_response = NULL
  FROM (SELECT id, sealed_response FROM operations WHERE operations.id = @id AND sealed_response IS NOT NULL FOR UPDATE) AS old
 WHERE o.id = old.id
RETURNING old.sealed_response;

-- name: EraseUndelivered :execrows
-- Secrets that nobody came for.
UPDATE operations SET sealed_response = NULL
 WHERE sealed_response IS NOT NULL AND finished_at < now() - make_interval(secs => @older_than_seconds::double precision);

-- name: ResultOfOther :one
-- Whether a thing that was found is somebody else's: another operation made it, a team
-- owns it already, we knew it before the change was sent, or an operation on what it is a
-- part of had shown it by then, such as the first job of a knowledge base. What an operation
-- makes is owned once it is settled, not before.
SELECT (EXISTS (SELECT 1 FROM operations o WHERE o.resource_uuid = @resource_uuid AND o.id <> @id AND o.state = 'SUCCEEDED'
                   AND o.method = @method)
     OR EXISTS (SELECT 1 FROM resources r WHERE r.uuid = @resource_uuid AND (r.team_id IS NOT NULL OR r.created_at < @sent_at))
     OR EXISTS (SELECT 1 FROM operations o WHERE o.resource_uuid = @parent_uuid AND o.id <> @id AND o.finished_at < @sent_at
                   AND position(convert_to(CAST(@resource_uuid AS text), 'UTF8') IN o.response) > 0))::boolean;
