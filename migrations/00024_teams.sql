-- What is decided about teams, and what nobody may change for now.

-- +goose Up
ALTER TABLE teams
    ADD COLUMN description text NOT NULL DEFAULT '',
    -- It can do nothing any more; its history stays, and so does its name.
    ADD COLUMN archived_at timestamptz,
    -- Which changes wait for a second owner.
    ADD COLUMN approvals   text[] NOT NULL DEFAULT '{}';

-- The team that made a service, and alone makes tokens for it; NULL for people, and for
-- services made by who may reach the database.
ALTER TABLE principals ADD COLUMN team_id uuid REFERENCES teams (id);

-- While a row is not lifted, nobody changes what the team has, or anything if there is no team.
CREATE TABLE freezes (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id      uuid        REFERENCES teams (id),
    actor        text        NOT NULL,
    principal_id uuid,
    reason       text        NOT NULL,
    frozen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    lifted_at    timestamptz
);
CREATE UNIQUE INDEX freezes_one_at_a_time ON freezes (coalesce(team_id, '00000000-0000-0000-0000-000000000000')) WHERE lifted_at IS NULL;

-- +goose Down
DROP TABLE freezes;
ALTER TABLE principals DROP COLUMN team_id;
ALTER TABLE teams DROP COLUMN description, DROP COLUMN archived_at, DROP COLUMN approvals;
