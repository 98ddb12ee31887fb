-- What happened to an agent, and its versions.

-- name: AgentVersionRecord :one
-- A version that is known from whichever side: the vendor's list, what we saw, or the change that made it.
SELECT v.version_hash, v.vendor_id, v.body, v.vendor_created_at, v.operation_id, v.actor, v.reason,
       coalesce((SELECT min(s.valid_from) FROM agent_states s WHERE s.agent_uuid = v.agent_uuid AND s.version_hash = v.version_hash),
                v.vendor_created_at, v.recorded_at)::timestamptz AS began
  FROM agent_versions v
 WHERE v.agent_uuid = @agent_uuid AND v.version_hash = @version_hash;

-- name: AgentVersionByNumber :one
SELECT version_hash FROM agent_versions WHERE agent_uuid = @agent_uuid AND vendor_id = @vendor_id;

-- name: AgentVersionBefore :one
-- The version that the vendor made before another one.
SELECT b.version_hash FROM agent_versions b
 WHERE b.agent_uuid = @agent_uuid
   AND b.vendor_id < (SELECT v.vendor_id FROM agent_versions v WHERE v.agent_uuid = @agent_uuid AND v.version_hash = @version_hash)
 ORDER BY b.vendor_id DESC
 LIMIT 1;

-- name: AgentStatesOfVersions :many
-- How an agent was at some of its versions: as we saw it first, or else as the version tells.
SELECT DISTINCT ON (version_hash) * FROM agent_states
 WHERE agent_uuid = @agent_uuid AND version_hash = ANY (@hashes::text[])
 ORDER BY version_hash, partial, valid_from, id;

-- name: AgentVersionBodies :many
SELECT version_hash, body FROM agent_versions
 WHERE agent_uuid = @agent_uuid AND version_hash = ANY (@hashes::text[]) AND body IS NOT NULL;

-- name: AllAgentRoutes :many
SELECT * FROM agent_routes WHERE agent_uuid = @agent_uuid ORDER BY valid_from, id;

-- name: AgentHistoryIsWhole :one
-- Whether what we know of an agent's versions needs no look at the vendor's list, which
-- was last read at the time: no change since is without its version, and no version
-- without an explanation.
SELECT (NOT EXISTS (SELECT 1 FROM agent_states s WHERE s.agent_uuid = @agent_uuid AND s.version_hash = '' AND s.valid_from > @at::timestamptz)
    AND NOT EXISTS (SELECT 1 FROM agent_versions v WHERE v.agent_uuid = @agent_uuid AND v.body IS NULL AND v.operation_id IS NULL
                                                     AND v.recorded_at > @at::timestamptz))::boolean AS whole;

-- name: AgentsChangedElsewhere :many
-- Agents of which a version was seen that nobody made through us, among others, and whose
-- list of versions was not read since.
SELECT DISTINCT v.agent_uuid FROM agent_versions v
  JOIN resources r ON r.kind = 'agent' AND r.uuid = v.agent_uuid AND r.account = @account AND r.deleted_at IS NULL AND r.dirty_since IS NULL
 WHERE v.body IS NULL AND v.operation_id IS NULL AND v.snapshot IS NOT NULL
   AND EXISTS (SELECT FROM agent_states s WHERE s.agent_uuid = v.agent_uuid AND s.version_hash <> v.version_hash)
   AND NOT EXISTS (SELECT FROM mirror_scopes l WHERE l.account = @account AND l.kind = @scope_kind AND l.scope = v.agent_uuid::text
                                                 AND l.synced_at > v.recorded_at)
 LIMIT @at_most;

