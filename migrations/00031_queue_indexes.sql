-- While little is queued the planner takes these indexes for next to empty, and once a plan is
-- made it stays: it went through the whole queue to find what has one key, or is one team's. The
-- conditions below follow only from questions that the index is for.

-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS operations_queue_by_lane ON operations (account, lane, virtual_start, number)
    WHERE state = 'QUEUED' AND lane IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS operations_queue;
CREATE INDEX CONCURRENTLY IF NOT EXISTS operations_queue_by_team ON operations (team_id)
    WHERE state = 'QUEUED' AND team_id IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS operations_backlog;

-- +goose Down
CREATE INDEX CONCURRENTLY IF NOT EXISTS operations_backlog ON operations (team_id) WHERE state = 'QUEUED';
DROP INDEX CONCURRENTLY IF EXISTS operations_queue_by_team;
CREATE INDEX CONCURRENTLY IF NOT EXISTS operations_queue ON operations (account, lane, virtual_start, number) WHERE state = 'QUEUED';
DROP INDEX CONCURRENTLY IF EXISTS operations_queue_by_lane;
