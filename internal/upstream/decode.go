package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// maxDepth is how deep the vendor's JSON may nest. Agents within workspaces
// within agents reach about ten.
const maxDepth = 200

// FormatError is a part of an answer that the client does not understand. It
// tells where and what, never the value: that may be a secret.
type FormatError struct {
	// Path leads to the part, such as "agents[3].k"; empty for the answer as a whole.
	Path    string
	Problem string
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return e.Path + ": " + e.Problem
}

// parse reads one JSON object, without NUL characters: see [withoutNUL].
func parse(body []byte) (map[string]any, error) {
	if depth(body) > maxDepth {
		return nil, &FormatError{Problem: "the answer nests too deeply"}
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // a float64 would round ids above 2^53
	var root any
	if err := decoder.Decode(&root); err != nil {
		return nil, &FormatError{Problem: "the answer is not JSON"}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &FormatError{Problem: "something follows the answer's JSON"}
	}
	object, ok := root.(map[string]any)
	if !ok {
		return nil, &FormatError{Problem: "the answer is " + kindOf(root) + ", not a JSON object"}
	}
	if bytes.Contains(body, []byte(`\u0000`)) { // JSON has no other way to write it
		withoutNUL(object)
	}
	return object, nil
}

// withoutNUL replaces NUL in all texts and names of a value, in place where it can. It
// is the one character that JSON and Protobuf have and Postgres has not: one of it
// would keep all that it arrived with from being stored. Its place is taken by the
// character for what cannot be shown.
func withoutNUL(value any) any {
	replaced := func(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }
	switch v := value.(type) {
	case string:
		return replaced(v)
	case []any:
		for i, item := range v {
			v[i] = withoutNUL(item)
		}
	case map[string]any:
		// In order, so that of two names that become one it is always the same that stays.
		for _, name := range slices.Sorted(maps.Keys(v)) {
			item := withoutNUL(v[name])
			delete(v, name)
			v[replaced(name)] = item
		}
	}
	return value
}

// depth is how deep brackets nest outside of strings. It need not be right about
// what is not JSON.
func depth(body []byte) int {
	now, deepest, quoted := 0, 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// shape is what decoding asks of a message's descriptor, found out once.
type shape struct {
	fields map[string]fieldShape
	extra  protoreflect.FieldDescriptor // vendor_extra; nil where the message has none
}

type fieldShape struct {
	protoreflect.FieldDescriptor

	local bool
}

// shapes holds a [*shape] for every message decoded so far, by descriptor.
type shapes struct{ known sync.Map }

func (s *shapes) of(d protoreflect.MessageDescriptor) *shape {
	if known, ok := s.known.Load(d); ok {
		if found, ok := known.(*shape); ok {
			return found
		}
	}
	made := &shape{fields: make(map[string]fieldShape, d.Fields().Len())}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		made.fields[string(fd.Name())] = fieldShape{FieldDescriptor: fd, local: methods.Local(fd)}
	}
	if fd := d.Fields().ByName(extraField); fd != nil && methods.Local(fd) && isStruct(fd) {
		made.extra = fd
	}
	s.known.Store(d, made)
	return made
}

func isStruct(fd protoreflect.FieldDescriptor) bool {
	return !fd.IsList() && fd.Message() != nil && fd.Message().FullName() == "google.protobuf.Struct"
}

// decoder fills one message from one answer.
type decoder struct {
	shapes *shapes
	// drift is what the descriptors do not know, by its path without list
	// indexes, and how often it came.
	drift map[string]int
}

// decode fills resp, which is emptied first, and answers the drift. After an
// error resp is empty.
func (s *shapes) decode(object map[string]any, resp proto.Message) (map[string]int, error) {
	proto.Reset(resp)
	d := &decoder{shapes: s, drift: map[string]int{}}
	err := d.message(resp.ProtoReflect(), object, &place{index: -1}, nil)
	if err != nil {
		proto.Reset(resp)
	}
	return d.drift, err
}

func (d *decoder) message(msg protoreflect.Message, object map[string]any, here *place, keep *extras) error {
	known := d.shapes.of(msg.Descriptor())
	if known.extra != nil {
		keep = &extras{from: here}
	}
	// In order, so that the same answer always gives the same error and the same extras.
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value := object[name]
		if value == nil {
			continue // null is absent
		}
		at := &place{up: here, name: name, index: -1}
		field, ok := known.fields[name]
		switch {
		case !ok:
			d.unknown(at, keep, redacted(name, value))
		case field.local:
			d.note(at) // ours: the vendor cannot set it
		default:
			if err := d.field(msg, field.FieldDescriptor, value, at, keep); err != nil {
				return err
			}
		}
	}
	if known.extra != nil {
		if extra := keep.message(); extra != nil {
			msg.Set(known.extra, protoreflect.ValueOfMessage(extra.ProtoReflect()))
		}
	}
	return nil
}

