package listing

import (
	"slices"
	"time"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
)

// Span is the time within which all rows are that a filter lets pass, a little more at the most: who reads rows
// time by time need not look elsewhere. Nil is no bound.
type Span struct{ From, Until *time.Time }

// slack is more than Postgres rounds a time by.
const slack = time.Millisecond

// Within are the times that both hold.
func (s Span) Within(other Span) Span {
	if s.From == nil || other.From != nil && other.From.After(*s.From) {
		s.From = other.From
	}
	if s.Until == nil || other.Until != nil && other.Until.Before(*s.Until) {
		s.Until = other.Until
	}
	return s
}

// Until is the span up to a moment, that included.
func Until(at time.Time) Span {
	at = at.Add(slack)
	return Span{Until: &at}
}

// Since is the span from a moment on.
func Since(at time.Time) Span {
	at = at.Add(-slack)
	return Span{From: &at}
}

// Span is that of the schema's first sort key, if that is a time.
func (f Filter) Span() Span { return f.span }

// span is that of conditions all of which have to hold; what stands elsewhere bounds nothing.
func (s *Schema) span(e *expr.Expr) Span {
	args := e.GetCallExpr().GetArgs()
	if len(args) != 2 || len(s.Default) == 0 {
		return Span{}
	}
	op := e.GetCallExpr().GetFunction()
	if op == filtering.FunctionAnd {
		return s.span(args[0]).Within(s.span(args[1]))
	}
	f, ok := s.field(args[0].GetIdentExpr().GetName())
	if !ok || f.Type != Time || f.SQL != s.Default[0].SQL {
		return Span{}
	}
	value, err := literal(args[1])
	if err != nil {
		return Span{}
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return Span{}
	}
	var span Span
	if slices.Contains([]string{filtering.FunctionEquals, filtering.FunctionLessThan, filtering.FunctionLessEquals}, op) {
		span = Until(at)
	}
	if slices.Contains([]string{filtering.FunctionEquals, filtering.FunctionGreaterThan, filtering.FunctionGreaterEquals}, op) {
		span = span.Within(Since(at))
	}
	return span
}
