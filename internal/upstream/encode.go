package upstream

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// toJSON is a field's value in the vendor's form: protojson's, under the names
// of the proto file, without what is ours.
func toJSON(fd protoreflect.FieldDescriptor, v protoreflect.Value) (any, error) {
	if fd.IsMap() {
		return nil, fmt.Errorf("%s: maps are not used with the vendor", fd.FullName())
	}
	if !fd.IsList() {
		return oneToJSON(fd, v)
	}
	items := make([]any, 0, v.List().Len())
	for i := range v.List().Len() {
		item, err := oneToJSON(fd, v.List().Get(i))
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func oneToJSON(fd protoreflect.FieldDescriptor, v protoreflect.Value) (any, error) {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return v.Bool(), nil
	case protoreflect.StringKind:
		return v.String(), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return json.Number(strconv.FormatInt(v.Int(), 10)), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return json.Number(strconv.FormatUint(v.Uint(), 10)), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return strconv.FormatInt(v.Int(), 10), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.FormatUint(v.Uint(), 10), nil
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		if math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			return nil, fault.Invalid(string(fd.Name()), "is not a finite number")
		}
		bits := 64
		if fd.Kind() == protoreflect.FloatKind {
			bits = 32
		}
		return json.Number(strconv.FormatFloat(v.Float(), 'g', -1, bits)), nil
	case protoreflect.EnumKind:
		value := fd.Enum().Values().ByNumber(v.Enum())
		if value == nil {
			return nil, fault.Invalid(string(fd.Name()), "has no value %d", v.Enum())
		}
		return string(value.Name()), nil
	case protoreflect.MessageKind:
		return messageToJSON(fd, v.Message())
	default:
		return nil, fmt.Errorf("%s: %s is not used with the vendor", fd.FullName(), fd.Kind())
	}
}

func messageToJSON(fd protoreflect.FieldDescriptor, m protoreflect.Message) (any, error) {
	switch known := m.Interface().(type) {
	case *timestamppb.Timestamp:
		if err := known.CheckValid(); err != nil {
			return nil, fault.Invalid(string(fd.Name()), "is no time: %v", err)
		}
		return known.AsTime().Format(time.RFC3339Nano), nil
	case *structpb.Struct, *structpb.ListValue, *structpb.Value:
		free, err := protojson.Marshal(known)
		if err != nil { // a Struct may hold NaN and the infinities, or a value that is none
			return nil, fault.Invalid(string(fd.Name()), "holds what JSON cannot write")
		}
		return json.RawMessage(free), nil
	}
	if m.Descriptor().ParentFile().Package() == "google.protobuf" {
		return nil, fmt.Errorf("%s: %s is not used with the vendor", fd.FullName(), m.Descriptor().FullName())
	}
	out := map[string]any{}
	var problem error
	m.Range(func(inner protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if methods.Local(inner) {
			return true
		}
		out[string(inner.Name())], problem = toJSON(inner, v)
		return problem == nil
	})
	return out, problem
}

// plain is a value as a path or a query writes it.
func plain(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		return v.String(), nil
	default:
		return "", fmt.Errorf("%T has no place in a path or a query", v)
	}
}
