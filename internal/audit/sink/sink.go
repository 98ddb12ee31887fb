// Package sink tells others of the history as it is sealed: a webhook, and standard output
// for whatever collects logs. It also ships checkpoints to a file.
//
// The sealed log is the outbox. A sink has a durable cursor, the place that comes next, and
// one replica at a time moves it, by a lock of the database. So a sink that is away blocks
// no change and loses no event: the cursor waits. What was sent but not noted, as a
// process died in between, is sent again: at least once, and each event has its id and
// place to know it by.
package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const (
	// every is the pause between two looks at the log.
	every = time.Second
	// maxEvents and maxBytes bound a batch. An event larger than that goes alone.
	maxEvents, maxBytes = 100, 1 << 20
	// maxCheckpoints bounds how many go with a batch.
	maxCheckpoints = 10
	// firstPause and lastPause are the shortest and the longest wait after a failure; it
	// doubles in between.
	firstPause, lastPause = time.Second, 5 * time.Minute
	// sendTimeout bounds one sending.
	sendTimeout = 10 * time.Second
)

// Batch is what is sent at once, in this order.
type Batch struct {
	// Lines are events, as in an export: {"index":N,"event":…}.
	Lines [][]byte
	// First and Last are their places.
	First, Last int64
	// Checkpoints cover only events that were sent.
	Checkpoints []string
	// Now is the database's time.
	Now time.Time
}

// Target is where batches go. An error means that the batch may not have arrived.
type Target interface {
	Send(ctx context.Context, batch Batch) error
}

// Sink sends the log to a target.
type Sink struct {
	// Name is what its cursor is kept under.
	Name   string
	Store  *db.Store
	Target Target
	Log    *slog.Logger
}

// Run sends until ctx is done.
func (s *Sink) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var complaints ledger.Complaints
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		more, err := s.Round(ctx)
		if ctx.Err() == nil {
			complaints.Say(ctx, s.Log, "telling a sink of the history", err, slog.String("sink", s.Name))
		}
		if more {
			timer.Reset(0)
		} else {
			timer.Reset(every)
		}
	}
}

// Round sends a batch if there is one, and notes that. more says that there may be another
// one right away. An error of the target is noted and waited for, longer each time.
func (s *Sink) Round(ctx context.Context) (more bool, err error) {
	var failure error
	err = s.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		more, failure = false, nil
		mine, err := q.TryLock(ctx, "audit/sink/"+s.Name)
		if err != nil || !mine {
			return err
		}
		cursor, err := q.SinkNamed(ctx, s.Name)
		if db.NoRows(err) {
			more = true
			return q.AddSink(ctx, s.Name)
		}
		if err != nil || !cursor.Due {
			return err
		}
		batch, next, err := s.batch(ctx, q, cursor)
		if err != nil || next == nil {
			return err
		}
		if err := q.StayIdle(ctx); err != nil {
			return err
		}
		sending, cancel := context.WithTimeout(ctx, sendTimeout)
		defer cancel()
		if failure = s.Target.Send(sending, batch); failure != nil {
			if ctx.Err() != nil {
				return nil
			}
			return q.PostponeSink(ctx, dbsql.PostponeSinkParams{Name: s.Name, PauseSeconds: pause(cursor.Failures).Seconds(), LastError: failure.Error()})
		}
		more = len(batch.Lines) > 0 || len(batch.Checkpoints) == maxCheckpoints
		return q.AdvanceSink(ctx, *next)
	})
	return more, errors.Join(failure, err)
}

// batch reads what comes next; a nil cursor means that there is nothing.
func (s *Sink) batch(ctx context.Context, q *db.Queries, cursor dbsql.SinkNamedRow) (Batch, *dbsql.AdvanceSinkParams, error) {
	batch := Batch{Now: cursor.Now, First: cursor.NextIndex, Last: cursor.NextIndex - 1}
	next := &dbsql.AdvanceSinkParams{Name: s.Name, NextIndex: cursor.NextIndex, CheckpointSize: cursor.CheckpointSize}
	head, err := q.LogHead(ctx, 0)
	if err != nil {
		return batch, nil, fmt.Errorf("looking where the log ends: %w", err)
	}
	beyond := min(cursor.NextIndex+maxEvents, head.Size)
	rows, err := q.SealedEvents(ctx, dbsql.SealedEventsParams{First: cursor.NextIndex, Beyond: beyond})
	if err != nil {
		return batch, nil, fmt.Errorf("reading sealed events: %w", err)
	}
	size := 0
	for _, row := range rows {
		line := audit.AppendLine(nil, row.Index, row.AuditEvent)
		if size += len(line); size > maxBytes && len(batch.Lines) > 0 {
			beyond = row.Index
			break
		}
		batch.Lines, batch.Last = append(batch.Lines, line), row.Index
	}
	if missing := beyond - cursor.NextIndex - int64(len(batch.Lines)); missing > 0 {
		s.Log.WarnContext(ctx, "sealed events are not in the history any more, so a sink cannot be told of them",
			slog.String("sink", s.Name), slog.Int64("events", missing), slog.Int64("from", cursor.NextIndex))
	}
	next.NextIndex = max(beyond, cursor.NextIndex)
	signed, err := q.CheckpointsAfter(ctx, dbsql.CheckpointsAfterParams{Size: cursor.CheckpointSize, AtMost: maxCheckpoints})
	if err != nil {
		return batch, nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	for _, c := range signed {
		if c.Size <= next.NextIndex {
			batch.Checkpoints, next.CheckpointSize = append(batch.Checkpoints, c.Note), c.Size
		}
	}
	if next.NextIndex == cursor.NextIndex && len(batch.Checkpoints) == 0 {
		return batch, nil, nil
	}
	return batch, next, nil
}

// pause is how long to wait after so many failures before this one: doubled each time, and
// scattered so that replicas and sinks do not come at once.
func pause(failures int32) time.Duration {
	d := lastPause
	if failures < 10 {
		d = min(lastPause, firstPause<<failures)
	}
	return d/2 + rand.N(d/2) //nolint:gosec // scatters, and hides nothing
}
