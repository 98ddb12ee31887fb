package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const (
	// idlePoll is how soon new work is noticed when its hint was lost.
	idlePoll = time.Second
	// abandonedEvery is how often abandoned operations are looked for.
	abandonedEvery = 100 * time.Millisecond
	// heldUpPoll is how soon it is noticed that what was held up may go, when that had no hint:
	// what it waited for was settled by another replica, or its team is frozen no more.
	heldUpPoll = 250 * time.Millisecond
	// untilMore is the wait where nothing more could go: [Engine.nextWork] says how long that is.
	untilMore time.Duration = -1
	// awayPause is the pause after the database could not be asked.
	awayPause = 500 * time.Millisecond
	// undelivered is how long a secret waits for a caller who never came.
	undelivered = time.Hour
	// eraseEvery is how often such secrets are looked for.
	eraseEvery = time.Minute
)

var errDrainExpired = errors.New("the time to finish is over")

// job is a claimed operation with the vendor call granted for it.
type job struct {
	row  dbsql.Operation
	call budget.Call
	// marked says that the claim has marked it as sent already.
	marked bool
}

// Run makes changes until ctx is done. Then it claims no more, lets those under way
// finish for at most Drain, and returns once every goroutine it started has ended.
// What it has to leave unfinished is claimed by another worker, or by the next start.
func (e *Engine) Run(ctx context.Context) error {
	work, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	stop := context.AfterFunc(ctx, func() {
		if pause(work, e.Drain) { // broken off when all is finished before
			abort(errDrainExpired)
		}
	})
	defer stop()

	under := newRunning()
	keepers, done := context.WithCancel(work)
	var wg, jobs sync.WaitGroup
	wg.Go(func() { e.keepLeases(keepers, under) })
	wg.Go(func() { e.eraseUndelivered(keepers) })
	wg.Go(func() { e.expireApprovals(keepers) })
	wg.Go(func() { e.endStranded(keepers) })
	e.dispatch(ctx, work, under, &jobs)
	jobs.Wait()
	done()
	wg.Wait()
	return context.Cause(work) // nil unless operations had to be left
}

// dispatch claims under ctx and performs under work.
func (e *Engine) dispatch(ctx, work context.Context, under *running, jobs *sync.WaitGroup) {
	slots := make(chan struct{}, e.Concurrency)
	for {
		// One free slot at least, then as many as are free.
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		free := e.Concurrency - len(slots) + 1
		select { // the claim sees by itself what has ended before it
		case <-e.freed:
		default:
		}
		claimed, wait, err := e.claim(ctx, free)
		if err != nil {
			<-slots
			if ctx.Err() != nil {
				return
			}
			e.Log.WarnContext(ctx, "claiming operations", slog.Any("error", err))
			pause(ctx, awayPause)
			continue
		}
		for i, j := range claimed {
			if i > 0 {
				slots <- struct{}{} // free: only this loop takes slots
			}
			jobs.Go(func() {
				defer func() { <-slots }()
				e.perform(work, under, j)
			})
		}
		if len(claimed) == 0 {
			<-slots
		}
		if wait != 0 {
			e.rest(ctx, wait)
		}
	}
}

