package upstream

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// exact is the first integer that a float64 may have rounded.
const exact = 1 << 53

// scalar reads a value without parts; false says that it counts as absent.
//
//nolint:exhaustive // what is left out is refused
func scalar(fd protoreflect.FieldDescriptor, value any, at *place) (protoreflect.Value, bool, error) {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		b, ok := value.(bool)
		if !ok {
			return protoreflect.Value{}, false, at.want("true or false", value)
		}
		return protoreflect.ValueOfBool(b), true, nil
	case protoreflect.StringKind:
		s, ok := value.(string)
		if !ok {
			return protoreflect.Value{}, false, at.want("a string", value)
		}
		return protoreflect.ValueOfString(s), true, nil
	}
	digits, ok := number(value)
	if !ok {
		return protoreflect.Value{}, false, at.want("a number", value)
	}
	if digits == "" {
		return protoreflect.Value{}, false, nil
	}
	switch fd.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if n, ok := integer(digits, 32); ok {
			return protoreflect.ValueOfInt32(int32(n)), true, nil
		}
		return protoreflect.Value{}, false, at.problem("is no whole number of 32 bits")
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		if n, ok := integer(digits, 64); ok {
			return protoreflect.ValueOfInt64(n), true, nil
		}
		return protoreflect.Value{}, false, at.problem("is no whole number of 64 bits")
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		if n, ok := natural(digits, 32); ok {
			return protoreflect.ValueOfUint32(uint32(n)), true, nil
		}
		return protoreflect.Value{}, false, at.problem("is no natural number of 32 bits")
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if n, ok := natural(digits, 64); ok {
			return protoreflect.ValueOfUint64(n), true, nil
		}
		return protoreflect.Value{}, false, at.problem("is no natural number of 64 bits")
	case protoreflect.DoubleKind:
		if f, err := strconv.ParseFloat(digits, 64); err == nil {
			return protoreflect.ValueOfFloat64(f), true, nil
		}
		return protoreflect.Value{}, false, at.problem("is out of range")
	case protoreflect.FloatKind:
		if f, err := strconv.ParseFloat(digits, 32); err == nil {
			return protoreflect.ValueOfFloat32(float32(f)), true, nil
		}
		return protoreflect.Value{}, false, at.problem("is out of range")
	default:
		return protoreflect.Value{}, false, at.problem("is of a kind that is not used with the vendor")
	}
}

// number is a value's digits: a JSON number, or one in a string as the vendor
// writes its 64-bit integers. An empty string is no number yet, and absent.
func number(value any) (digits string, ok bool) {
	switch v := value.(type) {
	case json.Number:
		return v.String(), true
	case string:
		if v == "" {
			return "", true
		}
		// The grammar of JSON numbers, which keeps out NaN, 0x10 and 1_000.
		first := v[0]
		return v, (first == '-' || first >= '0' && first <= '9') && v == strings.TrimSpace(v) && json.Valid([]byte(v))
	}
	return "", false
}

func integer(digits string, bits int) (int64, bool) {
	if n, err := strconv.ParseInt(digits, 10, bits); err == nil {
		return n, true
	}
	f, ok := whole(digits)
	if !ok || bits == 32 && (f < math.MinInt32 || f > math.MaxInt32) {
		return 0, false
	}
	return int64(f), true
}

func natural(digits string, bits int) (uint64, bool) {
	if n, err := strconv.ParseUint(digits, 10, bits); err == nil {
		return n, true
	}
	f, ok := whole(digits)
	if !ok || f < 0 || bits == 32 && f > math.MaxUint32 {
		return 0, false
	}
	return uint64(f), true
}

// whole reads integers in the forms 3.0 and 1e3, as far as they are exact.
func whole(digits string) (float64, bool) {
	if !strings.ContainsAny(digits, ".eE") {
		return 0, false
	}
	f, err := strconv.ParseFloat(digits, 64)
	return f, err == nil && f == math.Trunc(f) && math.Abs(f) < exact
}

// timestamp reads RFC 3339, or a bare date as its first moment in UTC.
func timestamp(value any, at *place) (time.Time, bool, error) {
	s, ok := value.(string)
	if !ok {
		return time.Time{}, false, at.want("a time", value)
	}
	if s == "" {
		return time.Time{}, false, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse(time.DateOnly, s)
	}
	if err != nil || timestamppb.New(t).CheckValid() != nil {
		return time.Time{}, false, at.problem("is no RFC 3339 time")
	}
	return t, true, nil
}

// freeValue is free-form JSON. A Struct holds numbers as float64; an integer
// that would be rounded is kept as a string of its digits.
func freeValue(value any) *structpb.Value {
	switch v := value.(type) {
	case bool:
		return structpb.NewBoolValue(v)
	case string:
		return structpb.NewStringValue(v)
	case json.Number:
		f, err := v.Float64()
		if err != nil || math.Abs(f) >= exact && !strings.ContainsAny(v.String(), ".eE") {
			return structpb.NewStringValue(v.String())
		}
		return structpb.NewNumberValue(f)
	case map[string]any:
		return structpb.NewStructValue(&structpb.Struct{Fields: freeFields(v)})
	case []any:
		return structpb.NewListValue(freeList(v))
	default:
		return structpb.NewNullValue()
	}
}

func freeFields(object map[string]any) map[string]*structpb.Value {
	fields := make(map[string]*structpb.Value, len(object))
	for name, v := range object {
		fields[name] = freeValue(v)
	}
	return fields
}

func freeList(items []any) *structpb.ListValue {
	values := make([]*structpb.Value, len(items))
	for i, v := range items {
		values[i] = freeValue(v)
	}
	return &structpb.ListValue{Values: values}
}
