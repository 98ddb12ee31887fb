-- name: LockPending :one
-- An operation that may wait for approval, and whether it still can be approved.
SELECT sqlc.embed(o), (o.state = 'PENDING_APPROVAL' AND o.approval_expires_at > clock_timestamp())::boolean AS open
  FROM operations o WHERE o.id = @id FOR UPDATE;

-- name: ApproveOperation :one
-- Into the queue, at the place that was taken for it.
UPDATE operations
   SET state = 'QUEUED', available_at = clock_timestamp(), virtual_start = @virtual_start, decided_by = @decided_by, decided_at = clock_timestamp()
 WHERE id = @id AND state = 'PENDING_APPROVAL'
RETURNING *;

-- name: DeclineOperation :one
UPDATE operations
   SET state = 'FAILED', error = @error, sealed_request = NULL, finished_at = clock_timestamp(), decided_by = @decided_by, decided_at = clock_timestamp()
 WHERE id = @id AND state = 'PENDING_APPROVAL'
RETURNING *;

-- name: ExpireApprovals :many
-- What nobody decided in time.
UPDATE operations
   SET state = 'FAILED', error = @error, sealed_request = NULL, finished_at = clock_timestamp()
 WHERE id IN (SELECT o.id FROM operations o
               WHERE o.state = 'PENDING_APPROVAL' AND o.approval_expires_at <= clock_timestamp() AND o.account = @account
               ORDER BY o.approval_expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING *;

-- name: PendingApprovals :one
-- How many changes of a team wait for a second owner, counted up to a limit.
SELECT count(*) FROM (SELECT FROM operations o WHERE o.state = 'PENDING_APPROVAL' AND o.team_id = @team_id LIMIT @at_most) AS pending;
