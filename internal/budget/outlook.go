package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Outlook estimates in how long the next n calls for a purpose may go, one after the other,
// if each goes as soon as it may and nobody else takes any. It locks nothing and promises
// nothing.
func (b *Budget) Outlook(ctx context.Context, q *db.Queries, p Purpose, n int) ([]time.Duration, error) {
	s, _, err := b.peek(ctx, q)
	if err != nil {
		return nil, err
	}
	waits := make([]time.Duration, n)
	for _, w := range b.windows(s, p) {
		within, err := b.expiries(ctx, q, s.lastCall, w, n)
		if err != nil {
			return nil, err
		}
		if p == Read && w.reserve > 0 {
			whole, err := b.expiries(ctx, q, s.lastCall, w.whole(), n)
			if err != nil {
				return nil, err
			}
			paced, err := b.expiries(ctx, q, s.lastCall, w.pace(), n)
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
	row, err := q.PeekAccount(ctx, dbsql.PeekAccountParams{Account: b.account, HourSeconds: b.limits.Hour.Seconds()})
	if err != nil {
		return state{}, row, fmt.Errorf("looking at the budget of account %q: %w", b.account, db.Classify(err))
	}
	s := state{lastCall: row.LastCall, paused: seconds(row.PausedSeconds), open: row.IsOpen, probeIn: seconds(row.ProbeSeconds)}
	if row.ForeignIsRecent {
		s.foreign = int(row.ForeignUsed)
	}
	return s, row, nil
}

// expiries are how long the next n calls have to wait for a window. Each takes the place of
// the call that is limit before it; where that is one of the n itself, it goes a whole
// window after that.
func (b *Budget) expiries(ctx context.Context, q *db.Queries, lastCall int64, w window, n int) ([]time.Duration, error) {
	limit := max(w.limit, 1)
	first := lastCall + 1 - limit
	rows, err := b.leaving(ctx, q, first, min(first+int64(n)-1, lastCall), w)
	if err != nil {
		return nil, err
	}
	waits := make([]time.Duration, n)
	for _, row := range rows { // those that are not there are long past
		waits[row.Number-first] = max(seconds(row.Seconds), 0)
	}
	for i := limit; i < int64(n); i++ {
		waits[i] = waits[i-limit] + w.length
	}
	return waits, nil
}

// OutlookBehind is the estimate for a call that goes behind so many others.
func (b *Budget) OutlookBehind(ctx context.Context, q *db.Queries, p Purpose, ahead int) (time.Duration, error) {
	s, _, err := b.peek(ctx, q)
	if err != nil {
		return 0, err
	}
	wait := max(s.paused, s.probeIn)
	for _, w := range b.windows(s, p) {
		limit := max(w.limit, 1)
		first := s.lastCall + 1 - limit + int64(ahead)%limit // whose place it takes, some windows later
		rows, err := b.leaving(ctx, q, first, first, w)
		if err != nil {
			return 0, err
		}
		within := time.Duration(int64(ahead)/limit) * w.length
		for _, row := range rows {
			within += max(seconds(row.Seconds), 0)
		}
		wait = max(wait, within)
	}
	return wait, nil
}
