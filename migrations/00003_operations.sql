-- Durable changes, the budget they are sent from, and the order they go in.

-- +goose Up
CREATE TABLE accounts (
    name            text        PRIMARY KEY,
    -- Number of the last vendor call granted. The row is the lock of the budget.
    last_call       bigint      NOT NULL DEFAULT 0,
    -- Nothing is granted before: the vendor said so.
    paused_until    timestamptz,
    -- Calls of the last hour that others made with the same token, as far as the
    -- vendor's headers told.
    foreign_used    integer     NOT NULL DEFAULT 0,
    foreign_seen_at timestamptz,
    CONSTRAINT accounts_foreign_used_in_range CHECK (foreign_used >= 0)
);
INSERT INTO accounts (name) VALUES ('default');

-- The sliding log: one row for each vendor call ever granted, numbered without
-- gaps. Call n may go when call n-250 is a minute old and call n-5000 an hour:
-- two look-ups however long the log.
CREATE TABLE vendor_calls (
    account           text        NOT NULL REFERENCES accounts (name),
    number            bigint      NOT NULL,
    granted_at        timestamptz NOT NULL,
    purpose           text        NOT NULL,
    method            text        NOT NULL DEFAULT '',
    team_id           uuid,
    operation_id      uuid,
    -- NULL until answered; 0 when no answer came.
    status            integer,
    duration_ms       integer,
    vendor_request_id text        NOT NULL DEFAULT '',
    PRIMARY KEY (account, number),
    CONSTRAINT vendor_calls_purpose_is_known CHECK (purpose IN ('CHANGE', 'RECONCILE', 'READ', 'SYNC'))
);

-- Start-time fair queueing. A queue's clock is the start time of what it served
-- last; a team's finish is where its next operation may start.
CREATE TABLE fair_clocks (
    account      text             NOT NULL REFERENCES accounts (name),
    lane         smallint         NOT NULL,
    virtual_time double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (account, lane)
);
INSERT INTO fair_clocks (account, lane) VALUES ('default', 1), ('default', 2), ('default', 3);

CREATE TABLE fair_teams (
    account        text             NOT NULL REFERENCES accounts (name),
    lane           smallint         NOT NULL,
    team_id        uuid             NOT NULL REFERENCES teams (id),
    virtual_finish double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (account, lane, team_id)
);

CREATE TABLE operations (
    id                uuid             PRIMARY KEY,
    number            bigint           NOT NULL GENERATED ALWAYS AS IDENTITY,
    account           text             NOT NULL REFERENCES accounts (name),
    team_id           uuid             NOT NULL REFERENCES teams (id),
    principal_id      uuid,
    actor             text             NOT NULL,
    method            text             NOT NULL,
    resource_kind     text             NOT NULL,
    resource_uuid     uuid,
    resource_name     text             NOT NULL DEFAULT '',
    parent_kind       text             NOT NULL DEFAULT '',
    parent_uuid       uuid,
    -- Operations with the same key run one at a time, in order.
    order_key         text             NOT NULL,
    idempotency_key   text,
    request_digest    bytea            NOT NULL,
    -- Without secrets; the whole request is sealed beside it while it is needed.
    request           bytea            NOT NULL,
    sealed_request    bytea,
    response          bytea,
    -- Erased once delivered.
    sealed_response   bytea,
    error             bytea,
    reason            text             NOT NULL DEFAULT '',
    expected_version  text             NOT NULL DEFAULT '',
    lane              smallint         NOT NULL,
    virtual_start     double precision NOT NULL,
    state             text             NOT NULL DEFAULT 'QUEUED',
    -- Times the request was sent to the vendor.
    attempts          integer          NOT NULL DEFAULT 0,
    -- Not claimed before: a retry waits its backoff.
    available_at      timestamptz      NOT NULL DEFAULT now(),
    leased_by         text,
    -- Drawn anew by each claim: a worker that holds another has lost its lease. Random
    -- rather than counted, because a crash of the database may forget a claim and would
    -- then give its number out again.
    lease             uuid,
    -- Times a worker took it up; decides backoff and when to give up.
    claims            integer          NOT NULL DEFAULT 0,
    lease_expires_at  timestamptz,
    -- Committed just before the request leaves; NULL means that the vendor has
    -- certainly not seen it.
    sent_at           timestamptz,
    -- When its effect was first looked for in vain since it was last sent.
    missed_at         timestamptz,
    vendor_request_id text             NOT NULL DEFAULT '',
    created_at        timestamptz      NOT NULL DEFAULT now(),
    started_at        timestamptz,
    finished_at       timestamptz,
    request_id        text             NOT NULL DEFAULT '',
    client_address    text             NOT NULL DEFAULT '',
    user_agent        text             NOT NULL DEFAULT '',
    CONSTRAINT operations_number_is_unique UNIQUE (number),
    CONSTRAINT operations_state_is_known CHECK (state IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    CONSTRAINT operations_lane_is_known CHECK (lane IN (1, 2, 3)),
    CONSTRAINT operations_finished_if_ended CHECK ((finished_at IS NOT NULL) = (state IN ('SUCCEEDED', 'FAILED', 'CANCELLED'))),
    CONSTRAINT operations_leased_if_running CHECK ((lease_expires_at IS NOT NULL) = (state = 'RUNNING')),
    CONSTRAINT operations_lease_if_leased CHECK (lease_expires_at IS NULL OR lease IS NOT NULL),
    CONSTRAINT operations_no_sealed_request_once_ended CHECK (finished_at IS NULL OR sealed_request IS NULL),
    CONSTRAINT operations_not_cancelled_once_sent CHECK (state <> 'CANCELLED' OR sent_at IS NULL),
    CONSTRAINT operations_error_if_failed CHECK ((error IS NOT NULL) = (state = 'FAILED'))
);
-- A request and a response of a few kilobytes stay in the row: compressing them at each
-- step of an operation costs more than it saves.
ALTER TABLE operations SET (toast_tuple_target = 8160);
CREATE UNIQUE INDEX operations_idempotency_key ON operations (team_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX operations_queue ON operations (account, lane, virtual_start, number) WHERE state = 'QUEUED';
CREATE INDEX operations_leases ON operations (account, lease_expires_at) WHERE state = 'RUNNING';
-- No two run at once for one resource, whatever two claims see of each other.
CREATE UNIQUE INDEX operations_one_running ON operations (account, order_key) WHERE state = 'RUNNING';
CREATE INDEX operations_order ON operations (account, order_key, number) WHERE state = 'QUEUED';
CREATE INDEX operations_due ON operations (account, available_at) WHERE state = 'QUEUED';
CREATE INDEX operations_undelivered ON operations (finished_at) WHERE sealed_response IS NOT NULL;
CREATE INDEX operations_backlog ON operations (team_id) WHERE state = 'QUEUED';
CREATE INDEX operations_by_team ON operations (team_id, number);
CREATE INDEX operations_by_resource ON operations (resource_uuid, number) WHERE resource_uuid IS NOT NULL;

-- +goose Down
DROP TABLE operations, fair_teams, fair_clocks, vendor_calls, accounts;
