package listing

import (
	"errors"
	"fmt"
	"strings"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"

	"github.com/agentsvc/agentsvc/internal/fault"
)

const (
	// maxFilter is how long a filter may be, in bytes.
	maxFilter = 2000
	// maxNesting is how deep its parentheses may be.
	maxNesting = 50
)

// Filter is a filter that was understood. The zero Filter lets all rows pass.
type Filter struct {
	where condition
	span  Span
}

// IsZero says that the filter lets all rows pass.
func (f Filter) IsZero() bool { return f.where == nil }

// condition writes a condition and adds its arguments. What is NULL counts as false.
type condition func(*Args) string

// SQL is the filter as a condition whose values are added to args.
func (f Filter) SQL(args *Args) string {
	if f.where == nil {
		return "TRUE"
	}
	return f.where(args)
}

// Filter understands an AIP-160 filter. What it does not understand is a fault
// about filter, which says what is wrong and which fields there are.
//
// As AIP-160 has it, OR binds tighter than AND, and what stands on the right is a
// value, never a field, so that it needs no quotes if it is one word.
func (s *Schema) Filter(text string) (Filter, error) {
	filter, err := s.parse(text)
	if err != nil {
		return Filter{}, fault.Invalid("filter", "%s; fields: %s", err, s.names())
	}
	return filter, nil
}

func (s *Schema) parse(text string) (Filter, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return Filter{}, nil
	case len(text) > maxFilter:
		return Filter{}, fmt.Errorf("is longer than %d bytes", maxFilter)
	case nesting(text) > maxNesting:
		return Filter{}, fmt.Errorf("has more than %d parentheses in each other", maxNesting)
	}
	var parser filtering.Parser
	parser.Init(text)
	parsed, err := parser.Parse()
	if err != nil {
		return Filter{}, explain(err)
	}
	where, err := s.condition(parsed.GetExpr())
	if err != nil {
		return Filter{}, err
	}
	return Filter{where: where, span: s.span(parsed.GetExpr())}, nil
}

// nesting is how deep the parentheses outside of quotes go.
func nesting(text string) int {
	depth, deepest := 0, 0
	var quote rune
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			escaped = false
		case quote != 0 && r == '\\':
			escaped = true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
		case r == '"' || r == '\'':
			quote = r
		case r == '(':
			depth++
			deepest = max(deepest, depth)
		case r == ')':
			depth--
		}
	}
	return deepest
}

// explain is the innermost of the parser's errors, each of which wraps the next
// and repeats the whole filter.
func explain(err error) error {
	column, message := int32(1), "it ends too early"
	for ; err != nil; err = errors.Unwrap(err) {
		if at, ok := err.(interface {
			Position() filtering.Position
			Message() string
		}); ok {
			column = at.Position().Column
			if errors.Unwrap(err) == nil {
				message = at.Message()
			}
		}
	}
	return fmt.Errorf("cannot be read at column %d: %s", column, message)
}

var (
	errNoCondition = errors.New(`a condition is a field, an operator and a value, such as name = "x"`)
	errNoOperator  = errors.New("write AND or OR between conditions")
)

func (s *Schema) condition(e *expr.Expr) (condition, error) {
	call := e.GetCallExpr()
	if call == nil {
		return nil, errNoCondition
	}
	args := call.GetArgs()
	switch name := call.GetFunction(); {
	case name == filtering.FunctionFuzzyAnd:
		return nil, errNoOperator
	case name == filtering.FunctionNot && len(args) == 1:
		inner, err := s.condition(args[0])
		if err != nil {
			return nil, err
		}
		return not(inner), nil
	case (name == filtering.FunctionAnd || name == filtering.FunctionOr) && len(args) == 2:
		left, err := s.condition(args[0])
		if err != nil {
			return nil, err
		}
		right, err := s.condition(args[1])
		if err != nil {
			return nil, err
		}
		return func(a *Args) string { return "(" + left(a) + " " + name + " " + right(a) + ")" }, nil
	case isComparator(name) && len(args) == 2:
		return s.comparison(name, args[0], args[1])
	default:
		return nil, errors.New("there are no functions here")
	}
}

// not is true of NULL as well: a row without a value does not have that value.
func not(c condition) condition {
	return func(a *Args) string { return "(" + c(a) + ") IS NOT TRUE" }
}

func isComparator(function string) bool {
	_, ok := sqlOperator(function)
	return ok || function == filtering.FunctionHas || function == filtering.FunctionNotEquals
}

// sqlOperator is the operator that compares as the function does.
func sqlOperator(function string) (string, bool) {
	switch function {
	case filtering.FunctionEquals, filtering.FunctionLessThan, filtering.FunctionLessEquals,
		filtering.FunctionGreaterThan, filtering.FunctionGreaterEquals:
		return function, true // SQL writes them the same
	}
	return "", false
}

func (s *Schema) comparison(op string, left, right *expr.Expr) (condition, error) {
	if left.GetIdentExpr() == nil && left.GetSelectExpr() == nil {
		return nil, errNoCondition
	}
	f, ok := s.field(left.GetIdentExpr().GetName())
	if !ok {
		return nil, errors.New("there is no such field")
	}
	value, err := literal(right)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	c, err := f.compare(op, value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return c, nil
}

// literal is the value on the right.
func literal(e *expr.Expr) (string, error) {
	value := e.GetIdentExpr().GetName() // a word without quotes
	if c := e.GetConstExpr(); c != nil {
		text, ok := c.GetConstantKind().(*expr.Constant_StringValue)
		if !ok {
			return "", errors.New("put its value in quotes")
		}
		value = text.StringValue
	} else if e.GetIdentExpr() == nil {
		return "", errors.New("compare it with one value, in quotes")
	}
	if strings.ContainsRune(value, 0) {
		return "", errors.New("there is no text with a zero byte")
	}
	return value, nil
}
