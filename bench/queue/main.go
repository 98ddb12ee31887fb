// Command queue measures how many durable jobs a second go through the queue of agentsvc,
// beside github.com/riverqueue/river in the same run, on the same Postgres, with work that
// does nothing.
//
// The two do not do the same for a job. For river a job is a row that is claimed and
// completed. Here it is a change: claimed with a call from the budget, marked as sent in a
// commit of its own, and settled in one commit with its result, the history, our copy of the
// resource and its owner. So the ratio says what all that costs beside a bare queue.
//
// It is a module of its own, so that the service does not depend on what it is compared with.
//
//	cd bench/queue && go run -mod=mod . --jobs 2000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/localpg"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
)

type options struct{ jobs, clients, workers int }

// queue is one of the two.
type queue interface {
	// insert makes one job durable.
	insert(ctx context.Context) error
	// work does all that is there, with so many workers, and returns when all are done.
	work(ctx context.Context, jobs, workers int) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.IntVar(&o.jobs, "jobs", 2000, "how many jobs")
	flag.IntVar(&o.clients, "clients", 16, "how many clients insert them")
	flag.IntVar(&o.workers, "workers", 32, "how many workers do them")
	flag.Parse()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop only frees the signal handler
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	postgres, err := localpg.Start(ctx, localpg.Options{URL: os.Getenv("TEST_DATABASE_URL"), Fsync: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { _ = postgres.Stop() }() // temporary
	if err := migrate.Up(ctx, postgres.URL()); err != nil {
		return err
	}
	pool, err := db.Open(ctx, postgres.URL(), func(c *pgxpool.Config) { c.MaxConns = int32(o.workers + o.clients) })
	if err != nil {
		return err
	}
	defer pool.Close()
	ours, err := newOurs(ctx, pool, o.workers)
	if err != nil {
		return err
	}
	theirs, err := newRiver(ctx, pool, o.workers)
	if err != nil {
		return err
	}
	var rates [2][2]float64 // ours and river's: inserted and done a second
	for i, q := range []queue{ours, theirs} {
		if rates[i], err = measure(ctx, q, o); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, `%d jobs that do nothing, %d clients, %d workers, postgres %s, fsync on
inserted a second   agentsvc %.0f   river %.0f   ratio %.2f
done a second       agentsvc %.0f   river %.0f   ratio %.2f
`, o.jobs, o.clients, o.workers, postgres.How(),
		rates[0][0], rates[1][0], rates[0][0]/rates[1][0], rates[0][1], rates[1][1], rates[0][1]/rates[1][1])
	return err
}

// measure inserts all jobs while nobody works, and then has them done.
func measure(ctx context.Context, q queue, o options) (rates [2]float64, err error) {
	jobs := make(chan struct{}, o.jobs)
	for range o.jobs {
		jobs <- struct{}{}
	}
	close(jobs)
	errs := make([]error, o.clients)
	var clients sync.WaitGroup
	begun := time.Now()
	for i := range o.clients {
		clients.Go(func() {
			for range jobs {
				if errs[i] = q.insert(ctx); errs[i] != nil {
					return
				}
			}
		})
	}
	clients.Wait()
	if err := errors.Join(errs...); err != nil {
		return rates, err
	}
	rates[0] = float64(o.jobs) / time.Since(begun).Seconds()
	begun = time.Now()
	if err := q.work(ctx, o.jobs, o.workers); err != nil {
		return rates, err
	}
	rates[1] = float64(o.jobs) / time.Since(begun).Seconds()
	return rates, nil
}
