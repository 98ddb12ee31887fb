package report

import (
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// The sizes of charts, in their own units.
const (
	barWidth    = 240
	dayWidth    = 20
	chartHeight = 120
)

// days is a chart with a column a day.
type days struct {
	Width, Height int64
	Most          int64
	Columns       []column
}

// column is a day: what was changed, what failed and was denied, and the rest, one upon the other.
type column struct {
	X      int64
	Day    string
	Events int64
	Parts  []part
}

// part is a piece of a column.
type part struct {
	Y, Height int64
	Class     string
	Events    int64
}

// chart has every day of the time, those without events too.
func chart(from, to time.Time, tallies []*pb.AuditTally) days {
	byDay := map[string]*pb.AuditTally{}
	d := days{Height: chartHeight, Most: 1}
	for _, t := range tallies {
		byDay[t.GetName()] = t
		d.Most = max(d.Most, t.GetEvents())
	}
	for day := from; day.Before(to); day = day.AddDate(0, 0, 1) {
		name := day.Format(time.DateOnly)
		t := byDay[name]
		c := column{X: d.Width, Day: name, Events: t.GetEvents()}
		d.Width += dayWidth
		bottom := int64(chartHeight)
		// Kinds overlap in nothing: a denial is no change, and a change that was made has not failed.
		rest := t.GetEvents() - t.GetChanges() - t.GetFailed() - t.GetDenied()
		for _, p := range []part{
			{Class: "changes", Events: t.GetChanges()}, {Class: "failed", Events: t.GetFailed()}, {Class: "denied", Events: t.GetDenied()},
			{Class: "rest", Events: max(rest, 0)},
		} {
			p.Height = p.Events * chartHeight / d.Most
			bottom -= p.Height
			p.Y = bottom
			c.Parts = append(c.Parts, p)
		}
		d.Columns = append(d.Columns, c)
	}
	return d
}
