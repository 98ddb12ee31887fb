-- What else the mirror asks.

-- name: ChangesUnderWay :many
-- Which of the order keys have a change that the vendor may have made already and
-- that is not settled. Its settling will store what it did.
SELECT order_key FROM operations
 WHERE operations.account = @account AND order_key = ANY (@order_keys::text[]) AND state = 'RUNNING' AND sent_at IS NOT NULL
UNION
SELECT key::text FROM operations, unnest(also_keys) AS also(key)
 WHERE operations.account = @account AND also_keys && @order_keys::text[] AND also_keys <> '{}' AND key = ANY (@order_keys::text[])
   AND state = 'RUNNING' AND sent_at IS NOT NULL;

-- name: CreatingKind :one
-- Whether a change may have made one of the kind already and is not settled.
SELECT EXISTS (SELECT 1 FROM operations
                WHERE account = @account AND state = 'RUNNING' AND sent_at IS NOT NULL AND resource_kind = @kind AND resource_uuid IS NULL)::boolean;

-- name: StayIdle :exec
-- For a transaction that only holds a lock while others work: the server must not
-- end it for being idle.
SELECT set_config('idle_in_transaction_session_timeout', '0', true);
