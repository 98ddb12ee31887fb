-- How agents were. Intervals hold their beginning and not their end.

-- name: OpenAgentStates :many
SELECT * FROM agent_states WHERE agent_uuid = ANY (@agent_uuids::uuid[]) AND valid_to IS NULL;

-- name: CloseAgentState :exec
-- Not before it began, whatever the clock says.
UPDATE agent_states SET valid_to = greatest(@at::timestamptz, valid_from) WHERE agent_uuid = @agent_uuid AND valid_to IS NULL;

-- name: NextAgentState :exec
-- From the moment on that is named, though not before the one that it follows began, or ended.
WITH ended AS (
    UPDATE agent_states AS e SET valid_to = greatest(@at::timestamptz, e.valid_from)
     WHERE e.agent_uuid = @agent_uuid AND e.valid_to IS NULL
    RETURNING e.valid_to
)
INSERT INTO agent_states (agent_uuid, valid_from, version_hash, body, operation_id, actor, reason)
VALUES (@agent_uuid,
        greatest(@at::timestamptz, (SELECT ended.valid_to FROM ended),
                 (SELECT b.valid_to FROM agent_states b WHERE b.agent_uuid = @agent_uuid ORDER BY b.valid_from DESC, b.id DESC LIMIT 1)),
        @version_hash, @body, @operation_id, @actor, @reason);

-- name: NameStateVersion :exec
-- The vendor told which version a state is, and with it how the agent was.
UPDATE agent_states SET version_hash = @version_hash, body = @body WHERE id = @id;

-- name: AttributeStates :exec
-- Whose a version is turned out.
UPDATE agent_states SET operation_id = @operation_id, actor = @actor, reason = @reason
 WHERE agent_uuid = @agent_uuid AND version_hash = @version_hash AND operation_id IS NULL;

-- name: AgentTimeline :many
-- All states of an agent with what is known of their versions, the oldest first.
SELECT s.id, s.valid_from, s.valid_to, s.version_hash, s.body, s.partial, s.operation_id, s.actor, s.reason, v.vendor_id
  FROM agent_states s
  LEFT JOIN agent_versions v ON v.agent_uuid = s.agent_uuid AND v.version_hash = s.version_hash
 WHERE s.agent_uuid = @agent_uuid
 ORDER BY s.valid_from, s.id;

-- name: ListedVersions :many
-- The vendor's versions of an agent, the oldest first.
SELECT version_hash, vendor_id, body, vendor_created_at, operation_id FROM agent_versions
 WHERE agent_uuid = @agent_uuid AND body IS NOT NULL
 ORDER BY vendor_id;

-- name: DisownVersions :exec
-- Versions that were there before the change was sent that an answer or a look took them for
-- the work of, by more than the clocks may differ, or that were made after it had ended. A rollback that finds what it is to bring back
-- answers with the version that applies.
UPDATE agent_versions v SET operation_id = NULL, actor = NULL, reason = ''
 WHERE v.agent_uuid = @agent_uuid
   AND EXISTS (SELECT FROM operations o
                WHERE o.id = v.operation_id
                  AND (v.vendor_created_at < o.sent_at - interval '30 seconds' OR v.vendor_created_at > o.finished_at + interval '30 seconds'));

-- name: DisownStates :exec
-- The same for states of such versions, but for those that began before a version that was made after: see CutAgentState. A rollback
-- may well bring an old version back.
UPDATE agent_states s SET operation_id = NULL, actor = NULL, reason = ''
 WHERE s.agent_uuid = @agent_uuid AND s.version_hash <> '' AND NOT s.partial
   AND EXISTS (SELECT FROM operations o JOIN agent_versions v ON v.agent_uuid = s.agent_uuid AND v.version_hash = s.version_hash
                WHERE o.id = s.operation_id
                  AND (o.method NOT IN ('agentsvc.v1.AgentService.RollbackAgentVersion', 'agentsvc.v1.AgentService.UpdateAgentDeploymentVisibility')
                       AND v.vendor_created_at < o.sent_at - interval '30 seconds'
                       OR v.vendor_created_at > o.finished_at + interval '30 seconds' AND v.vendor_created_at <= s.valid_from));

-- name: CutAgentState :exec
-- The version that a state was taken for began only in the middle of it. Which one it is before that, the vendor's list may tell.
UPDATE agent_states SET valid_to = @at::timestamptz, version_hash = '' WHERE id = @id;

-- name: ContinueAgentState :one
-- The rest of a state that was cut: of the version that made it, and by somebody else.
INSERT INTO agent_states (agent_uuid, valid_from, valid_to, version_hash, body)
SELECT cut.agent_uuid, cut.valid_to, sqlc.narg('until')::timestamptz, @version_hash, cut.body FROM agent_states AS cut WHERE cut.id = @id
RETURNING id;

-- name: RoutesOfOperation :many
-- What an operation did to an agent's routes.
SELECT * FROM agent_routes WHERE agent_uuid = @agent_uuid AND (opened_by = @operation_id OR closed_by = @operation_id) ORDER BY id;

-- name: ListRoutesOfState :exec
-- The routes of a state are as the vendor's version lists them.
UPDATE agent_states SET listed = true, routes = @routes, children = @children::uuid[] WHERE id = @id;

