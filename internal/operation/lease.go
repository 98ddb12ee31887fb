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
	byLease map[uuid.UUID]holding
}

type holding struct {
	operation uuid.UUID
	giveUp    context.CancelCauseFunc
}

func newRunning() *running { return &running{byLease: map[uuid.UUID]holding{}} }

// add keeps the lease of a claimed operation until it is removed. giveUp is called if
// the lease is lost before.
func (r *running) add(row dbsql.Operation, giveUp context.CancelCauseFunc) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byLease[*row.Lease] = holding{operation: row.ID, giveUp: giveUp}
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

// lose gives up what is not among the kept operations.
func (r *running) lose(leases []uuid.UUID, kept map[uuid.UUID]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, lease := range leases {
		if h, still := r.byLease[lease]; still && !kept[h.operation] {
			h.giveUp(errLeaseLost)
		}
	}
}

// keepLeases shows that this process lives. What it cannot show in time it gives up,
// before the lease runs out: another worker may then take it up, and two must not work
// on one operation. The database's clock goes on while it cannot be reached.
func (e *Engine) keepLeases(ctx context.Context, under *running) {
	shown := time.Now() //nolint:forbidigo // how long ago, by one clock
	for pause(ctx, e.Lease/4) {
		leases, operations := under.held()
		if len(leases) == 0 {
			shown = time.Now() //nolint:forbidigo // as above
			continue
		}
		started := time.Now() //nolint:forbidigo // as above
		held, err := e.renew(ctx, leases, operations)
		if err == nil {
			shown = started
			kept := make(map[uuid.UUID]bool, len(held))
			for _, id := range held {
				kept[id] = true
			}
			under.lose(leases, kept)
			continue
		}
		if time.Since(shown) >= e.Lease*3/5 && ctx.Err() == nil { //nolint:forbidigo // as above
			e.Log.WarnContext(ctx, "giving up operations whose leases cannot be renewed", slog.Int("operations", len(leases)), slog.Any("error", err))
			under.lose(leases, nil)
		}
	}
}

func (e *Engine) renew(ctx context.Context, leases, operations []uuid.UUID) ([]uuid.UUID, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Lease/5)
	defer cancel()
	return e.Store.RenewLeases(ctx, dbsql.RenewLeasesParams{LeaseSeconds: e.Lease.Seconds(), Leases: leases, Ids: operations})
}
