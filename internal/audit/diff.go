package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// Changed are the top-level fields of before and after that differ, without
// secrets, as JSON objects. Either may be nil: then all of the other is kept.
func Changed(before, after proto.Message) (was, is json.RawMessage, err error) {
	before, after = differing(before, after)
	b, err := object(before)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what was: %w", err)
	}
	a, err := object(after)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what is: %w", err)
	}
	for name, value := range b {
		if other, both := a[name]; both && reflect.DeepEqual(value, other) {
			delete(a, name)
			delete(b, name)
		}
	}
	if was, err = raw(b); err != nil {
		return nil, nil, err
	}
	is, err = raw(a)
	return was, is, err
}

// differing are two messages of one type without the fields that are the same in
// both: most are, and turning them into JSON only to compare it would be dear.
func differing(before, after proto.Message) (b, a proto.Message) {
	if before == nil || after == nil {
		return before, after
	}
	was, is := before.ProtoReflect(), after.ProtoReflect()
	if !was.IsValid() || !is.IsValid() || was.Descriptor() != is.Descriptor() {
		return before, after
	}
	left, right := was.New(), is.New()
	fields := was.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if was.Has(fd) == is.Has(fd) && was.Get(fd).Equal(is.Get(fd)) {
			continue
		}
		if was.Has(fd) {
			left.Set(fd, was.Get(fd))
		}
		if is.Has(fd) {
			right.Set(fd, is.Get(fd))
		}
	}
	return left.Interface(), right.Interface()
}

func object(m proto.Message) (map[string]any, error) {
	text, err := JSON(m)
	if err != nil || text == nil {
		return nil, err
	}
	var o map[string]any
	return o, json.Unmarshal(text, &o)
}

func raw(o map[string]any) (json.RawMessage, error) {
	if o == nil {
		return nil, nil
	}
	return json.Marshal(o)
}

// Compare lists field by field how two messages differ, without secrets.
func Compare(before, after proto.Message) ([]*pb.FieldChange, error) {
	b, err := object(before)
	if err != nil {
		return nil, fmt.Errorf("reading what was: %w", err)
	}
	a, err := object(after)
	if err != nil {
		return nil, fmt.Errorf("reading what would be: %w", err)
	}
	return changes(b, a)
}

// changes lists field by field how two stored objects differ, ordered by path.
// Lists are compared as a whole: their elements have no names.
func changes(before, after map[string]any) (list []*pb.FieldChange, err error) {
	err = EachDifference("", before, after, func(d Difference) error {
		change := &pb.FieldChange{Path: d.Path}
		if change.Before, err = Value(d.Before, d.Was); err != nil {
			return err
		}
		if change.After, err = Value(d.After, d.Is); err != nil {
			return err
		}
		list = append(list, change)
		return nil
	})
	return list, err
}

// Difference is a field in which two stored objects differ.
type Difference struct {
	Path          string
	Before, After any
	// Was and Is say on which side the field is at all.
	Was, Is bool
}

// EachDifference visits the fields in which two stored objects differ, ordered by path. Where
// both sides are objects, it goes into them. Paths begin with prefix.
func EachDifference(prefix string, before, after map[string]any, visit func(Difference) error) error {
	names := map[string]any{}
	maps.Copy(names, before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d := Difference{Path: prefix + name}
		d.Before, d.Was = before[name]
		d.After, d.Is = after[name]
		if d.Was == d.Is && reflect.DeepEqual(d.Before, d.After) {
			continue
		}
		inB, nestedB := d.Before.(map[string]any)
		inA, nestedA := d.After.(map[string]any)
		var err error
		if nestedB && nestedA {
			err = EachDifference(d.Path+".", inB, inA, visit)
		} else {
			err = visit(d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Value is a JSON value, nil if there is none.
func Value(v any, is bool) (*structpb.Value, error) {
	if !is {
		return nil, nil //nolint:nilnil // absent
	}
	return structpb.NewValue(v)
}
