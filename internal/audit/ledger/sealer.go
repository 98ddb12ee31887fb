package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const (
	// sealEvery is the pause between two passes.
	sealEvery = time.Second
	// groupSize is how many events a transaction seals at the most. It bounds the memory,
	// and how long the lock is held.
	groupSize = 500
	// lookBack is how far behind the youngest sealed event a pass looks for late ones.
	lookBack = time.Minute
	// sweepEvery is the pause between two searches of the last sweepBack.
	sweepEvery, sweepBack = 10 * time.Minute, 24 * time.Hour
	// lockName is the lock of whoever seals.
	lockName = "audit/seal"
)

// Config is what a sealer works with.
type Config struct {
	// Store is required.
	Store *db.Store
	// Log is required.
	Log *slog.Logger
	// Signers sign checkpoints. Nil: events are sealed and nothing is signed.
	Signers *evidence.Signers
	// CheckpointEvery is the least time between two checkpoints. Zero: each pass that
	// sealed something is followed by one.
	CheckpointEvery time.Duration
}

// Sealer gives events their place in the log.
type Sealer struct {
	cfg Config
	// signed is the last checkpoint of this process. The database's may be taken away.
	signed evidence.Checkpoint
}

// NewSealer makes a sealer; [Sealer.Run] starts it.
func NewSealer(cfg Config) *Sealer { return &Sealer{cfg: cfg} }

// Run seals until ctx is done. Errors are logged, and what could not be done is done in a
// later pass.
func (s *Sealer) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	untilSweep := sweepEvery
	var complaints Complaints
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := s.Pass(ctx)
		if untilSweep -= sealEvery; err == nil && untilSweep <= 0 {
			err, untilSweep = s.sweep(ctx), sweepEvery
		}
		if ctx.Err() == nil {
			complaints.Say(ctx, s.cfg.Log, "sealing the history", err)
		}
		timer.Reset(sealEvery)
	}
}

// Pass seals what there is and signs a checkpoint if one is due. It does nothing while
// another replica is at it.
func (s *Sealer) Pass(ctx context.Context) error {
	if _, err := s.seal(ctx, lookBack); err != nil {
		return err
	}
	return s.checkpoint(ctx, s.cfg.CheckpointEvery)
}

// All seals every event there is, however old, and signs a checkpoint. It answers how many
// events it sealed.
func (s *Sealer) All(ctx context.Context) (int, error) {
	n, err := s.seal(ctx, math.MaxInt64)
	if err != nil {
		return n, err
	}
	return n, s.checkpoint(ctx, 0)
}

func (s *Sealer) sweep(ctx context.Context) error {
	n, err := s.seal(ctx, sweepBack)
	if n > 0 {
		s.cfg.Log.WarnContext(ctx, "events became visible long after they were written; they are sealed now, after younger ones", slog.Int("events", n))
	}
	return err
}

// seal seals all that it finds within the time, group by group. Each group looks on where the
// one before ended: to look back as far each time would cost the square of a long history.
func (s *Sealer) seal(ctx context.Context, back time.Duration) (int, error) {
	total := 0
	var from time.Time
	for {
		n, last, err := s.group(ctx, back, from)
		total += n
		if err != nil || n < groupSize {
			return total, err
		}
		from = last
	}
}

// group seals one group, in one transaction, of events that are dated from or later. It
// answers how many, and the date of the last.
func (s *Sealer) group(ctx context.Context, back time.Duration, from time.Time) (sealed int, last time.Time, err error) {
	err = s.cfg.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		sealed = 0
		mine, err := q.TryLock(ctx, lockName)
		if err != nil || !mine {
			return err
		}
		head, err := q.LogHead(ctx, back.Seconds())
		if err != nil {
			return fmt.Errorf("looking where the log ends: %w", err)
		}
		if from.Before(head.Since) {
			from = head.Since
		}
		events, err := q.UnsealedEvents(ctx, dbsql.UnsealedEventsParams{Since: from, AtMost: groupSize})
		if err != nil {
			return fmt.Errorf("looking for events that are not sealed: %w", err)
		}
		if sealed = len(events); sealed > 0 {
			last = events[sealed-1].RecordedAt
		}
		return appendEvents(ctx, q, head.Size, events)
	})
	if err != nil {
		return 0, last, err
	}
	return sealed, last, nil
}

