-- Forgetting by whole months, and the holds against it.

-- name: DroppableMonths :many
-- The months before the one in which the time to keep begins, that still are there.
SELECT replace(right(c.relname::text, 7), '_', '-')::text AS month
  FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'audit_events'::regclass AND c.relname ~ '^audit_events_\d{4}_\d{2}$'
   AND to_date(right(c.relname::text, 7), 'YYYY_MM') < date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => @months::integer)
 ORDER BY 1;

-- name: MonthOfLog :one
-- What is sealed of a month.
SELECT count(*)::bigint AS events, coalesce(min(index), -1)::bigint AS first, coalesce(max(index), -1)::bigint AS last
  FROM audit_leaves WHERE recorded_at >= @beginning AND recorded_at < @beyond;

-- name: SinkBehind :one
-- A sink that was not told of a place yet.
SELECT name FROM audit_sinks WHERE next_index <= @index ORDER BY name LIMIT 1;

-- name: DropAuditMonth :exec
SELECT audit_drop_month(to_date(@month::text, 'YYYY-MM'));

-- name: LastDroppedMonth :one
-- The newest month that was dropped, as the history itself tells; '' if none was.
SELECT coalesce(max(resource_name), '')::text AS month FROM audit_events
 WHERE resource_kind = 'audit_month' AND action = 'DELETE' AND outcome = 'SUCCEEDED' AND origin = 'SYSTEM';

-- name: SetHold :exec
INSERT INTO audit_holds (name, team_id, reason) VALUES (@name, @team_id, @reason);

-- name: ReleaseHold :one
UPDATE audit_holds SET released_at = now() WHERE name = @name AND released_at IS NULL RETURNING team_id;

-- name: Holds :many
SELECT h.name, coalesce(t.name, '')::text AS team, h.reason, h.set_at, h.released_at
  FROM audit_holds AS h LEFT JOIN teams AS t ON t.id = h.team_id ORDER BY h.set_at, h.name;

-- name: OwnsHistory :one
-- Whether the role we are could take the history's triggers away.
SELECT pg_has_role(c.relowner, 'USAGE')::boolean AS owns FROM pg_catalog.pg_class AS c WHERE c.oid = 'audit_events'::regclass;
