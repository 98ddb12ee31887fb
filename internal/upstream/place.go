package upstream

import (
	"strconv"
	"strings"
)

// place is the way to a value in an answer. Its text is only made when it is
// needed: most values are as expected.
type place []step

type step struct {
	name  string
	index int // within a list; -1 outside of one
}

// path is the way's text, such as "agents[3].k".
func (p place) path() string {
	return p.write(func(index int) string { return "[" + strconv.Itoa(index) + "]" })
}

// pattern is the path without indexes, so that all elements of a list count as one.
func (p place) pattern() string {
	return p.write(func(int) string { return "[]" })
}

// write makes a text of its own: one that shared the answer's would keep all of it
// in memory.
func (p place) write(subscript func(int) string) string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(clip(s.name, maxName))
		if s.index >= 0 {
			b.WriteString(subscript(s.index))
		}
	}
	return b.String()
}
