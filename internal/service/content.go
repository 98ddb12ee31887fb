package service

import (
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/fault"
)

const (
	// maxDepth is how many levels of objects and lists a request may have below itself.
	// What is kept is read again as JSON, by readers that all end somewhere; the vendor's
	// answer has a request's objects some levels further down.
	maxDepth = 64
	// maxStruct is the size that one field of free-form JSON may have, in bytes.
	maxStruct = 64 << 10
)

// wellKnown is the package of the messages that JSON writes in a way of its own, and not
// in every state that they can have.
const wellKnown = "google.protobuf"

// contentCheck looks for what a request of the right types can hold and nobody could keep,
// record or show: found later, it would be our error instead of the caller's.
type contentCheck struct {
	// path leads to the field looked at. Within free-form JSON it goes no further: its
	// names are the caller's, and as many.
	path []string
	// whole says that fields of a later version are refused. A change without them would not
	// be the one that was asked for; a read may pass them over.
	whole bool
}

// invalid is an error of the field looked at.
func (c *contentCheck) invalid(format string, args ...any) error {
	return fault.Invalid(strings.Join(c.path, "."), format, args...)
}

// message looks through a message at a depth.
func (c *contentCheck) message(m protoreflect.Message, depth int) (err error) {
	if depth > maxDepth {
		return c.invalid("has more than %d levels within each other", maxDepth)
	}
	if c.whole && len(m.GetUnknown()) > 0 {
		return fault.Invalid(strings.Join(append(c.path, "(unknown)"), "."), "has fields that this version of the API does not know")
	}
	free := m.Descriptor().ParentFile().Package() == wellKnown
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !free {
			c.path = append(c.path, string(fd.Name()))
			defer func() { c.path = c.path[:len(c.path)-1] }()
		}
		err = c.field(fd, v, depth, free)
		return err == nil
	})
	return err
}

func (c *contentCheck) field(fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int, free bool) (err error) {
	switch {
	case fd.IsMap():
		v.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			if fd.MapKey().Kind() == protoreflect.StringKind {
				err = c.text(key.String())
			}
			if err == nil {
				err = c.value(fd.MapValue(), value, depth, free)
			}
			return err == nil
		})
	case fd.IsList():
		for i := 0; i < v.List().Len() && err == nil; i++ {
			err = c.value(fd, v.List().Get(i), depth, free)
		}
	default:
		err = c.value(fd, v, depth, free)
	}
	return err
}

// value looks at one value: the only one of its field, or one of several.
func (c *contentCheck) value(fd protoreflect.FieldDescriptor, v protoreflect.Value, depth int, free bool) error {
	switch {
	case fd.Kind() == protoreflect.StringKind:
		return c.text(v.String())
	case fd.Message() == nil:
		return nil
	}
	if fd.Message().FullName() != "google.protobuf.Value" { // which is around every value, and no level
		depth++
	}
	if err := c.message(v.Message(), depth); err != nil {
		return err
	}
	if free || fd.Message().ParentFile().Package() != wellKnown {
		return nil
	}
	m := v.Message().Interface()
	if fd.Message().FullName() == "google.protobuf.Struct" && proto.Size(m) > maxStruct {
		return c.invalid("is larger than %d bytes", maxStruct)
	}
	if _, err := protojson.Marshal(m); err != nil {
		return c.invalid("has a value that a %s cannot have in JSON", fd.Message().Name())
	}
	return nil
}

// text looks at a text. Postgres stores the character U+0000 neither as text nor as JSON.
func (c *contentCheck) text(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return c.invalid("must not hold the character U+0000")
	}
	return nil
}
