package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// maskTaken is the field mask of a request in JSON. Protobuf's own reader takes names in
// lowerCamelCase alone, and the API's names are those of the .proto files: ours takes both,
// as everywhere else in JSON.
type maskTaken struct {
	field protoreflect.FieldDescriptor // nil if the message can have none
	paths []string
	// problem is what is wrong with it; "" if nothing.
	problem string
}

// takeMask reads the mask and answers data with an empty one in its place and all else
// where it was, so that errors name the right position.
func takeMask(data []byte, d protoreflect.MessageDescriptor) (maskTaken, []byte) {
	taken := maskTaken{field: maskOf(d)}
	if taken.field == nil {
		return taken, data
	}
	rest := bytes.Clone(data)
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return maskTaken{}, data // whoever reads the rest says what is wrong
	}
	for decoder.More() {
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return maskTaken{}, data
		}
		if name != string(taken.field.Name()) && name != taken.field.JSONName() || string(value) == "null" {
			continue
		}
		taken.read(value, d)
		if taken.problem != "" {
			return taken, data
		}
		end := int(decoder.InputOffset())
		copy(rest[end-len(value):end], `""`+strings.Repeat(" ", len(value)))
	}
	return taken, rest
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
		m.ProtoReflect().Set(t.field, protoreflect.ValueOfMessage((&fieldmaskpb.FieldMask{Paths: t.paths}).ProtoReflect()))
	}
}
