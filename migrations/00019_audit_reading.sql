-- How the history is searched and counted.
--
-- An index on the partitioned table cannot be built CONCURRENTLY, so nothing is written into the history while these
-- are built: about three seconds for each million events. Submissions wait meanwhile; they are not refused.

-- +goose Up
-- A page of what one person did.
CREATE INDEX audit_events_by_actor ON audit_events (actor, recorded_at, id);
-- Pages of what is rare: a page of what is not is found on the way through all of a team or of the whole. `<>` is not
-- among the conditions that Postgres can conclude from a filter, so what is rare is named.
CREATE INDEX audit_events_by_rare_outcome ON audit_events (outcome, recorded_at, id)
    WHERE outcome IN ('FAILED', 'CANCELLED', 'DENIED');
CREATE INDEX audit_events_by_rare_outcome_of_team ON audit_events (team_id, outcome, recorded_at, id)
    WHERE outcome IN ('FAILED', 'CANCELLED', 'DENIED');
CREATE INDEX audit_events_by_rare_action ON audit_events (action, recorded_at, id)
    WHERE action IN ('LIST', 'READ', 'REVEAL', 'DELETE');
CREATE INDEX audit_events_by_rare_action_of_team ON audit_events (team_id, action, recorded_at, id)
    WHERE action IN ('LIST', 'READ', 'REVEAL', 'DELETE');
-- Words of reasons. 'simple' keeps words as they are: reasons are in any language. It has all events, since Postgres does not
-- look into a partial index for how frequent a word is, and would go through all reasons with a frequent one for a page.
CREATE INDEX audit_events_by_words ON audit_events USING gin (to_tsvector('simple', reason));
-- Counts over a time, from the index alone.
CREATE INDEX audit_events_counted ON audit_events (recorded_at)
    INCLUDE (team_id, actor, action, outcome, method, resource_kind, resource_uuid, parent_kind, parent_uuid);
-- Counts of the vendor's calls over a time, from the index alone.
CREATE INDEX vendor_calls_counted ON vendor_calls (granted_at) INCLUDE (team_id, purpose, status, answered_at);

-- +goose Down
DROP INDEX vendor_calls_counted, audit_events_counted, audit_events_by_words, audit_events_by_rare_action_of_team,
    audit_events_by_rare_action, audit_events_by_rare_outcome_of_team, audit_events_by_rare_outcome, audit_events_by_actor;
