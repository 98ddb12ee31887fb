package upstream

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// place is where in an answer a value stands. Its text is only made when it is
// needed: most values are as expected.
type place struct {
	up    *place // nil for the answer as a whole
	name  string
	index int // within a list; -1 outside of one
}

// path is the way from a place above, which is left out, to this one.
func (p *place) path(from *place) string {
	return p.walk(from, func(index int) string { return "[" + strconv.Itoa(index) + "]" })
}

// pattern is the path from the answer's start without indexes, so that all
// elements of a list count as one.
func (p *place) pattern() string {
	return p.walk(nil, func(int) string { return "[]" })
}

func (p *place) walk(from *place, subscript func(int) string) string {
	var steps []string
	for at := p; at != from && at != nil && at.up != nil; at = at.up {
		step := clip(at.name, maxName)
		if at.index >= 0 {
			step += subscript(at.index)
		}
		steps = append(steps, step)
	}
	var b strings.Builder
	for i, step := range slices.Backward(steps) {
		b.WriteString(step)
		if i > 0 {
			b.WriteByte('.')
		}
	}
	return b.String()
}

func (p *place) problem(text string) error { return &FormatError{Path: p.path(nil), Problem: text} }

func (p *place) want(what string, value any) error {
	return p.problem("is " + kindOf(value) + " where " + what + " belongs")
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
