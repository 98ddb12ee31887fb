-- name: CountDenial :one
-- How many denials of the caller, method and minute there are with this one.
INSERT INTO denials AS d (caller, method, minute, actor, principal_id, team_id, action, error_reason)
VALUES (@caller, @method, date_trunc('minute', clock_timestamp()), @actor, @principal_id, @team_id, @action, @error_reason)
ON CONFLICT (caller, method, minute) DO UPDATE SET count = d.count + 1
RETURNING count;

-- name: TakeDenials :many
-- Those of minutes that are over. Who counts one late begins anew.
DELETE FROM denials d
 WHERE (d.caller, d.method, d.minute) IN (
        SELECT o.caller, o.method, o.minute FROM denials o
         WHERE o.minute < date_trunc('minute', clock_timestamp()) - interval '1 minute'
         ORDER BY o.minute LIMIT @at_most FOR UPDATE SKIP LOCKED)
RETURNING *;
