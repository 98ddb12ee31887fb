// Package budget decides when a call to the vendor may go.
//
// The vendor keeps a sliding log: every call has timers of its own, a minute and an
// hour, and a call is refused (429) while 250 of the last minute's or 5,000 of the
// last hour's are running. So ours is the same log, in Postgres: exact, shared by
// all replicas, durable over restarts. Calls are numbered without gaps, so call n
// may go when call n-250 is older than a minute and call n-5000 older than an hour:
// two look-ups however long the log is. A bucket that refills (GCRA, token bucket)
// would let 500 through in one minute.
//
// The database's clock decides. The row of the account is the lock: whoever holds
// it numbers the next calls. The guard is added to both windows, because what left
// here a minute apart may arrive there a little closer together.
package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Limits are the vendor's, for one account.
type Limits struct {
	// PerMinute calls in Minute and PerHour in Hour; zero: 250 and 5,000 of the vendor.
	PerMinute, PerHour int
	// Minute and Hour are the windows; tests scale them down. Zero: a minute and an hour.
	Minute, Hour time.Duration
	// Guard lengthens both windows against jitter on the way. Zero: 100 ms.
	Guard time.Duration
}

// WithDefaults fills in what was left zero.
func (l Limits) WithDefaults() Limits {
	set := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	if l.PerMinute == 0 {
		l.PerMinute = 250
	}
	if l.PerHour == 0 {
		l.PerHour = 5000
	}
	set(&l.Minute, time.Minute)
	set(&l.Hour, time.Hour)
	set(&l.Guard, 100*time.Millisecond)
	return l
}

// Purpose is what a call is for. It decides how much of the budget it must leave
// to others.
type Purpose string

const (
	// Change sends a change; nothing is kept from it.
	Change Purpose = "CHANGE"
	// Reconcile settles a change whose outcome is unknown; nothing is kept from it.
	Reconcile Purpose = "RECONCILE"
	// Read answers a caller.
	Read Purpose = "READ"
	// Sync keeps the mirror current; it takes only what is plentiful.
	Sync Purpose = "SYNC"
)

// reserve is the share of the minute and of the hour that calls of the purpose leave
// to more urgent ones. Of the hour it is more: what reads have used of it is gone for
// an hour, and the changes of all teams would wait that long.
func (p Purpose) reserve() (minute, hour float64) {
	switch p {
	case Read:
		return 0.05, 0.30
	case Sync:
		return 0.40, 0.60
	case Change, Reconcile:
	}
	return 0, 0
}

// Call is one granted call: it has its place in the log and must be made now.
type Call struct {
	Account string
	Number  int64

	granted time.Time // by this machine's clock
}

// Fresh says that a call may still be made: one that is made later than the guard
// allows would reach the vendor outside of the window that it was counted in.
func (b *Budget) Fresh(c Call) bool { return b.now().Sub(c.granted) < b.limits.Guard }

// For says who a call is for, for the report on who used the budget.
type For struct {
	Purpose   Purpose
	Method    string
	Team      *uuid.UUID
	Operation *uuid.UUID
}

// state is what the account's row says while it is locked.
type state struct {
	lastCall int64
	foreign  int
	paused   time.Duration
	// open: the breaker lets nothing but probes through, the next one after probeIn.
	open    bool
	probeIn time.Duration
}

