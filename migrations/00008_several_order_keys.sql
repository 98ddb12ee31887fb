-- Changes that change more than what they are about. The release before neither fills
-- nor heeds it: while it runs, only the first key of a change keeps others away, as ever.

-- +goose Up
-- The order keys of what a change changes besides; held together with the first, or not at all.
ALTER TABLE operations ADD COLUMN also_keys text[] NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE operations DROP COLUMN also_keys;
