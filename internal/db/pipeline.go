package db

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pipeline is a transaction that goes to the server as seldom as it can: BEGIN and
// statements without an answer wait for the next one that has an answer, and
// COMMIT goes with what is still waiting. A change then takes a third of the round
// trips, and holds its locks for that much less time.
//
// An error of a statement that waited comes with a later one, or with the commit;
// nothing is committed then. It implements what the generated queries run on.
type pipeline struct {
	conn    *pgxpool.Conn
	waiting pgx.Batch
	// err is the first error: the transaction has failed, and nothing more is sent.
	err error
	// begun says that the server knows of the transaction.
	begun bool
}

// deferrable says that a statement has no answer: sqlc marks it so in its first line.
func deferrable(sql string) bool {
	first, _, _ := strings.Cut(sql, "\n")
	return strings.HasPrefix(first, "-- name: ") && strings.HasSuffix(first, " :exec")
}

// Exec implements dbsql.DBTX.
func (p *pipeline) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if p.err != nil {
		return pgconn.CommandTag{}, p.err
	}
	p.waiting.Queue(sql, args...)
	if deferrable(sql) {
		return pgconn.CommandTag{}, nil
	}
	results, err := p.send(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	return tag, p.finish(results, err)
}

// Query implements dbsql.DBTX.
func (p *pipeline) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if p.err != nil {
		return nil, p.err
	}
	p.waiting.Queue(sql, args...)
	results, err := p.send(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := results.Query() //nolint:rowserrcheck // at their end, by whoever reads them
	if err != nil {
		return nil, p.finish(results, err)
	}
	return &pipelinedRows{Rows: rows, finish: func() { _ = p.finish(results, rows.Err()) }}, nil
}

// QueryRow implements dbsql.DBTX.
func (p *pipeline) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if p.err != nil {
		return failedRow{p.err}
	}
	p.waiting.Queue(sql, args...)
	results, err := p.send(ctx)
	if err != nil {
		return failedRow{err}
	}
	return &pipelinedRow{row: results.QueryRow(), finish: func(err error) error { return p.finish(results, err) }}
}

// send sends all that waits and reads the answers of all but the last statement.
func (p *pipeline) send(ctx context.Context) (pgx.BatchResults, error) {
	p.begun = true
	batch := p.waiting
	p.waiting = pgx.Batch{}
	results := p.conn.SendBatch(ctx, &batch)
	for range batch.Len() - 1 {
		if _, err := results.Exec(); err != nil {
			return nil, p.finish(results, err)
		}
	}
	return results, nil
}

// finish ends a sending. A row that was not there is an answer, not a failure.
func (p *pipeline) finish(results pgx.BatchResults, err error) error {
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil && !NoRows(err) && p.err == nil {
		p.err = err
	}
	return err
}

// commit sends what still waits and commits.
func (p *pipeline) commit(ctx context.Context) error {
	if p.err != nil {
		return p.err
	}
	p.waiting.Queue("commit")
	results, err := p.send(ctx)
	if err != nil {
		return err
	}
	tag, err := results.Exec()
	if err = p.finish(results, err); err == nil && tag.String() == "ROLLBACK" {
		err = pgx.ErrTxCommitRollback // an error before that was passed over
	}
	return err
}

// rollback leaves the connection as if nothing had been.
func (p *pipeline) rollback(ctx context.Context) {
	if !p.begun {
		return
	}
	_, _ = p.conn.Exec(ctx, "rollback") // a connection that cannot is closed by the pool
}

// pipelinedRow gives the connection back once it is scanned.
type pipelinedRow struct {
	row    pgx.Row
	finish func(error) error
}

func (r *pipelinedRow) Scan(dest ...any) error { return r.finish(r.row.Scan(dest...)) }

// pipelinedRows give the connection back once they are closed.
type pipelinedRows struct {
	pgx.Rows

	finish func()
}

// Next closes the rows after the last one, as those of pgx do.
func (r *pipelinedRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *pipelinedRows) Close() {
	r.Rows.Close()
	if r.finish != nil {
		r.finish()
		r.finish = nil
	}
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }
