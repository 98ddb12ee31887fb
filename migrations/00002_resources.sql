-- What exists at the vendor, who owns it, and what it looked like before.

-- +goose Up
CREATE TABLE resources (
    kind                text        NOT NULL,
    uuid                uuid        NOT NULL,
    -- The vendor account it lives in.
    account             text        NOT NULL DEFAULT 'default',
    -- Ours alone: no sync touches it. NULL until claimed.
    team_id             uuid        REFERENCES teams (id),
    -- What lists filter and sort on.
    name                text        NOT NULL DEFAULT '',
    status              text        NOT NULL DEFAULT '',
    region              text        NOT NULL DEFAULT '',
    tags                text[]      NOT NULL DEFAULT '{}',
    attributes          jsonb       NOT NULL DEFAULT '{}',
    version_hash        text        NOT NULL DEFAULT '',
    upstream_created_at timestamptz,
    upstream_updated_at timestamptz,
    -- The vendor's list item and full form, as Protobuf bytes without secrets. Only
    -- one of them may be known.
    summary             bytea,
    body                bytea,
    -- When the vendor last confirmed the summary and the body; the database's clock.
    summary_synced_at   timestamptz,
    body_synced_at      timestamptz,
    -- Set by a change whose answer did not show the resource: what we hold is
    -- behind. The operation explains the difference that the next look will find.
    dirty_since         timestamptz,
    dirty_operation_id  uuid,
    created_at          timestamptz NOT NULL DEFAULT now(),
    deleted_at          timestamptz,
    PRIMARY KEY (kind, uuid)
);
ALTER TABLE resources SET (toast_tuple_target = 8160);
CREATE INDEX resources_by_name ON resources (kind, name, uuid) WHERE deleted_at IS NULL;
-- What was never told a time comes before the rest, in the words that lists sort by: with
-- others, the index would not be used.
CREATE INDEX resources_by_created ON resources (kind, (coalesce(upstream_created_at, '-infinity')), uuid) WHERE deleted_at IS NULL;
CREATE INDEX resources_by_updated ON resources (kind, (coalesce(upstream_updated_at, '-infinity')), uuid) WHERE deleted_at IS NULL;
CREATE INDEX resources_by_team ON resources (team_id, kind, name, uuid) WHERE deleted_at IS NULL;
CREATE INDEX resources_dirty ON resources (kind, dirty_since) WHERE dirty_since IS NOT NULL AND deleted_at IS NULL;

-- When a whole list was last confirmed: (agent, '') for all agents, (agent_version,
-- <agent uuid>) for the versions of one.
CREATE TABLE mirror_scopes (
    account   text        NOT NULL DEFAULT 'default',
    kind      text        NOT NULL,
    scope     text        NOT NULL DEFAULT '',
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (account, kind, scope)
);

CREATE TABLE agent_versions (
    agent_uuid   uuid        NOT NULL,
    version_hash text        NOT NULL,
    -- The vendor's AgentVersion, once its list showed it.
    body         bytea,
    -- Rises from version to version.
    vendor_id    bigint,
    -- The whole Agent without secrets, as we saw it at that version: the vendor's
    -- versions leave out model, visibility, MCP servers, routers and flags.
    snapshot     bytea,
    vendor_created_at timestamptz,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    -- The operation and person behind it; NULL for versions made outside.
    operation_id uuid,
    actor        text,
    reason       text        NOT NULL DEFAULT '',
    PRIMARY KEY (agent_uuid, version_hash)
);
-- As for resources: forms of a few kilobytes are not worth compressing.
ALTER TABLE agent_versions SET (toast_tuple_target = 8160);
CREATE INDEX agent_versions_by_vendor_id ON agent_versions (agent_uuid, vendor_id DESC NULLS FIRST);

-- What an agent could hand over to, and from when until when. valid_to is NULL
-- for what holds now.
CREATE TABLE agent_routes (
    id                  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind                text        NOT NULL,
    agent_uuid          uuid        NOT NULL,
    target_uuid         uuid        NOT NULL,
    name                text        NOT NULL DEFAULT '',
    if_case             text        NOT NULL DEFAULT '',
    -- What else describes the route, such as a function's schemas or a priority.
    details             jsonb       NOT NULL DEFAULT '{}',
    valid_from          timestamptz NOT NULL DEFAULT now(),
    valid_to            timestamptz,
    opened_by           uuid,
    closed_by           uuid,
    CONSTRAINT agent_routes_kind_is_known CHECK (kind IN ('agent', 'function', 'guardrail', 'knowledge_base')),
    CONSTRAINT agent_routes_end_after_start CHECK (valid_to >= valid_from)
);
CREATE UNIQUE INDEX agent_routes_one_open ON agent_routes (agent_uuid, kind, target_uuid) WHERE valid_to IS NULL;
CREATE INDEX agent_routes_open_by_target ON agent_routes (kind, target_uuid) WHERE valid_to IS NULL;
CREATE INDEX agent_routes_history ON agent_routes (agent_uuid, valid_from);

-- +goose Down
DROP TABLE agent_routes, agent_versions, mirror_scopes, resources;
