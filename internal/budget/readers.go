package budget

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db"
)

// readers are the reads of this process that wait for a call. They go by start-time fair
// queueing over teams: a team with one read waits behind at most one of each other team,
// however many those have waiting. One goroutine asks the budget for all of them, as long
// as there are any. A reader that gives up leaves at once, and its place with it; one whose
// turn cannot come before its deadline is refused as soon as that is known.
type readers struct {
	mu      sync.Mutex
	waiting []*reader // in the order of their starts
	running bool
	// clock is the start of who went last; finish is where a team's next read may start.
	clock  float64
	finish map[uuid.UUID]float64
	// joined tells the goroutine that there is one more; it holds one hint.
	joined chan struct{}
}

// reader is one waiting read.
type reader struct {
	whose    For
	start    float64
	deadline time.Time // zero: none
	turn     chan turn // has room for the one that comes
}

// turn is what a reader waits for.
type turn struct {
	call Call
	err  error
}

// takeInTurn waits for the turn of a read.
func (b *Budget) takeInTurn(ctx context.Context, f For) (Call, error) {
	r := &reader{whose: f, turn: make(chan turn, 1)}
	r.deadline, _ = ctx.Deadline()
	if b.readers.join(r) {
		go b.serveReaders(context.WithoutCancel(ctx))
	}
	select {
	case t := <-r.turn:
		return t.call, t.err
	case <-ctx.Done():
		if b.readers.forgo(r) {
			return Call{}, ctx.Err()
		}
		// Its turn had come, in the same moment.
		if t := <-r.turn; t.err == nil {
			b.giveBack(ctx, t.call)
		}
		return Call{}, ctx.Err()
	}
}

// giveBack returns a call for whoever is gone.
func (b *Budget) giveBack(ctx context.Context, call Call) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grantTimeout)
	defer cancel()
	if err := b.Return(ctx, call); err != nil {
		b.log.InfoContext(ctx, "a call that was not made counts until it is forgotten", slog.Any("error", err))
	}
}

// join puts a reader in its place, and says whether somebody must begin to serve.
func (q *readers) join(r *reader) (idle bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.finish == nil {
		q.finish, q.joined = map[uuid.UUID]float64{}, make(chan struct{}, 1)
	}
	team := r.team()
	r.start = max(q.clock, q.finish[team])
	q.finish[team] = r.start + 1
	at := len(q.waiting)
	for at > 0 && q.waiting[at-1].start > r.start {
		at--
	}
	q.waiting = slices.Insert(q.waiting, at, r)
	select {
	case q.joined <- struct{}{}:
	default: // a hint is waiting already
	}
	idle = !q.running
	q.running = true
	return idle
}

// take takes a reader out whose turn it is, and says whether it still waited.
func (q *readers) take(r *reader) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clock = max(q.clock, r.start)
	return q.remove(r)
}

func (q *readers) remove(r *reader) bool {
	at := slices.Index(q.waiting, r)
	if at >= 0 {
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
	return at >= 0
}

// forgo takes a reader out who gets no call: its team's others move up, as if it had never
// come.
func (q *readers) forgo(r *reader) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.remove(r) {
		return false
	}
	team := r.team()
	q.finish[team] = max(q.clock, q.finish[team]-1)
	for _, other := range q.waiting {
		if other.team() == team && other.start > r.start {
			other.start = max(q.clock, other.start-1)
		}
	}
	slices.SortStableFunc(q.waiting, func(a, b *reader) int { return cmp.Compare(a.start, b.start) })
	return true
}

// team is whose the read is; that of nobody is all who have none.
func (r *reader) team() uuid.UUID {
	if r.whose.Team == nil {
		return uuid.Nil
	}
	return *r.whose.Team
}

// first are up to n of those who wait, in their order.
func (q *readers) first(n int) []*reader {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.waiting[:min(n, len(q.waiting))])
}

// done says that nobody waits. Then whoever serves must end, for the next to join begins
// to serve anew.
func (q *readers) done() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		return false
	}
	q.running, q.clock = false, 0 // nobody is owed anything
	clear(q.finish)
	return true
}

// tell ends the wait of a reader, and says whether it still waited.
func (q *readers) tell(r *reader, t turn) bool {
	if t.err != nil {
		if !q.forgo(r) {
			return false
		}
	} else if !q.take(r) {
		return false
	}
	r.turn <- t
	return true
}

// readersAtOnce is how many reads one transaction lets go.
const readersAtOnce = 32

// serveReaders lets readers go as the budget allows, until nobody waits.
func (b *Budget) serveReaders(ctx context.Context) {
	for !b.readers.done() {
		wait := b.letGo(ctx, b.readers.first(readersAtOnce))
		if wait == 0 {
			continue
		}
		// Others may take in between; looking at least once a second also notices a budget
		// that was widened or a pause that was lifted.
		timer := time.NewTimer(min(wait, time.Second))
		select {
		case <-b.readers.joined:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// grantTimeout bounds one asking of the budget, for which many may wait.
const grantTimeout = 5 * time.Second

// letGo gives the first readers their calls and refuses those whose turn comes too late. If
// nobody could go, it says how long that will stay so.
func (b *Budget) letGo(ctx context.Context, next []*reader) (wait time.Duration) {
	if len(next) == 0 {
		return 0 // they left
	}
	ctx, cancel := context.WithTimeout(ctx, grantTimeout)
	defer cancel()
	var calls []Call
	var room Room
	err := b.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		calls = nil
		if room, err = b.Available(ctx, q, Read, len(next)); err != nil || room.Calls == 0 {
			return err
		}
		whose := make([]For, 0, room.Calls)
		for _, r := range next[:room.Calls] {
			whose = append(whose, r.whose)
		}
		calls, err = b.Grant(ctx, q, room, whose...)
		return err
	})
	switch {
	case err != nil:
		b.refuse(next, func(int) error { return err })
		return 0
	case room.Away:
		b.refuse(next, func(int) error { return b.away(room.Wait) })
		return 0
	}
	for i, call := range calls {
		if !b.readers.tell(next[i], turn{call: call}) {
			b.giveBack(ctx, call)
		}
	}
	if len(calls) == len(next) {
		return 0
	}
	b.refuseLate(ctx)
	if len(calls) > 0 {
		return time.Millisecond // what is left of the room is another question
	}
	return room.Wait
}

func (b *Budget) refuse(readers []*reader, why func(place int) error) {
	for i, r := range readers {
		b.readers.tell(r, turn{err: why(i)})
	}
}

// refuseLate refuses those whose turn cannot come before their deadline.
func (b *Budget) refuseLate(ctx context.Context) {
	waiting := b.readers.first(math.MaxInt)
	places := make([]int, len(waiting))
	for i := range places {
		places[i] = i
	}
	in, err := b.Outlook(ctx, b.store.Queries, Read, places...)
	if err != nil {
		return // they wait, and are looked at again
	}
	now := b.now()
	for place, r := range waiting {
		if !r.deadline.IsZero() && r.deadline.Sub(now) < in[place] {
			b.readers.tell(r, turn{err: b.exhausted(in[place])})
		}
	}
}
