-- Releases that wait for a second owner, and freezes that every replica hears of.

-- +goose Up
-- NULL: to nobody.
ALTER TABLE transfers ALTER COLUMN to_team_id DROP NOT NULL;

-- They are heard of with the changes of who may what.
CREATE TRIGGER freezes_tell AFTER INSERT OR UPDATE OR DELETE ON freezes FOR EACH ROW EXECUTE FUNCTION identity_tell();

-- +goose Down
DROP TRIGGER freezes_tell ON freezes;
DELETE FROM transfers WHERE to_team_id IS NULL;
ALTER TABLE transfers ALTER COLUMN to_team_id SET NOT NULL;
