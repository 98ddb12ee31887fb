-- A call counts until a window after its answer came: when the vendor counted it, only the
-- grant and the answer bound.

-- +goose Up
-- NULL while it is under way; the epoch if it was never made.
ALTER TABLE vendor_calls ADD COLUMN answered_at timestamptz;

-- +goose Down
ALTER TABLE vendor_calls DROP COLUMN answered_at;
