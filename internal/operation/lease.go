package operation

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// running are the operations that this process works on, by lease: should it ever
// claim one a second time while it still works on it, the two are not the same.
type running struct {
	mu      sync.Mutex
	byLease map[uuid.UUID]*holding
}

type holding struct {
	operation uuid.UUID
	giveUp    context.CancelCauseFunc
	// shown is when it was last shown that somebody works on it.
	shown time.Time
}

func newRunning() *running { return &running{byLease: map[uuid.UUID]*holding{}} }

// add keeps the lease of a claimed operation until it is removed. giveUp is called if
// the lease is lost before.
func (r *running) add(row dbsql.Operation, giveUp context.CancelCauseFunc) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byLease[*row.Lease] = &holding{operation: row.ID, giveUp: giveUp, shown: time.Now()} //nolint:forbidigo // how long ago, by one clock
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.byLease, *row.Lease)
	}
}

// held are the leases and, beside them, their operations.
func (r *running) held() (leases, operations []uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for lease, h := range r.byLease {
		leases, operations = append(leases, lease), append(operations, h.operation)
	}
	return leases, operations
}

// show notes which of some leases are still held, and which of those were renewed at a time:
// the others are lost.
func (r *running) show(leases []uuid.UUID, found []dbsql.RenewLeasesRow, at time.Time) {
	renewed := make(map[uuid.UUID]bool, len(found))
	for _, row := range found {
		renewed[row.ID] = row.Renewed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, lease := range leases {
		h := r.byLease[lease]
		if h == nil {
			continue // it has ended meanwhile
		}
		isRenewed, isHeld := renewed[h.operation]
		switch {
		case !isHeld:
			h.giveUp(errLeaseLost)
		case isRenewed:
			h.shown = at
		}
	}
}

// loseOlder gives up what was last shown before a time, and says how many that are.
func (r *running) loseOlder(than time.Time) (lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.byLease {
		if h.shown.Before(than) {
			h.giveUp(errLeaseLost)
			lost++
		}
	}
	return lost
}

// keepLeases shows that this process lives. What it cannot show in time it gives up,
// before the lease runs out: another worker may then take it up, and two must not work
// on one operation. The database's clock goes on while it cannot be reached.
func (e *Engine) keepLeases(ctx context.Context, under *running) {
	for pause(ctx, e.Lease/4) {
		leases, operations := under.held()
		if len(leases) == 0 {
			continue
		}
		started := time.Now() //nolint:forbidigo // how long ago, by one clock
		found, err := e.renew(ctx, leases, operations)
		if err == nil {
			under.show(leases, found, started)
		}
		if ctx.Err() != nil {
			return
		}
		if lost := under.loseOlder(time.Now().Add(-e.Lease * 3 / 5)); lost > 0 { //nolint:forbidigo // as above
			e.Log.WarnContext(ctx, "giving up operations whose leases cannot be renewed", slog.Int("operations", lost), slog.Any("error", err))
		}
	}
}

func (e *Engine) renew(ctx context.Context, leases, operations []uuid.UUID) ([]dbsql.RenewLeasesRow, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Lease/5)
	defer cancel()
	return e.Store.RenewLeases(ctx, dbsql.RenewLeasesParams{LeaseSeconds: e.Lease.Seconds(), Leases: leases, Ids: operations})
}
