-- A service can act on behalf of a person. The person is the actor, and this is the service; null where nobody came
-- between.

-- +goose Up
ALTER TABLE audit_events ADD COLUMN acting_service text;
ALTER TABLE operations ADD COLUMN acting_service text;

-- +goose Down
ALTER TABLE operations DROP COLUMN acting_service;
ALTER TABLE audit_events DROP COLUMN acting_service;
