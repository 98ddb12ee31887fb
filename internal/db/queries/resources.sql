-- name: Resource :one
SELECT * FROM resources WHERE kind = @kind AND uuid = @uuid;

-- name: ResourceNow :one
-- A resource, and the time that its ages are counted to.
SELECT sqlc.embed(r), clock_timestamp()::timestamptz AS now FROM resources r WHERE r.kind = @kind AND r.uuid = @uuid;

-- name: LockResource :one
SELECT * FROM resources WHERE kind = @kind AND uuid = @uuid FOR UPDATE;

-- name: LockResources :many
-- In the order of their uuids, so that two who lock several do not wait for each other.
SELECT * FROM resources WHERE kind = @kind AND uuid = ANY (@uuids::uuid[]) ORDER BY uuid FOR UPDATE;

-- name: Resources :many
-- Those that are deleted included.
SELECT * FROM resources WHERE kind = @kind AND uuid = ANY (@uuids::uuid[]) ORDER BY uuid;

-- name: Owners :many
-- Who owns the named resources. One that is not here is known to nobody.
SELECT r.kind, r.uuid, r.team_id, r.name, coalesce(t.name, '')::text AS team_name, (r.deleted_at IS NOT NULL)::boolean AS deleted,
       r.shared, r.account
  FROM resources r
  LEFT JOIN teams t ON t.id = r.team_id
 WHERE r.kind = ANY (@kinds::text[]) AND r.uuid = ANY (@uuids::uuid[]);

-- name: Owner :many
-- As Owners, for one thing of one kind, which most requests name: lists would be planned anew
-- each time.
SELECT r.kind, r.uuid, r.team_id, r.name, coalesce(t.name, '')::text AS team_name, (r.deleted_at IS NOT NULL)::boolean AS deleted,
       r.shared, r.account
  FROM resources r
  LEFT JOIN teams t ON t.id = r.team_id
 WHERE r.kind = @kind AND r.uuid = @uuid;

-- name: OwnersByName :many
-- The same for everything of a name. Requests name the vendor's models by their ids, not by
-- the names that they are shown under. What is called by its uuid is meant as well.
SELECT r.kind, r.uuid, r.team_id, r.name, coalesce(t.name, '')::text AS team_name, r.shared, r.account
  FROM resources r
  LEFT JOIN teams t ON t.id = r.team_id
 WHERE r.kind = ANY (@kinds::text[]) AND r.deleted_at IS NULL
   AND (CASE r.kind WHEN 'model' THEN r.attributes ->> 'id' ELSE r.name END = @name::text OR r.uuid::text = lower(@name::text))
 ORDER BY r.kind, r.uuid;

-- name: UpsertResource :one
-- What the vendor told of a resource. A summary or body that was not told this time
-- stays as it is. Ownership is set only when the row is new; a part has the owner of
-- what it is a part of, and is no more when that is no more.
INSERT INTO resources AS r (kind, uuid, account, team_id, name, status, region, tags, attributes, version_hash,
       upstream_created_at, upstream_updated_at, summary, body, summary_synced_at, body_synced_at, parent_kind, parent_uuid, shared, deleted_at)
VALUES (@kind, @uuid, @account,
       coalesce(sqlc.narg('team_id')::uuid, (SELECT p.team_id FROM resources p WHERE p.kind = @parent_kind AND p.uuid = @parent_uuid)),
       @name, @status, @region, @tags, @attributes, @version_hash,
       @upstream_created_at, @upstream_updated_at, @summary, @body, @summary_synced_at, @body_synced_at, @parent_kind, @parent_uuid, @shared,
       (SELECT p.deleted_at FROM resources p WHERE p.kind = @parent_kind AND p.uuid = @parent_uuid))
