package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// maskTaken is the field mask of a request in JSON. Protobuf's own reader takes names in
// lowerCamelCase alone, and the API's names are those of the .proto files: ours takes both,
// as everywhere else in JSON.
type maskTaken struct {
	// within is the field of the request that holds it; nil if the request itself does.
	within protoreflect.FieldDescriptor
	field  protoreflect.FieldDescriptor // nil if the message can have none
	paths  []string
	// problem is what is wrong with it; "" if nothing.
	problem string
}

// name is where the mask is, as errors name it.
func (t *maskTaken) name() string {
	if t.within == nil {
		return string(t.field.Name())
	}
	return string(t.within.Name()) + "." + string(t.field.Name())
}

// takeMask reads the mask of a request, or of the one message in it that has one, such as
// the update that a batch makes. It answers data with an empty one in its place and all
// else where it was, so that errors name the right position.
func takeMask(data []byte, d protoreflect.MessageDescriptor) (maskTaken, []byte) {
	taken := maskTaken{field: maskOf(d)}
	if taken.field != nil {
		rest := taken.from(data, d)
		return taken, rest
	}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if fd.Message() == nil || fd.IsList() || fd.IsMap() || maskOf(fd.Message()) == nil {
			continue
		}
		rest := bytes.Clone(data)
		for value, at := range members(data, fd) {
			var inner []byte
			if taken, inner = takeMask(value, fd.Message()); taken.problem == "" {
				copy(rest[at:], inner)
			}
			if taken.field != nil {
				taken.within = fd
			}
		}
		return taken, rest
	}
	return taken, data
}

// from reads the mask out of an object of the message that has the field.
func (t *maskTaken) from(data []byte, d protoreflect.MessageDescriptor) []byte {
	rest := bytes.Clone(data)
	for value, at := range members(data, t.field) {
		if string(value) == "null" {
			continue
		}
		if t.read(value, d); t.problem != "" {
			return data
		}
		copy(rest[at:at+len(value)], `""`+strings.Repeat(" ", len(value)))
	}
	return rest
}

// members are the values that an object has for a field, by either of its names, and where
// they begin. Whoever reads the rest says what is wrong with an object that is none.
func members(data []byte, fd protoreflect.FieldDescriptor) iter.Seq2[json.RawMessage, int] {
	return func(yield func(json.RawMessage, int) bool) {
		decoder := json.NewDecoder(bytes.NewReader(data))
		if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
			return
		}
		for decoder.More() {
			name, err := decoder.Token()
			var value json.RawMessage
			if err != nil || decoder.Decode(&value) != nil {
				return
			}
			at := int(decoder.InputOffset()) - len(value)
			if (name == string(fd.Name()) || name == fd.JSONName()) && !yield(value, at) {
				return
			}
		}
	}
}

// maskOf is the field of a message that is a mask; nil if there is none.
func maskOf(d protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	for i := range d.Fields().Len() {
		if fd := d.Fields().Get(i); fd.Message() != nil && fd.Message().FullName() == "google.protobuf.FieldMask" && !fd.IsList() {
			return fd
		}
	}
	return nil
}

// read notes the names in a value. It quotes none that is no field: it may be a secret in
// the wrong place.
func (t *maskTaken) read(value json.RawMessage, d protoreflect.MessageDescriptor) {
	var text string
	if json.Unmarshal(value, &text) != nil {
		t.problem = `is not a text of field names separated by commas, such as "name,tags"`
		return
	}
	if text == "" {
		return
	}
	for i, name := range strings.Split(text, ",") {
		fd := d.Fields().ByName(protoreflect.Name(name))
		if fd == nil {
			fd = d.Fields().ByJSONName(name)
		}
		switch {
		case fd != nil:
			t.paths = append(t.paths, string(fd.Name()))
		case strings.Contains(name, "."):
			t.problem = fmt.Sprintf("name %d is nested; name top-level fields only", i+1)
		default:
			t.problem = fmt.Sprintf("name %d is no field of the request", i+1)
		}
	}
}

// put sets what was taken.
func (t *maskTaken) put(m proto.Message) {
	if len(t.paths) > 0 {
		target := m.ProtoReflect()
		if t.within != nil {
			target = target.Mutable(t.within).Message()
		}
		target.Set(t.field, protoreflect.ValueOfMessage((&fieldmaskpb.FieldMask{Paths: t.paths}).ProtoReflect()))
	}
}
