package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rowsOfChanges measures how often a second the rows that a change leaves can be written at
// all: by plain pgx, in two commits of one round trip each, as copies of those of a change that
// was made. Nothing is asked, decided, sent or told. It is a yardstick and no strict bound: rows
// of many changes in one statement cost less each, which is what the service does.
func rowsOfChanges(ctx context.Context, pool *pgxpool.Pool, o options) (float64, error) {
	t, err := templates(ctx, pool)
	if err != nil {
		return 0, err
	}
	var failed atomic.Pointer[error]
	perSecond := rate(ctx, o, func(ctx context.Context) error {
		err := t.write(ctx, pool)
		if err != nil && ctx.Err() == nil {
			failed.CompareAndSwap(nil, &err)
		}
		return err
	})
	if err := failed.Load(); err != nil {
		return 0, fmt.Errorf("writing the rows of a change: %w", *err)
	}
	return perSecond, nil
}

// template is what the rows of one change are copied from.
type template struct {
	operation uuid.UUID
	// the statements of the two commits; $1 is the operation that is made.
	submit, settle []string
	// agents are the rows of our copy, of which each change updates one.
	agents []uuid.UUID
}

func templates(ctx context.Context, pool *pgxpool.Pool) (template, error) {
	var t template
	err := pool.QueryRow(ctx, `
		SELECT o.id FROM operations o JOIN agent_states s ON s.operation_id = o.id JOIN vendor_calls c ON c.operation_id = o.id
		 WHERE o.state = 'SUCCEEDED' AND o.method LIKE '%.UpdateAgent' ORDER BY o.number DESC LIMIT 1`).Scan(&t.operation)
	if err != nil {
		return t, fmt.Errorf("looking for a change to copy: %w", err)
	}
	// copied makes a table with the one row that is copied, so that it costs next to nothing to find.
	copied := func(name, table, where string, with map[string]string) (string, error) {
		columns, err := columnsOf(ctx, pool, table)
		if err != nil {
			return "", err
		}
		values := make([]string, len(columns))
		for i, c := range columns {
			if values[i] = "x." + c; with[c] != "" {
				values[i] = with[c]
			}
		}
		made, err := pool.Exec(ctx, fmt.Sprintf("CREATE TABLE bench_%s AS SELECT %s FROM %s WHERE %s LIMIT 1",
			name, strings.Join(columns, ", "), table, strings.ReplaceAll(where, "$1", "'"+t.operation.String()+"'")))
		if err != nil || made.RowsAffected() != 1 {
			return "", fmt.Errorf("copying a row of %s: %s, %w", table, made, err)
		}
		return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM bench_%s x", table, strings.Join(columns, ", "), strings.Join(values, ", "), name), nil
	}
	statements := []struct {
		in                 *[]string
		name, table, where string
		with               map[string]string
	}{
		{&t.submit, "operation", "operations", "id = $1", map[string]string{
			"id": "$1::uuid", "idempotency_key": "NULL", "state": "'RUNNING'", "order_key": "$1::uuid::text", "lease_expires_at": "now()",
			"lease": "$1::uuid", "finished_at": "NULL", "response": "NULL",
		}},
		{&t.submit, "accepted", "audit_events", "operation_id = $1 AND outcome = 'ACCEPTED'", map[string]string{
			"id": "gen_random_uuid()", "recorded_at": "clock_timestamp()", "operation_id": "$1::uuid",
		}},
		{&t.submit, "call", "vendor_calls", "operation_id = $1", map[string]string{
			"account": "'copies'", "number": "nextval('bench_calls')", "operation_id": "$1::uuid", "granted_at": "clock_timestamp()",
		}},
		{&t.settle, "succeeded", "audit_events", "operation_id = $1 AND outcome = 'SUCCEEDED'", map[string]string{
			"id": "gen_random_uuid()", "recorded_at": "clock_timestamp()", "operation_id": "$1::uuid",
		}},
		{&t.settle, "version", "agent_versions", "operation_id = $1", map[string]string{
			"agent_uuid": "$1::uuid", "operation_id": "$1::uuid",
		}},
		{&t.settle, "state", "agent_states", "operation_id = $1", map[string]string{
			"agent_uuid": "$1::uuid", "operation_id": "$1::uuid", "valid_to": "NULL",
		}},
	}
	for _, s := range statements {
		sql, err := copied(s.name, s.table, s.where, s.with)
		if err != nil {
			return t, err
		}
		*s.in = append(*s.in, sql)
	}
	t.settle = append(t.settle, `
		UPDATE operations o SET state = 'SUCCEEDED', lease_expires_at = NULL, finished_at = clock_timestamp(), response = x.response
		  FROM bench_operation x WHERE o.id = $1::uuid`)
	rows, err := pool.Query(ctx, "SELECT uuid FROM resources WHERE kind = 'agent' AND deleted_at IS NULL")
	if err != nil {
		return t, err
	}
	if t.agents, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
		return t, err
	}
	_, err = pool.Exec(ctx, "CREATE SEQUENCE IF NOT EXISTS bench_calls; INSERT INTO accounts (name) VALUES ('copies') ON CONFLICT DO NOTHING")
	return t, err
}

// columnsOf are those that can be written.
func columnsOf(ctx context.Context, pool *pgxpool.Pool, table string) ([]string, error) {
	rows, err := pool.Query(ctx, `SELECT column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name = $1 AND is_identity = 'NO' ORDER BY ordinal_position`, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (t template) write(ctx context.Context, pool *pgxpool.Pool) error {
	id := uuid.New()
	for i, statements := range [][]string{t.submit, t.settle} {
		var batch pgx.Batch
		batch.Queue("BEGIN")
		for _, sql := range statements {
			batch.Queue(sql, id)
		}
		if i == 1 {
			batch.Queue("UPDATE resources SET upstream_updated_at = clock_timestamp() WHERE kind = 'agent' AND uuid = $1",
				t.agents[rand.IntN(len(t.agents))]) //nolint:gosec // a load
		}
		batch.Queue("COMMIT")
		if err := pool.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
	}
	return nil
}
