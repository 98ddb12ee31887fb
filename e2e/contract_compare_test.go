package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// comparison compares values as JSON has them, by the contract's types.
type comparison struct {
	c        *contract
	compared []string // the ways to all values, without the places in lists
	problems []string
}

func (c *comparison) count(where string) {
	c.compared = append(c.compared, regexp.MustCompile(`\[\d+\]`).ReplaceAllString(where, ""))
}

func (c *comparison) problemf(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// fields compares two objects field by field: what one has, the other must have.
func (c *comparison) fields(where string, kinds map[string]string, want, got map[string]any) {
	names := maps.Clone(want)
	maps.Copy(names, got)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		at := where + "." + name
		kind, known := kinds[name]
		expected, wanted := want[name]
		found, there := got[name]
		switch {
		case !known:
			c.problemf("%s is not in the contract", at)
		case !there:
			c.problemf("%s is lost: %s", at, short(expected))
		case !wanted:
			c.problemf("%s was not given and is there: %s", at, short(found))
		default:
			c.value(at, kind, expected, found)
		}
	}
}

// value compares two values of a type.
func (c *comparison) value(where, kind string, want, got any) {
	if whole, either, ok := strings.Cut(kind, "|"); ok {
		if _, list := want.([]any); list {
			whole = either
		}
		kind = whole
	}
	if inner, list := element(kind); list {
		wants, isList := want.([]any)
		gots, isAlso := got.([]any)
		if !isList || !isAlso || len(wants) != len(gots) {
			c.problemf("%s is %s, want %s", where, short(got), short(want))
			return
		}
		for i := range wants {
			c.value(where+"["+strconv.Itoa(i)+"]", inner, wants[i], gots[i])
		}
		return
	}
	if kinds := c.c.fields(kind); kinds != nil {
		wants, isObject := want.(map[string]any)
		gots, isAlso := got.(map[string]any)
		if !isObject || !isAlso {
			c.problemf("%s is %s, want %s", where, short(got), short(want))
			return
		}
		c.fields(where, kinds, wants, gots)
		return
	}
	c.count(where)
	if !same(kind, want, got) {
		c.problemf("%s is %s, want %s", where, short(got), short(want))
	}
}

// items compares two lists whose order is not told: each item with the one that is most
// like it.
func (c *comparison) items(where, kind string, want, got []any) {
	inner, _ := element(kind)
	if len(want) != len(got) {
		c.problemf("%s has %d items, want %d", where, len(got), len(want))
	}
	for i, item := range want {
		var best *comparison
		at := -1
		for j := range got {
			one := &comparison{c: c.c}
			one.value(fmt.Sprintf("%s[%d]", where, i), inner, item, got[j])
			if best == nil || len(one.problems) < len(best.problems) {
				best, at = one, j
			}
		}
		if best == nil {
			return // there are too few, which was told
		}
		c.compared = append(c.compared, best.compared...)
		c.problems = append(c.problems, best.problems...)
		got = slices.Delete(slices.Clone(got), at, at+1)
	}
}

// same says whether two values of a type that is neither a list nor a shape are the same.
func same(kind string, want, got any) bool {
	switch kind {
	case "integer", "number":
		a, isNumber := numeric(want)
		b, isAlso := numeric(got)
		return isNumber && isAlso && a == b
	case "timestamp":
		a, err := time.Parse(time.RFC3339Nano, fmt.Sprint(want))
		b, otherErr := time.Parse(time.RFC3339Nano, fmt.Sprint(got))
		return err == nil && otherErr == nil && a.Equal(b)
	case "object", "any":
		return reflect.DeepEqual(plainJSON(want), plainJSON(got))
	default:
		return want == got
	}
}

// numeric is a number as JSON has one; texts are none.
func numeric(value any) (float64, bool) {
	switch v := value.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return math.NaN(), false
}

// plainJSON is a value as it is after being written and read.
func plainJSON(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return err
	}
	return plain
}

// short is the beginning of a value as JSON.
func short(value any) string {
	const most = 200
	text := asJSON(value)
	return text[:min(len(text), most)]
}