ON CONFLICT (kind, uuid) DO UPDATE
   SET account = excluded.account, name = excluded.name, status = excluded.status, region = excluded.region, tags = excluded.tags,
       attributes = r.attributes || excluded.attributes, version_hash = excluded.version_hash,
       upstream_created_at = coalesce(excluded.upstream_created_at, r.upstream_created_at),
       upstream_updated_at = coalesce(excluded.upstream_updated_at, r.upstream_updated_at),
       summary = coalesce(excluded.summary, r.summary), body = coalesce(excluded.body, r.body),
       summary_synced_at = coalesce(excluded.summary_synced_at, r.summary_synced_at),
       body_synced_at = coalesce(excluded.body_synced_at, r.body_synced_at),
       team_id = coalesce(r.team_id, excluded.team_id),
       deleted_at = (SELECT coalesce(r.deleted_at, p.deleted_at) FROM resources p
                      WHERE p.kind = CASE WHEN excluded.parent_uuid IS NULL THEN r.parent_kind ELSE excluded.parent_kind END
                        AND p.uuid = coalesce(excluded.parent_uuid, r.parent_uuid) AND p.deleted_at IS NOT NULL),
       parent_kind = CASE WHEN excluded.parent_uuid IS NULL THEN r.parent_kind ELSE excluded.parent_kind END,
       parent_uuid = coalesce(excluded.parent_uuid, r.parent_uuid), shared = excluded.shared,
       dirty_since = CASE WHEN excluded.body IS NULL THEN r.dirty_since END,
       dirty_operation_id = CASE WHEN excluded.body IS NULL THEN r.dirty_operation_id END
RETURNING (xmax = 0)::boolean AS created;

-- name: ReplaceResource :exec
-- As UpsertResource, of a row that is there and locked, with its body.
UPDATE resources AS r
   SET account = new.account, name = new.name, status = new.status, region = new.region, tags = new.tags,
       attributes = r.attributes || new.attributes, version_hash = new.version_hash,
       upstream_created_at = coalesce(new.upstream_created_at, r.upstream_created_at),
       upstream_updated_at = coalesce(new.upstream_updated_at, r.upstream_updated_at),
       summary = coalesce(new.summary, r.summary), body = new.body,
       summary_synced_at = coalesce(new.summary_synced_at, r.summary_synced_at),
       body_synced_at = coalesce(new.body_synced_at, r.body_synced_at),
       team_id = coalesce(r.team_id, new.team_id,
               (SELECT p.team_id FROM resources p WHERE p.kind = new.parent_kind AND p.uuid = new.parent_uuid)),
       deleted_at = (SELECT coalesce(r.deleted_at, p.deleted_at) FROM resources p
                      WHERE p.kind = CASE WHEN new.parent_uuid IS NULL THEN r.parent_kind ELSE new.parent_kind END
                        AND p.uuid = coalesce(new.parent_uuid, r.parent_uuid) AND p.deleted_at IS NOT NULL),
       parent_kind = CASE WHEN new.parent_uuid IS NULL THEN r.parent_kind ELSE new.parent_kind END,
       parent_uuid = coalesce(new.parent_uuid, r.parent_uuid), shared = new.shared,
       dirty_since = NULL, dirty_operation_id = NULL
  FROM (SELECT @kind::text AS kind, @uuid::uuid AS uuid, @account::text AS account, sqlc.narg('team_id')::uuid AS team_id,
               @parent_kind::text AS parent_kind, sqlc.narg('parent_uuid')::uuid AS parent_uuid, @name::text AS name,
               @status::text AS status, @region::text AS region, @tags::text[] AS tags, @attributes::jsonb AS attributes,
               @version_hash::text AS version_hash, sqlc.narg('upstream_created_at')::timestamptz AS upstream_created_at,
               sqlc.narg('upstream_updated_at')::timestamptz AS upstream_updated_at, sqlc.narg('summary')::bytea AS summary,
               sqlc.narg('body')::bytea AS body, sqlc.narg('summary_synced_at')::timestamptz AS summary_synced_at,
               sqlc.narg('body_synced_at')::timestamptz AS body_synced_at, @shared::boolean AS shared) AS new
 WHERE r.kind = new.kind AND r.uuid = new.uuid;

-- name: NoteCreated :exec
-- What a change of ours made and the vendor has not shown yet. A listing may have been
-- faster.
INSERT INTO resources AS r (kind, uuid, account, team_id, name, parent_kind, parent_uuid, dirty_since, dirty_operation_id)
VALUES (@kind, @uuid, @account,
       coalesce(sqlc.narg('team_id')::uuid, (SELECT p.team_id FROM resources p WHERE p.kind = @parent_kind AND p.uuid = @parent_uuid)),
       @name, @parent_kind, @parent_uuid, clock_timestamp(), @operation_id)
ON CONFLICT (kind, uuid) DO UPDATE
   SET team_id = coalesce(r.team_id, excluded.team_id), dirty_since = clock_timestamp(), dirty_operation_id = excluded.dirty_operation_id;

-- name: UnreadCreation :one
-- Whether one of the kind that a change of ours made was never read, so that what it made
-- besides is not known yet. What cannot be read for long holds nothing up.
SELECT EXISTS (SELECT 1 FROM resources
                WHERE kind = @kind AND account = @account AND deleted_at IS NULL AND body IS NULL AND dirty_operation_id IS NOT NULL
                  AND dirty_since > clock_timestamp() - interval '10 minutes')::boolean;

