-- Finds the parts of a resource. Alone and outside of a transaction, since the table is
-- in use.

-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS resources_by_parent; -- of an attempt that broke off
CREATE INDEX CONCURRENTLY resources_by_parent ON resources (parent_kind, parent_uuid) WHERE parent_uuid IS NOT NULL AND deleted_at IS NULL;

-- +goose Down
DROP INDEX CONCURRENTLY resources_by_parent;
