package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// latencies are what a change waits from when it is durable until it is sent while nothing
// else is going on, and what a durable commit of one row takes.
type latencies struct{ submitToSend, commit []time.Duration }

// alone is how many changes and commits are measured, one after the other.
const alone = 200

// latency makes changes one by one. Both times of an operation are the database's.
func latency(ctx context.Context, pool *pgxpool.Pool, service, token string, o options) (latencies, error) {
	var l latencies
	for range alone {
		began := time.Now()
		if _, err := pool.Exec(ctx, "INSERT INTO bench_commits (payload) VALUES ('x')"); err != nil {
			return l, fmt.Errorf("timing a commit: %w", err)
		}
		l.commit = append(l.commit, time.Since(began))
	}
	var since time.Time
	if err := pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&since); err != nil {
		return l, fmt.Errorf("reading the clock: %w", err)
	}
	o.clients, o.changes = 1, alone
	if _, err := changes(ctx, service, token, o); err != nil {
		return l, err
	}
	rows, err := pool.Query(ctx, `SELECT extract(epoch FROM sent_at - created_at)::double precision FROM operations
		WHERE method LIKE '%.UpdateAgent' AND created_at > $1`, since)
	if err != nil {
		return l, fmt.Errorf("reading how long changes waited: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seconds float64
		if err := rows.Scan(&seconds); err != nil {
			return l, fmt.Errorf("reading how long changes waited: %w", err)
		}
		l.submitToSend = append(l.submitToSend, time.Duration(seconds*float64(time.Second)))
	}
	slices.Sort(l.commit)
	slices.Sort(l.submitToSend)
	return l, rows.Err()
}

// quantile of sorted times.
func quantile(times []time.Duration, q float64) time.Duration {
	return times[int(q*float64(len(times)-1))]
}
