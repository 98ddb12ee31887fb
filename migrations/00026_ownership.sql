-- Who owned what since when, and what is on its way to another team.

-- +goose Up
-- Every way in which a resource gets another owner leaves a row here, by the trigger below.
CREATE TABLE resource_owners (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL,
    uuid       uuid        NOT NULL,
    -- NULL: nobody.
    team_id    uuid        REFERENCES teams (id),
    valid_from timestamptz NOT NULL DEFAULT clock_timestamp(),
    valid_to   timestamptz,
    actor      text        NOT NULL DEFAULT '',
    reason     text        NOT NULL DEFAULT '',
    CONSTRAINT resource_owners_end_after_start CHECK (valid_to >= valid_from)
);
CREATE UNIQUE INDEX resource_owners_one_now ON resource_owners (kind, uuid) WHERE valid_to IS NULL;
CREATE INDEX resource_owners_history ON resource_owners (kind, uuid, valid_from);
INSERT INTO resource_owners (kind, uuid, team_id, valid_from)
SELECT kind, uuid, team_id, created_at FROM resources WHERE team_id IS NOT NULL AND parent_uuid IS NULL;

-- +goose StatementBegin
CREATE FUNCTION resources_note_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE resource_owners SET valid_to = clock_timestamp() WHERE kind = NEW.kind AND uuid = NEW.uuid AND valid_to IS NULL;
    INSERT INTO resource_owners (kind, uuid, team_id) VALUES (NEW.kind, NEW.uuid, NEW.team_id);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- A part has the owner of what it is a part of.
CREATE TRIGGER resources_owner_made AFTER INSERT ON resources
    FOR EACH ROW WHEN (NEW.team_id IS NOT NULL AND NEW.parent_uuid IS NULL) EXECUTE FUNCTION resources_note_owner();
CREATE TRIGGER resources_owner_changed AFTER UPDATE OF team_id ON resources
    FOR EACH ROW WHEN (NEW.team_id IS DISTINCT FROM OLD.team_id AND NEW.parent_uuid IS NULL) EXECUTE FUNCTION resources_note_owner();

CREATE TABLE transfers (
    id           uuid        PRIMARY KEY,
    kind         text        NOT NULL,
    uuid         uuid        NOT NULL,
    name         text        NOT NULL,
    from_team_id uuid        NOT NULL REFERENCES teams (id),
    to_team_id   uuid        NOT NULL REFERENCES teams (id),
    actor        text        NOT NULL,
    reason       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL DEFAULT clock_timestamp() + interval '7 days',
    -- Whether it was accepted, once it has ended; it ends by itself when it expires.
    accepted     boolean,
    ended_by     text        NOT NULL DEFAULT '',
    ended_at     timestamptz
);
CREATE UNIQUE INDEX transfers_one_at_a_time ON transfers (kind, uuid) WHERE ended_at IS NULL;
CREATE INDEX transfers_from ON transfers (from_team_id, created_at);
CREATE INDEX transfers_to ON transfers (to_team_id, created_at);

-- +goose Down
DROP TABLE transfers;
DROP TRIGGER resources_owner_made ON resources;
DROP TRIGGER resources_owner_changed ON resources;
DROP FUNCTION resources_note_owner;
DROP TABLE resource_owners;
