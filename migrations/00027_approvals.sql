-- Changes that wait for a second owner.

-- +goose Up
ALTER TABLE operations
    ADD COLUMN approval_rule       text,
    ADD COLUMN approval_expires_at timestamptz,
    -- Who approved or declined it.
    ADD COLUMN decided_by          text,
    ADD COLUMN decided_at          timestamptz;
ALTER TABLE operations DROP CONSTRAINT operations_state_is_known;
ALTER TABLE operations ADD CONSTRAINT operations_state_is_known
    CHECK (state IN ('PENDING_APPROVAL', 'QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')) NOT VALID;
ALTER TABLE operations VALIDATE CONSTRAINT operations_state_is_known;
CREATE INDEX operations_awaiting_approval ON operations (approval_expires_at) WHERE state = 'PENDING_APPROVAL';

ALTER TABLE transfers
    ADD COLUMN needs_approval boolean NOT NULL DEFAULT false,
    ADD COLUMN principal_id   uuid,
    ADD COLUMN approved_by    text    NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE transfers DROP COLUMN needs_approval, DROP COLUMN principal_id, DROP COLUMN approved_by;
ALTER TABLE operations DROP CONSTRAINT operations_state_is_known;
ALTER TABLE operations ADD CONSTRAINT operations_state_is_known
    CHECK (state IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'));
DROP INDEX operations_awaiting_approval;
ALTER TABLE operations DROP COLUMN approval_rule, DROP COLUMN approval_expires_at, DROP COLUMN decided_by, DROP COLUMN decided_at;
