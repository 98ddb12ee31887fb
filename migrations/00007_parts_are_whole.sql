-- Looks whether all rows keep to the constraint, without keeping others out meanwhile.

-- +goose Up
ALTER TABLE resources VALIDATE CONSTRAINT resources_parent_is_whole;

-- +goose Down
SELECT; -- what holds may be known
