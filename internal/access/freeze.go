package access

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// freezeAge is how old what a process knows of freezes may be. Within it a change may still
// be accepted; it then waits in the queue, as the claim asks the database itself.
const freezeAge = 500 * time.Millisecond

// freezes are what is frozen, as a process last saw it.
type freezes struct {
	mu   sync.Mutex
	seen time.Time
	rows []dbsql.FreezesRow
}

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
		return fault.New(pb.ErrorReason_ERROR_REASON_FROZEN, "%s is frozen: nothing can be changed. %s froze it at %s: %s",
			what, row.Actor, row.FrozenAt.UTC().Format(time.RFC3339), row.Reason)
	}
	return nil
}

// now is what is frozen. One call looks while the others wait for it.
func (f *freezes) now(ctx context.Context, store *db.Store) ([]dbsql.FreezesRow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.seen) < freezeAge { //nolint:forbidigo // the age of what this process has seen
		return f.rows, nil
	}
	asked := time.Now() //nolint:forbidigo // as above
	rows, err := store.Freezes(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking what is frozen: %w", db.Classify(err))
	}
	f.rows, f.seen = rows, asked
	return rows, nil
}
