-- What a change costs: each index is written anew at every step of an operation, and each
-- reference to an account locks the row of which the budget is the lock. The release before
-- needs none of them.

-- +goose NO TRANSACTION
-- +goose Up
-- Few operations run at a time, so they are found by operations_one_running, and what is
-- queued by operations_queue.
DROP INDEX CONCURRENTLY IF EXISTS operations_leases;
DROP INDEX CONCURRENTLY IF EXISTS operations_due;
-- A call is numbered by whoever holds the account's row, and an operation takes its place
-- from the rows of its account and team first.
ALTER TABLE vendor_calls DROP CONSTRAINT IF EXISTS vendor_calls_account_fkey;
ALTER TABLE operations DROP CONSTRAINT IF EXISTS operations_account_fkey, DROP CONSTRAINT IF EXISTS operations_team_id_fkey;

-- +goose Down
ALTER TABLE operations ADD CONSTRAINT operations_team_id_fkey FOREIGN KEY (team_id) REFERENCES teams (id) NOT VALID,
    ADD CONSTRAINT operations_account_fkey FOREIGN KEY (account) REFERENCES accounts (name) NOT VALID;
ALTER TABLE vendor_calls ADD CONSTRAINT vendor_calls_account_fkey FOREIGN KEY (account) REFERENCES accounts (name) NOT VALID;
CREATE INDEX CONCURRENTLY operations_due ON operations (account, available_at) WHERE state = 'QUEUED';
CREATE INDEX CONCURRENTLY operations_leases ON operations (account, lease_expires_at) WHERE state = 'RUNNING';
