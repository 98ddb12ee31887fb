package genaisim

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type kind int

const (
	kindAny kind = iota
	kindString
	kindUUID
	kindTimestamp
	kindEnum
	kindInteger
	kindInt64 // an integer the vendor writes as a string; clients send either
	kindNumber
	kindBoolean
	kindFree // an object with any fields
	kindObject
	kindArray
	kindUnion
)

// schema is the type of a value in a query, a body or an answer.
type schema struct {
	kind   kind
	values []string           // of an enum
	fields map[string]*schema // of an object
	of     *schema            // the elements of an array
	either []*schema          // the members of a union
}

// typeParser turns type expressions of the contract into schemas.
type typeParser struct {
	shapes map[string]*schema
	enums  map[string][]string
}

func (p typeParser) fields(raw map[string]string) map[string]*schema {
	fields := make(map[string]*schema, len(raw)+2)
	for name, expr := range raw {
		fields[name] = p.parse(expr)
	}
	return fields
}

// parse reads a type expression: a plain word (string, uuid, timestamp,
// integer, int64, number, boolean, object, any), "@Shape", "#Enum", "[T]" for
// an array, "A|B" for a value of either type. It panics on anything else.
func (p typeParser) parse(expr string) *schema {
	if first, second, ok := strings.Cut(expr, "|"); ok {
		return &schema{kind: kindUnion, either: []*schema{p.parse(first), p.parse(second)}}
	}
	if inner, ok := strings.CutPrefix(expr, "["); ok {
		return &schema{kind: kindArray, of: p.parse(strings.TrimSuffix(inner, "]"))}
	}
	if name, ok := strings.CutPrefix(expr, "@"); ok {
		if shape := p.shapes[name]; shape != nil {
			return shape
		}
	}
	if name, ok := strings.CutPrefix(expr, "#"); ok {
		if values := p.enums[name]; values != nil {
			return &schema{kind: kindEnum, values: values}
		}
	}
	switch expr {
	case "any":
		return &schema{kind: kindAny}
	case "string":
		return &schema{kind: kindString}
	case "uuid":
		return &schema{kind: kindUUID}
	case "timestamp":
		return &schema{kind: kindTimestamp}
	case "integer":
		return &schema{kind: kindInteger}
	case "int64":
		return &schema{kind: kindInt64}
	case "number":
		return &schema{kind: kindNumber}
	case "boolean":
		return &schema{kind: kindBoolean}
	case "object":
		return &schema{kind: kindFree}
	}
	panic(fmt.Sprintf("the contract has an unknown type %q", expr))
}

// check appends to found what is wrong with a value decoded from JSON (numbers
// as json.Number). A null and an empty string mean "not given" to the vendor
// and are right for every type. The field is the value's path for messages.
func (sc *schema) check(field string, value any, found []string) []string {
	if value == nil || value == "" {
		return found
	}
	wrong := func(want string) []string {
		return append(found, fmt.Sprintf("field %q: expected %s, got %s", field, want, describe(value)))
	}
	switch sc.kind {
	case kindAny:
		return found
	case kindArray:
		list, ok := value.([]any)
		if !ok {
			return wrong("an array")
		}
		for i, element := range list {
			found = sc.of.check(field+"["+strconv.Itoa(i)+"]", element, found)
		}
		return found
	case kindObject:
		object, ok := value.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		return sc.checkFields(field, object, found)
	case kindFree:
		if _, ok := value.(map[string]any); !ok {
			return wrong("an object")
		}
		return found
	case kindUnion:
		for _, member := range sc.either {
			if len(member.check(field, value, nil)) == 0 {
				return found
			}
		}
		return wrong("one of the documented forms")
	case kindBoolean:
		if _, ok := value.(bool); !ok {
			return wrong("a boolean")
		}
		return found
	case kindNumber, kindInteger, kindInt64:
		if want, ok := sc.checkNumber(value); !ok {
			return wrong(want)
		}
		return found
	default:
		text, ok := value.(string)
		if !ok {
			return wrong("a string")
		}
		if want, ok := sc.checkText(text); !ok {
			return wrong(want)
		}
		return found
	}
}

