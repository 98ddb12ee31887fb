package upstream

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// ourMark is in every string of a field of ours, so that a leak shows wherever it is.
const ourMark = "OURS-ALONE"

// fill sets every field of m at random, to some depth; strip leaves ours unset.
func fill(random *rand.Rand, m protoreflect.Message, levels int, ours, strip bool) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		local := ours || methods.Local(fd)
		if fd.Name() == maskField || local && strip || fd.IsMap() {
			continue
		}
		one := func(fresh protoreflect.Value) (protoreflect.Value, bool) {
			if fd.Message() != nil {
				return fillMessage(random, fresh, levels, local, strip)
			}
			return randomScalar(random, fd, local), true
		}
		if !fd.IsList() {
			if v, ok := one(m.NewField(fd)); ok {
				m.Set(fd, v)
			}
			continue
		}
		for range 1 + random.IntN(2) {
			list := m.Mutable(fd).List()
			if v, ok := one(list.NewElement()); ok {
				list.Append(v)
			}
		}
	}
}

func fillMessage(random *rand.Rand, fresh protoreflect.Value, levels int, ours, strip bool) (protoreflect.Value, bool) {
	switch known := fresh.Message().Interface().(type) {
	case *timestamppb.Timestamp:
		known.Seconds, known.Nanos = random.Int64N(4e9), random.Int32N(1e9)
	case *structpb.Struct:
		known.Fields = anyStruct(random, ours).GetFields()
	case *structpb.Value:
		values := []*structpb.Value{
			structpb.NewNumberValue(random.Float64()), structpb.NewStringValue(text(random, ours)), structpb.NewStructValue(anyStruct(random, ours)),
		}
		known.Kind = values[random.IntN(len(values))].GetKind()
	default:
		if levels == 0 {
			return fresh, false
		}
		if fresh.Message().Descriptor().ParentFile().Package() == methods.Package {
			fill(random, fresh.Message(), levels-1, ours, strip)
		}
	}
	return fresh, true
}

func anyStruct(random *rand.Rand, ours bool) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"text": structpb.NewStringValue(text(random, ours)),
		"list": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{
			structpb.NewNumberValue(random.Float64()), structpb.NewBoolValue(true), structpb.NewNullValue(),
		}}),
	}}
}

func text(random *rand.Rand, ours bool) string {
	if ours {
		return ourMark
	}
	pieces := []string{"a", "é", " ", "/", "?", "#", "%", "{", "}", `"`, `\`, "\n", "<", "&", "=", "€", "+"}
	var b strings.Builder
	b.WriteString("v")
	for range random.IntN(8) {
		b.WriteString(pieces[random.IntN(len(pieces))])
	}
	return b.String()
}

func randomScalar(random *rand.Rand, fd protoreflect.FieldDescriptor, ours bool) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(random.IntN(2) == 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text(random, ours))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(random.Uint32()))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(random.Uint64()))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(random.Uint32())
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(random.Uint64())
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(random.NormFloat64() * 1e6)
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(random.IntN(values.Len())).Number())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(ourMark)) // only in what is ours: elsewhere rendering refuses it
	default:
		return fd.Default()
	}
}

func upstreamMethods(t *testing.T) []*methods.Method {
	t.Helper()
	var found []*methods.Method
	for _, m := range methods.API().All() {
		if m.Upstream() {
			found = append(found, m)
		}
	}
	if len(found) < 20 {
		t.Fatalf("only %d methods of the vendor's", len(found))
	}
	return found
}

func TestEveryRequestIsRendered(t *testing.T) {
	t.Parallel()
	for _, m := range upstreamMethods(t) {
		t.Run(string(m.Name), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				req := m.Input.New()
				fill(random, req, 3, false, false)
				got, err := Render(m, req.Interface())
				if err != nil {
					t.Fatal(err)
				}
				if got.Method != m.Verb || strings.ContainsAny(got.Path, "{}?# ") || strings.Count(got.Path, "/") != strings.Count(m.Path, "/") {
					t.Fatalf("asked %s %s for %s %s", got.Method, got.Path, m.Verb, m.Path)
				}
				if all := got.Path + got.Query.Encode() + string(got.Body); strings.Contains(all, ourMark) {
					t.Fatalf("what is ours leaks: %s", all)
				}
				if m.Body != (got.Body != nil) || m.Body && len(got.Query) != 0 {
					t.Fatalf("body %q and query %v of a method with body %v", got.Body, got.Query, m.Body)
				}
				for i := range m.Input.Descriptor().Fields().Len() {
					fd := m.Input.Descriptor().Fields().Get(i)
					sent := strings.Contains(m.Path, "{"+string(fd.Name())+"}") || methods.Local(fd)
					if !m.Body && got.Query.Has(string(fd.Name())) == sent {
						t.Errorf("field %s: in path or ours %v, in query %v", fd.Name(), sent, !sent)
					}
				}
				if m.Body {
					roundTrip(t, m, req, got.Body)
				}
			}
		})
	}
}

// roundTrip reads a body back with protojson, which is how the vendor's own
// server would: it must say what the request said.
func roundTrip(t *testing.T, m *methods.Method, req protoreflect.Message, body []byte) {
	t.Helper()
	want := proto.Clone(req.Interface()).ProtoReflect()
	for i := range want.Descriptor().Fields().Len() {
		fd := want.Descriptor().Fields().Get(i)
		if methods.Local(fd) || strings.Contains(m.Path, "{"+string(fd.Name())+"}") {
			want.Clear(fd)
		}
	}
	got := m.Input.New().Interface()
	if err := protojson.Unmarshal(body, got); err != nil {
		t.Fatalf("the body cannot be read: %v\n%s", err, body)
	}
	if diff := cmp.Diff(want.Interface(), got, protocmp.Transform()); diff != "" {
		t.Errorf("the body says otherwise (-want +got):\n%s", diff)
	}
}

func TestEveryResponseIsDecoded(t *testing.T) {
	t.Parallel()
	var known shapes // shared, as a client shares it
	for _, m := range upstreamMethods(t) {
		t.Run(string(m.Name), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(3, 4))
			for range 5 {
				want := m.Output.New()
				fill(random, want, 3, false, true)
				body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(want.Interface())
				if err != nil {
					t.Fatal(err)
				}
				got := m.Output.New().Interface()
				found, err := known.decode(body, got)
				if err != nil || len(found.drift) != 0 || found.misread {
					t.Fatalf("error %v, drift %v", err, counts(found))
				}
				if diff := cmp.Diff(want.Interface(), got, protocmp.Transform()); diff != "" {
					t.Fatalf("decoded otherwise (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestNothingOfOursIsDecoded lets the vendor set every field of ours.
func TestNothingOfOursIsDecoded(t *testing.T) {
	t.Parallel()
	var known shapes
	for _, m := range upstreamMethods(t) {
		object := map[string]any{}
		fields := m.Output.Descriptor().Fields()
		for i := range fields.Len() {
			if fd := fields.Get(i); methods.Local(fd) {
				object[string(fd.Name())] = map[string]any{"id": "x", "synced_at": json.Number("1")}
			}
		}
		body, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		got := m.Output.New().Interface()
		found, err := known.decode(body, got)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		if proto.Size(got) != 0 || len(found.drift) != len(object) {
			t.Errorf("%s: decoded %v, drift %v", m.Name, got, counts(found))
		}
	}
}
