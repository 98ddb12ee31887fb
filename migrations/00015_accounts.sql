-- Several vendor accounts, each with a token and limits of its own.

-- +goose Up
ALTER TABLE accounts ADD CONSTRAINT accounts_name_is_a_slug CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$');

-- Where what the team creates is created. What it has stays in the account that it is in.
ALTER TABLE teams ADD COLUMN account text NOT NULL DEFAULT 'default' REFERENCES accounts (name);

-- +goose Down
ALTER TABLE teams DROP COLUMN account;
ALTER TABLE accounts DROP CONSTRAINT accounts_name_is_a_slug;
