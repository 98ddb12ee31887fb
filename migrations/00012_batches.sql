-- Batches: an operation whose changes are operations of their own.
--
-- The release before writes neither batches nor their changes, but it may perform the
-- changes: it then leaves the batch as it was, which a newer replica ends in its own time.

-- +goose Up
ALTER TABLE operations
    -- The batch that it is a change of.
    ADD COLUMN parent_operation_id uuid,
    -- Of a batch: how many resources it is about. NULL for everything that is no batch.
    ADD COLUMN batch_total integer,
    -- How many of them were so already.
    ADD COLUMN batch_unchanged integer NOT NULL DEFAULT 0,
    -- Its changes had secrets, which are gone when they have ended.
    ADD COLUMN batch_sealed boolean NOT NULL DEFAULT false,
    -- Who took the batch back, and why: it ends as cancelled.
    ADD COLUMN batch_cancelled_by text,
    ADD COLUMN batch_cancelled_by_id uuid,
    ADD COLUMN batch_cancel_reason text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE operations
    DROP COLUMN parent_operation_id, DROP COLUMN batch_total, DROP COLUMN batch_unchanged, DROP COLUMN batch_sealed,
    DROP COLUMN batch_cancelled_by, DROP COLUMN batch_cancelled_by_id, DROP COLUMN batch_cancel_reason;
