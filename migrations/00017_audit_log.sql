-- The sealed log: each event's place in a Merkle tree, signed checkpoints of the tree,
-- and how far each sink outside has been told. Events themselves are never touched.

-- +goose Up

-- The hash of each event, in the order of sealing. It outlives the event: a month that
-- retention drops leaves its hashes here, or nothing after it could be verified.
CREATE TABLE audit_leaves (
    index       bigint      PRIMARY KEY,
    event_id    uuid        NOT NULL,
    recorded_at timestamptz NOT NULL,
    hash        bytea       NOT NULL,
    CONSTRAINT audit_leaves_hold_an_event_once UNIQUE (recorded_at, event_id),
    CONSTRAINT audit_leaves_begin_at_zero CHECK (index >= 0),
    CONSTRAINT audit_leaves_hash_is_sha256 CHECK (octet_length(hash) = 32)
);
CREATE INDEX audit_leaves_by_event ON audit_leaves (event_id);

-- Roots of full subtrees, so that proofs need not read all leaves: at level 1 of 256
-- leaves each, at level 2 of 256 of those, and so on.
CREATE TABLE audit_nodes (
    level smallint NOT NULL,
    n     bigint   NOT NULL,
    hash  bytea    NOT NULL,
    PRIMARY KEY (level, n),
    CONSTRAINT audit_nodes_are_above_leaves CHECK (level > 0),
    CONSTRAINT audit_nodes_hash_is_sha256 CHECK (octet_length(hash) = 32)
);

-- What was signed: the tree's size and root. note is the signed text whole.
CREATE TABLE audit_checkpoints (
    size      bigint      PRIMARY KEY,
    root      bytea       NOT NULL,
    note      text        NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT audit_checkpoints_are_not_empty CHECK (size > 0),
    CONSTRAINT audit_checkpoints_root_is_sha256 CHECK (octet_length(root) = 32)
);

-- How far each sink is: the log itself is its outbox. Not evidence, so it may change.
CREATE TABLE audit_sinks (
    name            text        PRIMARY KEY,
    next_index      bigint      NOT NULL DEFAULT 0,
    checkpoint_size bigint      NOT NULL DEFAULT 0,
    -- How often in a row it could not be told, and when it is tried again.
    failures        integer     NOT NULL DEFAULT 0,
    retry_at        timestamptz NOT NULL DEFAULT '-infinity',
    last_error      text        NOT NULL DEFAULT '',
    sent_at         timestamptz
);

-- The message names the table, as there are several now. Partitions have the function
-- by name and follow.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd

CREATE TRIGGER audit_leaves_append_only BEFORE UPDATE OR DELETE ON audit_leaves
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_leaves_no_truncate BEFORE TRUNCATE ON audit_leaves
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_nodes_append_only BEFORE UPDATE OR DELETE ON audit_nodes
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_nodes_no_truncate BEFORE TRUNCATE ON audit_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE ON audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_checkpoints_no_truncate BEFORE TRUNCATE ON audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

-- +goose Down
DROP TABLE audit_sinks, audit_checkpoints, audit_nodes, audit_leaves;
