-- name: LockAccount :exec
-- Takes the lock of the budget until the transaction ends.
SELECT FROM accounts WHERE name = @account FOR NO KEY UPDATE;

-- name: AccountState :one
-- What the account's row says, with the calls of the last windows that were given back. Asked
-- after the lock was got: clock_timestamp and not now, or the wait would date the grant back.
SELECT last_call, foreign_used,
       coalesce(foreign_seen_at > clock_timestamp() - make_interval(secs => @hour_seconds::double precision), false)::boolean AS foreign_is_recent,
       greatest(extract(epoch FROM paused_until - clock_timestamp()), 0)::double precision AS paused_seconds,
       (opened_at IS NOT NULL)::boolean AS is_open,
       greatest(extract(epoch FROM probe_at - clock_timestamp()), 0)::double precision AS probe_seconds,
       coalesce((SELECT array_agg(c.number ORDER BY c.number DESC) FROM vendor_calls c
                  WHERE c.account = a.name AND c.answered_at = 'epoch' AND c.number > a.last_call - @far_back), '{}')::bigint[] AS given_back
  FROM accounts a
 WHERE a.name = @account;

-- name: CallsWithin :many
-- Of two ranges of calls, each with a window: how many of those from first on took no room, since
-- they were given back, how many from back on have not left the window, and in how many seconds the next one
-- does (none: -1). See CallsLeaving for when a call leaves. Two and not a list, which would be planned anew each time.
SELECT within.given_back, within.staying, within.seconds
  FROM (SELECT 1 AS place, @back::bigint AS back, @first::bigint AS first, @last::bigint AS last, @window_seconds::double precision AS seconds
         UNION ALL
        SELECT 2, @other_back::bigint, @other_first::bigint, @other_last::bigint, @other_window_seconds::double precision) AS ranges
 CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE c.answered_at = 'epoch' AND c.number >= ranges.first) AS given_back,
           count(*) FILTER (WHERE leaves.seconds > 0) AS staying,
           coalesce(min(leaves.seconds) FILTER (WHERE leaves.seconds > 0), -1)::double precision AS seconds
      FROM vendor_calls c
     CROSS JOIN LATERAL (
        SELECT CASE WHEN c.answered_at IS DISTINCT FROM 'epoch' THEN extract(epoch FROM
                   coalesce(c.answered_at, CASE WHEN c.status IS NULL THEN c.granted_at + make_interval(secs => @longest_seconds::double precision)
                                                ELSE c.granted_at END)
                   + make_interval(secs => ranges.seconds) - clock_timestamp()) END AS seconds) AS leaves
     WHERE c.account = @account AND c.number >= ranges.back AND c.number <= ranges.last) AS within
 ORDER BY ranges.place;

-- name: CallsLeaving :many
-- The calls of a range and in how many seconds each leaves the window, less than zero if it
-- has. The vendor counted a call some time between its grant and its answer, so its answer's time is
-- what is safe. One without is under way, or lost with who made it: then no later than the longest that
-- a call can take. A call that has a status and no time is from a release before there were times.
SELECT number, (answered_at IS NOT DISTINCT FROM 'epoch')::boolean AS returned,
       extract(epoch FROM coalesce(answered_at, CASE WHEN status IS NULL THEN granted_at + make_interval(secs => @longest_seconds::double precision)
                                                     ELSE granted_at END)
               + make_interval(secs => @window_seconds::double precision) - clock_timestamp())::double precision AS seconds
  FROM vendor_calls
 WHERE account = @account AND number >= @first_number AND number <= @last_number
 ORDER BY number;

-- name: InsertCalls :exec
-- Nobody's team, or operation, is the nil uuid.
INSERT INTO vendor_calls (account, number, granted_at, purpose, method, team_id, operation_id)
SELECT @account, calls.number, clock_timestamp(), calls.purpose, calls.method,
       nullif(calls.team_id, '00000000-0000-0000-0000-000000000000'), nullif(calls.operation_id, '00000000-0000-0000-0000-000000000000')
  FROM (SELECT unnest(@numbers::bigint[]) AS number, unnest(@purposes::text[]) AS purpose, unnest(@methods::text[]) AS method,
               unnest(@teams::uuid[]) AS team_id, unnest(@operations::uuid[]) AS operation_id) AS calls;

