-- name: TokenByID :one
-- A token with the principal it speaks for and, in one order, the teams they belong
-- to: whoever is not remembered is asked for by this, so it is one round trip. Expiry is
-- decided by the database's clock: zero or less is left of what has expired.
SELECT t.secret_hash, extract(epoch FROM t.expires_at - now())::double precision AS seconds_left, (t.revoked_at IS NOT NULL)::boolean AS revoked,
       p.id AS principal_id, p.kind, p.name, coalesce(p.platform_role, '')::text AS platform_role,
       (p.disabled_at IS NOT NULL)::boolean AS disabled, p.may_act_for_others,
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
SELECT id, kind, name, coalesce(platform_role, '')::text AS platform_role, (disabled_at IS NOT NULL)::boolean AS disabled,
       may_act_for_others
  FROM principals
 WHERE issuer = @issuer AND subject = @subject;

-- name: PrincipalsOfCertificate :many
-- More than one, if a certificate has names of several: it then speaks for none.
SELECT id, kind, name, coalesce(platform_role, '')::text AS platform_role, (disabled_at IS NOT NULL)::boolean AS disabled,
       may_act_for_others
  FROM principals
 WHERE issuer = @issuer AND subject = ANY (@subjects::text[])
 LIMIT 2;

-- name: PersonsCalled :many
-- Who could be meant by an email address or subject; of people who were disabled, nobody.
SELECT id, kind, name, coalesce(platform_role, '')::text AS platform_role
  FROM principals
 WHERE kind = 'PERSON' AND disabled_at IS NULL AND (name = @called::text OR subject = @called::text)
 LIMIT 2;

-- name: UpsertPerson :execrows
-- No row: the issuer's subject is a service's.
INSERT INTO principals (kind, issuer, subject, name) VALUES ('PERSON', @issuer, @subject, @name)
ON CONFLICT (issuer, subject) DO UPDATE SET name = excluded.name WHERE principals.kind = 'PERSON';

-- name: SetMayActForOthers :exec
UPDATE principals SET may_act_for_others = @may WHERE id = @id AND kind = 'SERVICE';

-- name: TeamsCalled :many
SELECT id, name, account FROM teams WHERE name = ANY (@names::text[]) AND archived_at IS NULL;

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
SELECT t.id, p.name, t.created_at, t.expires_at, t.revoked_at, t.last_used_at
  FROM service_tokens t
  JOIN principals p ON p.id = t.principal_id
 ORDER BY t.created_at;

-- name: RevokeToken :execrows
-- Revoking twice keeps the first time.
UPDATE service_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = @id;

-- name: TouchTokens :exec
-- When tokens were last used, a minute apart at the least. What somebody else writes at the moment is left to them.
UPDATE service_tokens SET last_used_at = now()
 WHERE id IN (SELECT t.id FROM service_tokens t
               WHERE t.id = ANY (@ids::text[]) AND (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute')
                 FOR UPDATE SKIP LOCKED);

-- name: OneHand :one
-- Whether one hand may have both of two principals: a service is as well in the hand of whoever was
-- given a token of it, and those of their makers; and what was asked for through a service is in its hand, too.
WITH RECURSIVE asked AS (
    SELECT @one::uuid AS id
    UNION
    SELECT p.id FROM principals p WHERE p.kind = 'SERVICE' AND p.name = @through::text
), one AS (
    SELECT asked.id FROM asked
    UNION
    SELECT e.principal_id FROM one JOIN audit_events e ON e.parent_uuid = one.id
     WHERE e.method = 'agentsvc.v1.TeamService.CreateServiceToken' AND e.outcome = 'SUCCEEDED' AND e.principal_id IS NOT NULL
), other AS (
    SELECT @other::uuid AS id
    UNION
    SELECT e.principal_id FROM other JOIN audit_events e ON e.parent_uuid = other.id
     WHERE e.method = 'agentsvc.v1.TeamService.CreateServiceToken' AND e.outcome = 'SUCCEEDED' AND e.principal_id IS NOT NULL
)
SELECT EXISTS (SELECT FROM one JOIN other ON other.id = one.id)::boolean AS shared;
