-- Finds the changes of a batch. Alone and outside of a transaction, since the table is
-- in use.

-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS operations_by_batch; -- of an attempt that broke off
CREATE INDEX CONCURRENTLY operations_by_batch ON operations (parent_operation_id, number) WHERE parent_operation_id IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY operations_by_batch;
