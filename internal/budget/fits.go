package budget

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// fit is how many calls a window has room for and, if none, how long until it may have.
type fit struct {
	calls int
	wait  time.Duration
}

// dip says whether a call may be taken from a reserve that nobody else is drawing on: one
// at a time, and no faster than the window gives the reserve back. So readers get all of
// an hour that has no changes, and a change finds at most one call gone that it would
// have had.
func (b *Budget) dip(ctx context.Context, q *db.Queries, s state, w window, p Purpose) (fit, error) {
	if p != Read || w.reserve == 0 {
		return fit{wait: w.length}, nil
	}
	fits, err := b.fits(ctx, q, s, 1, w.whole(), w.pace())
	if err != nil {
		return fit{}, err
	}
	if fits[0].calls == 0 {
		return fits[0], nil
	}
	return fits[1], nil
}

// stragglers is how many calls before those of a window are looked at. More are not under
// way at a time, or lost by replicas that died within one window.
const stragglers = 200

// fits says how many of most calls each window has room for. It asks about two in one round
// trip.
//
// Were calls counted in the order of their numbers, the next could go when the one that is
// limit before it has left the window. They are not quite: an older one may still be under
// way, and takes the place of one that has left already.
func (b *Budget) fits(ctx context.Context, q *db.Queries, s state, most int, windows ...window) ([]fit, error) {
	fits := make([]fit, 0, len(windows)+1)
	for two := range slices.Chunk(windows, 2) {
		one, other := b.stretch(s, two[0], most), stretch{back: 1}
		if len(two) > 1 {
			other = b.stretch(s, two[1], most)
		}
		rows, err := q.CallsWithin(ctx, dbsql.CallsWithinParams{
			Account: b.account, LongestSeconds: longestCall.Seconds(),
			Back: one.back, First: one.first, Last: one.last, WindowSeconds: two[0].length.Seconds(),
			OtherBack: other.back, OtherFirst: other.first, OtherLast: other.last, OtherWindowSeconds: two[len(two)-1].length.Seconds(),
		})
		if err != nil {
			return nil, fmt.Errorf("reading when calls leave their windows: %w", db.Classify(err))
		}
		for i, w := range two {
			fits = append(fits, w.fit([]stretch{one, other}[i], rows[i], most))
		}
	}
	return fits, nil
}

// stretch is the part of the log that is looked at: from first on there are as many calls as
// the limit, and from back on those that may still be under way.
type stretch struct{ back, first, last int64 }

func (b *Budget) stretch(s state, w window, most int) stretch {
	if w.limit <= 0 {
		return stretch{back: 1} // nothing: there is no room at all
	}
	first := s.firstOf(w.limit, b.farBack())
	return stretch{back: first - stragglers, first: first, last: min(first+w.atMost(most)-1+stragglers, s.lastCall)}
}

func (w window) fit(of stretch, row dbsql.CallsWithinRow, most int) fit {
	// Those that the log does not have are long gone; those given back took no room and leave none.
	n := of.last - of.first + 1 - row.GivenBack - row.Staying
	switch {
	case w.limit > 0 && n > 0:
		return fit{calls: int(min(n, w.atMost(most)))}
	case w.limit > 0 && row.Seconds > 0:
		return fit{wait: max(min(w.length, seconds(row.Seconds)), time.Millisecond)}
	}
	return fit{wait: w.length}
}

// atMost is most, or all that there is: who asks for more gets that.
func (w window) atMost(most int) int64 { return min(int64(most), w.limit) }

// farBack is how far back calls that were given back are known. Were more given back than
// made, those before would only be taken for made.
func (b *Budget) farBack() int64 { return 2 * int64(b.limits.PerHour) }

// firstOf is the number from which on there are as many calls as the limit, those that were
// given back left out.
func (s state) firstOf(limit, farBack int64) int64 {
	first := s.lastCall + 1 - limit
	for returned := int64(0); ; {
		n, _ := slices.BinarySearchFunc(s.givenBack, first-returned, func(number, from int64) int { // how many are not below
			if number >= from {
				return -1
			}
			return 1
		})
		if int64(n) == returned || first-returned <= s.lastCall-farBack {
			return first - returned
		}
		returned = int64(n)
	}
}

// leaving are the calls of a range, with when each leaves a window.
func (b *Budget) leaving(ctx context.Context, q *db.Queries, first, last int64, w window) ([]dbsql.CallsLeavingRow, error) {
	rows, err := q.CallsLeaving(ctx, dbsql.CallsLeavingParams{
		Account: b.account, FirstNumber: first, LastNumber: last, WindowSeconds: w.length.Seconds(), LongestSeconds: longestCall.Seconds(),
	})
	if err != nil {
		return nil, fmt.Errorf("reading when calls leave the window of %s: %w", w.length, db.Classify(err))
	}
	return rows, nil
}
