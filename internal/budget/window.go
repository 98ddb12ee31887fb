// Package budget decides when a call to the vendor may go.
//
// The vendor keeps a sliding log: every call has timers of its own, a minute and an
// hour, and a call is refused (429) while 250 of the last minute's or 5,000 of the
// last hour's are running. So ours is the same log, in Postgres: exact, shared by
// all replicas, durable over restarts. Calls are numbered without gaps, so call n
// may go when call n-250 has left the minute and call n-5000 the hour: a look at a
// stretch of the log around each, however long it is. A bucket that refills (GCRA,
// token bucket) would let 500 through in one minute.
//
// When the vendor counted a call nobody knows, but it was after the grant and before
// the answer. So a call counts from its grant until a window after its answer, and
// one under way counts: however slow this machine or the way is, the vendor never
// sees more than its limit. A call that was granted and not made is given back.
//
// The database's clock decides. The row of the account is the lock: whoever holds
// it numbers the next calls. The guard is added to both windows, for clocks that run
// at different speeds.
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
	// Guard lengthens both windows, against a vendor whose clock is slower. Zero: 100 ms.
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

const (
	// freshFor is how long after its grant a call may still be made.
	freshFor = 10 * time.Second
	// longestCall is when a call without an answer must have been counted by the vendor: it
	// was fresh, then marked as sent, and given up by the client after half a minute.
	longestCall = time.Minute
)

// Fresh says that a call may still be made. One that is not must be given back.
func (b *Budget) Fresh(c Call) bool { return b.now().Sub(c.granted) < freshFor }

// Return gives back a call that was not made.
func (b *Budget) Return(ctx context.Context, c Call) error {
	if err := b.store.ReturnCall(ctx, dbsql.ReturnCallParams{Account: c.Account, Number: c.Number}); err != nil {
		return fmt.Errorf("giving a call back: %w", db.Classify(err))
	}
	return nil
}

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
	// givenBack are the numbers of calls that were given back, the last ones first, as far as
	// farBack.
	givenBack []int64
	foreign   int
	paused    time.Duration
	// open: the breaker lets nothing but probes through, the next one after probeIn.
	open    bool
	probeIn time.Duration
}

// lock takes the budget of the account until q's transaction ends. What the row says is
// asked by a statement of its own, which goes to the server with the one that waits for the lock.
func (b *Budget) lock(ctx context.Context, q *db.Queries) (state, error) {
	if err := q.LockAccount(ctx, b.account); err != nil {
		return state{}, fmt.Errorf("locking the budget of account %q: %w", b.account, err)
	}
	row, err := q.AccountState(ctx, dbsql.AccountStateParams{
		Account: b.account, HourSeconds: b.limits.Hour.Seconds(), FarBack: b.farBack(),
	})
	if err != nil {
		return state{}, fmt.Errorf("locking the budget of account %q: %w", b.account, err)
	}
	s := state{
		lastCall: row.LastCall, givenBack: row.GivenBack,
		paused: seconds(row.PausedSeconds), open: row.IsOpen, probeIn: seconds(row.ProbeSeconds),
	}
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

// Passes says whether the calls of the room pass a multiple of so many, counted over all
// calls there ever were, and which.
func (r Room) Passes(every int64) (multiple int64, passes bool) {
	multiple = (r.lastCall + int64(r.Calls)) / every
	return multiple, multiple > r.lastCall/every
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
		// The reserves are for whoever comes once the vendor is there again, and that is what
		// a probe is to find out.
		room.Calls, room.probe, p = 1, true, Change
	}
	windows := b.windows(s, p)
	fits, err := b.fits(ctx, q, s, room.Calls, windows...)
	if err != nil {
		return Room{}, err
	}
	for i, w := range windows {
		fit := fits[i]
		if fit.calls == 0 {
			dipped, err := b.dip(ctx, q, s, w, p)
			if err != nil {
				return Room{}, err
			}
			fit.calls, fit.wait = dipped.calls, min(fit.wait, dipped.wait)
		}
		if fit.calls == 0 && w.hearsay {
			probes, err := b.fits(ctx, q, s, 1, window{limit: 1, length: probeEvery})
			if err != nil {
				return Room{}, err
			}
			fit = probes[0]
		}
		if room.Calls = min(room.Calls, fit.calls); room.Calls == 0 {
			return Room{Wait: fit.wait}, nil
		}
	}
	return room, nil
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
	rows := dbsql.InsertCallsParams{Account: b.account}
	for _, f := range whom {
		room.lastCall++
		rows.Numbers, rows.Purposes = append(rows.Numbers, room.lastCall), append(rows.Purposes, string(f.Purpose))
		rows.Methods = append(rows.Methods, f.Method)
		rows.Teams, rows.Operations = append(rows.Teams, db.OrNil(f.Team)), append(rows.Operations, db.OrNil(f.Operation))
		calls = append(calls, Call{Account: b.account, Number: room.lastCall, granted: b.now()})
	}
	if err := q.InsertCalls(ctx, rows); err != nil {
		return nil, fmt.Errorf("recording granted calls: %w", err)
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
