-- name: Team :one
SELECT * FROM teams WHERE name = @name;

-- name: LockTeam :one
-- Whoever changes a team, or who belongs to it, holds its row until the commit.
SELECT * FROM teams WHERE name = @name FOR NO KEY UPDATE;

-- name: InsertTeam :one
-- No row: there is one of the name.
INSERT INTO teams (name, description, weight, backlog_limit, account) VALUES (@name, @description, @weight, @backlog_limit, @account)
ON CONFLICT (name) DO NOTHING
RETURNING *;

-- name: SetTeam :one
UPDATE teams SET description = @description, weight = @weight, backlog_limit = @backlog_limit, account = @account, approvals = @approvals
 WHERE id = @id
RETURNING *;

-- name: ArchiveTeam :one
UPDATE teams SET archived_at = coalesce(archived_at, clock_timestamp()) WHERE id = @id
RETURNING *;

-- name: WhatATeamHas :one
-- What keeps a team from being archived: what it owns, and what it has not ended. Counted up to a thousand each.
SELECT (SELECT count(*) FROM (SELECT FROM resources r WHERE r.team_id = @team_id AND r.deleted_at IS NULL LIMIT 1000) AS owned) AS resources,
       (SELECT count(*) FROM (SELECT FROM operations o WHERE o.team_id = @team_id AND o.finished_at IS NULL LIMIT 1000) AS open) AS operations;

-- name: PrincipalsCalled :many
-- Who is meant by a name or a unique id.
SELECT id, kind, name, (disabled_at IS NOT NULL)::boolean AS disabled FROM principals
 WHERE name = @called::text OR id::text = lower(@called::text)
 ORDER BY created_at;

-- name: MemberOf :one
SELECT role, created_at FROM memberships WHERE team_id = @team_id AND principal_id = @principal_id;

-- name: OtherOwners :one
-- How many owners a team has besides one member, of those that can still call.
SELECT count(*) FROM memberships m JOIN principals p ON p.id = m.principal_id
 WHERE m.team_id = @team_id AND m.principal_id <> @principal_id AND m.role = 'OWNER' AND p.disabled_at IS NULL;

-- name: SetMembership :one
INSERT INTO memberships (team_id, principal_id, role) VALUES (@team_id, @principal_id, @role)
ON CONFLICT (team_id, principal_id) DO UPDATE SET role = excluded.role
RETURNING created_at;

-- name: DeleteMembership :exec
DELETE FROM memberships WHERE team_id = @team_id AND principal_id = @principal_id;

-- name: ServiceMaker :one
-- The team whose service it is; no row: there is no such service.
SELECT p.id, p.team_id, (p.platform_role IS NOT NULL)::boolean AS platform, p.may_act_for_others,
       (SELECT count(*) FROM memberships m WHERE m.principal_id = p.id AND m.team_id <> @team_id) AS elsewhere,
       coalesce((SELECT m.role FROM memberships m WHERE m.principal_id = p.id AND m.team_id = @team_id), '')::text AS role
  FROM principals p
 WHERE p.issuer = '' AND p.subject = @service
   FOR UPDATE;

-- name: SetServiceMaker :exec
UPDATE principals SET team_id = @team_id WHERE id = @id AND team_id IS NULL;

-- name: TokenOfTeam :one
-- A token of one of the team's services, locked.
SELECT t.id, p.name AS service, t.created_at, t.expires_at, t.revoked_at, t.last_used_at
  FROM service_tokens t
  JOIN principals p ON p.id = t.principal_id
 WHERE t.id = @id AND p.team_id = @team_id
   FOR UPDATE OF t;

-- name: Freezes :many
-- What is frozen now: of everything first.
SELECT f.team_id, f.actor, f.frozen_at, f.reason FROM freezes f WHERE f.lifted_at IS NULL ORDER BY f.team_id NULLS FIRST;

-- name: FreezeOf :one
SELECT f.actor, f.frozen_at, f.reason FROM freezes f WHERE f.lifted_at IS NULL AND f.team_id IS NOT DISTINCT FROM sqlc.narg('team_id')::uuid;

-- name: InsertFreeze :one
-- No row: it is frozen.
INSERT INTO freezes (team_id, actor, principal_id, reason) VALUES (@team_id, @actor, @principal_id, @reason)
ON CONFLICT (coalesce(team_id, '00000000-0000-0000-0000-000000000000')) WHERE lifted_at IS NULL DO NOTHING
RETURNING actor, frozen_at, reason;

-- name: LiftFreeze :one
UPDATE freezes SET lifted_at = clock_timestamp() WHERE lifted_at IS NULL AND team_id IS NOT DISTINCT FROM sqlc.narg('team_id')::uuid
RETURNING actor, frozen_at, reason;
