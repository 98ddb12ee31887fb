-- The append-only history.

-- +goose Up
CREATE TABLE audit_events (
    id                uuid        NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor             text        NOT NULL,
    principal_id      uuid,
    team_id           uuid,
    action            text        NOT NULL,
    method            text        NOT NULL DEFAULT '',
    resource_kind     text        NOT NULL DEFAULT '',
    resource_uuid     uuid,
    resource_name     text        NOT NULL DEFAULT '',
    parent_kind       text        NOT NULL DEFAULT '',
    parent_uuid       uuid,
    parent_name       text        NOT NULL DEFAULT '',
    reason            text        NOT NULL DEFAULT '',
    outcome           text        NOT NULL,
    origin            text        NOT NULL,
    operation_id      uuid,
    vendor_request_id text        NOT NULL DEFAULT '',
    request_id        text        NOT NULL DEFAULT '',
    client_address    text        NOT NULL DEFAULT '',
    user_agent        text        NOT NULL DEFAULT '',
    error_reason      text        NOT NULL DEFAULT '',
    error_message     text        NOT NULL DEFAULT '',
    request           jsonb,
    before            jsonb,
    after             jsonb,
    PRIMARY KEY (recorded_at, id),
    CONSTRAINT audit_events_outcome_is_known CHECK (outcome IN ('ACCEPTED', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'DENIED')),
    CONSTRAINT audit_events_origin_is_known CHECK (origin IN ('API', 'UPSTREAM', 'SYSTEM'))
) PARTITION BY RANGE (recorded_at);
CREATE INDEX audit_events_by_team ON audit_events (team_id, recorded_at, id);
CREATE INDEX audit_events_by_resource ON audit_events (resource_uuid, recorded_at, id);
CREATE INDEX audit_events_by_parent ON audit_events (parent_uuid, recorded_at, id);
CREATE INDEX audit_events_by_operation ON audit_events (operation_id);

-- +goose StatementBegin
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd

CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

-- Makes the partitions of this month and the next ones. Called by migrations and
-- daily by a running service; a month that was missed lands in the default one.
--
-- A new partition locks the whole history for a moment. While it waits for whoever
-- reads a long list, everybody who writes waits behind it, so it gives up soon.
-- +goose StatementBegin
CREATE FUNCTION audit_ensure_partitions(months integer) RETURNS void LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    month date;
    part  text;
BEGIN
    -- One at a time, or two replicas trip over the same name.
    PERFORM pg_advisory_xact_lock(hashtext('audit_ensure_partitions'));
    FOR i IN 0..months LOOP
        month := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => i))::date;
        part := 'audit_events_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)', part,
                to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00',
                to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
            EXECUTE format('CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON %I '
                'FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()', part);
        EXCEPTION WHEN check_violation THEN
            -- The month came before its partition: its events are in the default one, and
            -- stay there. The months after it must not suffer.
            RAISE WARNING 'the events of % stay in the default partition', to_char(month, 'YYYY-MM');
        END;
    END LOOP;
END $$;
-- +goose StatementEnd

CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events_default
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
SELECT audit_ensure_partitions(3);

-- +goose Down
DROP TABLE audit_events;
DROP FUNCTION audit_ensure_partitions(integer);
DROP FUNCTION audit_refuse_change();
