-- Who calls, and which teams they belong to.

-- +goose Up
CREATE TABLE teams (
    id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name          text        NOT NULL,
    -- Share of the budget relative to other teams that are waiting.
    weight        integer     NOT NULL DEFAULT 1,
    -- How many operations may be queued before more are refused.
    backlog_limit integer     NOT NULL DEFAULT 1000,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT teams_name_is_unique UNIQUE (name),
    CONSTRAINT teams_name_is_a_slug CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    CONSTRAINT teams_weight_in_range CHECK (weight BETWEEN 1 AND 1000),
    CONSTRAINT teams_backlog_limit_is_positive CHECK (backlog_limit > 0)
);

-- Changes of what belongs to no team are the platform's own.
INSERT INTO teams (name) VALUES ('platform');

CREATE TABLE principals (
    id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    kind          text        NOT NULL,
    -- Who vouches for the subject: an OIDC issuer, or empty for service accounts.
    issuer        text        NOT NULL DEFAULT '',
    subject       text        NOT NULL,
    -- What the audit history shows: an email address, or the name of a service.
    name          text        NOT NULL,
    platform_role text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz,
    CONSTRAINT principals_subject_is_unique UNIQUE (issuer, subject),
    CONSTRAINT principals_kind_is_known CHECK (kind IN ('PERSON', 'SERVICE')),
    CONSTRAINT principals_platform_role_is_known CHECK (platform_role IN ('AUDITOR', 'ADMIN')),
    CONSTRAINT principals_name_is_given CHECK (name <> '')
);

CREATE TABLE memberships (
    team_id      uuid        NOT NULL REFERENCES teams (id),
    principal_id uuid        NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    role         text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, principal_id),
    CONSTRAINT memberships_role_is_known CHECK (role IN ('VIEWER', 'OPERATOR', 'OWNER'))
);
CREATE INDEX memberships_by_principal ON memberships (principal_id);

-- A token reads ast_<id>_<secret>. The secret is 256 random bits, so a plain
-- SHA-256 of it cannot be guessed back.
CREATE TABLE service_tokens (
    id           text        PRIMARY KEY,
    principal_id uuid        NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    secret_hash  bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    CONSTRAINT service_tokens_hash_is_sha256 CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT service_tokens_id_form CHECK (id ~ '^[a-z0-9]{8,32}$')
);
CREATE INDEX service_tokens_by_principal ON service_tokens (principal_id);

-- +goose Down
DROP TABLE service_tokens, memberships, principals, teams;
