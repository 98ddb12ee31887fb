-- The sealed log of the history. Everything in it is inserted and never changed, except
-- for how far the sinks are.

-- name: LogHead :one
-- How many events are sealed, from when on others may still lack a place (see package
-- ledger about the look-back), and the database's clock.
SELECT coalesce((SELECT index + 1 FROM audit_leaves ORDER BY index DESC LIMIT 1), 0)::bigint AS size,
       (least(coalesce((SELECT max(recorded_at) FROM audit_leaves), 'epoch'), now()) - make_interval(secs => @look_back_seconds::double precision))::timestamptz AS since,
       now()::timestamptz AS now;

-- name: UnsealedEvents :many
-- Events that lack a place, the oldest first. The second bound by time keeps the search for
-- places short whatever the planner believes.
SELECT e.id, e.recorded_at, e.actor, e.principal_id, e.team_id, e.action, e.method, e.resource_kind, e.resource_uuid, e.resource_name,
       e.parent_kind, e.parent_uuid, e.parent_name, e.reason, e.outcome, e.origin, e.operation_id, e.vendor_request_id, e.request_id,
       e.client_address, e.user_agent, e.error_reason, e.error_message, e.request, e.before, e.after, e.acting_service
  FROM audit_events AS e
 WHERE e.recorded_at >= @since
   AND NOT EXISTS (SELECT FROM audit_leaves AS l WHERE l.recorded_at = e.recorded_at AND l.event_id = e.id AND l.recorded_at >= @since)
 ORDER BY e.recorded_at, e.id LIMIT @at_most;

-- name: InsertLeaves :exec
INSERT INTO audit_leaves (index, event_id, recorded_at, hash)
SELECT unnest(@indexes::bigint[]), unnest(@event_ids::uuid[]), unnest(@recorded_at::timestamptz[]), unnest(@hashes::bytea[]);

-- name: InsertNodes :exec
INSERT INTO audit_nodes (level, n, hash)
SELECT unnest(@levels::smallint[]), unnest(@numbers::bigint[]), unnest(@hashes::bytea[]);

-- name: LeafHashes :many
SELECT index, hash FROM audit_leaves WHERE index >= @first AND index < @beyond ORDER BY index;

-- name: NodeHashes :many
SELECT n, hash FROM audit_nodes WHERE level = @level AND n >= @first AND n < @beyond ORDER BY n;

-- name: LeafOfEvent :one
SELECT index, recorded_at, hash FROM audit_leaves WHERE event_id = @event_id ORDER BY index LIMIT 1;

-- name: EventAt :one
-- An event by its whole key, if the caller may see it.
SELECT id, recorded_at, actor, principal_id, team_id, action, method, resource_kind, resource_uuid, resource_name,
       parent_kind, parent_uuid, parent_name, reason, outcome, origin, operation_id, vendor_request_id, request_id,
       client_address, user_agent, error_reason, error_message, request, before, after, acting_service
  FROM audit_events
 WHERE recorded_at = @recorded_at AND id = @id AND (@sees_all::boolean OR team_id = ANY (@teams::uuid[]));

-- name: InsertCheckpoint :exec
INSERT INTO audit_checkpoints (size, root, note) VALUES (@size, @root, @note);

-- name: LatestCheckpoint :one
SELECT size, root, note, signed_at FROM audit_checkpoints ORDER BY size DESC LIMIT 1;

-- name: CheckpointOf :one
SELECT size, root, note, signed_at FROM audit_checkpoints WHERE size = @size;

-- name: CheckpointsAfter :many
SELECT size, root, note, signed_at FROM audit_checkpoints WHERE size > @size ORDER BY size LIMIT @at_most;

-- name: SealedEvents :many
-- A stretch of the log with its events. Places whose event is gone are left out.
SELECT l.index, l.hash, sqlc.embed(e)
  FROM audit_leaves AS l JOIN audit_events AS e ON e.recorded_at = l.recorded_at AND e.id = l.event_id
 WHERE l.index >= @first AND l.index < @beyond ORDER BY l.index;

-- name: Leaves :many
SELECT index, event_id, recorded_at, hash FROM audit_leaves WHERE index >= @first AND index < @beyond ORDER BY index;

-- name: SinkNamed :one
SELECT name, next_index, checkpoint_size, failures, (retry_at <= now())::boolean AS due, now()::timestamptz AS now
  FROM audit_sinks WHERE name = @name;

-- name: AddSink :exec
INSERT INTO audit_sinks (name) VALUES (@name) ON CONFLICT DO NOTHING;

-- name: AdvanceSink :exec
UPDATE audit_sinks SET next_index = @next_index, checkpoint_size = @checkpoint_size, failures = 0, retry_at = '-infinity', last_error = '',
       sent_at = now()
 WHERE name = @name;

-- name: PostponeSink :exec
UPDATE audit_sinks SET failures = failures + 1, retry_at = now() + make_interval(secs => @pause_seconds::double precision), last_error = @last_error WHERE name = @name;
