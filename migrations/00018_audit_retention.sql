-- Forgetting by whole months, legal holds against it, and a service whose role owns
-- nothing.

-- +goose Up

-- While a hold stands, no month with events that it covers is dropped.
CREATE TABLE audit_holds (
    name        text        PRIMARY KEY,
    -- NULL: of all teams, and of events of no team.
    team_id     uuid        REFERENCES teams (id),
    reason      text        NOT NULL,
    set_at      timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    CONSTRAINT audit_holds_name_form CHECK (name ~ '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$'),
    CONSTRAINT audit_holds_reason_is_given CHECK (reason <> '')
);

-- Drops a month of the history. Only the owner can: it is not SECURITY DEFINER. The
-- caller writes the event that tells of it in the same transaction, before.
-- +goose StatementBegin
CREATE FUNCTION audit_drop_month(month date) RETURNS void LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
    part text := 'audit_events_' || to_char(month, 'YYYY_MM');
    held text;
    bad  bigint;
BEGIN
    -- No hold is set or released while we look: both wait for us, or we for them.
    LOCK TABLE audit_holds IN SHARE MODE;
    EXECUTE format('SELECT h.name FROM audit_holds h WHERE h.released_at IS NULL AND (h.team_id IS NULL '
        'OR EXISTS (SELECT FROM %I e WHERE e.team_id = h.team_id)) ORDER BY h.name LIMIT 1', part) INTO held;
    IF held IS NOT NULL THEN
        RAISE EXCEPTION 'the legal hold % covers %', held, to_char(month, 'YYYY-MM') USING ERRCODE = 'raise_exception';
    END IF;
    -- What has no place under a checkpoint would leave no trace.
    EXECUTE format('SELECT count(*) FROM %I e WHERE NOT EXISTS (SELECT FROM audit_leaves l WHERE l.recorded_at = e.recorded_at '
        'AND l.event_id = e.id AND l.index < (SELECT coalesce(max(size), 0) FROM audit_checkpoints))', part) INTO bad;
    IF bad > 0 THEN
        RAISE EXCEPTION '% events of % are under no signed checkpoint yet', bad, to_char(month, 'YYYY-MM') USING ERRCODE = 'raise_exception';
    END IF;
    EXECUTE format('DROP TABLE %I', part);
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION audit_drop_month(date) FROM PUBLIC;

-- Runs as the owner, so that a service whose role owns nothing can have the coming months
-- made, and nothing else: the path of names is fixed below.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_ensure_partitions(months integer) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET lock_timeout = '2s' AS $$
DECLARE
    month date;
    part  text;
BEGIN
    -- One at a time, or two replicas trip over the same name.
    PERFORM pg_advisory_xact_lock(hashtext('audit_ensure_partitions'));
    FOR i IN 0..least(months, 24) LOOP
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
-- +goose StatementBegin
DO $$ BEGIN
    -- pg_catalog comes before by itself. Temporary tables of whoever calls come last, or
    -- they could stand in for ours.
    EXECUTE format('ALTER FUNCTION audit_ensure_partitions(integer) SET search_path = %I, pg_temp', current_schema());
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION audit_ensure_partitions(integer) FROM PUBLIC;

-- +goose Down
GRANT EXECUTE ON FUNCTION audit_ensure_partitions(integer) TO PUBLIC;
ALTER FUNCTION audit_ensure_partitions(integer) SECURITY INVOKER RESET search_path;
DROP FUNCTION audit_drop_month(date);
DROP TABLE audit_holds;
