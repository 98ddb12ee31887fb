-- How agents were: their settings from when until when, and by whom.
--
-- Times are the database's, and intervals hold their beginning and not their end. What
-- was made elsewhere begins when we saw it, or, once the vendor's versions were read, at
-- the vendor's own time for it, where that does not contradict the order of the versions.

-- +goose Up
CREATE TABLE agent_states (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_uuid   uuid        NOT NULL,
    valid_from   timestamptz NOT NULL,
    -- NULL for what holds now.
    valid_to     timestamptz,
    -- '' where the vendor has not told yet which version a change made.
    version_hash text        NOT NULL DEFAULT '',
    -- The Agent as far as it counts, without secrets and without routes: these have
    -- intervals of their own, in agent_routes.
    body         bytea       NOT NULL,
    -- Only the vendor's version tells of it, which leaves things out.
    partial      boolean     NOT NULL DEFAULT false,
    -- The routes are as the vendor's version lists them, and agent_routes, which has what we
    -- saw, does not count: somebody changed them elsewhere, and we had not looked.
    listed       boolean     NOT NULL DEFAULT false,
    routes       jsonb       NOT NULL DEFAULT '[]',
    children     uuid[]      NOT NULL DEFAULT '{}',
    -- The operation and person behind it; NULL for what was made elsewhere.
    operation_id uuid,
    actor        text,
    reason       text        NOT NULL DEFAULT '',
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT agent_states_end_after_start CHECK (valid_to >= valid_from)
);
ALTER TABLE agent_states SET (toast_tuple_target = 8160);
CREATE UNIQUE INDEX agent_states_one_open ON agent_states (agent_uuid) WHERE valid_to IS NULL;
CREATE INDEX agent_states_at ON agent_states (agent_uuid, valid_from, id);
CREATE INDEX agent_states_by_version ON agent_states (agent_uuid, version_hash);
CREATE INDEX agent_states_by_child ON agent_states USING gin (children) WHERE listed;
-- Who routed to an agent at a time that is past.
CREATE INDEX agent_routes_by_target ON agent_routes (kind, target_uuid, valid_from);
-- Those of all agents, by when they began.
CREATE INDEX agent_routes_by_start ON agent_routes (valid_from, id);

-- What rollbacks replaced, so that they can be undone.
CREATE TABLE agent_rollbacks (
    operation_id  uuid        PRIMARY KEY,
    agent_uuid    uuid        NOT NULL,
    -- The version that applied before; '' if that was not known.
    replaced_hash text        NOT NULL,
    -- The version that was asked for, and the one that came of it.
    wanted_hash   text        NOT NULL,
    made_hash     text        NOT NULL,
    recorded_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX agent_rollbacks_by_agent ON agent_rollbacks (agent_uuid, recorded_at);

-- What was seen before this table was there.
INSERT INTO agent_states (agent_uuid, valid_from, valid_to, version_hash, body, operation_id, actor, reason)
SELECT v.agent_uuid, v.recorded_at,
       coalesce(lead(v.recorded_at) OVER agent, CASE WHEN r.deleted_at IS NOT NULL THEN greatest(r.deleted_at, v.recorded_at) END),
       v.version_hash, v.snapshot, v.operation_id, v.actor, v.reason
  FROM agent_versions v
  LEFT JOIN resources r ON r.kind = 'agent' AND r.uuid = v.agent_uuid
 WHERE v.snapshot IS NOT NULL
WINDOW agent AS (PARTITION BY v.agent_uuid ORDER BY v.recorded_at, v.vendor_id NULLS LAST, v.version_hash);

-- +goose Down
DROP INDEX agent_routes_by_start, agent_routes_by_target;
DROP TABLE agent_rollbacks, agent_states;