-- name: AgentEntries :many
-- What happened to an agent, the newest first, before a place in that order. Each part is
-- of one kind; ref names the row within it.
WITH versions AS (
    SELECT v.version_hash, v.operation_id, v.actor, v.reason, v.vendor_id,
           coalesce((SELECT min(s.valid_from) FROM agent_states s WHERE s.agent_uuid = v.agent_uuid AND s.version_hash = v.version_hash),
                    v.vendor_created_at, v.recorded_at) AS began
      FROM agent_versions v WHERE v.agent_uuid = @agent_uuid
), entries AS (
    SELECT 1 AS kind, began AS at, version_hash AS ref,
           coalesce(lag(version_hash) OVER (ORDER BY began, vendor_id NULLS LAST, version_hash), '') AS earlier
      FROM versions
    UNION ALL
    SELECT 2, r.valid_from, 'o' || lpad(r.id::text, 19, '0'),
           coalesce((SELECT b.id::text FROM agent_routes b
                      WHERE b.agent_uuid = r.agent_uuid AND b.kind = r.kind AND b.target_uuid = r.target_uuid AND b.valid_to = r.valid_from
                        AND b.id < r.id ORDER BY b.id DESC LIMIT 1), '')
      FROM agent_routes r WHERE r.agent_uuid = @agent_uuid
    UNION ALL
    SELECT 2, r.valid_to, 'c' || lpad(r.id::text, 19, '0'), ''
      FROM agent_routes r
     WHERE r.agent_uuid = @agent_uuid AND r.valid_to IS NOT NULL
       AND NOT EXISTS (SELECT FROM agent_routes n WHERE n.agent_uuid = r.agent_uuid AND n.kind = r.kind AND n.target_uuid = r.target_uuid
                                                    AND n.valid_from = r.valid_to AND n.id > r.id)
    UNION ALL
    SELECT CASE WHEN e.action IN ('CREATE', 'DELETE') THEN 7
                WHEN e.method = 'agentsvc.v1.ResourceService.ClaimResource' THEN 4
                ELSE 3 END,
           e.recorded_at, e.id::text, ''
      FROM audit_events e
     WHERE e.resource_uuid = @agent_uuid AND e.resource_kind = 'agent' AND e.outcome = 'SUCCEEDED'
       AND (e.action IN ('CREATE', 'DELETE')
            OR e.method IN ('agentsvc.v1.ResourceService.ClaimResource', 'agentsvc.v1.AgentService.UpdateAgentDeploymentVisibility')
            OR e.origin = 'UPSTREAM' AND e.before ? 'deployment')
    UNION ALL
    SELECT 5, e.recorded_at, e.id::text, ''
      FROM audit_events e
     WHERE e.parent_uuid = @agent_uuid AND e.resource_kind = 'agent_api_key' AND e.outcome = 'SUCCEEDED'
    UNION ALL
    SELECT 6, l.moved_at, lpad(l.id::text, 19, '0'), ''
      FROM agent_label_moves l WHERE l.agent_uuid = @agent_uuid
)
SELECT kind::integer AS kind, at::timestamptz AS at, ref::text AS ref, earlier::text AS earlier FROM entries
 WHERE (cardinality(@kinds::integer[]) = 0 OR kind = ANY (@kinds::integer[]))
   AND at >= @from_time::timestamptz AND at < @to_time::timestamptz
   AND (at, kind, ref) < (@before_time::timestamptz, @before_kind::integer, @before_ref::text)
 ORDER BY at DESC, kind DESC, ref DESC
 LIMIT @at_most;

-- name: AgentVersionRecords :many
SELECT version_hash, vendor_id, body, operation_id, actor, reason FROM agent_versions
 WHERE agent_uuid = @agent_uuid AND version_hash = ANY (@hashes::text[]);

-- name: LabelMoves :many
SELECT * FROM agent_label_moves WHERE agent_uuid = @agent_uuid AND id = ANY (@ids::bigint[]);

-- name: AuditEventsAbout :many
-- Events of an agent or of its parts, by their ids.
SELECT * FROM audit_events
 WHERE (resource_uuid = @agent_uuid OR parent_uuid = @agent_uuid) AND id = ANY (@ids::uuid[])
   AND recorded_at BETWEEN @from_time::timestamptz AND @to_time::timestamptz;

-- name: Deeds :many
-- Who asked for operations, and why.
SELECT id, actor, reason, team_id FROM operations WHERE id = ANY (@ids::uuid[]);

-- name: RouteHistory :many
-- Routes of the agents that a caller may see, those that began last first.
SELECT sqlc.embed(r) FROM agent_routes r
  JOIN resources a ON a.kind = 'agent' AND a.uuid = r.agent_uuid
 WHERE (@sees_all::boolean OR a.team_id = ANY (@teams::uuid[]))
   AND (sqlc.narg('agent_uuid')::uuid IS NULL OR r.agent_uuid = sqlc.narg('agent_uuid')::uuid)
   AND (sqlc.narg('target_uuid')::uuid IS NULL OR r.target_uuid = sqlc.narg('target_uuid')::uuid)
   AND (cardinality(@kinds::text[]) = 0 OR r.kind = ANY (@kinds::text[]))
   AND (r.valid_to IS NULL OR r.valid_to > @from_time::timestamptz) AND r.valid_from < @to_time::timestamptz
   AND (r.valid_from, r.id) < (@before_time::timestamptz, @before_id::bigint)
 ORDER BY r.valid_from DESC, r.id DESC
 LIMIT @at_most;

-- name: ResourcesOf :many
-- What is known of resources, whatever their kind.
SELECT r.kind, r.uuid, r.team_id, r.name, r.shared, r.deleted_at, coalesce(t.name, '')::text AS team
  FROM resources r LEFT JOIN teams t ON t.id = r.team_id
 WHERE r.kind = ANY (@kinds::text[]) AND r.uuid = ANY (@uuids::uuid[]);