-- name: EndAgentState :exec
UPDATE agent_states SET valid_to = @at::timestamptz WHERE id = @id;

-- name: InsertPartialState :one
INSERT INTO agent_states (agent_uuid, valid_from, valid_to, version_hash, body, partial, listed, routes, children, actor)
VALUES (@agent_uuid, @valid_from, @valid_to, @version_hash, @body, true, true, @routes, @children::uuid[], @actor)
RETURNING id;

-- name: AgentStatesAt :many
-- How agents were at a time; those that were not, or that nothing is known of, are left out.
SELECT s.* FROM agent_states s
 WHERE s.agent_uuid = ANY (@agents::uuid[]) AND s.valid_from <= @at::timestamptz AND (s.valid_to IS NULL OR s.valid_to > @at::timestamptz);

-- name: AgentKnownFrom :one
-- When the first that is known of an agent begins, and, unless it goes on, when the last ended.
SELECT min(valid_from)::timestamptz AS first, coalesce(max(valid_to), min(valid_from))::timestamptz AS ended,
       bool_or(valid_to IS NULL)::boolean AS goes_on
  FROM agent_states WHERE agent_uuid = @agent_uuid
HAVING count(*) > 0;

-- name: AgentRoutesAt :many
-- What an agent could hand over to or draw on at a time, as we saw it.
SELECT * FROM agent_routes
 WHERE agent_uuid = @agent_uuid AND valid_from <= @at::timestamptz AND (valid_to IS NULL OR valid_to > @at::timestamptz)
 ORDER BY kind, valid_from, id;

-- name: RouteEdgesFrom :many
-- The routes from agents to others at a time. Of those of whom only the vendor's version
-- tells, its routes count; it may still list agents that were deleted by then.
SELECT r.agent_uuid AS parent, r.target_uuid AS child, r.name, r.if_case, r.valid_from, r.opened_by
  FROM agent_routes r
 WHERE r.kind = 'agent' AND r.agent_uuid = ANY (@agents::uuid[]) AND r.valid_from <= @at::timestamptz
   AND (r.valid_to IS NULL OR r.valid_to > @at::timestamptz)
   AND NOT EXISTS (SELECT FROM agent_states s WHERE s.agent_uuid = r.agent_uuid AND s.listed AND s.valid_from <= @at::timestamptz
                                                AND (s.valid_to IS NULL OR s.valid_to > @at::timestamptz))
UNION ALL
SELECT s.agent_uuid, (e.route ->> 'target')::uuid, (e.route ->> 'name')::text, (e.route ->> 'if_case')::text, s.valid_from, NULL::uuid
  FROM agent_states s, jsonb_array_elements(s.routes) AS e (route)
 WHERE s.listed AND s.agent_uuid = ANY (@agents::uuid[]) AND s.valid_from <= @at::timestamptz AND (s.valid_to IS NULL OR s.valid_to > @at::timestamptz)
   AND e.route ->> 'kind' = 'agent'
   AND NOT EXISTS (SELECT FROM resources d WHERE d.kind = 'agent' AND d.uuid = (e.route ->> 'target')::uuid AND d.deleted_at <= @at::timestamptz)
 ORDER BY parent, child;

-- name: RouteEdgesTo :many
-- The same from the other end: who routed to the agents.
SELECT r.agent_uuid AS parent, r.target_uuid AS child, r.name, r.if_case, r.valid_from, r.opened_by
  FROM agent_routes r
 WHERE r.kind = 'agent' AND r.target_uuid = ANY (@agents::uuid[]) AND r.valid_from <= @at::timestamptz
   AND (r.valid_to IS NULL OR r.valid_to > @at::timestamptz)
   AND NOT EXISTS (SELECT FROM agent_states s WHERE s.agent_uuid = r.agent_uuid AND s.listed AND s.valid_from <= @at::timestamptz
                                                AND (s.valid_to IS NULL OR s.valid_to > @at::timestamptz))
UNION ALL
SELECT s.agent_uuid, (e.route ->> 'target')::uuid, (e.route ->> 'name')::text, (e.route ->> 'if_case')::text, s.valid_from, NULL::uuid
  FROM agent_states s, jsonb_array_elements(s.routes) AS e (route)
 WHERE s.listed AND s.children && @agents::uuid[] AND s.valid_from <= @at::timestamptz AND (s.valid_to IS NULL OR s.valid_to > @at::timestamptz)
   AND e.route ->> 'kind' = 'agent' AND (e.route ->> 'target')::uuid = ANY (@agents::uuid[])
   AND NOT EXISTS (SELECT FROM resources d WHERE d.kind = 'agent' AND d.uuid = (e.route ->> 'target')::uuid AND d.deleted_at <= @at::timestamptz)
 ORDER BY parent, child;

-- name: NoteRollback :exec
INSERT INTO agent_rollbacks (operation_id, agent_uuid, replaced_hash, wanted_hash, made_hash)
VALUES (@operation_id, @agent_uuid, @replaced_hash, @wanted_hash, @made_hash)
ON CONFLICT (operation_id) DO NOTHING;

-- name: Rollback :one
SELECT * FROM agent_rollbacks WHERE operation_id = @operation_id;
