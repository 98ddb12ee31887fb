-- What people who query with tools of their own may read: views without secrets, without what waits sealed, and
-- without requests of the queue. Whoever has the role agentsvc_reporting reads them, and nothing else; all teams are in them.

-- +goose Up
CREATE SCHEMA reporting;
COMMENT ON SCHEMA reporting IS 'Views for reports. Columns are added at the end and keep their meaning.';

CREATE VIEW reporting.events AS
SELECT e.id, e.recorded_at, (e.recorded_at AT TIME ZONE 'UTC')::date AS day, e.actor, t.name AS team, e.action, e.method, e.resource_kind,
       e.resource_uuid, e.resource_name, e.parent_kind, e.parent_uuid, e.reason, e.outcome, e.origin, e.operation_id, e.vendor_request_id,
       e.request_id, e.client_address, e.user_agent, e.error_reason, e.error_message, e.request, e.before, e.after, e.acting_service
  FROM audit_events AS e LEFT JOIN teams AS t ON t.id = e.team_id;
COMMENT ON VIEW reporting.events IS 'The history: a row for each event. A change has two, ACCEPTED and then its outcome. Give a range of recorded_at: the table is partitioned by it.';
COMMENT ON COLUMN reporting.events.id IS 'Unique id of the event, a UUID of version 7.';
COMMENT ON COLUMN reporting.events.recorded_at IS 'When it was recorded, by the database''s clock.';
COMMENT ON COLUMN reporting.events.day IS 'The day of that in UTC.';
COMMENT ON COLUMN reporting.events.actor IS 'Who acted: an email address, or the name of a service.';
COMMENT ON COLUMN reporting.events.team IS 'Name of the team concerned; NULL where there is none.';
COMMENT ON COLUMN reporting.events.action IS 'LIST, READ, REVEAL, CREATE, UPDATE or DELETE.';
COMMENT ON COLUMN reporting.events.method IS 'The method called, such as agentsvc.v1.AgentService.CreateAgent.';
COMMENT ON COLUMN reporting.events.resource_kind IS 'Kind of what was acted on, such as agent.';
COMMENT ON COLUMN reporting.events.resource_uuid IS 'Its uuid; NULL before it exists.';
COMMENT ON COLUMN reporting.events.resource_name IS 'Its name then.';
COMMENT ON COLUMN reporting.events.parent_kind IS 'Kind of the resource that it is a part of.';
COMMENT ON COLUMN reporting.events.parent_uuid IS 'Uuid of the resource that it is a part of.';
COMMENT ON COLUMN reporting.events.reason IS 'Why, as the caller gave it.';
COMMENT ON COLUMN reporting.events.outcome IS 'ACCEPTED, SUCCEEDED, FAILED, CANCELLED or DENIED.';
COMMENT ON COLUMN reporting.events.origin IS 'API: a caller of ours. UPSTREAM: noticed at the vendor. SYSTEM: the service itself.';
COMMENT ON COLUMN reporting.events.operation_id IS 'The operation, for changes: id in reporting.operations.';
COMMENT ON COLUMN reporting.events.vendor_request_id IS 'The vendor''s id of the request that made the change.';
COMMENT ON COLUMN reporting.events.request_id IS 'Our id of the caller''s request.';
COMMENT ON COLUMN reporting.events.client_address IS 'The caller''s address.';
COMMENT ON COLUMN reporting.events.user_agent IS 'The caller''s user agent.';
COMMENT ON COLUMN reporting.events.error_reason IS 'Why it failed or was denied, such as VENDOR_REFUSED.';
COMMENT ON COLUMN reporting.events.error_message IS 'What the caller was told.';
COMMENT ON COLUMN reporting.events.request IS 'The request without secrets, with ACCEPTED and DENIED.';
COMMENT ON COLUMN reporting.events.before IS 'The resource before, as far as it changed, without secrets.';
COMMENT ON COLUMN reporting.events.acting_service IS 'Name of the service that acted on behalf of the actor; NULL where the actor called by themselves.';
COMMENT ON COLUMN reporting.events.after IS 'The resource after, as far as it changed, without secrets.';

CREATE VIEW reporting.operations AS
SELECT o.id, o.number, t.name AS team, o.actor, o.method, o.resource_kind, o.resource_uuid, o.resource_name, o.reason, o.state, o.attempts,
       o.created_at, o.started_at, o.sent_at, o.finished_at, o.finished_at - o.created_at AS took, o.vendor_request_id, o.request_id, o.parent_operation_id,
       o.acting_service, o.account, o.approval_rule, o.decided_by
  FROM operations AS o JOIN teams AS t ON t.id = o.team_id;