func (sc *schema) checkFields(field string, object map[string]any, found []string) []string {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		path := name
		if field != "" {
			path = field + "." + name
		}
		sub, known := sc.fields[name]
		if !known {
			found = append(found, fmt.Sprintf("field %q: unknown field", path))
			continue
		}
		found = sub.check(path, object[name], found)
	}
	return found
}

// checkNumber says whether a value is a number of this kind, and what it ought
// to be if not.
func (sc *schema) checkNumber(value any) (want string, ok bool) {
	switch number := value.(type) {
	case json.Number:
		if sc.kind == kindNumber {
			return "", true
		}
		_, ok := integral(number.String())
		return "an integer", ok
	case string:
		if sc.kind == kindInt64 {
			_, err := strconv.ParseUint(number, 10, 64)
			return "an integer, as a string or a number", err == nil
		}
	}
	if sc.kind == kindNumber {
		return "a number", false
	}
	return "an integer", false
}

// checkText says whether a non-empty text is a value of this kind, and what it
// ought to be if not.
func (sc *schema) checkText(text string) (want string, ok bool) {
	switch sc.kind { //nolint:exhaustive // texts of the other kinds cannot be wrong
	case kindUUID:
		return "a uuid", isUUID(text)
	case kindTimestamp:
		_, ok := parseTime(text)
		return "a timestamp (RFC 3339)", ok
	case kindEnum:
		return "one of " + strings.Join(sc.values, ", "), slices.Contains(sc.values, text)
	case kindBoolean:
		_, err := strconv.ParseBool(text)
		return "a boolean", err == nil
	case kindInteger, kindInt64:
		_, err := strconv.ParseInt(text, 10, 64)
		return "an integer", err == nil
	case kindNumber:
		_, err := strconv.ParseFloat(text, 64)
		return "a number", err == nil
	case kindArray:
		for element := range strings.SplitSeq(text, ",") {
			if want, ok := sc.of.checkText(element); element != "" && !ok {
				return want, false
			}
		}
	}
	return "", true
}

// checkQuery appends to found what is wrong with the query parameters of an
// operation. Empty values mean "not given".
func (op *operation) checkQuery(query url.Values, found []string) []string {
	if len(query) == 0 {
		return found
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		// A list may also come as "name[]", as some clients encode it.
		sc, known := op.query[strings.TrimSuffix(name, "[]")]
		if !known || strings.HasSuffix(name, "[]") && sc.kind != kindArray {
			found = append(found, fmt.Sprintf("query parameter %q: unknown parameter", name))
			continue
		}
		for _, text := range query[name] {
			if text == "" {
				continue
			}
			if want, ok := sc.checkText(text); !ok {
				found = append(found, fmt.Sprintf("query parameter %q: expected %s, got %q", name, want, text))
			}
		}
	}
	return found
}

// checkParams appends to found the path parameters that ought to be uuids and
// are not.
func (op *operation) checkParams(values, found []string) []string {
	for i, name := range op.params {
		if paramSchema(name).kind == kindUUID && !isUUID(values[i]) {
			found = append(found, fmt.Sprintf("path parameter %q: expected a uuid, got %q", name, values[i]))
		}
	}
	return found
}

// known returns an object without the top-level fields that do not exist and
// without enums whose values do not exist. They count as not given.
func (sc *schema) known(object map[string]any) fields {
	for name, value := range object {
		sub, exists := sc.fields[name]
		if text, isText := value.(string); !exists || sub.kind == kindEnum && isText && !slices.Contains(sub.values, text) {
			delete(object, name)
		}
	}
	return object
}

func describe(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "an array"
	default:
		return "an object"
	}
}

// integral reads an integer in any of the forms JSON allows, 5.0 and 1e2 among
// them.
func integral(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// parseTime reads a timestamp or a plain date (UTC).
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
