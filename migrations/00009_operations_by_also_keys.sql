-- Finds who else is after a key. Most changes have no further keys and are not in it, so it is
-- asked at each claim and mostly empty; what comes is written at once (fastupdate), for
-- a list of what is still to be sorted in would be gone through each time. Alone and outside
-- of a transaction, since the table is in use.

-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS operations_also; -- of an attempt that broke off
CREATE INDEX CONCURRENTLY operations_also ON operations USING gin (also_keys) WITH (fastupdate = off)
    WHERE state IN ('QUEUED', 'RUNNING') AND also_keys <> '{}';

-- +goose Down
DROP INDEX CONCURRENTLY operations_also;
