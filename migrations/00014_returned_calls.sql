-- Calls that were granted and given back keep their numbers and count for nothing: how many
-- there are among the last ones is asked at each claim.

-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS vendor_calls_returned; -- of an attempt that broke off
CREATE INDEX CONCURRENTLY vendor_calls_returned ON vendor_calls (account, number) WHERE answered_at = 'epoch';

-- +goose Down
DROP INDEX CONCURRENTLY vendor_calls_returned;