// theirs is what of a message is the vendor's, as JSON, with numbers as they were
// written. What came from the vendor and had no place is an error.
func theirs(t *testing.T, m proto.Message) map[string]any {
	t.Helper()
	bare := proto.Clone(m)
	if extra := dropOurs(bare.ProtoReflect()); len(extra) > 0 {
		t.Errorf("had no place in %s: %s", m.ProtoReflect().Descriptor().Name(), strings.Join(extra, ", "))
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(bare)
	if err != nil {
		t.Fatal(err)
	}
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.UseNumber()
	object := map[string]any{}
	if err := reader.Decode(&object); err != nil {
		t.Fatal(err)
	}
	return object
}

// dropOurs clears all fields that are ours, and answers what was in vendor_extra.
func dropOurs(m protoreflect.Message) (extra []string) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case methods.Local(fd):
			if fd.Name() == "vendor_extra" {
				extra = append(extra, v.String())
			}
			m.Clear(fd)
		case fd.IsMap() || fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				extra = append(extra, dropOurs(v.List().Get(i).Message())...)
			}
		default:
			extra = append(extra, dropOurs(v.Message())...)
		}
		return true
	})
	return extra
}

// request compares what arrived with what was asked for, whole: want is the vendor's part
// of the request.
func (c *comparison) request(m *methods.Method, op vendorOperation, want map[string]any, a arrival) {
	if a.token != "Bearer vendor-token" {
		c.problemf("the token is %q", a.token)
	}
	rest := maps.Clone(want)
	for _, name := range pathParameters(m.Path) {
		c.count("path." + name)
		if a.params[name] != want[name] {
			c.problemf("path: %s is %q, want %q", name, a.params[name], want[name])
		}
		delete(rest, name) // not said again in the body, though the vendor would take it there
	}
	if !m.Body {
		c.query(op, rest, a)
		return
	}
	if len(a.query) > 0 {
		c.problemf("the query has %v", a.query)
	}
	for name := range op.Query {
		if !slices.Contains(inBodyInstead()[m.Verb+" "+m.Path], name) {
			c.problemf("query: %s is not sent", name)
		}
	}
	if a.object == nil {
		c.problemf("the body is no object: %q", a.body)
		return
	}
	for _, found := range c.c.checkFields("body", op.Body, a.object) {
		c.problemf("%s", found)
	}
	sent := maps.Clone(a.object)
	if find := m.Access.GetReconcile().String(); find == "RECONCILE_FIND_BY_TAG" {
		sent["tags"] = c.withoutMark(sent["tags"])
	}
	c.fields("body", op.Body, rest, sent)
}

// withoutMark takes the tag out by which a creation is found again.
func (c *comparison) withoutMark(tags any) any {
	list, _ := tags.([]any)
	if len(list) == 0 || !strings.HasPrefix(fmt.Sprint(list[len(list)-1]), "agentsvc-op:") {
		c.problemf("there is no tag to find what is created: %v", tags)
		return tags
	}
	return list[:len(list)-1]
}

// query compares what arrived in a query. The pages are the service's own.
func (c *comparison) query(op vendorOperation, want map[string]any, a arrival) {
	if len(a.body) > 0 {
		c.problemf("there is a body: %q", a.body)
	}
	query := maps.Clone(a.query)
	for _, name := range pageFields() {
		if op.Query[name] == "" {
			continue
		}
		if n, err := strconv.Atoi(a.query.Get(name)); err != nil || n < 1 || n > 200 || len(a.query[name]) != 1 {
			c.problemf("query: %s is %q", name, a.query[name])
		}
		delete(query, name)
	}
	got := map[string]any{}
	for name, texts := range query {
		inner, list := element(op.Query[name])
		var values []any
		for _, text := range texts {
			values = append(values, inQuery(inner, text))
		}
		if got[name] = values[0]; list {
			got[name] = values
		} else if len(values) > 1 {
			c.problemf("query: %s is there %d times", name, len(values))
		}
	}
	for _, found := range c.c.checkFields("query", op.Query, got) {
		c.problemf("%s", found)
	}
	c.fields("query", op.Query, want, got)
}

// inQuery is a value of a type that was written into a query.
func inQuery(kind, text string) any {
	switch kind {
	case "integer", "number":
		return json.Number(text)
	case "boolean":
		if text == "true" || text == "false" {
			return text == "true"
		}
	}
	return text
}
