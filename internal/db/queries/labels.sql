-- name: LockAgentLabel :one
SELECT * FROM agent_version_labels WHERE agent_uuid = @agent_uuid AND label = @label FOR UPDATE;

-- name: AgentLabel :one
SELECT * FROM agent_version_labels WHERE agent_uuid = @agent_uuid AND label = @label;

-- name: AgentLabels :many
SELECT * FROM agent_version_labels WHERE agent_uuid = @agent_uuid ORDER BY label;

-- name: CountAgentLabels :one
SELECT count(*) FROM agent_version_labels WHERE agent_uuid = @agent_uuid;

-- name: PutAgentLabel :one
INSERT INTO agent_version_labels (agent_uuid, label, version_hash, protected, actor, reason)
VALUES (@agent_uuid, @label, @version_hash, @protected, @actor, @reason)
ON CONFLICT (agent_uuid, label) DO UPDATE
   SET version_hash = excluded.version_hash, protected = excluded.protected, actor = excluded.actor, reason = excluded.reason,
       moved_at = clock_timestamp()
RETURNING *;

-- name: DeleteAgentLabel :exec
DELETE FROM agent_version_labels WHERE agent_uuid = @agent_uuid AND label = @label;

-- name: NoteLabelMove :exec
INSERT INTO agent_label_moves (agent_uuid, label, before_hash, after_hash, before_protected, after_protected, actor, reason)
VALUES (@agent_uuid, @label, @before_hash, @after_hash, @before_protected, @after_protected, @actor, @reason);
