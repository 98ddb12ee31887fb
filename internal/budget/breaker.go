package budget

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// The circuit breaker of an account keeps calls from a vendor that does not answer: changes
// wait in the queue without using up their tries, and reads are answered from our copy at
// once. It is in the account's row, so all replicas share what each has seen.
//
//	closed ── breakAfter failures in a row ──▶ open ── probe due ──▶ half open: one call of the sync's
//	   ▲                                        ▲                        │             │
//	   └────────────── any answer ──────────────┼────────────────────────┘             │
//	                                            └──── no answer: twice the pause ◀─────┘
const (
	// breakAfter failures in a row, over all replicas, open the breaker. A vendor that
	// fails now and then answers others in between.
	breakAfter = 10
	// firstProbe is the pause before the first probe; it doubles up to slowestProbe.
	firstProbe   = time.Second
	slowestProbe = 30 * time.Second
	// probeLost is when the next probe may go although the last one told nothing: its sender
	// died, or the vendor takes its time.
	probeLost = 5 * time.Second
)

// Verdict is what a call told about the vendor being there.
type Verdict int

const (
	// Silent says nothing: the call was not made, given up by its caller, or throttled.
	Silent Verdict = iota
	// Up is that the vendor answered.
	Up
	// Down is that it did not, or with nothing of use.
	Down
)

// judge moves the breaker by what a call told.
func (b *Budget) judge(ctx context.Context, q *db.Queries, call Call, verdict Verdict) error {
	switch verdict {
	case Up:
		if err := q.NoteSuccess(ctx, b.account); err != nil {
			return fmt.Errorf("noting that the vendor answers: %w", err)
		}
		if b.wasOpen.CompareAndSwap(true, false) {
			b.log.InfoContext(ctx, "the vendor answers again", slog.String("account", b.account))
		}
	case Down:
		return b.failed(ctx, q, call)
	case Silent:
	}
	return nil
}

func (b *Budget) failed(ctx context.Context, q *db.Queries, call Call) error {
	seen, err := q.NoteFailure(ctx, b.account)
	if err != nil {
		return fmt.Errorf("noting that the vendor does not answer: %w", err)
	}
	switch open := seen.OpenedCall >= 0; {
	case !open && seen.Failures >= breakAfter:
		n, err := q.OpenBreaker(ctx, dbsql.OpenBreakerParams{Account: b.account, Seconds: firstProbe.Seconds()})
		if err != nil {
			return fmt.Errorf("opening the breaker: %w", err)
		}
		b.wasOpen.Store(true)
		if n > 0 {
			b.log.WarnContext(ctx, "the vendor does not answer: changes wait, and reads are answered from our copy",
				slog.String("account", b.account), slog.Int("failures", int(seen.Failures)))
		}
	case open && call.Number > seen.OpenedCall: // those from before do not delay the next probe
		pause := probePause(int(seen.Probes) + 1)
		if err := q.DelayProbe(ctx, dbsql.DelayProbeParams{Account: b.account, Seconds: pause.Seconds()}); err != nil {
			return fmt.Errorf("delaying the next probe: %w", err)
		}
	}
	return nil
}

// probePause is how long to wait after so many probes in a row have failed: 1s, 2s, 4s, …
// 30s.
func probePause(failed int) time.Duration {
	return min(time.Duration(float64(firstProbe)*math.Pow(2, float64(min(failed, 10)))), slowestProbe)
}

// ProbeDue says that the breaker is open and a probe may go: a call with [Budget.Try] for
// [Sync].
func (b *Budget) ProbeDue(ctx context.Context) (bool, error) {
	due, err := b.store.ProbeDue(ctx, b.account)
	if err != nil {
		return false, fmt.Errorf("looking at the breaker: %w", db.Classify(err))
	}
	return due, nil
}

// away is what who asks for a call is told while the breaker is open.
func (b *Budget) away(wait time.Duration) error {
	return &fault.Error{
		Reason:     pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE,
		Public:     "the vendor has not answered for a while; it is asked again before anything else is sent to it",
		RetryAfter: max(wait, time.Second),
	}
}