// appendEvents gives events the places from size on.
func appendEvents(ctx context.Context, q *db.Queries, size int64, events []dbsql.AuditEvent) error {
	if len(events) == 0 {
		return nil
	}
	leaves := make([]tlog.Hash, len(events))
	rows := dbsql.InsertLeavesParams{
		Indexes: make([]int64, len(events)), EventIds: make([]uuid.UUID, len(events)),
		RecordedAt: make([]time.Time, len(events)), Hashes: make([][]byte, len(events)),
	}
	var text []byte
	for i, event := range events {
		text = audit.AppendCanonical(text[:0], event)
		leaves[i] = audit.Leaf(text)
		rows.Indexes[i], rows.EventIds[i], rows.RecordedAt[i], rows.Hashes[i] = size+int64(i), event.ID, event.RecordedAt, leaves[i][:]
	}
	if err := q.InsertLeaves(ctx, rows); err != nil {
		return fmt.Errorf("sealing events: %w", err)
	}
	nodes, err := grow(ctx, q, size, leaves)
	if err != nil || len(nodes) == 0 {
		return err
	}
	var above dbsql.InsertNodesParams
	for _, n := range nodes {
		above.Levels, above.Numbers, above.Hashes = append(above.Levels, n.tier), append(above.Numbers, n.n), append(above.Hashes, n.hash[:])
	}
	if err := q.InsertNodes(ctx, above); err != nil {
		return fmt.Errorf("storing nodes of the log: %w", err)
	}
	return nil
}

// checkpoint signs where the log stands, if the last time was long enough ago. It first
// makes sure that the log still holds what was signed before: a signature must not
// make a log good that was changed.
func (s *Sealer) checkpoint(ctx context.Context, every time.Duration) error {
	if s.cfg.Signers == nil {
		return nil
	}
	var made *evidence.Checkpoint
	err := s.cfg.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		made = nil
		mine, err := q.TryLock(ctx, lockName)
		if err != nil || !mine {
			return err
		}
		head, err := q.LogHead(ctx, 0)
		if err != nil {
			return fmt.Errorf("looking where the log ends: %w", err)
		}
		last, err := q.LatestCheckpoint(ctx)
		if err != nil && !db.NoRows(err) {
			return fmt.Errorf("looking for the last checkpoint: %w", err)
		}
		nothingNew := head.Size == last.Size && s.signed.Size <= last.Size // an empty log, too
		if nothingNew || (last.Size > 0 && head.Now.Sub(last.SignedAt) < every) {
			return nil
		}
		reader := hashReader(ctx, q)
		if err := s.stillHolds(last, head.Size, reader); err != nil {
			return err
		}
		root, err := tlog.TreeHash(head.Size, reader)
		if err != nil {
			return err
		}
		signed, err := s.cfg.Signers.Sign(head.Size, root)
		if err != nil {
			return err
		}
		made = &signed
		return q.InsertCheckpoint(ctx, dbsql.InsertCheckpointParams{Size: signed.Size, Root: signed.Root[:], Note: signed.Note})
	})
	if err != nil || made == nil {
		return err
	}
	s.signed = *made
	s.cfg.Log.InfoContext(ctx, "audit checkpoint", slog.String("origin", made.Origin), slog.Int64("size", made.Size),
		slog.String("root", made.Root.String()), slog.String("note", made.Note))
	return nil
}

// stillHolds says whether the log is a continuation of what was signed before: the last
// checkpoint that the database has, and the last that this process made.
func (s *Sealer) stillHolds(last dbsql.AuditCheckpoint, size int64, reader tlog.HashReader) error {
	before := []evidence.Checkpoint{s.signed}
	if last.Size > 0 {
		before = append(before, evidence.Checkpoint{Size: last.Size, Root: tlog.Hash(last.Root)})
	}
	for _, c := range before {
		if c.Size == 0 {
			continue
		}
		if err := holds(c, size, reader); err != nil {
			return fmt.Errorf("nothing more is signed: %w", err)
		}
	}
	return nil
}

// holds says whether the log of a size is a continuation of a checkpoint.
func holds(c evidence.Checkpoint, size int64, reader tlog.HashReader) error {
	if c.Size > size {
		return &BrokenError{fmt.Sprintf("THE HISTORY WAS CUT: it has %d events, and a checkpoint of %d was signed", size, c.Size)}
	}
	root, err := tlog.TreeHash(c.Size, reader)
	if err != nil {
		return err
	}
	if root != c.Root {
		return &BrokenError{fmt.Sprintf("THE HISTORY WAS CHANGED: it is not what the checkpoint of %d events says", c.Size)}
	}
	return nil
}

// Holds says whether the database's log is a continuation of a checkpoint; a nil error is
// yes, and so it is for the zero checkpoint.
func Holds(ctx context.Context, store *db.Store, c evidence.Checkpoint) error {
	if c.Size == 0 {
		return nil
	}
	head, err := store.LogHead(ctx, 0)
	if err != nil {
		return fmt.Errorf("looking where the log ends: %w", db.Classify(err))
	}
	return holds(c, head.Size, hashReader(ctx, store.Queries))
}