COMMENT ON VIEW reporting.operations IS 'Changes and how they stand, without their requests and answers.';
COMMENT ON COLUMN reporting.operations.id IS 'Unique id of the operation.';
COMMENT ON COLUMN reporting.operations.number IS 'Rises in the order of submission.';
COMMENT ON COLUMN reporting.operations.team IS 'Name of the team that it belongs to.';
COMMENT ON COLUMN reporting.operations.actor IS 'Who asked for it.';
COMMENT ON COLUMN reporting.operations.method IS 'The method called.';
COMMENT ON COLUMN reporting.operations.resource_kind IS 'Kind of what it changes.';
COMMENT ON COLUMN reporting.operations.resource_uuid IS 'Its uuid; NULL before it exists.';
COMMENT ON COLUMN reporting.operations.resource_name IS 'Its name.';
COMMENT ON COLUMN reporting.operations.reason IS 'Why, as the caller gave it.';
COMMENT ON COLUMN reporting.operations.state IS 'PENDING_APPROVAL, QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED.';
COMMENT ON COLUMN reporting.operations.acting_service IS 'Name of the service that asked on behalf of the actor; NULL where the actor called by themselves.';
COMMENT ON COLUMN reporting.operations.account IS 'The vendor account that it goes to.';
COMMENT ON COLUMN reporting.operations.approval_rule IS 'Why a second owner is asked; NULL where none is.';
COMMENT ON COLUMN reporting.operations.decided_by IS 'The second owner who approved or declined it.';
COMMENT ON COLUMN reporting.operations.attempts IS 'How often it was sent to the vendor.';
COMMENT ON COLUMN reporting.operations.created_at IS 'When it was accepted.';
COMMENT ON COLUMN reporting.operations.started_at IS 'When a worker first took it up.';
COMMENT ON COLUMN reporting.operations.sent_at IS 'When it was last sent; NULL: the vendor has certainly not seen it.';
COMMENT ON COLUMN reporting.operations.finished_at IS 'When it ended; NULL while it has not.';
COMMENT ON COLUMN reporting.operations.took IS 'From acceptance to its end.';
COMMENT ON COLUMN reporting.operations.vendor_request_id IS 'The vendor''s id of the request.';
COMMENT ON COLUMN reporting.operations.request_id IS 'Our id of the caller''s request.';
COMMENT ON COLUMN reporting.operations.parent_operation_id IS 'The batch that it is a change of.';

CREATE VIEW reporting.vendor_calls AS
SELECT (c.granted_at AT TIME ZONE 'UTC')::date AS day, coalesce(t.name, '') AS team, c.purpose, c.method, count(*) AS calls,
       count(*) FILTER (WHERE c.status = 429) AS throttled, count(*) FILTER (WHERE c.status = 0 OR c.status >= 500) AS failed,
       avg(c.duration_ms)::integer AS average_ms
  FROM vendor_calls AS c LEFT JOIN teams AS t ON t.id = c.team_id
 WHERE c.answered_at IS DISTINCT FROM 'epoch' GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW reporting.vendor_calls IS 'Who used the vendor''s limits: calls by day, team, purpose and method, as far back as they are kept.';
COMMENT ON COLUMN reporting.vendor_calls.day IS 'Day in UTC.';
COMMENT ON COLUMN reporting.vendor_calls.team IS 'Name of the team; empty for the service''s own calls.';
COMMENT ON COLUMN reporting.vendor_calls.purpose IS 'CHANGE, RECONCILE (settling what became of a change), READ or SYNC.';
COMMENT ON COLUMN reporting.vendor_calls.method IS 'The method that was called at the vendor.';
COMMENT ON COLUMN reporting.vendor_calls.calls IS 'How many calls.';
COMMENT ON COLUMN reporting.vendor_calls.throttled IS 'Of these, those that the vendor refused for their number.';
COMMENT ON COLUMN reporting.vendor_calls.failed IS 'Of these, those without an answer or with an error of the vendor''s.';
COMMENT ON COLUMN reporting.vendor_calls.average_ms IS 'How long they took on average, in milliseconds.';

CREATE VIEW reporting.resources AS
SELECT r.kind, r.uuid, t.name AS team, r.name, r.status, r.region, r.tags, r.version_hash, r.upstream_created_at, r.upstream_updated_at,
       greatest(r.summary_synced_at, r.body_synced_at) AS synced_at, r.deleted_at
  FROM resources AS r LEFT JOIN teams AS t ON t.id = r.team_id;
COMMENT ON VIEW reporting.resources IS 'What exists at the vendor, or did, and who owns it.';
COMMENT ON COLUMN reporting.resources.kind IS 'Kind, such as agent.';
COMMENT ON COLUMN reporting.resources.uuid IS 'Unique id among its kind.';
COMMENT ON COLUMN reporting.resources.team IS 'Name of the team that owns it; NULL: nobody.';
COMMENT ON COLUMN reporting.resources.name IS 'What it is called.';
COMMENT ON COLUMN reporting.resources.status IS 'Its state in the vendor''s words.';
COMMENT ON COLUMN reporting.resources.region IS 'Where it runs.';
COMMENT ON COLUMN reporting.resources.tags IS 'Its tags.';
COMMENT ON COLUMN reporting.resources.version_hash IS 'Its version, for kinds that have such.';
COMMENT ON COLUMN reporting.resources.upstream_created_at IS 'When it was made, as the vendor tells.';
COMMENT ON COLUMN reporting.resources.upstream_updated_at IS 'When it was last changed, as the vendor tells.';
COMMENT ON COLUMN reporting.resources.synced_at IS 'When the vendor last confirmed it to us.';
COMMENT ON COLUMN reporting.resources.deleted_at IS 'When it ceased to be; NULL: it is there.';

