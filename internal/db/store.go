// Package db is the only place with SQL: the generated queries, the listings whose
// filters vary, transactions, and what Postgres's errors mean to callers.
package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Queries are the fixed queries, bound to the pool or to a transaction.
type Queries = dbsql.Queries

// Store is the database. Its embedded queries run each in a transaction of their own.
type Store struct {
	*Queries

	pool *pgxpool.Pool
}

// New makes a store of a pool, which stays the caller's to close.
func New(pool *pgxpool.Pool) *Store { return &Store{Queries: dbsql.New(pool), pool: pool} }

// Open connects to the database at url. It does not wait for the database to be
// there: each query says for itself.
func Open(ctx context.Context, url string, configure ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading the database URL: %w", err)
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams["application_name"] = "agentsvc"
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap())
		_, err := conn.Exec(ctx, settings)
		return err
	}
	for _, c := range configure {
		c(config)
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// settings have every statement find its rows by an index. A statement is planned once for a
// connection: while its table is small, the planner would rather go through all of it, and
// that plan would stay until the table is analyzed, however large it has become. What has no
// index is gone through all the same, but looks so dear then that it would be compiled first.
//
// An index of words keeps what was written last in a list, which each search goes through. It is put in order
// when it has a thousand events or so: by itself it would have twenty thousand, and whoever adds the next one would wait for all.
const settings = "SET enable_seqscan = off; SET jit = off; SET gin_pending_list_limit = '256kB'"

const (
	connectTimeout = 5 * time.Second
	// rollbackTimeout bounds what a rollback may take after its caller has gone.
	rollbackTimeout = 5 * time.Second
	// maxTries is how often a transaction runs when others get in its way.
	maxTries = 5
)

// Durability says whether a commit waits for the disk.
type Durability bool

const (
	// Durable commits survive a crash of the database.
	Durable Durability = true
	// Loose commits may be lost in a crash of the database, newest first; a durable
	// commit after them makes them durable too. For what may be lost, or is always
	// followed by a durable commit before it matters.
	Loose Durability = false
)

// Tx runs fn in a transaction and commits it if fn returns nil. fn runs again
// after a deadlock or a serialization failure, so it must have no effects but
// through q.
func (s *Store) Tx(ctx context.Context, durability Durability, fn func(q *Queries) error) error {
	return s.TxAs(ctx, func(q *Queries) (Durability, error) { return durability, fn(q) })
}

// TxAs is Tx for transactions that only know at their end how durable they have to be.
func (s *Store) TxAs(ctx context.Context, fn func(q *Queries) (Durability, error)) error {
	var err error
	for range maxTries {
		if err = s.tx(ctx, fn); !retriable(err) {
			break
		}
	}
	return classify(err)
}

func (s *Store) tx(ctx context.Context, fn func(q *Queries) (Durability, error)) (err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	p := &pipeline{conn: conn}
	defer func() {
		if err != nil {
			// The caller may be gone; the connection must be clean all the same.
			detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
			defer cancel()
			p.rollback(detached)
		}
	}()
	p.waiting.Queue("begin")
	durability, err := fn(dbsql.New(p))
	if err != nil {
		return err
	}
	if durability == Loose {
		p.waiting.Queue("SET LOCAL synchronous_commit = off")
	}
	if err = p.commit(ctx); err != nil && unanswered(err) {
		err = &commitLostError{cause: err}
	}
	return err
}

// unanswered says that an error leaves open whether the server has committed: there was no
// word from it, or a goodbye, which it says instead of answering when it is told to shut
// down while it commits.
func unanswered(err error) bool {
	switch sqlState(err) {
	case "", adminShutdown, crashShutdown:
		return !errors.Is(err, pgx.ErrTxCommitRollback)
	default:
		return false
	}
}

// commitLostError says that a commit was sent and its answer lost.
type commitLostError struct{ cause error }

func (e *commitLostError) Error() string {
	return "the answer to a commit was lost: " + e.cause.Error()
}
func (e *commitLostError) Unwrap() error { return e.cause }

// CommitLost says that a transaction may have been committed all the same.
func CommitLost(err error) bool {
	var lost *commitLostError
	return errors.As(err, &lost)
}

// CommitUnanswered is the error of who did not wait for the answer to a commit: see [CommitLost].
func CommitUnanswered(cause error) error { return &commitLostError{cause: cause} }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return classify(s.pool.Ping(ctx)) }

// NoRows says that a query found nothing.
func NoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// OrNil is an id, or the nil uuid for none: what arrays of ids have in its place.
func OrNil(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

// OrEmpty is a text, or the empty one for none: what arrays of texts have in its place.
func OrEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// sqlState is the SQLSTATE of err, or "".
func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}