// rest waits until there may be something to claim, for as long as [Engine.claim] said.
func (e *Engine) rest(ctx context.Context, wait time.Duration) {
	var freed <-chan struct{} // nil, and never heard of, while nothing waits for that
	if wait == untilMore {
		var heldUp bool
		if wait, heldUp = e.nextWork(ctx); heldUp {
			freed = e.freed
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-e.wake:
	case <-freed:
	case <-timer.C:
	}
}

// claim takes up to most operations, as far as the budget goes, and says how long to
// wait for more: not at all if there may be more than it took, and [untilMore] if there is
// nothing that could go.
// One transaction claims and grants: an operation that is claimed may be sent
// at once, and where nothing is left to be asked before, it is marked as sent as well. Then
// the commit is durable. Else it need not be: a crash of the database then forgets the
// claim, and nothing was sent, since sending waits for a durable commit after it.
// Asking for room takes the lock of the budget, so claims of all replicas come one after
// the other: each sees what those before it hold, which is what keeps changes that share
// any of their keys apart.
func (e *Engine) claim(ctx context.Context, most int) (jobs []job, wait time.Duration, err error) {
	ctx, cancel := brief(ctx)
	defer cancel()
	err = e.Store.TxAs(ctx, func(q *db.Queries) (db.Durability, error) {
		jobs, wait = nil, 0
		room, err := e.Budget.Available(ctx, q, budget.Change, most)
		if err != nil {
			return db.Loose, err
		}
		if room.Calls == 0 {
			wait = max(time.Millisecond, min(room.Wait, idlePoll))
			return db.Loose, nil
		}
		taken, err := e.take(ctx, q, room)
		if err != nil {
			return db.Loose, err
		}
		if len(taken) < room.Calls {
			wait = untilMore
		}
		if len(taken) == 0 {
			return db.Loose, nil
		}
		durability := db.Loose
		whom := make([]budget.For, len(taken))
		for i, j := range taken {
			whom[i] = budget.For{Purpose: budget.Change, Method: j.row.Method, Team: &j.row.TeamID, Operation: &j.row.ID}
			if j.row.SentAt != nil {
				whom[i].Purpose = budget.Reconcile
			}
			if j.marked {
				durability = db.Durable
			}
		}
		calls, err := e.Budget.Grant(ctx, q, room, whom...)
		if err != nil {
			return durability, err
		}
		for i := range taken {
			taken[i].call = calls[i]
		}
		jobs = taken
		return durability, nil
	})
	if db.UniqueViolation(err, "operations_one_running") {
		return nil, time.Millisecond, nil // another claim was quicker: look again
	}
	if err == nil {
		e.taken(jobs)
	}
	return jobs, wait, err
}

// nextWork is how long until something may be claimed that cannot be now, and whether
// something is held up, so that it may go as soon as another change ends.
func (e *Engine) nextWork(ctx context.Context) (wait time.Duration, heldUp bool) {
	ctx, cancel := brief(ctx)
	defer cancel()
	next, err := e.Store.NextWork(ctx, e.Budget.Account())
	if err != nil {
		return idlePoll, false
	}
	wait = idlePoll
	if next.HeldUp {
		wait = heldUpPoll
	}
	if next.Seconds >= 0 {
		wait = min(wait, max(time.Duration(next.Seconds*float64(time.Second)), abandonedEvery))
	}
	return wait, next.HeldUp
}

// abandonedDue says whether it is time to look for abandoned operations: there are none
// most of the time, and a busy dispatcher claims many times a second. Only the
// dispatcher's goroutine asks.
func (e *Engine) abandonedDue() bool {
	now := time.Now() //nolint:forbidigo // how long ago, by one clock
	if now.Sub(e.soughtAbandoned) < abandonedEvery {
		return false
	}
	e.soughtAbandoned = now
	return true
}

// take claims as many operations as there is room for.
func (e *Engine) take(ctx context.Context, q *db.Queries, room budget.Room) ([]job, error) {
	worker, n := e.Worker, room.Calls
	var jobs []job
	if e.abandonedDue() {
		rows, err := q.ClaimAbandoned(ctx, dbsql.ClaimAbandonedParams{
			Worker: &worker, LeaseSeconds: e.Lease.Seconds(), Account: e.Budget.Account(), AtMost: int32(n),
		})
		if err != nil {
			return nil, fmt.Errorf("claiming abandoned operations: %w", err)
		}
		for _, row := range rows {
			jobs = append(jobs, job{row: row})
		}
	}
	if n -= len(jobs); n > 0 {
		aged, err := e.takeAged(ctx, q, room)
		if err != nil {
			return nil, err
		}
		jobs, n = append(jobs, aged...), n-len(aged)
	}
	if n > 0 {
		fresh, err := e.takeQueued(ctx, q, urgentLane, 0, n)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, fresh...)
	}
	return jobs, startBatches(ctx, q, jobs)
}

func (e *Engine) eraseUndelivered(ctx context.Context) {
	for pause(ctx, eraseEvery) {
		n, err := e.Store.EraseUndelivered(ctx, undelivered.Seconds())
		if err == nil && n > 0 {
			e.Log.InfoContext(ctx, "secrets that nobody came for were erased", slog.Int64("operations", n))
		}
	}
}
