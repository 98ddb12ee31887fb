-- The circuit breaker of an account: whether the vendor answers at all, as all replicas see it.

-- +goose Up
ALTER TABLE accounts
    -- Calls in a row that the vendor left unanswered or answered with 5xx.
    ADD COLUMN failures    integer NOT NULL DEFAULT 0,
    -- Since when nothing but probes is granted; NULL while the vendor answers.
    ADD COLUMN opened_at   timestamptz,
    -- The last call granted before that: calls with higher numbers are probes.
    ADD COLUMN opened_call bigint,
    -- Probes in a row that failed; each doubles the pause before the next.
    ADD COLUMN probes      integer NOT NULL DEFAULT 0,
    -- When the next probe may go.
    ADD COLUMN probe_at    timestamptz,
    ADD CONSTRAINT accounts_probed_if_open CHECK ((opened_at IS NULL) = (probe_at IS NULL));

-- +goose Down
ALTER TABLE accounts DROP CONSTRAINT accounts_probed_if_open,
    DROP COLUMN probe_at, DROP COLUMN probes, DROP COLUMN opened_call, DROP COLUMN opened_at, DROP COLUMN failures;