// lock takes the budget of the account until q's transaction ends.
func (b *Budget) lock(ctx context.Context, q *db.Queries) (state, error) {
	row, err := q.LockAccount(ctx, dbsql.LockAccountParams{Account: b.account, HourSeconds: b.limits.Hour.Seconds()})
	if err != nil {
		return state{}, fmt.Errorf("locking the budget of account %q: %w", b.account, err)
	}
	s := state{lastCall: row.LastCall, paused: seconds(row.PausedSeconds), open: row.IsOpen, probeIn: seconds(row.ProbeSeconds)}
	if row.ForeignIsRecent {
		s.foreign = int(row.ForeignUsed)
	}
	return s, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// window is one of the limits as it applies to a purpose now.
type window struct {
	limit  int64
	length time.Duration
	// reserve is how many more calls the limit has for more urgent purposes. Nobody leaves
	// them unused for ever: see [Budget.dip].
	reserve int64
	// hearsay: the limit is the vendor's word about what others used. It must not silence
	// us, or nothing could ever correct it.
	hearsay bool
}

// whole is the window with its reserve.
func (w window) whole() window { return window{limit: w.limit + w.reserve, length: w.length} }

// pace is how fast the reserve may be drawn on by those it is not for.
func (w window) pace() window { return window{limit: 1, length: w.length / time.Duration(w.reserve)} }

// probeEvery is how often a call goes although others seem to have used up the hour: its
// answer tells whether they have.
const probeEvery = 15 * time.Second

func (b *Budget) windows(s state, p Purpose) []window {
	limited := func(limit int, length time.Duration, reserve float64) window {
		kept := max(1, int64(float64(limit)*(1-reserve)))
		return window{limit: kept, length: length + b.limits.Guard, reserve: int64(limit) - kept}
	}
	minute, hour := p.reserve()
	all := []window{limited(b.limits.PerMinute, b.limits.Minute, minute), limited(b.limits.PerHour, b.limits.Hour, hour)}
	if s.foreign > 0 {
		heard := all[1]
		heard.limit, heard.hearsay = heard.limit-int64(s.foreign), true
		all = append(all, heard)
	}
	return all
}

// dip says whether a call may be taken from a reserve that nobody else is drawing on: one
// at a time, and no faster than the window gives the reserve back. So readers get all of
// an hour that has no changes, and a change finds at most one call gone that it would
// have had.
func (b *Budget) dip(ctx context.Context, q *db.Queries, lastCall int64, w window, p Purpose) (n int, wait time.Duration, err error) {
	if p != Read || w.reserve == 0 {
		return 0, w.length, nil
	}
	for _, within := range []window{w.whole(), w.pace()} {
		if n, wait, err = b.fits(ctx, q, lastCall, within, 1); err != nil || n == 0 {
			return 0, wait, err
		}
	}
	return 1, 0, nil
}

// Room is what the budget has room for, while its lock is held.
type Room struct {
	// Calls may go now.
	Calls int
	// Wait is how long until one may go, if none may now.
	Wait time.Duration
	// Away: none may, because the vendor does not answer.
	Away bool

	lastCall int64
	probe    bool
}

// Available locks the account and says how many calls, up to most, may go now. The
// lock holds until q's transaction ends, so the room stays until [Budget.Grant].
func (b *Budget) Available(ctx context.Context, q *db.Queries, p Purpose, most int) (Room, error) {
	s, err := b.lock(ctx, q)
	if err != nil {
		return Room{}, err
	}
	if s.paused > 0 {
		return Room{Wait: s.paused}, nil
	}
	room := Room{Calls: most, lastCall: s.lastCall}
	if s.open {
		if p != Sync || s.probeIn > 0 {
			return Room{Wait: max(s.probeIn, firstProbe/10), Away: true}, nil
		}
		room.Calls, room.probe = 1, true
	}
	for _, w := range b.windows(s, p) {
		fits, wait, err := b.fits(ctx, q, s.lastCall, w, room.Calls)
		if err != nil {
			return Room{}, err
		}
		if fits == 0 {
			var sooner time.Duration
			if fits, sooner, err = b.dip(ctx, q, s.lastCall, w, p); err != nil {
				return Room{}, err
			}
			wait = min(wait, sooner)
		}
		if fits == 0 && w.hearsay {
			probe := window{limit: 1, length: probeEvery}
			if fits, wait, err = b.fits(ctx, q, s.lastCall, probe, 1); err != nil {
				return Room{}, err
			}
		}
		if room.Calls = fits; fits == 0 {
			return Room{Wait: wait}, nil
		}
	}
	return room, nil
}

// fits says how many of most calls a window has room for and, if none, how long until
// it has.
func (b *Budget) fits(ctx context.Context, q *db.Queries, lastCall int64, w window, most int) (n int, wait time.Duration, err error) {
	if w.limit <= 0 {
		return 0, w.length, nil
	}
	most = int(min(int64(most), w.limit)) // who asks for more than all gets all
	// A window longer than the log has been kept lets everything through.
	first := lastCall + 1 - w.limit
	last := first + int64(most) - 1
	if last <= 0 {
		return most, 0, nil
	}
	young, err := q.CountYoungerCalls(ctx, dbsql.CountYoungerCallsParams{
		Account: b.account, FirstNumber: first, LastNumber: last, WindowSeconds: w.length.Seconds(),
	})
	if err != nil {
		return 0, 0, fmt.Errorf("counting the calls of the last %s: %w", w.length, err)
	}
	if n = most - int(young); n > 0 {
		return n, 0, nil
	}
	left, err := q.CallExpiry(ctx, dbsql.CallExpiryParams{Account: b.account, Number: first, WindowSeconds: w.length.Seconds()})
	if err != nil {
		return 0, 0, fmt.Errorf("reading when a call leaves the window: %w", err)
	}
	return 0, max(seconds(left), time.Millisecond), nil
}

// Grant numbers one call for each element of whom, of which there are no more than
// room has calls. It belongs into the transaction of [Budget.Available].
func (b *Budget) Grant(ctx context.Context, q *db.Queries, room Room, whom ...For) ([]Call, error) {
	if len(whom) == 0 {
		return nil, nil
	}
	if len(whom) > room.Calls {
		return nil, fmt.Errorf("%d calls do not fit into room for %d", len(whom), room.Calls)
	}
	calls := make([]Call, 0, len(whom))
	for _, f := range whom {
		room.lastCall++
		if err := q.InsertCall(ctx, dbsql.InsertCallParams{
			Account: b.account, Number: room.lastCall, Purpose: string(f.Purpose), Method: f.Method,
			TeamID: f.Team, OperationID: f.Operation,
		}); err != nil {
			return nil, fmt.Errorf("recording a granted call: %w", err)
		}
		calls = append(calls, Call{Account: b.account, Number: room.lastCall, granted: b.now()})
	}
	if err := q.SetLastCall(ctx, dbsql.SetLastCallParams{Account: b.account, LastCall: room.lastCall}); err != nil {
		return nil, fmt.Errorf("numbering the granted calls: %w", err)
	}
	if room.probe {
		if err := q.TakeProbe(ctx, dbsql.TakeProbeParams{Account: b.account, Seconds: probeLost.Seconds()}); err != nil {
			return nil, fmt.Errorf("taking a probe: %w", err)
		}
	}
	return calls, nil
}
