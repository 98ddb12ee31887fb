package listing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.einride.tech/aip/filtering"
)

// anything, after a colon, asks whether there is a value at all.
const anything = "*"

// compare is the condition that the field is to the value what the operator says.
func (f Field) compare(op, value string) (condition, error) {
	switch op {
	case filtering.FunctionHas:
		return f.has(value)
	case filtering.FunctionNotEquals:
		equal, err := f.compare(filtering.FunctionEquals, value)
		if err != nil {
			return nil, err
		}
		return not(equal), nil
	}
	operator, ok := sqlOperator(op)
	if !ok {
		return nil, fmt.Errorf("there is no operator %s", op)
	}
	if f.Type == Texts || f.Type == Words {
		return nil, errors.New("look into it with a colon, as in " + f.Name + `:"x"`)
	}
	ordered := f.Type == Text || f.Type == Time
	if op != filtering.FunctionEquals && !ordered {
		return nil, errors.New("it can be equal or not, but has no order")
	}
	argument, err := f.argument(value)
	if err != nil {
		return nil, err
	}
	switch {
	case f.Type == ID && argument == nil:
		return f.constant(f.SQL + " IS NULL"), nil
	case f.Key != "" && op == filtering.FunctionEquals && value == "":
		return f.constant(f.Key + " IS NULL"), nil
	case f.Key != "" && op == filtering.FunctionEquals:
		return func(a *Args) string { return f.Key + " = " + fmt.Sprintf(f.Lookup, a.Add(argument)+"::text") }, nil
	}
	return func(a *Args) string { return f.SQL + " " + operator + " " + a.Add(argument) + "::" + f.sqlType() }, nil
}

func (f Field) constant(sql string) condition { return func(*Args) string { return sql } }

// has is what a colon asks: of a list, whether the value is in it; of a text,
// whether the value is part of it, whatever the case.
func (f Field) has(value string) (condition, error) {
	switch {
	case f.Type == Texts && value == anything:
		return f.constant("cardinality(" + f.SQL + ") > 0"), nil
	case f.Type == Texts:
		return func(a *Args) string { return a.Add(value) + "::text = ANY (" + f.SQL + ")" }, nil
	case f.Type == Words:
		return func(a *Args) string {
			return f.SQL + " @@ plainto_tsquery('simple', " + a.Add(value) + "::text)"
		}, nil
	case f.Type == Text && value == anything:
		return f.constant(f.SQL + " <> ''"), nil
	case f.Type == Text:
		pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(value) + "%"
		return func(a *Args) string { return f.SQL + " ILIKE " + a.Add(pattern) + "::text" }, nil
	case (f.Type == ID || f.Type == Time) && value == anything:
		return f.constant(f.SQL + " IS NOT NULL"), nil
	case f.Type == ID || f.Type == Time:
		return nil, errors.New("a colon only asks whether there is a value, with *")
	}
	return nil, errors.New("a colon is for texts and lists; compare it with =")
}

// argument is the value as SQL gets it; nil for the uuid that is absent.
func (f Field) argument(value string) (any, error) {
	switch f.Type {
	case Text:
		if f.Canonical != nil {
			value = f.Canonical(value)
		}
		return value, nil
	case ID:
		if value == "" {
			return nil, nil //nolint:nilnil // the absent one
		}
		id, err := uuid.Parse(value)
		if err != nil || len(value) != len(uuid.Nil.String()) {
			return nil, errors.New("that is not a uuid")
		}
		return id, nil
	case Time:
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return nil, errors.New(`that is not a time in RFC 3339, such as "2026-01-31T12:00:00Z"`)
		}
		return at, nil
	case Enum:
		stored := strings.TrimPrefix(value, f.Prefix)
		if !slices.Contains(f.Values, stored) {
			return nil, fmt.Errorf("it is one of %s", strings.Join(f.Values, ", "))
		}
		return stored, nil
	case Bool:
		switch value {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, errors.New("it is true or false")
	case Texts, Words:
	}
	return nil, fmt.Errorf("a %s is not compared", f.Type)
}

// sqlType is what an argument is cast to.
func (f Field) sqlType() string {
	switch f.Type {
	case ID:
		return "uuid"
	case Time:
		return "timestamptz"
	case Bool:
		return "boolean"
	case Text, Enum, Texts, Words:
	}
	return "text"
}
