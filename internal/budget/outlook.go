package budget

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Outlook estimates in how long calls for a purpose may go that go behind so many others, if
// each goes as soon as it may and nobody else takes any. It locks nothing and promises
// nothing.
func (b *Budget) Outlook(ctx context.Context, q *db.Queries, p Purpose, ahead ...int) ([]time.Duration, error) {
	s, _, err := b.peek(ctx, q)
	if err != nil {
		return nil, err
	}
	waits := make([]time.Duration, len(ahead))
	for _, w := range b.windows(s, p) {
		within, err := b.expiries(ctx, q, s, w, ahead)
		if err != nil {
			return nil, err
		}
		if p == Read && w.reserve > 0 {
			whole, err := b.expiries(ctx, q, s, w.whole(), ahead)
			if err != nil {
				return nil, err
			}
			paced, err := b.expiries(ctx, q, s, w.pace(), ahead)
			if err != nil {
				return nil, err
			}
			for i := range within { // see dip
				within[i] = min(within[i], max(whole[i], paced[i]))
			}
		}
		for i := range waits {
			waits[i] = max(waits[i], within[i])
		}
	}
	for i := range waits {
		waits[i] = max(waits[i], s.paused, s.probeIn)
	}
	return waits, nil
}

// peek is the state of the account, without its lock.
func (b *Budget) peek(ctx context.Context, q *db.Queries) (state, dbsql.PeekAccountRow, error) {
	row, err := q.PeekAccount(ctx, dbsql.PeekAccountParams{Account: b.account, HourSeconds: b.limits.Hour.Seconds(), FarBack: b.farBack()})
	if err != nil {
		return state{}, row, fmt.Errorf("looking at the budget of account %q: %w", b.account, db.Classify(err))
	}
	s := state{
		lastCall: row.LastCall, givenBack: row.GivenBack,
		paused: seconds(row.PausedSeconds), open: row.IsOpen, probeIn: seconds(row.ProbeSeconds),
	}
	if row.ForeignIsRecent {
		s.foreign = int(row.ForeignUsed)
	}
	return s, row, nil
}

// expiries are how long calls behind so many others have to wait for a window. Calls leave it
// one by one, and each takes the place of the next that does, whichever that is; where that is
// one of those ahead, it goes a whole window after that. Only a stretch of the log is looked
// at, as in fits: what comes after it leaves later.
func (b *Budget) expiries(ctx context.Context, q *db.Queries, s state, w window, ahead []int) ([]time.Duration, error) {
	limit := max(w.limit, 1)
	var furthest int64
	for _, n := range ahead {
		furthest = max(furthest, min(int64(n), limit-1))
	}
	first := s.firstOf(limit, b.farBack())
	last := min(first+furthest+stragglers, s.lastCall)
	rows, err := b.leaving(ctx, q, first-stragglers, last, w)
	if err != nil {
		return nil, err
	}
	room := last - first + 1 // those that are not there are long past
	var staying []time.Duration
	for _, row := range rows {
		switch {
		case row.Returned:
			if row.Number >= first {
				room-- // it left none, for it took none
			}
		case row.Seconds > 0:
			room--
			staying = append(staying, seconds(row.Seconds))
		}
	}
	slices.Sort(staying)
	waits := make([]time.Duration, len(ahead))
	for i, n := range ahead {
		rounds, place := int64(n)/limit, int64(n)%limit-room
		waits[i] = time.Duration(rounds) * w.length
		if place >= 0 && place < int64(len(staying)) {
			waits[i] += staying[place]
		} else if place >= 0 {
			waits[i] += w.length
		}
	}
	return waits, nil
}