-- name: MarkReferrersDirty :exec
-- Agents that refer to something that is no more, by an attribute or a route. They are
-- locked in the order of their uuids, as by all who lock several.
WITH referrers AS (
    SELECT a.uuid FROM resources a
     WHERE a.kind = 'agent' AND a.deleted_at IS NULL
       AND (a.attributes ->> (@attribute)::text = (@target)::text
            OR a.uuid IN (SELECT r.agent_uuid FROM agent_routes r WHERE r.kind = @route_kind AND r.target_uuid = @target_uuid AND r.valid_to IS NULL))
     ORDER BY a.uuid
       FOR UPDATE
)
UPDATE resources SET dirty_since = clock_timestamp(), dirty_operation_id = @operation_id
 WHERE kind = 'agent' AND uuid IN (SELECT referrers.uuid FROM referrers);

-- name: MarkDirtyAll :exec
-- Several of a kind that a change touched besides what it is about.
WITH touched AS (
    SELECT t.uuid FROM resources t WHERE t.kind = @kind AND t.uuid = ANY (@uuids::uuid[]) AND t.deleted_at IS NULL ORDER BY t.uuid FOR UPDATE
)
UPDATE resources r SET dirty_since = clock_timestamp(), dirty_operation_id = @operation_id
 WHERE r.kind = @kind AND r.uuid IN (SELECT touched.uuid FROM touched);

-- name: MarkPartsDeleted :exec
-- The parts of what is no more are no more.
WITH parts AS (
    SELECT p.kind, p.uuid FROM resources p
     WHERE p.parent_kind = @parent_kind AND p.parent_uuid = @parent_uuid AND p.deleted_at IS NULL
     ORDER BY p.kind, p.uuid
       FOR UPDATE
)
UPDATE resources r SET deleted_at = clock_timestamp(), dirty_since = NULL, dirty_operation_id = NULL
  FROM parts WHERE r.kind = parts.kind AND r.uuid = parts.uuid;

-- name: ClaimParts :exec
-- The parts of what was claimed.
UPDATE resources SET team_id = @team_id
 WHERE parent_kind = @parent_kind AND parent_uuid = @parent_uuid AND team_id IS NULL AND deleted_at IS NULL;

-- name: ForgetBody :exec
-- The list showed another version than the body we hold: the body must be read again.
UPDATE resources SET body_synced_at = NULL WHERE kind = @kind AND uuid = @uuid;

-- name: ConfirmResources :exec
-- A list showed them as we hold them: their bodies are as current, unless they are
-- known to be behind, or have what lists do not show.
UPDATE resources
   SET summary_synced_at = @at::timestamptz,
       body_synced_at = CASE WHEN @whole::boolean AND dirty_since IS NULL AND body_synced_at IS NOT NULL THEN greatest(body_synced_at, @at::timestamptz) ELSE body_synced_at END
 WHERE kind = @kind AND uuid = ANY (@uuids::uuid[]);

-- name: AmendBody :exec
-- A change of a part that the body shows, and that neither the summary nor a version
-- does. Answers that were asked for before it are outdated: the times say so, without
-- saying that the rest of the body is any younger.
UPDATE resources
   SET body = coalesce(@body, body),
       summary_synced_at = CASE WHEN dirty_since IS NULL THEN clock_timestamp() ELSE summary_synced_at END,
       dirty_since = CASE WHEN dirty_since IS NOT NULL THEN clock_timestamp() END
 WHERE kind = @kind AND uuid = @uuid;

-- name: MarkDirty :exec
UPDATE resources SET dirty_since = clock_timestamp(), dirty_operation_id = @operation_id
 WHERE kind = @kind AND uuid = @uuid;

-- name: MarkDeleted :exec
UPDATE resources SET deleted_at = coalesce(deleted_at, clock_timestamp()), dirty_since = NULL, dirty_operation_id = NULL
 WHERE kind = @kind AND uuid = @uuid;

-- name: DirtyResources :many
-- Changed by us and not seen since, the longest first.
SELECT uuid FROM resources
 WHERE kind = @kind AND account = @account AND deleted_at IS NULL AND dirty_since IS NOT NULL
 ORDER BY dirty_since, uuid
 LIMIT @at_most;