CREATE VIEW reporting.agent_versions AS
SELECT v.agent_uuid, r.name AS agent_name, t.name AS team, v.version_hash, v.vendor_id, v.vendor_created_at, v.recorded_at, v.operation_id, v.actor, v.reason
  FROM agent_versions AS v LEFT JOIN resources AS r ON r.kind = 'agent' AND r.uuid = v.agent_uuid LEFT JOIN teams AS t ON t.id = r.team_id;
COMMENT ON VIEW reporting.agent_versions IS 'Versions of agents, and who made them.';
COMMENT ON COLUMN reporting.agent_versions.agent_uuid IS 'The agent.';
COMMENT ON COLUMN reporting.agent_versions.agent_name IS 'What it is called now.';
COMMENT ON COLUMN reporting.agent_versions.team IS 'Name of the team that owns it now.';
COMMENT ON COLUMN reporting.agent_versions.version_hash IS 'The version.';
COMMENT ON COLUMN reporting.agent_versions.vendor_id IS 'The vendor''s number of it, which rises from version to version.';
COMMENT ON COLUMN reporting.agent_versions.vendor_created_at IS 'When it was made, as the vendor tells.';
COMMENT ON COLUMN reporting.agent_versions.recorded_at IS 'When we first saw it.';
COMMENT ON COLUMN reporting.agent_versions.operation_id IS 'The operation that made it; NULL: it was made elsewhere.';
COMMENT ON COLUMN reporting.agent_versions.actor IS 'Who made it; NULL: it was made elsewhere.';
COMMENT ON COLUMN reporting.agent_versions.reason IS 'Why, as they gave it.';

CREATE VIEW reporting.routes AS
SELECT g.kind, g.agent_uuid, a.name AS agent_name, t.name AS team, g.target_uuid, b.name AS target_name, g.name AS route_name, g.if_case,
       g.valid_from, g.valid_to, g.opened_by, g.closed_by
  FROM agent_routes AS g LEFT JOIN resources AS a ON a.kind = 'agent' AND a.uuid = g.agent_uuid LEFT JOIN teams AS t ON t.id = a.team_id
       LEFT JOIN resources AS b ON b.kind = g.kind AND b.uuid = g.target_uuid;
COMMENT ON VIEW reporting.routes IS 'What an agent could hand over to, and from when until when.';
COMMENT ON COLUMN reporting.routes.kind IS 'agent, function, guardrail or knowledge_base.';
COMMENT ON COLUMN reporting.routes.agent_uuid IS 'The agent that hands over.';
COMMENT ON COLUMN reporting.routes.agent_name IS 'What it is called now.';
COMMENT ON COLUMN reporting.routes.team IS 'Name of the team that owns it now.';
COMMENT ON COLUMN reporting.routes.target_uuid IS 'What it hands over to.';
COMMENT ON COLUMN reporting.routes.target_name IS 'What that is called now.';
COMMENT ON COLUMN reporting.routes.route_name IS 'What the route is called.';
COMMENT ON COLUMN reporting.routes.if_case IS 'When it applies, in words.';
COMMENT ON COLUMN reporting.routes.valid_from IS 'Since when.';
COMMENT ON COLUMN reporting.routes.valid_to IS 'Until when; NULL: it holds.';
COMMENT ON COLUMN reporting.routes.opened_by IS 'The operation that made it; NULL: it was made elsewhere.';
COMMENT ON COLUMN reporting.routes.closed_by IS 'The operation that ended it.';

-- Roles belong to the whole server: another database's migration may have made it, or be making it now. Who may not make
-- roles leaves it to whoever may; docs/operating.md has the words.
-- +goose StatementBegin
CREATE FUNCTION reporting.grant_to_role() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agentsvc_reporting') THEN
        BEGIN
            CREATE ROLE agentsvc_reporting NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'the role agentsvc_reporting is not there and cannot be made by %; see docs/operating.md', current_user;
                RETURN;
        END;
    END IF;
    GRANT USAGE ON SCHEMA reporting TO agentsvc_reporting;
    GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO agentsvc_reporting;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION reporting.grant_to_role() FROM PUBLIC;
SELECT reporting.grant_to_role();

-- +goose Down
-- The role stays: other databases may use it.
DROP SCHEMA reporting CASCADE;
