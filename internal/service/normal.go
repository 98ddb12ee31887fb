package service

import (
	"context"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// normalise rewrites the uuids of a request to lower case, as the vendor writes them:
// uuids are compared as texts in many places, here and there. Which fields are uuids is
// what the limits of the API's description say, so the request has been held against
// them before.
func normalise(ctx context.Context, m *methods.Method, req proto.Message) (context.Context, error) {
	if err := lowerUUIDs(req.ProtoReflect()); err != nil {
		return ctx, fmt.Errorf("normalising a request of %s: %w", m.Name, err)
	}
	return ctx, nil
}

func lowerUUIDs(m protoreflect.Message) (err error) {
	if m.Descriptor().ParentFile().Package() == wellKnown {
		return nil // has no fields of ours
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap(): // requests have none but those of free-form JSON
		case fd.Message() != nil && fd.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = lowerUUIDs(v.List().Get(i).Message())
			}
		case fd.Message() != nil:
			err = lowerUUIDs(v.Message())
		case fd.Kind() == protoreflect.StringKind:
			err = lowerUUID(m, fd, v)
		}
		return err == nil
	})
	return err
}

// lowerUUID rewrites a text field, or the items of one, if its rules say that it is a uuid.
func lowerUUID(m protoreflect.Message, fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	rules, err := protovalidate.ResolveFieldRules(fd)
	if err != nil {
		return fmt.Errorf("reading the rules of %s: %w", fd.FullName(), err)
	}
	switch {
	case fd.IsList():
		for i := 0; i < v.List().Len() && rules.GetRepeated().GetItems().GetString().GetUuid(); i++ {
			v.List().Set(i, protoreflect.ValueOfString(strings.ToLower(v.List().Get(i).String())))
		}
	case rules.GetString().GetUuid():
		m.Set(fd, protoreflect.ValueOfString(strings.ToLower(v.String())))
	}
	return nil
}
