package mirror

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// reduce leaves only some fields of the messages at a path.
func reduce(m protoreflect.Message, path string, keep []string) {
	for _, v := range methods.Values(m, path) {
		keepOnly(v.Message(), keep)
	}
}

// keepOnly leaves only some fields of a message.
func keepOnly(m protoreflect.Message, keep []string) {
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !slices.Contains(keep, string(fd.Name())) {
			m.Clear(fd)
		}
		return true
	})
}

// clearAt clears the fields at a path.
func clearAt(m protoreflect.Message, path string) {
	parents := []protoreflect.Message{m}
	name := path
	if at := strings.LastIndexByte(path, '.'); at >= 0 {
		parents = parents[:0]
		for _, v := range methods.Values(m, path[:at]) {
			parents = append(parents, v.Message())
		}
		name = path[at+1:]
	}
	for _, parent := range parents {
		if fd := parent.Descriptor().Fields().ByName(protoreflect.Name(name)); fd != nil {
			parent.Clear(fd)
		}
	}
}

// take sets those fields of to that from has as well, under the same name and of
// the same type; only the named ones, if any are named. What from does not give,
// to keeps. Both are separate copies afterwards.
func take(to, from proto.Message, only ...string) {
	source := proto.Clone(from).ProtoReflect()
	target := to.ProtoReflect()
	fields := target.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		other := source.Descriptor().Fields().ByName(fd.Name())
		if other == nil || !alike(fd, other) || !source.Has(other) {
			continue
		}
		if len(only) == 0 || slices.Contains(only, string(fd.Name())) {
			target.Set(fd, source.Get(other))
		}
	}
}

// alike says that values of one field can be those of the other.
func alike(a, b protoreflect.FieldDescriptor) bool {
	if a.Kind() != b.Kind() || a.Cardinality() != b.Cardinality() || a.IsMap() || b.IsMap() {
		return false
	}
	if a.Message() != nil {
		return a.Message().FullName() == b.Message().FullName()
	}
	return a.Enum() == nil || a.Enum().FullName() == b.Enum().FullName()
}

// set sets a text field by its name, and says whether the message has it.
func set(m proto.Message, field, value string) bool {
	fd := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
	if fd == nil || fd.Kind() != protoreflect.StringKind || fd.IsList() {
		return false
	}
	m.ProtoReflect().Set(fd, protoreflect.ValueOfString(value))
	return true
}

// redact clears the secrets of a message of the vendor's, and takes them out of wherever else
// it repeats them.
func redact(m proto.Message) {
	methods.Scrub(m, methods.SecretValues(m))
	methods.Redact(m)
}
