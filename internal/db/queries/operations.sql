-- name: ReserveStart :one
-- Start-time fair queueing: a team takes its place in the lane, where its last
-- operation finishes but never before the clock of the queue. Tells as well how full the
-- backlog of the team and that of all are, counting no further than their limits; over one,
-- no place is taken.
-- A transaction of its own, before that of the operation: the row of the team would hold up
-- the other submissions of the team until the commit. Only fairness hangs on it, so its
-- commit need not wait for the disk, and a place that nobody takes costs nothing.
WITH loose AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS setting
), team AS (
    SELECT t.id, t.name, t.backlog_limit, 1.0::double precision / t.weight AS cost,
           (SELECT count(*) FROM (SELECT 1 FROM operations o WHERE o.team_id = t.id AND o.state = 'QUEUED'
                                   LIMIT t.backlog_limit) AS waiting) AS queued,
           (SELECT count(*) FROM (SELECT 1 FROM operations o WHERE o.account = @account AND o.state = 'QUEUED'
                                   LIMIT @backlog::integer) AS waiting) AS queued_by_all
      FROM teams t WHERE t.id = @team_id
), reserved AS (
    INSERT INTO fair_teams AS f (account, lane, team_id, virtual_finish)
    SELECT c.account, c.lane, team.id, c.virtual_time + team.cost
      FROM fair_clocks c, team, loose
     WHERE c.account = @account AND c.lane = @lane AND loose.setting = 'off'
       AND team.queued < team.backlog_limit AND team.queued_by_all < @backlog
    ON CONFLICT (account, lane, team_id) DO UPDATE
       SET virtual_finish = greatest(f.virtual_finish,
               (SELECT c.virtual_time FROM fair_clocks c WHERE c.account = f.account AND c.lane = f.lane))
               + (SELECT cost FROM team)
    RETURNING f.virtual_finish
)
SELECT coalesce(reserved.virtual_finish - team.cost, 0)::double precision AS virtual_start, team.name, team.queued, team.backlog_limit,
       team.queued_by_all
  FROM team LEFT JOIN reserved ON true;

-- name: InsertOperation :one
-- No row: the idempotency key is taken.
INSERT INTO operations (id, account, team_id, principal_id, actor, method, resource_kind, resource_uuid, resource_name,
       parent_kind, parent_uuid, order_key, also_keys, idempotency_key, request_digest, request, sealed_request, reason,
       expected_version, lane, virtual_start, request_id, client_address, user_agent, acting_service)
VALUES (@id, @account, @team_id, @principal_id, @actor, @method, @resource_kind, @resource_uuid, @resource_name,
       @parent_kind, @parent_uuid, @order_key, @also_keys, @idempotency_key, @request_digest, @request, @sealed_request, @reason,
       @expected_version, @lane, @virtual_start, @request_id, @client_address, @user_agent, @acting_service)
ON CONFLICT (team_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING *;

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
-- reconciled by whoever claims it. MATERIALIZED: else the planner may pick anew for each
-- row, and claim more than the limit.
WITH picked AS MATERIALIZED (
    SELECT o.id FROM operations o
     WHERE o.account = @account AND o.state = 'RUNNING' AND o.lease_expires_at <= clock_timestamp()
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
-- OFFSET 0 keeps the last condition a look-up by index for each: joined, the planner goes
-- through the whole table for it.
WITH picked AS MATERIALIZED (
    SELECT o.id FROM operations o
     WHERE o.account = @account AND o.state = 'QUEUED' AND o.available_at <= clock_timestamp()
       AND o.lane >= @lowest_lane AND o.created_at <= clock_timestamp() - make_interval(secs => @waited_seconds::double precision)
       AND NOT EXISTS (SELECT 1 FROM operations r
                        WHERE r.account = o.account AND r.order_key = o.order_key AND r.state = 'RUNNING')
       AND NOT EXISTS (SELECT 1 FROM operations q
                        WHERE q.account = o.account AND q.order_key = o.order_key AND q.state = 'QUEUED'
                          AND q.number < o.number)
       AND (o.also_keys = '{}' OR NOT EXISTS
               (SELECT 1 FROM operations r WHERE r.account = o.account AND r.order_key = ANY (o.also_keys) AND r.state = 'RUNNING')
           AND NOT EXISTS
               (SELECT 1 FROM operations q WHERE q.account = o.account AND q.order_key = ANY (o.also_keys) AND q.state = 'QUEUED'
                   AND q.number < o.number))
       AND NOT EXISTS (SELECT 1 FROM operations s
                        WHERE s.account = o.account AND s.also_keys && (o.order_key || o.also_keys) AND s.also_keys <> '{}'
                          AND s.state IN ('QUEUED', 'RUNNING') AND (s.state = 'RUNNING' OR s.number < o.number)
                       OFFSET 0)
     ORDER BY o.lane, o.virtual_start, o.number
     LIMIT @at_most
       FOR UPDATE SKIP LOCKED
)
UPDATE operations
   SET state = 'RUNNING', lease = gen_random_uuid(), claims = claims + 1, leased_by = @worker, started_at = clock_timestamp(),
       lease_expires_at = clock_timestamp() + make_interval(secs => @lease_seconds::double precision)
  FROM picked
 WHERE operations.id = picked.id
RETURNING operations.*;

-- name: OthersGoFirst :one
-- Whether something waits in a more urgent lane.
SELECT EXISTS (SELECT 1 FROM operations
                WHERE account = @account AND state = 'QUEUED' AND lane < @lane AND available_at <= clock_timestamp());

-- name: AdvanceClock :exec
UPDATE fair_clocks SET virtual_time = greatest(virtual_time, @virtual_time::double precision)
 WHERE account = @account AND lane = @lane;

-- name: NextWork :one
-- How many seconds until something may be claimed that cannot be now; -1 if nothing waits.
SELECT coalesce(extract(epoch FROM min(due) - clock_timestamp()), -1)::double precision
  FROM (SELECT min(available_at) AS due FROM operations WHERE operations.account = @account AND state = 'QUEUED' AND available_at > clock_timestamp()
        UNION ALL
        SELECT min(lease_expires_at) FROM operations WHERE operations.account = @account AND state = 'RUNNING') AS waits;

-- name: RenewLeases :many
-- Answers the leases still held.
UPDATE operations
   SET lease_expires_at = clock_timestamp() + make_interval(secs => @lease_seconds::double precision)
 WHERE lease = ANY (@leases::uuid[]) AND id = ANY (@ids::uuid[]) AND state = 'RUNNING'
RETURNING id;

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

-- name: SettleOperation :one
-- No row: the lease is lost.
UPDATE operations
   SET state = @state, response = @response, sealed_response = @sealed_response, error = @error, sealed_request = NULL,
       resource_uuid = coalesce(@resource_uuid, resource_uuid), vendor_request_id = @vendor_request_id,
       leased_by = NULL, lease_expires_at = NULL, finished_at = clock_timestamp()
 WHERE id = @id AND lease = @lease AND state = 'RUNNING'
RETURNING *;

-- name: CancelOperation :one
-- No row: it has ended, or the vendor may have seen it.
UPDATE operations
   SET state = 'CANCELLED', sealed_request = NULL, leased_by = NULL, lease_expires_at = NULL, finished_at = clock_timestamp()
 WHERE id = @id AND state IN ('QUEUED', 'RUNNING') AND sent_at IS NULL
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
