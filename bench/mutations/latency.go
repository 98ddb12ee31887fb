package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// latencies are what passes, while nothing else is going on, between the beginning of the
// commit that makes a change durable and its arrival at the vendor, and what a durable commit
// of one row takes.
type latencies struct{ submitToSend, commit []time.Duration }

// alone is how many changes and commits are measured, one after the other.
const alone = 200

// latency makes changes one by one. The vendor's clock is the database's: both are this
// machine's.
func latency(ctx context.Context, pool *pgxpool.Pool, vendor *genaisim.Server, service, token string, o options) (latencies, error) {
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
	rows, err := pool.Query(ctx, "SELECT created_at FROM operations WHERE method LIKE '%.UpdateAgent' AND created_at > $1 ORDER BY number", since)
	if err != nil {
		return l, fmt.Errorf("reading when changes were submitted: %w", err)
	}
	submitted, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return l, fmt.Errorf("reading when changes were submitted: %w", err)
	}
	var arrived []time.Time
	for _, r := range vendor.Requests() {
		if r.Method == http.MethodPut && r.Time.After(since) {
			arrived = append(arrived, r.Time)
		}
	}
	if len(arrived) != len(submitted) {
		return l, fmt.Errorf("%d changes were submitted, %d arrived", len(submitted), len(arrived))
	}
	for i, at := range submitted {
		l.submitToSend = append(l.submitToSend, arrived[i].Sub(at))
	}
	slices.Sort(l.commit)
	slices.Sort(l.submitToSend)
	return l, nil
}

// quantile of sorted times.
func quantile(times []time.Duration, q float64) time.Duration {
	return times[int(q*float64(len(times)-1))]
}
