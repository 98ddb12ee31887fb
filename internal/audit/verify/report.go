package verify

import (
	"fmt"
	"strings"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
)

// Kind says what is wrong.
type Kind string

// What can be wrong with an export.
const (
	Changed   Kind = "changed"   // an event is not what was sealed
	Missing   Kind = "missing"   // an event is not there
	Doubled   Kind = "doubled"   // an event is there twice
	Added     Kind = "added"     // an event was put in that was never sealed
	Reordered Kind = "reordered" // a line is not where it belongs
	Malformed Kind = "malformed" // a line is not a line of an export
	Cut       Kind = "cut"       // the end is missing
	Forked    Kind = "forked"    // there are two histories
)

// nowhere is the index or line of a problem that has none.
const nowhere = -1

// Problem is one thing that is wrong.
type Problem struct {
	Kind Kind
	// Line counts from 1, and Index is the place in the log; -1 where there is none.
	Line, Index int64
	// ID is the event's, if the line shows one.
	ID   string
	Text string

	// until is the last place of a stretch that begins at Index, of which one is wrong.
	until int64
}

func (p Problem) String() string {
	var where []string
	if p.Line >= 0 {
		where = append(where, fmt.Sprintf("line %d", p.Line))
	}
	if p.Index >= 0 {
		where = append(where, fmt.Sprintf("place %d", p.Index))
	}
	if p.ID != "" {
		where = append(where, "event "+p.ID)
	}
	if len(where) == 0 {
		return fmt.Sprintf("%s: %s", p.Kind, p.Text)
	}
	return fmt.Sprintf("%s: %s: %s", p.Kind, strings.Join(where, ", "), p.Text)
}

// Stretch is a problem of which it is only known that it is at one of the places first to last.
func Stretch(kind Kind, first, last int64, text string) Problem {
	return Problem{Kind: kind, Line: nowhere, Index: first, until: last, Text: fmt.Sprintf("%s; it is at one of the places %d to %d", text, first, last)}
}

// maxProblems is how many problems a report lists; all are counted.
const maxProblems = 20

// Report is what was found.
type Report struct {
	// Checkpoint is the one that the export was held against.
	Checkpoint evidence.Checkpoint
	// Checked events are under the checkpoint and were held against it. Beyond it are
	// events sealed later, and Unsealed those that had no place yet: nothing is said of both.
	// Other lines are none of events.
	Checked, Beyond, Unsealed, Other int64
	// ByLeaves says that each event was held against its leaf.
	ByLeaves bool
	// Problems are the first ones, in the order of the file, then what shows at its end.
	Problems []Problem
	// Found is how many there are in all.
	Found int64
}

// OK says that nothing is wrong.
func (r *Report) OK() bool { return r.Found == 0 }

// Add counts a problem, and lists it if it is among the first.
func (r *Report) Add(p Problem) {
	r.Found++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
}

// FirstBad is where to look: the lowest place of which it is known that it is wrong; or a
// stretch, if that ends before; or else the first problem.
func (r *Report) FirstBad() Problem {
	var exact, stretch *Problem
	for i := range r.Problems {
		p := &r.Problems[i]
		switch {
		case p.Index < 0:
		case p.until > 0:
			if stretch == nil || p.until < stretch.until {
				stretch = p
			}
		case exact == nil || p.Index < exact.Index:
			exact = p
		}
	}
	switch {
	case exact != nil && (stretch == nil || exact.Index <= stretch.until):
		return *exact
	case stretch != nil:
		return *stretch
	case len(r.Problems) > 0:
		return r.Problems[0]
	}
	return Problem{}
}