func (d *decoder) field(
	msg protoreflect.Message, fd protoreflect.FieldDescriptor, value any, at *place, keep *extras,
) error {
	if fd.IsMap() {
		return at.problem("maps are not used with the vendor")
	}
	if !fd.IsList() {
		v, ok, err := d.value(fd, value, at, keep, func() protoreflect.Value { return msg.NewField(fd) })
		if ok && err == nil {
			msg.Set(fd, v)
		}
		return err
	}
	items, ok := value.([]any)
	if !ok {
		return at.want("a list", value)
	}
	list := msg.Mutable(fd).List()
	for i, item := range items {
		if item == nil {
			continue
		}
		v, ok, err := d.value(fd, item, &place{up: at.up, name: at.name, index: i}, keep, list.NewElement)
		if err != nil {
			return err
		}
		if ok {
			list.Append(v)
		}
	}
	return nil
}

// value reads one value; false says that it counts as absent.
func (d *decoder) value(
	fd protoreflect.FieldDescriptor, value any, at *place, keep *extras, fresh func() protoreflect.Value,
) (protoreflect.Value, bool, error) {
	switch fd.Kind() {
	case protoreflect.EnumKind:
		return d.enum(fd, value, at, keep)
	case protoreflect.MessageKind:
		if v, done, ok, err := wellKnown(fd.Message(), value, at); done {
			return v, ok, err
		}
		object, ok := value.(map[string]any)
		if !ok {
			return protoreflect.Value{}, false, at.want("an object", value)
		}
		v := fresh()
		return v, true, d.message(v.Message(), object, at, keep)
	default:
		return scalar(fd, value, at)
	}
}

func (d *decoder) enum(
	fd protoreflect.FieldDescriptor, value any, at *place, keep *extras,
) (protoreflect.Value, bool, error) {
	var known protoreflect.EnumValueDescriptor
	switch v := value.(type) {
	case string:
		if v == "" {
			return protoreflect.Value{}, false, nil
		}
		known = fd.Enum().Values().ByName(protoreflect.Name(v))
	case json.Number:
		n, ok := integer(v.String(), 32)
		if !ok {
			return protoreflect.Value{}, false, at.want("an enum value", value)
		}
		known = fd.Enum().Values().ByNumber(protoreflect.EnumNumber(n))
	default:
		return protoreflect.Value{}, false, at.want("an enum value", value)
	}
	if known == nil {
		d.unknown(at, keep, value)
		return protoreflect.Value{}, false, nil
	}
	return protoreflect.ValueOfEnum(known.Number()), true, nil
}

// wellKnown reads the messages that JSON writes in a form of their own; done
// says that the message is one of them.
func wellKnown(d protoreflect.MessageDescriptor, value any, at *place) (v protoreflect.Value, done, ok bool, err error) {
	switch d.FullName() {
	case "google.protobuf.Timestamp":
		t, ok, err := timestamp(value, at)
		if !ok || err != nil {
			return v, true, false, err
		}
		return protoreflect.ValueOfMessage(timestamppb.New(t).ProtoReflect()), true, true, nil
	case "google.protobuf.Struct":
		object, ok := value.(map[string]any)
		if !ok {
			return v, true, false, at.want("an object", value)
		}
		return protoreflect.ValueOfMessage((&structpb.Struct{Fields: freeFields(object)}).ProtoReflect()), true, true, nil
	case "google.protobuf.ListValue":
		items, ok := value.([]any)
		if !ok {
			return v, true, false, at.want("a list", value)
		}
		return protoreflect.ValueOfMessage(freeList(items).ProtoReflect()), true, true, nil
	case "google.protobuf.Value":
		return protoreflect.ValueOfMessage(freeValue(value).ProtoReflect()), true, true, nil
	}
	return v, false, false, nil
}
