package methods

import (
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// Local says that a field is ours: the vendor neither gets nor sends it.
func Local(fd protoreflect.FieldDescriptor) bool {
	local, _ := proto.GetExtension(fd.Options(), pb.E_Local).(bool)
	return local
}

// ClearWith is the name of the request field that clears fd when it is true, or "".
func ClearWith(fd protoreflect.FieldDescriptor) string {
	name, _ := proto.GetExtension(fd.Options(), pb.E_ClearWith).(string)
	return name
}

// Secret says that a field holds a secret (debug_redact).
func Secret(fd protoreflect.FieldDescriptor) bool {
	options, _ := fd.Options().(*descriptorpb.FieldOptions)
	return options.GetDebugRedact()
}

// Strings are the values at a path of field names in m, one for each element
// where the path crosses repeated fields. Absent and empty values are left out.
// A path that the message does not have yields nothing; a test resolves every
// path that the API's options name.
func Strings(m proto.Message, path string) []string {
	var values []string
	for _, v := range Values(m.ProtoReflect(), path) {
		if s, ok := v.Interface().(string); ok && s != "" {
			values = append(values, s)
		}
	}
	return values
}

// String is the first value at the path, or "".
func String(m proto.Message, path string) string {
	if values := Strings(m, path); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Values are the values present at a path of field names in m.
func Values(m protoreflect.Message, path string) []protoreflect.Value {
	name, rest, nested := strings.Cut(path, ".")
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if fd == nil || !m.Has(fd) {
		return nil
	}
	elements := []protoreflect.Value{m.Get(fd)}
	if fd.IsList() {
		list := m.Get(fd).List()
		elements = elements[:0]
		for i := range list.Len() {
			elements = append(elements, list.Get(i))
		}
	}
	if !nested {
		return elements
	}
	if fd.Message() == nil || fd.IsMap() {
		return nil
	}
	var values []protoreflect.Value
	for _, element := range elements {
		values = append(values, Values(element.Message(), rest)...)
	}
	return values
}

// Meets says whether a message has one of the values that a condition names.
func Meets(m protoreflect.Message, condition *pb.Condition) bool {
	for _, v := range Values(m, condition.GetField()) {
		text, _ := v.Interface().(string)
		if number, ok := v.Interface().(protoreflect.EnumNumber); ok {
			fd := Resolve(m.Descriptor(), condition.GetField())
			if known := fd.Enum().Values().ByNumber(number); known != nil {
				text = string(known.Name())
			}
		}
		if slices.Contains(condition.GetValues(), text) {
			return true
		}
	}
	return false
}

// Resolve is the field at the end of a path, or nil.
func Resolve(d protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	name, rest, nested := strings.Cut(path, ".")
	fd := d.Fields().ByName(protoreflect.Name(name))
	if fd == nil || !nested {
		return fd
	}
	if fd.Message() == nil {
		return nil
	}
	return Resolve(fd.Message(), rest)
}

// Redact clears every secret in m, at any depth, and says whether there was one.
func Redact(m proto.Message) bool { return redact(m.ProtoReflect()) }

// HasSecret says whether there is a secret in m, at any depth.
func HasSecret(m proto.Message) bool { return Redact(proto.Clone(m)) }

// Withholds says that m lacks a secret that messages of its kind are for, at any depth:
// one of a field that is empty, or of a list without elements. Where a message has no
// secrets, such as one with an address for consent, it lacks what it is for if it says
// nothing at all.
func Withholds(m proto.Message) bool {
	if holds(m.ProtoReflect().Descriptor()) {
		return withholds(m.ProtoReflect())
	}
	silent := true
	m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		silent = fd.Kind() == protoreflect.StringKind && !fd.IsList() && v.String() == ""
		return silent
	})
	return silent
}

func withholds(m protoreflect.Message) bool {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		inner := fd.Message() != nil && !fd.IsMap() && holds(fd.Message())
		switch {
		case Secret(fd) && Strings(m.Interface(), string(fd.Name())) == nil, inner && !m.Has(fd):
			return true
		case inner && !Secret(fd):
			for _, v := range Values(m, string(fd.Name())) {
				if withholds(v.Message()) {
					return true
				}
			}
		}
	}
	return false
}

// holds says that messages of a kind can hold a secret, at any depth.
func holds(d protoreflect.MessageDescriptor) bool {
	if known, is := holding.Load(d.FullName()); is {
		return known == true
	}
	found := holdsWithin(d, nil)
	holding.Store(d.FullName(), found)
	return found
}

// holding remembers what holds has found: it is asked for each part of all that is stored.
var holding sync.Map //nolint:gochecknoglobals // a cache of what is fixed when the program is built

func holdsWithin(d protoreflect.MessageDescriptor, within []protoreflect.FullName) bool {
	if slices.Contains(within, d.FullName()) {
		return false
	}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if Secret(fd) || fd.Message() != nil && holdsWithin(fd.Message(), append(within, d.FullName())) {
			return true
		}
	}
	return false
}

func redact(m protoreflect.Message) bool {
	found := false
	if !holds(m.Descriptor()) {
		return false
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case Secret(fd):
			m.Clear(fd)
			found = true
		case fd.IsMap() || fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				found = redact(v.List().Get(i).Message()) || found
			}
		default:
			found = redact(v.Message()) || found
		}
		return true
	})
	return found
}
