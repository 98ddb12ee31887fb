-- Releases that wait for a second owner.

-- +goose Up
-- NULL: to nobody.
ALTER TABLE transfers ALTER COLUMN to_team_id DROP NOT NULL;

-- +goose Down
DELETE FROM transfers WHERE to_team_id IS NULL;
ALTER TABLE transfers ALTER COLUMN to_team_id SET NOT NULL;
