-- name: InsertBatch :one
-- Never claimed: it is available in a hundred years. Not 'infinity', from which older
-- releases cannot subtract. No row: the idempotency key is taken.
INSERT INTO operations (id, account, team_id, principal_id, actor, method, resource_kind, order_key, idempotency_key,
       request_digest, request, reason, lane, virtual_start, available_at, request_id, client_address, user_agent,
       batch_total, batch_unchanged, batch_sealed, acting_service)
VALUES (@id, @account, @team_id, @principal_id, @actor, @method, @resource_kind, @order_key, @idempotency_key,
       @request_digest, @request, @reason, @lane, @virtual_start, now() + interval '100 years', @request_id, @client_address, @user_agent,
       @batch_total, @batch_unchanged, @batch_sealed, @acting_service)
ON CONFLICT (team_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING *;

-- name: InsertBatchChange :exec
-- As InsertOperation, without a key. It has no answer, so that many go to the server at once.
INSERT INTO operations (id, account, team_id, principal_id, actor, method, resource_kind, resource_uuid, resource_name,
       parent_kind, parent_uuid, order_key, request_digest, request, sealed_request, reason,
       expected_version, lane, virtual_start, request_id, client_address, user_agent, parent_operation_id, acting_service)
VALUES (@id, @account, @team_id, @principal_id, @actor, @method, @resource_kind, @resource_uuid, @resource_name,
       @parent_kind, @parent_uuid, @order_key, @request_digest, @request, @sealed_request, @reason,
       @expected_version, @lane, @virtual_start, @request_id, @client_address, @user_agent, @parent_operation_id, @acting_service);

-- name: StartBatches :exec
-- A batch runs once one of its changes was taken up. No worker holds it, so its lease
-- does not run out.
UPDATE operations
   SET state = 'RUNNING', started_at = clock_timestamp(), lease = gen_random_uuid(), lease_expires_at = now() + interval '100 years'
 WHERE id = ANY (@ids::uuid[]) AND state = 'QUEUED';

-- name: LockBatch :exec
-- Whoever ends a change holds its batch until the commit. So of two that end the last
-- ones, the second sees that the first has. Everybody locks changes before their batch.
SELECT FROM operations WHERE id = @id FOR UPDATE;

-- name: BatchGoesOn :one
-- Whether a change of the batch has not ended.
SELECT EXISTS (SELECT FROM operations WHERE parent_operation_id = @parent_operation_id::uuid AND finished_at IS NULL);

-- name: BatchCounts :many
-- How many changes of the batches are in which state.
SELECT parent_operation_id::uuid AS batch, state, count(*)::integer AS changes
  FROM operations WHERE parent_operation_id = ANY (@batches::uuid[])
 GROUP BY parent_operation_id, state;

-- name: EndBatch :one
-- No row: it has ended already.
UPDATE operations
   SET state = @state, error = @error, lease_expires_at = NULL, finished_at = clock_timestamp()
 WHERE id = @id AND batch_total IS NOT NULL AND finished_at IS NULL
RETURNING *;

-- name: LockUnsentChanges :exec
-- In order, so that two who take back the same batch do not wait for each other.
SELECT FROM operations
 WHERE parent_operation_id = @parent_operation_id::uuid AND finished_at IS NULL AND sent_at IS NULL
 ORDER BY number
   FOR UPDATE;

-- name: CancelChanges :many
UPDATE operations
   SET state = 'CANCELLED', sealed_request = NULL, leased_by = NULL, lease_expires_at = NULL, finished_at = clock_timestamp()
 WHERE parent_operation_id = @parent_operation_id::uuid AND state IN ('QUEUED', 'RUNNING') AND sent_at IS NULL
RETURNING *;

-- name: CancelBatch :one
-- Who takes it back first is remembered. No row: it has ended.
UPDATE operations
   SET batch_cancelled_by = coalesce(batch_cancelled_by, @actor::text),
       batch_cancelled_by_id = CASE WHEN batch_cancelled_by IS NULL THEN @principal_id ELSE batch_cancelled_by_id END,
       batch_cancel_reason = CASE WHEN batch_cancelled_by IS NULL THEN @reason::text ELSE batch_cancel_reason END
 WHERE id = @id AND batch_total IS NOT NULL AND finished_at IS NULL
RETURNING *;

-- name: UnmadeChanges :many
-- The resources that the batch did not change, in their order.
SELECT resource_uuid::uuid AS resource FROM operations
 WHERE parent_operation_id = @parent_operation_id::uuid AND state IN ('FAILED', 'CANCELLED') AND resource_uuid IS NOT NULL
 ORDER BY number;

-- name: StrandedBatches :many
-- Batches whose changes have all ended: an older release ended the last one. They are found
-- by the far future that no other operation waits for.
SELECT b.id FROM operations b
 WHERE b.batch_total IS NOT NULL
   AND (b.account = @account AND b.state = 'QUEUED' AND b.available_at > now() + interval '50 years'
        OR b.account = @account AND b.state = 'RUNNING' AND b.lease_expires_at > now() + interval '50 years')
   AND NOT EXISTS (SELECT FROM operations o WHERE o.parent_operation_id = b.id AND o.finished_at IS NULL);

-- name: BusyResources :many
-- Which resources have a change that has not ended: what they will be is not known.
SELECT DISTINCT resource_uuid::uuid AS resource FROM operations
 WHERE resource_uuid = ANY (@uuids::uuid[]) AND finished_at IS NULL;

-- name: BatchesByKey :many
-- The batches that an idempotency key stands for in some teams.
SELECT * FROM operations
 WHERE idempotency_key = @idempotency_key::text AND method = @method AND batch_total IS NOT NULL
   AND team_id = ANY (@teams::uuid[]);
