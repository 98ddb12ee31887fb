package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// reference is what the database does in a second without us.
type reference struct{ transactions, inserts float64 }

// scale is pgbench's: so many branches, ten tellers and a thousand accounts for each (a
// hundred times fewer accounts than pgbench has, to be quick).
const scale = 16

func references(ctx context.Context, pool *pgxpool.Pool, o options) (reference, error) {
	if _, err := pool.Exec(ctx, `
		CREATE TABLE IF NOT EXISTS bench_commits (id bigint GENERATED ALWAYS AS IDENTITY, payload text);
		CREATE TABLE IF NOT EXISTS bench_branches (bid int PRIMARY KEY, balance int NOT NULL) WITH (fillfactor = 50);
		CREATE TABLE IF NOT EXISTS bench_tellers (tid int PRIMARY KEY, balance int NOT NULL) WITH (fillfactor = 50);
		CREATE TABLE IF NOT EXISTS bench_accounts (aid int PRIMARY KEY, balance int NOT NULL) WITH (fillfactor = 50);
		CREATE TABLE IF NOT EXISTS bench_history (tid int, bid int, aid int, delta int, mtime timestamptz);
		INSERT INTO bench_branches SELECT n, 0 FROM generate_series(0, 15) n ON CONFLICT DO NOTHING;
		INSERT INTO bench_tellers SELECT n, 0 FROM generate_series(0, 159) n ON CONFLICT DO NOTHING;
		INSERT INTO bench_accounts SELECT n, 0 FROM generate_series(0, 15999) n ON CONFLICT DO NOTHING`); err != nil {
		return reference{}, fmt.Errorf("preparing the reference: %w", err)
	}
	r := reference{transactions: rate(ctx, o, func(ctx context.Context) error { return transfer(ctx, pool) })}
	r.inserts = rate(ctx, o, func(ctx context.Context) error {
		_, err := pool.Exec(ctx, "INSERT INTO bench_commits (payload) VALUES ('x')")
		return err
	})
	return r, ctx.Err()
}

// rate is how often a second all clients together get something done.
func rate(ctx context.Context, o options, do func(context.Context) error) float64 {
	deadline, cancel := context.WithTimeout(ctx, o.commits)
	defer cancel()
	var done atomic.Int64
	start := time.Now()
	var clients sync.WaitGroup
	for range o.clients {
		clients.Go(func() {
			for deadline.Err() == nil {
				if do(deadline) == nil {
					done.Add(1)
				}
			}
		})
	}
	clients.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}

// transfer is the transaction that pgbench runs if it is told nothing else ("TPC-B
// like"), one statement after the other as pgbench does.
func transfer(ctx context.Context, pool *pgxpool.Pool) error {
	branch, teller, account, delta := rand.IntN(scale), rand.IntN(10*scale), rand.IntN(1000*scale), rand.IntN(10001)-5000 //nolint:gosec // a load
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var balance int
		if _, err := tx.Exec(ctx, "UPDATE bench_accounts SET balance = balance + $1 WHERE aid = $2", delta, account); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT balance FROM bench_accounts WHERE aid = $1", account).Scan(&balance); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE bench_tellers SET balance = balance + $1 WHERE tid = $2", delta, teller); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE bench_branches SET balance = balance + $1 WHERE bid = $2", delta, branch); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO bench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, now())",
			teller, branch, account, delta)
		return err
	})
}