-- name: UnreadResources :many
-- Those whose body is not known to be current: first those that were listed with
-- another version than the body we hold, then those that were never read.
SELECT uuid FROM resources
 WHERE kind = @kind AND account = @account AND deleted_at IS NULL AND body_synced_at IS NULL AND dirty_since IS NULL
 ORDER BY (body IS NULL), upstream_updated_at DESC NULLS LAST, uuid
 LIMIT @at_most;

-- name: PassingResources :many
-- Those that will soon be different by themselves, the longest not looked at first.
SELECT uuid FROM resources
 WHERE kind = @kind AND account = @account AND deleted_at IS NULL AND dirty_since IS NULL AND status = ANY (@statuses::text[])
 ORDER BY body_synced_at NULLS FIRST, uuid
 LIMIT @at_most;

-- name: CountKind :one
SELECT count(*) FROM resources WHERE kind = @kind AND account = @account AND deleted_at IS NULL;

-- name: NotSeenSince :many
-- Resources of a kind that a whole listing, begun at the time, did not show.
SELECT uuid FROM resources
 WHERE kind = @kind AND account = @account AND deleted_at IS NULL
   AND coalesce(summary_synced_at, '-infinity') < @since AND coalesce(body_synced_at, '-infinity') < @since
   AND created_at < @since
 ORDER BY uuid;

-- name: ClaimResource :one
-- No row: it has another owner. A kind that is not mirrored is taken at the claimer's word.
INSERT INTO resources AS r (kind, uuid, team_id) VALUES (@kind, @uuid, @team_id)
ON CONFLICT (kind, uuid) DO UPDATE SET team_id = excluded.team_id
 WHERE (r.team_id IS NULL OR r.team_id = excluded.team_id) AND r.deleted_at IS NULL
RETURNING *;

-- name: ScopeSyncedAt :one
SELECT synced_at FROM mirror_scopes WHERE account = @account AND kind = @kind AND scope = @scope;

-- name: ScopeAnswer :one
SELECT answer FROM mirror_scopes WHERE account = @account AND kind = @kind AND scope = @scope;

-- name: SetScopeSynced :exec
INSERT INTO mirror_scopes (account, kind, scope, synced_at, answer) VALUES (@account, @kind, @scope, @synced_at, @answer)
ON CONFLICT (account, kind, scope) DO UPDATE
   SET synced_at = greatest(mirror_scopes.synced_at, excluded.synced_at), answer = coalesce(excluded.answer, mirror_scopes.answer);

-- name: UpsertAgentVersion :exec
-- What is known of a version, from whichever side: the vendor's list, a snapshot, or
-- the operation behind it. The first attribution holds.
INSERT INTO agent_versions AS v (agent_uuid, version_hash, body, vendor_id, snapshot, vendor_created_at, operation_id, actor, reason)
VALUES (@agent_uuid, @version_hash, @body, @vendor_id, @snapshot, @vendor_created_at, @operation_id, @actor, @reason)
ON CONFLICT (agent_uuid, version_hash) DO UPDATE
   SET body = coalesce(excluded.body, v.body), vendor_id = coalesce(excluded.vendor_id, v.vendor_id),
       snapshot = coalesce(v.snapshot, excluded.snapshot),
       vendor_created_at = coalesce(excluded.vendor_created_at, v.vendor_created_at),
       operation_id = coalesce(v.operation_id, excluded.operation_id), actor = coalesce(v.actor, excluded.actor),
       reason = CASE WHEN v.operation_id IS NULL THEN excluded.reason ELSE v.reason END;

-- name: AgentVersions :many
-- The vendor's versions of an agent, the newest first; before is the vendor_id of the
-- last one already seen, or the largest number for the first page.
SELECT version_hash, body, vendor_id, operation_id, actor, reason
  FROM agent_versions
 WHERE agent_uuid = @agent_uuid AND body IS NOT NULL
   AND (vendor_id < @before)
 ORDER BY vendor_id DESC
 LIMIT @at_most;

-- name: CountAgentVersions :one
SELECT count(*) FROM agent_versions WHERE agent_uuid = @agent_uuid AND body IS NOT NULL;

-- name: OpenRoutes :many
SELECT * FROM agent_routes WHERE agent_uuid = ANY (@agent_uuids::uuid[]) AND valid_to IS NULL ORDER BY id;

-- name: OpenRouteTo :one
SELECT * FROM agent_routes WHERE agent_uuid = @agent_uuid AND kind = @kind AND target_uuid = @target_uuid AND valid_to IS NULL;

