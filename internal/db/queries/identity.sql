-- name: TokenByID :one
-- A token with the principal it speaks for and, in one order, the teams they belong
-- to: every call asks this, so it is one round trip. Expiry is decided here, by the
-- database's clock.
SELECT t.secret_hash, (t.expires_at <= now())::boolean AS expired, (t.revoked_at IS NOT NULL)::boolean AS revoked,
       p.id AS principal_id, p.kind, p.name, coalesce(p.platform_role, '')::text AS platform_role,
       (p.disabled_at IS NOT NULL)::boolean AS disabled,
       ARRAY(SELECT m.team_id FROM memberships m JOIN teams ON teams.id = m.team_id
              WHERE m.principal_id = p.id AND teams.archived_at IS NULL ORDER BY teams.name)::uuid[] AS team_ids,
       ARRAY(SELECT teams.name FROM memberships m JOIN teams ON teams.id = m.team_id
              WHERE m.principal_id = p.id AND teams.archived_at IS NULL ORDER BY teams.name)::text[] AS team_names,
       ARRAY(SELECT m.role FROM memberships m JOIN teams ON teams.id = m.team_id
              WHERE m.principal_id = p.id AND teams.archived_at IS NULL ORDER BY teams.name)::text[] AS team_roles,
       ARRAY(SELECT teams.account FROM memberships m JOIN teams ON teams.id = m.team_id
              WHERE m.principal_id = p.id AND teams.archived_at IS NULL ORDER BY teams.name)::text[] AS team_accounts
  FROM service_tokens t
  JOIN principals p ON p.id = t.principal_id
 WHERE t.id = @id;

-- name: MembershipsOf :many
SELECT t.id, t.name, m.role, t.account
  FROM memberships m
  JOIN teams t ON t.id = m.team_id
 WHERE m.principal_id = @principal_id AND t.archived_at IS NULL
 ORDER BY t.name;

-- name: PrincipalBySubject :one
SELECT id, kind, name, coalesce(platform_role, '')::text AS platform_role, (disabled_at IS NOT NULL)::boolean AS disabled
  FROM principals
 WHERE issuer = @issuer AND subject = @subject;

-- name: UpsertTeam :one
INSERT INTO teams (name) VALUES (@name)
ON CONFLICT (name) DO UPDATE SET name = excluded.name
RETURNING id;

-- name: TeamByName :one
SELECT id, name, weight, backlog_limit, account, archived_at FROM teams WHERE name = @name;

-- name: TeamByID :one
SELECT id, name, weight, backlog_limit, account, approvals FROM teams WHERE id = @id;

-- name: TeamNames :many
SELECT id, name FROM teams ORDER BY name;

-- name: UpsertPrincipal :one
INSERT INTO principals (kind, issuer, subject, name, platform_role)
VALUES (@kind, @issuer, @subject, @name, nullif(@platform_role::text, ''))
ON CONFLICT (issuer, subject) DO UPDATE SET name = excluded.name, platform_role = excluded.platform_role
RETURNING id;

-- name: UpsertMembership :exec
INSERT INTO memberships (team_id, principal_id, role) VALUES (@team_id, @principal_id, @role)
ON CONFLICT (team_id, principal_id) DO UPDATE SET role = excluded.role;

-- name: InsertToken :one
INSERT INTO service_tokens (id, principal_id, secret_hash, expires_at)
VALUES (@id, @principal_id, @secret_hash, now() + make_interval(secs => @lifetime_seconds::double precision))
RETURNING expires_at;

-- name: ListTokens :many
SELECT t.id, p.name, t.created_at, t.expires_at, t.revoked_at
  FROM service_tokens t
  JOIN principals p ON p.id = t.principal_id
 ORDER BY t.created_at;

-- name: RevokeToken :execrows
-- Revoking twice keeps the first time.
UPDATE service_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = @id;
