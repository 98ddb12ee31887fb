-- name: QueuePosition :one
-- How many operations go before one that is queued. A batch is none: its changes are.
SELECT count(*)
  FROM operations me
  JOIN operations o ON o.account = me.account AND o.state = 'QUEUED'
                   AND (o.lane, o.virtual_start, o.number) < (me.lane, me.virtual_start, me.number)
 WHERE me.id = @id AND me.state = 'QUEUED' AND o.batch_total IS NULL;

-- name: Backlog :many
-- What has not ended, by lane and team.
SELECT o.lane, o.team_id, t.name AS team, t.weight, t.backlog_limit,
       count(*) FILTER (WHERE o.state = 'QUEUED') AS queued,
       count(*) FILTER (WHERE o.state = 'RUNNING') AS running,
       coalesce(extract(epoch FROM clock_timestamp() - min(o.created_at) FILTER (WHERE o.state = 'QUEUED')), -1)::double precision AS oldest_seconds
  FROM operations o
  JOIN teams t ON t.id = o.team_id
 WHERE o.account = @account AND o.state IN ('QUEUED', 'RUNNING') AND o.batch_total IS NULL
 GROUP BY o.lane, o.team_id, t.name, t.weight, t.backlog_limit
 ORDER BY t.name, o.lane;

-- name: CallsByTeam :many
-- Who called the vendor within the two windows; no team: the sync.
SELECT c.team_id, coalesce(t.name, '') AS team, coalesce(t.weight, 0)::integer AS weight, coalesce(t.backlog_limit, 0)::integer AS backlog_limit,
       count(*) FILTER (WHERE c.granted_at > clock_timestamp() - make_interval(secs => @minute_seconds::double precision)) AS in_minute,
       count(*) AS in_hour
  FROM vendor_calls c
  LEFT JOIN teams t ON t.id = c.team_id
 WHERE c.account = @account AND c.number > @after_number AND c.answered_at IS DISTINCT FROM 'epoch'
   AND c.granted_at > clock_timestamp() - make_interval(secs => @hour_seconds::double precision)
 GROUP BY c.team_id, t.name, t.weight, t.backlog_limit
 ORDER BY 2;
