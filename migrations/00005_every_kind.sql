-- Kinds of resources beside agents: parts of others, and what every caller may see.

-- +goose Up
-- Whoever reads for long must not have everybody else wait behind this.
SET LOCAL lock_timeout = '10s';
-- Parts of another resource belong to whoever that belongs to. Both are '' and NULL for
-- what stands by itself.
ALTER TABLE resources
    ADD COLUMN parent_kind text NOT NULL DEFAULT '',
    ADD COLUMN parent_uuid uuid,
    -- Every caller may see it, such as a model of the vendor's.
    ADD COLUMN shared boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT resources_parent_is_whole CHECK ((parent_kind = '') = (parent_uuid IS NULL)) NOT VALID;

-- What a list says beside its items, as Protobuf bytes, such as how many there may be.
ALTER TABLE mirror_scopes ADD COLUMN answer bytea;

-- +goose Down
ALTER TABLE mirror_scopes DROP COLUMN answer;
ALTER TABLE resources DROP CONSTRAINT resources_parent_is_whole, DROP COLUMN shared, DROP COLUMN parent_uuid, DROP COLUMN parent_kind;
