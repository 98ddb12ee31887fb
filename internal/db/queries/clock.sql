-- name: ClockNow :one
-- The database's clock, which stamps rows and decides what is older.
SELECT clock_timestamp()::timestamptz;

-- name: WaitBriefly :exec
-- For a transaction that many wait for: it gives up where another holds what it needs, so that
-- each of them can try by itself. Its statements find their rows by indexes however many they are
-- about: planned for each number of them, they would take longer to plan than to run.
SELECT set_config('lock_timeout', '500ms', true), set_config('plan_cache_mode', 'force_generic_plan', true);
