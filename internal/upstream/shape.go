package upstream

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// form is how a field's values look in JSON and in Protobuf.
type form int

const (
	formUnused form = iota // of a kind that is not used with the vendor
	formBool
	formString
	formInt32
	formInt64
	formUint32
	formUint64
	formFloat
	formDouble
	formEnum
	formTime
	formObject // a google.protobuf.Struct
	formList   // a google.protobuf.ListValue
	formAny    // a google.protobuf.Value
	formMessage
)

// shape is what decoding asks of a message's descriptor, found out once.
type shape struct {
	fields map[string]*field
	// unseen has one element for each field.
	unseen []span
	// extra is the tag of vendor_extra; 0 where the message has none.
	extra uint64
	// guarded says that a message of this kind holds a secret, at whatever depth.
	guarded bool
	// holds says that one of its own fields is a secret.
	holds bool
}

type field struct {
	name   string
	index  int // in [shape.unseen]
	tag    uint64
	form   form
	list   bool
	local  bool
	secret bool
	enum   map[string]protoreflect.EnumNumber // of formEnum: its values
	shape  *shape                             // of formMessage
}

// shapes holds a [*shape] for every message decoded so far, and for those below.
type shapes struct {
	idle sync.Pool // of *decoder

	mu    sync.Mutex // guards known
	known map[protoreflect.MessageDescriptor]*shape
}

func (s *shapes) of(d protoreflect.MessageDescriptor) *shape {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.known[d]; found != nil {
		return found
	}
	if s.known == nil {
		s.known = map[protoreflect.MessageDescriptor]*shape{}
	}
	made := s.make(d)
	for again := true; again; {
		again = s.guard()
	}
	return made
}

// make is for a descriptor that is not known. Messages hold each other, so the shape
// is known before it is complete.
func (s *shapes) make(d protoreflect.MessageDescriptor) *shape {
	made := &shape{fields: make(map[string]*field, d.Fields().Len()), unseen: make([]span, d.Fields().Len())}
	s.known[d] = made
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := &field{name: string(fd.Name()), index: i, list: fd.IsList(), local: methods.Local(fd), secret: methods.Secret(fd)}
		var wire protowire.Type
		f.form, wire = formOf(fd)
		f.tag = protowire.EncodeTag(fd.Number(), wire)
		if f.local {
			if f.name == extraField && f.form == formObject && !f.list {
				made.extra = f.tag
			}
		} else if f.form == formMessage {
			if f.shape = s.known[fd.Message()]; f.shape == nil {
				f.shape = s.make(fd.Message())
			}
		}
		if f.form == formEnum {
			f.enum = valuesOf(fd.Enum())
		}
		made.fields[f.name] = f
		made.holds = made.holds || f.secret
	}
	return made
}

// guard marks what holds a secret, or what is marked; false when nothing was left to
// mark. Messages hold each other, so it takes several passes.
func (s *shapes) guard() bool {
	changed := false
	for _, known := range s.known {
		for _, f := range known.fields {
			if !known.guarded && (f.secret || f.shape != nil && f.shape.guarded) {
				known.guarded, changed = true, true
			}
		}
	}
	return changed
}

func valuesOf(d protoreflect.EnumDescriptor) map[string]protoreflect.EnumNumber {
	values := make(map[string]protoreflect.EnumNumber, d.Values().Len())
	for i := range d.Values().Len() {
		values[string(d.Values().Get(i).Name())] = d.Values().Get(i).Number()
	}
	return values
}

func formOf(fd protoreflect.FieldDescriptor) (form, protowire.Type) {
	if fd.IsMap() {
		return formUnused, protowire.BytesType
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return formBool, protowire.VarintType
	case protoreflect.StringKind:
		return formString, protowire.BytesType
	case protoreflect.Int32Kind:
		return formInt32, protowire.VarintType
	case protoreflect.Int64Kind:
		return formInt64, protowire.VarintType
	case protoreflect.Uint32Kind:
		return formUint32, protowire.VarintType
	case protoreflect.Uint64Kind:
		return formUint64, protowire.VarintType
	case protoreflect.FloatKind:
		return formFloat, protowire.Fixed32Type
	case protoreflect.DoubleKind:
		return formDouble, protowire.Fixed64Type
	case protoreflect.EnumKind:
		return formEnum, protowire.VarintType
	case protoreflect.MessageKind:
		return formOfMessage(fd.Message()), protowire.BytesType
	default:
		return formUnused, protowire.BytesType
	}
}

func formOfMessage(d protoreflect.MessageDescriptor) form {
	switch d.FullName() {
	case "google.protobuf.Timestamp":
		return formTime
	case "google.protobuf.Struct":
		return formObject
	case "google.protobuf.ListValue":
		return formList
	case "google.protobuf.Value":
		return formAny
	}
	if d.ParentFile().Package() == "google.protobuf" {
		return formUnused
	}
	return formMessage
}
