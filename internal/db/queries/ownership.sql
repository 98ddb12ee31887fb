-- name: SetOwner :exec
-- A resource and its parts get another owner; NULL for none.
UPDATE resources SET team_id = sqlc.narg('team_id')
 WHERE (kind = @kind AND uuid = @uuid) OR (parent_kind = @kind AND parent_uuid = @uuid AND deleted_at IS NULL);

-- name: NoteOwner :exec
-- Who gave the resource to its owner of now, and why; the trigger has made the row.
UPDATE resource_owners SET actor = @actor, reason = @reason WHERE kind = @kind AND uuid = @uuid AND valid_to IS NULL;

-- name: OwnersOf :many
SELECT coalesce(t.name, '')::text AS team, o.valid_from, o.valid_to, o.actor, o.reason
  FROM resource_owners o LEFT JOIN teams t ON t.id = o.team_id
 WHERE o.kind = @kind AND o.uuid = @uuid
 ORDER BY o.valid_from DESC, o.id DESC LIMIT 1000;

-- name: EndExpiredTransfers :exec
-- What nobody accepted in time makes way for another transfer of the resource.
UPDATE transfers SET accepted = false, ended_at = expires_at
 WHERE kind = @kind AND uuid = @uuid AND ended_at IS NULL AND expires_at <= clock_timestamp();

-- name: InsertTransfer :one
-- No row: the resource is on its way already.
INSERT INTO transfers (id, kind, uuid, name, from_team_id, to_team_id, actor, principal_id, reason, needs_approval)
VALUES (@id, @kind, @uuid, @name, @from_team_id, @to_team_id, @actor, @principal_id, @reason, @needs_approval)
ON CONFLICT (kind, uuid) WHERE ended_at IS NULL DO NOTHING
RETURNING *;

-- name: LockTransfer :one
-- A transfer from or to a team, and whether it can still be accepted.
SELECT sqlc.embed(t), (t.ended_at IS NULL AND t.expires_at > clock_timestamp())::boolean AS open
  FROM transfers t WHERE t.id = @id AND (t.from_team_id = @team_id OR t.to_team_id = @team_id) FOR UPDATE;

-- name: TransferAskedThrough :many
-- The service that acted for whoever asked for a transfer, by its line in the history, which was written with it; "" for none. A
-- resource has one open transfer, so the last line that could be meant is.
SELECT coalesce(e.acting_service, '')::text AS through
  FROM transfers t JOIN audit_events e ON e.resource_uuid = t.uuid AND e.resource_kind = t.kind
                                      AND e.recorded_at > t.created_at - interval '1 minute'
 WHERE t.id = @id AND e.method IN ('agentsvc.v1.ResourceService.TransferResource', 'agentsvc.v1.ResourceService.ReleaseResource')
   AND e.outcome = 'SUCCEEDED' AND e.principal_id = t.principal_id
 ORDER BY e.recorded_at DESC LIMIT 1;

-- name: EndTransfer :one
UPDATE transfers SET accepted = @accepted, ended_by = @ended_by, ended_at = clock_timestamp() WHERE id = @id
RETURNING *;

-- name: ApproveTransfer :one
UPDATE transfers SET needs_approval = false, approved_by = @approved_by WHERE id = @id
RETURNING *;

-- name: ResourceIsBusy :one
-- Whether a change of a resource or of its parts has not ended. One look for each state, as each has its index.
WITH keys AS (
    SELECT array_agg(r.kind || '/' || r.uuid) AS known FROM resources r
     WHERE (r.kind = @kind AND r.uuid = @uuid) OR (r.parent_kind = @kind AND r.parent_uuid = @uuid AND r.deleted_at IS NULL)
), under_way AS (
    SELECT o.id FROM keys JOIN operations o ON o.order_key = ANY (keys.known) WHERE o.state = 'QUEUED' AND o.account = @account
    UNION ALL
    SELECT o.id FROM keys JOIN operations o ON o.order_key = ANY (keys.known) WHERE o.state = 'RUNNING' AND o.account = @account
    UNION ALL
    SELECT o.id FROM keys JOIN operations o ON o.order_key = ANY (keys.known) OR o.also_keys && keys.known
     WHERE o.state = 'PENDING_APPROVAL' AND o.account = @account
    UNION ALL
    SELECT o.id FROM keys JOIN operations o ON o.also_keys && keys.known
     WHERE o.state IN ('QUEUED', 'RUNNING') AND o.also_keys <> '{}' AND o.account = @account
)
SELECT (count(*) > 0)::boolean AS some FROM under_way;
