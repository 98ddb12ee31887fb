package main

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// nothing is a job of river's.
type nothing struct {
	Text string `json:"text"`
}

// Kind implements [river.JobArgs].
func (nothing) Kind() string { return "nothing" }

// idle does nothing.
type idle struct{ river.WorkerDefaults[nothing] }

// Work implements [river.Worker].
func (*idle) Work(context.Context, *river.Job[nothing]) error { return nil }

// theirs is river's queue.
type theirs struct {
	client *river.Client[pgx.Tx]
	pool   *pgxpool.Pool
}

func newRiver(ctx context.Context, pool *pgxpool.Pool, workers int) (*theirs, error) {
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	known := river.NewWorkers()
	river.AddWorker(known, &idle{})
	client, err := river.NewClient(driver, &river.Config{
		// As often as it may: by default it waits 100 ms between two fetches.
		FetchCooldown: river.FetchCooldownMin, FetchPollInterval: river.FetchPollIntervalMin,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}, Workers: known, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return &theirs{client: client, pool: pool}, nil
}

func (q *theirs) insert(ctx context.Context) error {
	_, err := q.client.Insert(ctx, nothing{Text: "bench"}, nil)
	return err
}

func (q *theirs) work(ctx context.Context, jobs, _ int) error {
	if err := q.client.Start(ctx); err != nil {
		return err
	}
	if err := await(ctx, q.pool, "SELECT count(*) FROM river_job WHERE state = 'completed'", jobs); err != nil {
		return err
	}
	return q.client.Stop(ctx)
}