-- name: SetLastCall :exec
UPDATE accounts SET last_call = @last_call WHERE name = @account;

-- name: RecordCall :exec
UPDATE vendor_calls
   SET status = @status, duration_ms = @duration_ms, vendor_request_id = @vendor_request_id, answered_at = clock_timestamp()
 WHERE account = @account AND number = @number;

-- name: ReturnCall :exec
-- It was granted and not made: it counts no more.
UPDATE vendor_calls SET answered_at = 'epoch'
 WHERE account = @account AND number = @number AND status IS NULL AND answered_at IS NULL;

-- name: PauseAccount :exec
-- Pauses only grow: two replicas may hear of the same 429.
UPDATE accounts
   SET paused_until = greatest(paused_until, clock_timestamp() + make_interval(secs => @seconds::double precision))
 WHERE name = @account;

-- name: CountCallsWithin :one
-- Up to a call that was answered: those after it may not have reached the vendor when
-- it counted.
SELECT count(*)
  FROM vendor_calls
 WHERE account = @account AND number > @after_number AND number <= @up_to_number
   AND answered_at IS DISTINCT FROM 'epoch' AND granted_at > clock_timestamp() - make_interval(secs => @window_seconds::double precision);

-- name: SetForeignUsed :exec
-- Touches the row, which is the lock of the budget, only where there is news.
UPDATE accounts SET foreign_used = @foreign_used, foreign_seen_at = clock_timestamp()
 WHERE name = @account AND (foreign_used <> @foreign_used OR @foreign_used > 0);

-- name: NoteFailure :one
-- A call that the vendor did not answer, or with 5xx.
UPDATE accounts SET failures = failures + 1 WHERE name = @account
RETURNING failures, probes, coalesce(opened_call, -1)::bigint AS opened_call;

-- name: OpenBreaker :execrows
-- No row: another replica was quicker.
UPDATE accounts
   SET opened_at = clock_timestamp(), opened_call = last_call, probes = 0,
       probe_at = clock_timestamp() + make_interval(secs => @seconds::double precision)
 WHERE name = @account AND opened_at IS NULL;

-- name: DelayProbe :exec
UPDATE accounts SET probes = probes + 1, probe_at = clock_timestamp() + make_interval(secs => @seconds::double precision)
 WHERE name = @account AND opened_at IS NOT NULL;

-- name: NoteSuccess :exec
-- The vendor answers. Touches the row, which is the lock of the budget, only where there is news.
UPDATE accounts SET failures = 0, opened_at = NULL, opened_call = NULL, probes = 0, probe_at = NULL
 WHERE name = @account AND failures > 0;

-- name: TakeProbe :exec
-- The next probe waits until this one was answered, or its sender must be taken for dead.
UPDATE accounts SET probe_at = clock_timestamp() + make_interval(secs => @seconds::double precision)
 WHERE name = @account AND opened_at IS NOT NULL;

-- name: ProbeDue :one
SELECT (opened_at IS NOT NULL AND probe_at <= clock_timestamp())::boolean FROM accounts WHERE name = @account;

-- name: PeekAccount :one
-- As AccountState, without the lock: for what is told and not acted upon.
SELECT last_call, foreign_used, failures, opened_at, paused_until, clock_timestamp()::timestamptz AS read_at,
       coalesce(foreign_seen_at > clock_timestamp() - make_interval(secs => @hour_seconds::double precision), false)::boolean AS foreign_is_recent,
       greatest(extract(epoch FROM paused_until - clock_timestamp()), 0)::double precision AS paused_seconds,
       (opened_at IS NOT NULL)::boolean AS is_open,
       greatest(extract(epoch FROM probe_at - clock_timestamp()), 0)::double precision AS probe_seconds,
       coalesce((SELECT array_agg(c.number ORDER BY c.number DESC) FROM vendor_calls c
                  WHERE c.account = a.name AND c.answered_at = 'epoch' AND c.number > a.last_call - @far_back), '{}')::bigint[] AS given_back
  FROM accounts a
 WHERE a.name = @account;
