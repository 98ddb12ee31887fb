-- Names of ours for versions of agents, and where they have been.

-- +goose Up
CREATE TABLE agent_version_labels (
    agent_uuid   uuid        NOT NULL,
    label        text        NOT NULL,
    version_hash text        NOT NULL,
    -- Only an owner of the agent's team may move it or take it off.
    protected    boolean     NOT NULL DEFAULT false,
    actor        text        NOT NULL,
    reason       text        NOT NULL DEFAULT '',
    moved_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (agent_uuid, label),
    CONSTRAINT agent_version_labels_on_a_version CHECK (version_hash <> '')
);
CREATE INDEX agent_version_labels_by_version ON agent_version_labels (agent_uuid, version_hash);

-- One row for each time that a label was put somewhere, protected or taken off.
CREATE TABLE agent_label_moves (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_uuid       uuid        NOT NULL,
    label            text        NOT NULL,
    -- NULL: there was none, or there is none any more.
    before_hash      text,
    after_hash       text,
    before_protected boolean     NOT NULL,
    after_protected  boolean     NOT NULL,
    actor            text        NOT NULL,
    reason           text        NOT NULL DEFAULT '',
    moved_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX agent_label_moves_by_agent ON agent_label_moves (agent_uuid, moved_at, id);

-- +goose StatementBegin
CREATE FUNCTION label_moves_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'agent_label_moves is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER agent_label_moves_append_only BEFORE UPDATE OR DELETE ON agent_label_moves
    FOR EACH ROW EXECUTE FUNCTION label_moves_refuse_change();
CREATE TRIGGER agent_label_moves_no_truncate BEFORE TRUNCATE ON agent_label_moves
    FOR EACH STATEMENT EXECUTE FUNCTION label_moves_refuse_change();

-- +goose Down
DROP TABLE agent_label_moves, agent_version_labels;
DROP FUNCTION label_moves_refuse_change();
