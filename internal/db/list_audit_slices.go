package db

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/agentsvc/agentsvc/internal/listing"
)

const (
	// firstSlice has some thousand events in a history of ten million a year.
	firstSlice = 6 * time.Hour
	// fastestGrowth is how much longer at the most a slice is than all before it.
	fastestGrowth = 16
	// longestSlice ends the growth: all that is older is the last slice.
	longestSlice = 366 * 24 * time.Hour
)

// auditSlices cuts the time of the history into slices, the newest first, which are looked at one by one until there is enough.
//
// Asked for a page of all the history at once, Postgres looks into each month: there is a partition for what fits no
// month, so it cannot know that months come in order, and merges them all. And if what is asked for has no order by time, such as the words
// of reasons, it finds all of it before it sorts. So a page would cost as much as the history is long. Within a slice
// there is little to find, other months are not looked at, and the index of times narrows down what that of words finds. Where
// events are dense enough the first slice fills the page; the next one is as long as the rest will probably take.
type auditSlices struct {
	// span is when events can be.
	span listing.Span
	// want is how many events are wanted.
	want int
	// top is about the time of the newest ones.
	top time.Time

	// from and until bound the slice: from it on, and before. Nil is no bound. seen is how long all slices are so far.
	from, until *time.Time
	seen        time.Duration
	ended       bool
}

func newAuditSlices(page listing.Page, now time.Time) *auditSlices {
	return &auditSlices{span: page.Filter.Span().Within(spanAfter(page.After)), want: page.Size + 1, top: now}
}

// next goes on to the next slice, when as many events were found as it is told. It says false if that is enough, or
// all there is.
func (a *auditSlices) next(found int) bool {
	length := firstSlice
	switch {
	case found >= a.want || a.ended:
		return false
	case a.seen == 0: // the first one has what is newer than its top, too, as far as the span goes
		if a.span.Until != nil && a.span.Until.Before(a.top) {
			a.top = *a.span.Until
		}
	default:
		a.until = a.from
		length = a.length(found)
	}
	a.seen += length
	from := a.top.Add(-a.seen)
	a.from = &from
	if length > longestSlice {
		a.from = nil
	}
	a.ended = a.from == nil || a.span.From != nil && !from.After(*a.span.From)
	return true
}

// length is how long the next slice is: as long as the missing events take and half as long again, if they are as dense
// as those that were found.
func (a *auditSlices) length(found int) time.Duration {
	growth := float64(fastestGrowth)
	if found > 0 {
		growth = min(growth, max(1, 1.5*float64(a.want-found)/float64(found)))
	}
	return time.Duration(growth * float64(a.seen))
}

// list is the slice. The filter and the page say the rest.
func (a *auditSlices) list() list {
	l := list{table: "audit_events", columns: auditColumns(), args: &listing.Args{}}
	if a.from != nil {
		l.where = append(l.where, "x.recorded_at >= "+l.args.Add(*a.from)+"::timestamptz")
	}
	until := a.until
	if until == nil {
		until = a.span.Until
	}
	if until != nil {
		l.where = append(l.where, "x.recorded_at < "+l.args.Add(*until)+"::timestamptz")
	}
	return l
}

// spanAfter is the time of what comes after an event, whose place begins with its time as Postgres writes it.
func spanAfter(place []string) listing.Span {
	var at time.Time
	if len(place) == 0 || pgtype.NewMap().Scan(pgtype.TimestamptzOID, pgtype.TextFormatCode, []byte(place[0]), &at) != nil {
		return listing.Span{}
	}
	return listing.Until(at)
}
