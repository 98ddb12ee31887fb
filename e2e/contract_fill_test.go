package e2e_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	validate "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// filler fills requests from their descriptors: every field of the vendor's at any depth,
// each with another value, as the limits of the API's description allow.
type filler struct {
	t *testing.T
	c *contract
	// n counts the values that were made, so that none is like another.
	n int
	// choice is which of the fields is given of which only one may be; choices is the most
	// that any message had to choose from.
	choice, choices int
	// zero gives numbers, booleans and enums their zero values where these are allowed.
	zero bool
	// secret gives the texts of secrets; nil: they are filled like others.
	secret func(fd protoreflect.FieldDescriptor) string
}

// request is a filled request of a method. Without options it has what must be given alone.
func (f *filler) request(m *methods.Method, options bool) proto.Message {
	f.t.Helper()
	op := f.c.Operations[m.Verb+" "+m.Path]
	kinds := map[string]string{}
	for _, given := range []map[string]string{op.Query, op.Body} {
		maps.Copy(kinds, given)
	}
	inPath := pathParameters(m.Path)
	for _, name := range inPath {
		kinds[name] = "path"
		if strings.HasSuffix(name, "uuid") {
			kinds[name] = "uuid"
		}
	}
	// What names resources are uuids, even where the contract takes any text.
	for _, target := range m.Access.GetTargets() {
		switch field := target.GetField(); {
		case target.GetByName():
		case kinds[field] == "string":
			kinds[field] = "uuid"
		case kinds[field] == "[string]":
			kinds[field] = "[uuid]"
		}
	}
	message := m.Input.New()
	f.message(message, func(fd protoreflect.FieldDescriptor) (string, bool) {
		name := string(fd.Name())
		must := slices.Contains(inPath, name) || f.rules(fd).GetRequired()
		return kinds[name], !slices.Contains(pageFields(), name) && (options || must)
	}, nil)
	return message.Interface()
}

// rules are the limits of a field.
func (f *filler) rules(fd protoreflect.FieldDescriptor) *validate.FieldRules {
	f.t.Helper()
	rules, err := protovalidate.ResolveFieldRules(fd)
	if err != nil {
		f.t.Fatalf("the rules of %s: %v", fd.FullName(), err)
	}
	return rules
}

// pathParameters are the names in a path template.
func pathParameters(template string) []string {
	var names []string
	for _, found := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(template, -1) {
		names = append(names, found[1])
	}
	return names
}

// message sets the fields of m that want wants, of which it knows the contract's type.
// A message within itself is left out.
func (f *filler) message(m protoreflect.Message, want func(protoreflect.FieldDescriptor) (kind string, wanted bool), within []protoreflect.FullName) {
	f.t.Helper()
	d := m.Descriptor()
	within = append(slices.Clone(within), d.FullName())
	left := f.leaveOut(d)
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		kind, wanted := want(fd)
		switch {
		case methods.Local(fd) || !wanted || slices.Contains(left, string(fd.Name())):
			continue
		case fd.Message() != nil && slices.Contains(within, fd.Message().FullName()):
			continue
		case !fd.IsList():
			m.Set(fd, f.value(m, fd, kind, within))
			continue
		}
		list := m.Mutable(fd).List()
		inner, _ := element(kind)
		if _, either, ok := strings.Cut(kind, "|"); ok {
			inner, _ = element(either)
		}
		for range 2 {
			list.Append(f.value(m, fd, inner, within))
		}
	}
}

// leaveOut are the fields of a message that cannot be given beside the one that was
// chosen: a rule wants exactly one of several.
func (f *filler) leaveOut(d protoreflect.MessageDescriptor) []string {
	rules, err := protovalidate.ResolveMessageRules(d)
	if err != nil {
		f.t.Fatalf("the rules of %s: %v", d.FullName(), err)
	}
	var left []string
	for _, rule := range rules.GetCel() {
		if !strings.HasSuffix(rule.GetExpression(), "== 1") {
			continue
		}
		var names []string
		for _, found := range regexp.MustCompile(`has\(this\.(\w+)\)`).FindAllStringSubmatch(rule.GetExpression(), -1) {
			names = append(names, found[1])
		}
		f.choices = max(f.choices, len(names))
		chosen := f.choice % len(names)
		left = append(left, names[:chosen]...)
		left = append(left, names[chosen+1:]...)
	}
	return left
}

