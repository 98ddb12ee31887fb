package access

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// freezeAge is how old what a process knows of freezes may be, should it not be told of one: see
// [Guard.ForgetFreezes]. Within it a change may still be accepted; what goes to the vendor then
// waits in the queue, as the claim asks the database itself.
const freezeAge = 500 * time.Millisecond

// freezeWait bounds a look, which goes on for whoever waits when one of them has left.
const freezeWait = 5 * time.Second

// freezes are what is frozen, as a process last saw it.
type freezes struct {
	last   atomic.Pointer[frozen]
	flight singleflight.Group
	// changes counts what was told to have changed. A look that began before is worth nothing after.
	changes atomic.Uint64
}

// frozen is what one look saw, and when it began, by this machine's clock and by changes.
type frozen struct {
	asked   time.Time
	changes uint64
	rows    []dbsql.FreezesRow
}

// ForgetFreezes is to be called once a freeze, or its end, is committed: no call that comes after
// that is decided by what was seen before. It is, too, when one of another replica is heard of.
func (g *Guard) ForgetFreezes() { g.frozen.changes.Add(1) }

// check refuses a change of what is frozen.
func (f *freezes) check(ctx context.Context, store *db.Store, m *methods.Method, d Decision) error {
	if m == nil || reads(m.Access.GetAction()) || m.Access.GetWhileFrozen() {
		return nil
	}
	rows, err := f.now(ctx, store)
	if err != nil {
		return err
	}
	touched := append(slices.Clip(d.changed), d.Team)
	for _, row := range rows {
		what := "everything"
		if row.TeamID != nil {
			i := slices.IndexFunc(touched, func(t identity.Team) bool { return t.ID == *row.TeamID })
			if i < 0 {
				continue
			}
			what = fmt.Sprintf("team %q", touched[i].Name)
		}
		return fault.New(pb.ErrorReason_ERROR_REASON_FROZEN, "%s is frozen: only what takes rights or changes back can be done. %s froze it at %s: %s",
			what, row.Actor, row.FrozenAt.UTC().Format(time.RFC3339), row.Reason)
	}
	return nil
}

// now is what is frozen. One call looks while the others wait for it, each no longer than it
// may; what a look saw that began too long before a call is nothing to that one.
func (f *freezes) now(ctx context.Context, store *db.Store) ([]dbsql.FreezesRow, error) {
	oldest := time.Now().Add(-freezeAge) //nolint:forbidigo // the age of what this process has seen
	changes := f.changes.Load()
	for {
		if seen := f.last.Load(); seen != nil && seen.asked.After(oldest) && seen.changes >= changes {
			return seen.rows, nil
		}
		looked := f.flight.DoChan("", func() (any, error) { return nil, f.look(ctx, store) })
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case result := <-looked:
			if result.Err != nil {
				return nil, fmt.Errorf("looking what is frozen: %w", result.Err)
			}
		}
	}
}

func (f *freezes) look(ctx context.Context, store *db.Store) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), freezeWait)
	defer cancel()
	seen := &frozen{asked: time.Now(), changes: f.changes.Load()} //nolint:forbidigo // as above
	var err error
	if seen.rows, err = store.Freezes(ctx); err != nil {
		if ctx.Err() != nil {
			return db.Unanswered(err)
		}
		return db.Classify(err)
	}
	f.last.Store(seen)
	return nil
}
