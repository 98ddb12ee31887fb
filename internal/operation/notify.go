package operation

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const (
	// channel carries ids of ended operations, queued for new ones, and changed before the
	// ids of batches that went on, which earlier releases pass over, as they do from before
	// the name of who sends them.
	channel = "agentsvc_operations"
	queued  = "queued"
	changed = "~"
	from    = "@"
	// gather is how long hints are collected before they are sent as one.
	gather = 5 * time.Millisecond
	// maxHints keeps a payload below the 8000 bytes of NOTIFY.
	maxHints = 200
	// pollEvery is how soon a waiter learns of a result whose hint was lost.
	pollEvery = time.Second
	// relisten is the pause before listening again after the connection broke.
	relisten = time.Second
)

// waiters are the calls of this process that wait for operations to end.
type waiters struct {
	mu   sync.Mutex
	byOp map[uuid.UUID]map[chan *dbsql.Operation]struct{}
}

func newWaiters() *waiters { return &waiters{byOp: map[uuid.UUID]map[chan *dbsql.Operation]struct{}{}} }

// add registers interest. When the operation is told to have ended, ended gets its row if
// that is known, and is closed. The caller looks at the row after adding, or adds before
// there is one, so that nothing is missed.
func (w *waiters) add(id uuid.UUID) (ended <-chan *dbsql.Operation, remove func()) {
	ch := make(chan *dbsql.Operation, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byOp[id] == nil {
		w.byOp[id] = map[chan *dbsql.Operation]struct{}{}
	}
	w.byOp[id][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byOp[id], ch)
		if len(w.byOp[id]) == 0 {
			delete(w.byOp, id)
		}
	}
}

// ended tells the waiters; row is nil where only the fact is known.
func (w *waiters) ended(id uuid.UUID, row *dbsql.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.byOp[id] {
		if row != nil {
			ch <- row // there is room for one
		}
		close(ch)
	}
	delete(w.byOp, id)
}

func (w *waiters) ids() []uuid.UUID {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]uuid.UUID, 0, len(w.byOp))
	for id := range w.byOp {
		ids = append(ids, id)
	}
	return ids
}

// tell passes a hint to the other replicas. When there are too many it is dropped:
// they poll.
func (e *Engine) tell(hint string) {
	select {
	case e.told <- hint:
	default:
	}
}

// RunNotifications keeps the waiters of this process informed until ctx is done:
// it sends hints to the other replicas, hears theirs, and polls for those lost. It is
// apart from [Engine.Run] because a replica without workers has waiters too.
func (e *Engine) RunNotifications(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { e.sendHints(ctx) })
	wg.Go(func() { e.hearHints(ctx) })
	wg.Go(func() { e.pollEnded(ctx) })
	wg.Wait()
	return nil
}

func (e *Engine) sendHints(ctx context.Context) {
	for {
		var hints []string
		select {
		case <-ctx.Done():
			return
		case hint := <-e.told:
			hints = append(hints, hint)
		}
		timer := time.NewTimer(gather)
		for collecting := true; collecting && len(hints) < maxHints; {
			select {
			case hint := <-e.told:
				if hint != queued || hints[len(hints)-1] != queued {
					hints = append(hints, hint)
				}
			case <-timer.C:
				collecting = false
			}
		}
		timer.Stop()
		if err := e.Store.Notify(ctx, channel, e.self+","+strings.Join(hints, ",")); err != nil && ctx.Err() == nil {
			e.Log.DebugContext(ctx, "hints to other replicas were lost", slog.Any("error", err))
		}
	}
}

func (e *Engine) hearHints(ctx context.Context) {
	for ctx.Err() == nil {
		err := e.Store.Listen(ctx, channel, func(payload string) {
			if sender, _, _ := strings.Cut(payload, ","); sender == e.self {
				return
			}
			for hint := range strings.SplitSeq(payload, ",") {
				if hint == queued {
					e.wakeDispatcher()
				} else if of, isChange := strings.CutPrefix(hint, changed); isChange {
					e.watchers.wakeNamed(of)
				} else if id, err := uuid.Parse(hint); err == nil {
					e.waiters.ended(id, nil)
					e.watchers.wake(id)
				}
			}
		})
		if ctx.Err() != nil {
			return
		}
		e.Log.WarnContext(ctx, "not hearing from other replicas, polling instead", slog.Any("error", err))
		pause(ctx, relisten)
	}
}

func (e *Engine) pollEnded(ctx context.Context) {
	for pause(ctx, pollEvery) {
		ids := e.waiters.ids()
		if len(ids) == 0 {
			continue
		}
		ended, err := e.Store.OperationsEnded(ctx, ids)
		if err != nil {
			continue // the waiters have their own deadlines, and the next poll comes
		}
		for _, id := range ended {
			e.waiters.ended(id, nil)
		}
	}
}

// pause waits for d and says whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