// value makes one value of a field, or one element of it.
func (f *filler) value(m protoreflect.Message, fd protoreflect.FieldDescriptor, kind string, within []protoreflect.FullName) protoreflect.Value {
	f.t.Helper()
	f.n++
	rules := f.rules(fd)
	if fd.IsList() {
		rules = rules.GetRepeated().GetItems()
	}
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(f.text(fd, kind, rules.GetString()))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!f.zero && f.n%2 == 0)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(f.integer(fd, rules.GetInt32()))
	case protoreflect.Uint64Kind:
		if f.zero {
			return protoreflect.ValueOfUint64(0)
		}
		return protoreflect.ValueOfUint64(beyondFloats + uint64(f.n))
	case protoreflect.DoubleKind:
		low, high := 0.0, 1.0
		if r := rules.GetDouble(); r.HasLte() {
			low, high = r.GetGte(), r.GetLte()
		}
		if f.zero {
			return protoreflect.ValueOfFloat64(low)
		}
		return protoreflect.ValueOfFloat64(low + (high-low)*float64(f.n%61+1)/64)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(f.enum(fd, rules.GetEnum()))
	case protoreflect.MessageKind:
		return f.part(m, fd, kind, within)
	default:
		f.t.Fatalf("%s: nobody thought of requests with a %s", fd.FullName(), fd.Kind())
		return protoreflect.Value{}
	}
}

func (f *filler) integer(fd protoreflect.FieldDescriptor, rules *validate.Int32Rules) int32 {
	low, high := int32(0), int32(math.MaxInt32)
	if rules.HasGte() {
		low = rules.GetGte()
	}
	if rules.HasLte() {
		high = rules.GetLte()
	}
	if f.zero && !fd.IsList() { // elements must differ from each other
		return low
	}
	return low + int32(f.n)%(high-low) + 1
}

// beyondFloats is the first integer that a float64 cannot tell from its neighbour: who
// reads it as one loses it.
const beyondFloats = 1<<53 + 1

func (f *filler) part(m protoreflect.Message, fd protoreflect.FieldDescriptor, kind string, within []protoreflect.FullName) protoreflect.Value {
	f.t.Helper()
	fresh := m.NewField(fd)
	if fd.IsList() {
		fresh = fresh.List().NewElement()
	}
	switch known := fresh.Message().Interface().(type) {
	case *timestamppb.Timestamp:
		proto.Merge(known, timestamppb.New(moment(f.n)))
	case *structpb.Struct:
		free, err := structpb.NewStruct(f.free(fd))
		if err != nil {
			f.t.Fatal(err)
		}
		proto.Merge(known, free)
	case *structpb.Value:
		free, err := structpb.NewValue(f.free(fd))
		if err != nil {
			f.t.Fatal(err)
		}
		proto.Merge(known, free)
	default:
		kinds := f.c.fields(kind)
		f.message(fresh.Message(), func(fd protoreflect.FieldDescriptor) (string, bool) { return kinds[string(fd.Name())], true }, within)
	}
	return fresh
}

func (f *filler) free(fd protoreflect.FieldDescriptor) map[string]any {
	if f.secret != nil && methods.Secret(fd) {
		return map[string]any{"X-Key": f.secret(fd), "X-Deep": []any{map[string]any{"X-Inner": f.secret(fd)}}}
	}
	return freeForm(f.n)
}

// freeForm is an object of no known form.
func freeForm(n int) map[string]any {
	return map[string]any{
		fmt.Sprintf("é %d", n): fmt.Sprintf("text %d", n),
		"list":                 []any{float64(n), n%2 == 0, nil, "item", map[string]any{"deep": float64(n) + 0.5}},
	}
}

// moment is a time like no other.
func moment(n int) time.Time {
	return time.Date(2026, time.March, 1, 0, 0, n, n%2*123456789, time.UTC)
}

func (f *filler) text(fd protoreflect.FieldDescriptor, kind string, rules *validate.StringRules) string {
	switch {
	case rules.GetUuid() || kind == "uuid":
		return numberedUUID(f.n)
	case f.secret != nil && methods.Secret(fd):
		return f.secret(fd)
	case methods.Secret(fd): // is taken out of whatever has it in the answer, so it is like nothing there
		return fmt.Sprintf("Bearer secret-%d-in-%s", f.n, fd.Name())
	case len(rules.GetIn()) > 0:
		return rules.GetIn()[f.n%len(rules.GetIn())]
	case strings.HasPrefix(rules.GetPattern(), "^https"):
		return fmt.Sprintf("https://server-%d.example/%s?q=%s", f.n, fd.Name(), awkward)
	case rules.GetPattern() != "": // a time of day, or else the request is not valid
		return fmt.Sprintf("%02d:%02d", f.n%24, f.n%60)
	case kind == "path":
		return fmt.Sprintf("%s é %d", fd.Name(), f.n)
	default:
		return fmt.Sprintf("%s %d %s", fd.Name(), f.n, awkward)
	}
}

// awkward is what must be escaped, in one place or another.
const awkward = `é€ "a"\b</c>&d=e+f%20?#;`

// numberedUUID is a uuid like no other.
func numberedUUID(n int) string { return fmt.Sprintf("%08x-5eed-4bad-8cab-%012x", n, n) }

func (f *filler) enum(fd protoreflect.FieldDescriptor, rules *validate.EnumRules) protoreflect.EnumNumber {
	if f.zero && !slices.Contains(rules.GetNotIn(), 0) && !fd.IsList() {
		return 0
	}
	// What comes first is "not told".
	return fd.Enum().Values().Get(1 + f.n%(fd.Enum().Values().Len()-1)).Number()
}
