package operation

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/agentsvc/agentsvc/internal/db"
)

// together gathers what comes while a commit runs, to be done together in the next one. So
// nothing waits that could go, and the more there is to do, the less each costs.
type together[T any] struct {
	mu      sync.Mutex
	waiting []T
	busy    bool
}

// join adds an item, and says whether somebody must begin to work.
func (t *together[T]) join(item T) (idle bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = append(t.waiting, item)
	idle, t.busy = !t.busy, true
	return idle
}

// next are up to so many items, the oldest first. None: whoever worked must end, for the next
// to join begins anew.
func (t *together[T]) next(most int) []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(most, len(t.waiting))
	items := t.waiting[:n:n]
	if t.waiting = t.waiting[n:]; n == 0 {
		t.waiting, t.busy = nil, false
	}
	return items
}

// pace is how long a transaction waits for locks of others. One that many wait for is hurried,
// however little is in it: what comes meanwhile waits behind it.
type pace bool

const (
	hurried pace = true
	patient pace = false
)

func (p pace) set(ctx context.Context, q *db.Queries) error {
	if p == patient {
		return nil
	}
	return q.WaitBriefly(ctx)
}

// survive makes an error of a panic, which would take the process with it: what is done
// together runs where no handler's recovery is, and one request must not end all others.
func survive(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}