-- name: OpenRoute :exec
-- From the moment on that the caller names, so that one that replaces another begins
-- where that ended.
INSERT INTO agent_routes (kind, agent_uuid, target_uuid, name, if_case, details, opened_by, valid_from)
VALUES (@kind, @agent_uuid, @target_uuid, @name, @if_case, @details, @opened_by, @at::timestamptz)
ON CONFLICT (agent_uuid, kind, target_uuid) WHERE valid_to IS NULL DO NOTHING;

-- name: CorrectRoute :exec
-- What was told of a route when it was opened turned out to be less than the whole.
UPDATE agent_routes SET name = @name, if_case = @if_case, details = @details
 WHERE agent_uuid = @agent_uuid AND kind = @kind AND target_uuid = @target_uuid AND valid_to IS NULL;

-- name: CloseRoute :execrows
UPDATE agent_routes SET valid_to = greatest(@at::timestamptz, valid_from), closed_by = @closed_by
 WHERE agent_uuid = @agent_uuid AND kind = @kind AND target_uuid = @target_uuid AND valid_to IS NULL;

-- name: CloseRoutesOf :exec
-- All routes from and to an agent that is no more.
UPDATE agent_routes SET valid_to = greatest(@at::timestamptz, valid_from), closed_by = @closed_by
 WHERE valid_to IS NULL AND (agent_uuid = @agent_uuid OR (kind = 'agent' AND target_uuid = @agent_uuid));

-- name: MarkParentsDirty :exec
-- Agents that route to this one now will be shown without that route. They are locked
-- in the order of their uuids, as by all who lock several.
WITH parents AS (
    SELECT p.uuid FROM resources p
     WHERE p.kind = 'agent' AND p.deleted_at IS NULL
       AND p.uuid IN (SELECT r.agent_uuid FROM agent_routes r WHERE r.kind = 'agent' AND r.target_uuid = @target_uuid AND r.valid_to IS NULL)
     ORDER BY p.uuid
       FOR UPDATE
)
UPDATE resources SET dirty_since = clock_timestamp(), dirty_operation_id = @operation_id
 WHERE kind = 'agent' AND uuid IN (SELECT parents.uuid FROM parents);

-- name: LockAgentAndParents :many
-- An agent and those that route to it now, in the order of their uuids: its removal
-- changes them as well.
SELECT * FROM resources
 WHERE kind = 'agent'
   AND uuid IN (SELECT @uuid::uuid UNION ALL
                SELECT r.agent_uuid FROM agent_routes r WHERE r.kind = 'agent' AND r.target_uuid = @uuid AND r.valid_to IS NULL)
 ORDER BY uuid
   FOR UPDATE;

-- name: AgentVersionIsListed :one
-- Whether the vendor's list of versions, as we hold it, has the version.
SELECT EXISTS (SELECT 1 FROM agent_versions WHERE agent_uuid = @agent_uuid AND version_hash = @version_hash AND body IS NOT NULL)::boolean;

-- name: ParentsOf :many
-- Agents that route to this one now.
SELECT r.agent_uuid, coalesce(p.name, '')::text AS name
  FROM agent_routes r
  LEFT JOIN resources p ON p.kind = 'agent' AND p.uuid = r.agent_uuid
 WHERE r.kind = 'agent' AND r.target_uuid = @target_uuid AND r.valid_to IS NULL
   AND (p.deleted_at IS NULL)
 ORDER BY r.agent_uuid;

-- name: RoutePath :one
-- Whether a conversation at the first agent can reach the second: by the routes of now,
-- or by those that operations claimed before this one are about to add. Claims come one
-- after the other, so of two that would close a circle together one sees the other.
WITH RECURSIVE edges AS (
    SELECT agent_uuid AS parent, target_uuid AS child FROM agent_routes WHERE kind = 'agent' AND valid_to IS NULL
    UNION ALL
    SELECT o.parent_uuid, o.resource_uuid
      FROM operations o JOIN operations self ON self.id = @operation_id
     WHERE o.state = 'RUNNING' AND o.method = @adding_method AND (o.started_at, o.number) < (self.started_at, self.number)
), reached AS (
    SELECT @from_agent::uuid AS uuid
    UNION
    SELECT edges.child FROM edges JOIN reached ON edges.parent = reached.uuid
)
SELECT EXISTS (SELECT 1 FROM reached WHERE uuid = @to_agent::uuid)::boolean;

-- name: TryLock :one
-- A lock of this transaction's, or false: some other replica has it.
SELECT pg_try_advisory_xact_lock(hashtextextended(@name::text, 0));
