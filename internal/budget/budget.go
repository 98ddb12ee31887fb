package budget

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// DefaultAccount is the vendor account that every database has from the start: that of teams
// which were not told to create in another one.
const DefaultAccount = "default"

// Budget is the budget of one vendor account.
type Budget struct {
	store   *db.Store
	account string
	limits  Limits
	log     *slog.Logger
	now     func() time.Time
	readers readers
	wasOpen atomic.Bool // the breaker, as far as this process was told; for the log alone
}

// New makes the budget of an account, which must have its row in the database.
func New(store *db.Store, account string, limits Limits, log *slog.Logger) *Budget {
	return &Budget{store: store, account: account, limits: limits.WithDefaults(), log: log, now: time.Now} //nolint:forbidigo // the one clock of the package
}

// Account is the name of the vendor account.
func (b *Budget) Account() string { return b.account }

// Take waits until one call may go and grants it. A caller whose deadline comes
// before its turn is refused at once, with the time to come back at; so is everybody
// while the vendor does not answer. Reads wait in fair order: see [readers].
func (b *Budget) Take(ctx context.Context, f For) (Call, error) {
	if f.Purpose == Read {
		return b.takeInTurn(ctx, f)
	}
	for {
		call, wait, err := b.try(ctx, f)
		if err != nil || wait == 0 {
			return call, err
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait { //nolint:forbidigo // a deadline is by this machine's clock
			return Call{}, b.exhausted(wait)
		}
		// Others may be granted in between; polling at least once a second also
		// notices a budget that was widened or a pause that was lifted.
		timer := time.NewTimer(min(wait, time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return Call{}, ctx.Err()
		case <-timer.C:
		}
	}
}

// Try grants one call if it may go now; if not, it says how long until it may.
func (b *Budget) Try(ctx context.Context, f For) (call Call, ok bool, wait time.Duration, err error) {
	call, wait, err = b.try(ctx, f)
	return call, err == nil && wait == 0, wait, err
}

func (b *Budget) try(ctx context.Context, f For) (call Call, wait time.Duration, err error) {
	err = b.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		room, err := b.Available(ctx, q, f.Purpose, 1)
		if wait = room.Wait; err != nil || room.Calls == 0 {
			if room.Away && f.Purpose != Sync {
				return b.away(room.Wait)
			}
			return err
		}
		calls, err := b.Grant(ctx, q, room, f)
		if err != nil {
			return err
		}
		call, wait = calls[0], 0
		return nil
	})
	if err != nil {
		return Call{}, 0, fmt.Errorf("taking from the budget: %w", err)
	}
	return call, wait, nil
}

func (b *Budget) exhausted(wait time.Duration) error {
	return &fault.Error{
		Reason: pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED,
		Public: fmt.Sprintf("the vendor account %q has used up its calls; the next one may go in %s, after your deadline",
			b.account, wait.Round(time.Second/10)),
		RetryAfter: wait,
		Metadata:   map[string]string{"quota": "account:" + b.account},
	}
}

// Answer is how a granted call went.
type Answer struct {
	Call Call
	Seen Seen
}

// Observe records how granted calls went and corrects the budget by what the vendor told. It
// runs on q: the settling of changes, or the store itself.
func (b *Budget) Observe(ctx context.Context, q *db.Queries, answers ...Answer) error {
	for _, a := range answers {
		status, millis := int32(a.Seen.Status), int32(a.Seen.Duration.Milliseconds())
		if err := q.RecordCall(ctx, dbsql.RecordCallParams{
			Account: a.Call.Account, Number: a.Call.Number, Status: &status, DurationMs: &millis, VendorRequestID: a.Seen.RequestID,
		}); err != nil {
			return fmt.Errorf("recording a vendor call: %w", err)
		}
	}
	up := false
	for _, a := range answers {
		if a.Seen.Verdict == Up && up {
			continue // nothing more to be learnt
		}
		if err := b.judge(ctx, q, a.Call, a.Seen.Verdict); err != nil {
			return err
		}
		up = a.Seen.Verdict == Up
	}
	for _, a := range answers {
		if err := b.heed(ctx, q, a.Seen); err != nil {
			return err
		}
		if err := b.learn(ctx, q, a.Call, a.Seen); err != nil {
			return err
		}
	}
	return nil
}

// heed keeps quiet for as long as the vendor wants, if it throttles us.
func (b *Budget) heed(ctx context.Context, q *db.Queries, seen Seen) error {
	if !seen.Throttled {
		return nil
	}
	pause := max(seen.RetryAfter, time.Second)
	b.log.WarnContext(ctx, "the vendor throttles us", slog.String("account", b.account), slog.Duration("pause", pause))
	if err := q.PauseAccount(ctx, dbsql.PauseAccountParams{Account: b.account, Seconds: pause.Seconds()}); err != nil {
		return fmt.Errorf("pausing the account: %w", err)
	}
	return nil
}

// learn compares what the vendor says is left of the hour with what we think. What
// is missing, others used with the same token. A remaining of 0 may mean the
// minute, so it teaches nothing; nor does a limit that is not the configured one.
func (b *Budget) learn(ctx context.Context, q *db.Queries, call Call, seen Seen) error {
	if seen.Limit != b.limits.PerHour || seen.Remaining <= 0 || call.Number%learnEvery != 0 {
		return nil
	}
	// Calls with higher numbers may not have arrived when the vendor counted, so only
	// those up to this one are surely in its count.
	ours, err := q.CountCallsWithin(ctx, dbsql.CountCallsWithinParams{
		Account: b.account, AfterNumber: call.Number - int64(b.limits.PerHour), UpToNumber: call.Number, WindowSeconds: b.limits.Hour.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("counting the calls of the last hour: %w", err)
	}
	foreign := max(0, b.limits.PerHour-seen.Remaining-int(ours))
	if err := q.SetForeignUsed(ctx, dbsql.SetForeignUsedParams{Account: b.account, ForeignUsed: int32(foreign)}); err != nil {
		return fmt.Errorf("noting what others used: %w", err)
	}
	return nil
}

// learnEvery spares most answers the comparison.
const learnEvery = 8
