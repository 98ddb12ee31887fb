-- name: ClockNow :one
-- The database's clock, which stamps rows and decides what is older.
SELECT clock_timestamp()::timestamptz;
