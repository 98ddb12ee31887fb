-- name: EnsureAccount :execrows
-- One row if the account is new.
INSERT INTO accounts (name) VALUES (@name) ON CONFLICT (name) DO NOTHING;

-- name: EnsureLanes :exec
-- The clocks of the account's queue.
INSERT INTO fair_clocks (account, lane) SELECT @account, lane FROM generate_series(1, 3) AS lanes (lane)
ON CONFLICT (account, lane) DO NOTHING;

-- name: ListAccounts :many
-- What is known of each account: who creates in it, and what is in it.
SELECT a.name,
       ARRAY(SELECT t.name FROM teams t WHERE t.account = a.name ORDER BY t.name)::text[] AS teams,
       (SELECT count(*) FROM resources r WHERE r.account = a.name AND r.team_id IS NOT NULL AND r.deleted_at IS NULL) AS owned,
       (SELECT count(*) FROM operations o WHERE o.account = a.name AND o.state IN ('QUEUED', 'RUNNING')) AS unfinished
  FROM accounts a
 ORDER BY a.name;

-- name: AssignTeam :one
-- The account before and the team; no row: there is no such team.
UPDATE teams t SET account = @account
  FROM teams was WHERE was.id = t.id AND t.name = @team
RETURNING t.id, was.account AS before;

-- name: AccountsOf :many
-- The accounts in which teams, or anybody, have something of a kind.
SELECT a.name FROM accounts a
 WHERE EXISTS (SELECT FROM resources r
                WHERE (@everything::boolean OR r.team_id = ANY (@teams::uuid[])) AND r.kind = @kind AND r.deleted_at IS NULL AND r.account = a.name)
 ORDER BY a.name;

-- name: AccountNames :many
SELECT name FROM accounts ORDER BY name;
