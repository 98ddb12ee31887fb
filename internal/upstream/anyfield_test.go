package upstream

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// wrongMark is in every value of the wrong type, so that it shows where it is kept.
const wrongMark = "WRONG-TYPE"

// TestAnyFieldMayBeOfTheWrongType takes every field of every response in turn.
func TestAnyFieldMayBeOfTheWrongType(t *testing.T) {
	t.Parallel()
	var known shapes
	for _, m := range upstreamMethods(t) {
		t.Run(string(m.Name), func(t *testing.T) {
			t.Parallel()
			root := m.Output.New()
			fill(rand.New(rand.NewPCG(5, 6)), root, 2, false, true)
			body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(root.Interface())
			if err != nil {
				t.Fatal(err)
			}
			decoder := json.NewDecoder(strings.NewReader(string(body)))
			decoder.UseNumber()
			var tree map[string]any
			if err := decoder.Decode(&tree); err != nil {
				t.Fatal(err)
			}
			w := &wrong{t: t, known: &known, root: root, tree: tree}
			w.message(root, tree, around{path: ""})
			if w.count == 0 && len(tree) > 0 { // some answer nothing but {}
				t.Error("no field was wrong")
			}
		})
	}
}

// wrong goes through a message and its JSON side by side.
type wrong struct {
	t     *testing.T
	known *shapes
	root  protoreflect.Message
	tree  map[string]any
	count int
}

// around is what is around a message.
type around struct {
	path string
	// kept says that what is wrong can be kept, secret that it must not be.
	kept, secret bool
}

func (w *wrong) message(m protoreflect.Message, tree map[string]any, here around) {
	extra := m.Descriptor().Fields().ByName(extraField)
	here.kept = here.kept || extra != nil
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(fd.Name())
		in := here
		in.secret = in.secret || methods.Secret(fd)
		in.path += name

		right := tree[name]
		tree[name] = wrongFor(fd)
		if fd.IsList() {
			tree[name] = wrongMark
			v = listFrom(m, fd, v, 0) // clearing the field empties the list
		}
		m.Clear(fd)
		if tree[name] != nil {
			w.check(fd, in, in.path)
		}
		tree[name] = right
		m.Set(fd, v)

		if fd.IsList() {
			w.elements(m, fd, v, right.([]any), in)
			return true
		}
		if inner, ok := right.(map[string]any); ok && ours(fd) {
			in.path += "."
			w.message(v.Message(), inner, in)
		}
		return true
	})
}

// elements has the first element wrong, and then what is in it.
func (w *wrong) elements(m protoreflect.Message, fd protoreflect.FieldDescriptor, v protoreflect.Value, items []any, in around) {
	in.path += "[]"
	if wrongFor(fd) != nil {
		right := items[0]
		items[0] = wrongFor(fd)
		m.Set(fd, listFrom(m, fd, v, 1))
		w.check(fd, in, in.path)
		items[0] = right
		m.Set(fd, v)
	}
	if inner, ok := items[0].(map[string]any); ok && ours(fd) {
		in.path += "."
		w.message(v.List().Get(0).Message(), inner, in)
	}
}

func listFrom(m protoreflect.Message, fd protoreflect.FieldDescriptor, v protoreflect.Value, first int) protoreflect.Value {
	list := m.NewField(fd).List()
	for i := first; i < v.List().Len(); i++ {
		list.Append(v.List().Get(i))
	}
	return protoreflect.ValueOfList(list)
}

// check decodes the tree as it is now, which must give the root as it is now.
func (w *wrong) check(fd protoreflect.FieldDescriptor, in around, path string) {
	w.t.Helper()
	w.count++
	body, err := json.Marshal(w.tree)
	if err != nil {
		w.t.Fatal(err)
	}
	got := w.root.New().Interface()
	found, err := w.known.decode(body, got)
	if err != nil {
		w.t.Errorf("%s: %v", path, err)
		return
	}
	if counted := counts(found); len(counted) != 1 || counted["wrong_type "+path] != 1 || !found.misread {
		w.t.Errorf("%s: misread %v, counted %v", path, found.misread, counted)
	}
	written, err := proto.Marshal(got)
	if err != nil {
		w.t.Fatal(err)
	}
	kept := strings.Contains(string(written), wrongMark)
	if kept && in.secret {
		w.t.Errorf("%s: a secret is kept", path)
	}
	if !kept && in.kept && !in.secret && !ours(fd) {
		w.t.Errorf("%s: it is lost", path)
	}
	stripExtra(got.ProtoReflect())
	if want := w.root.Interface(); !proto.Equal(want, got) {
		w.t.Errorf("%s: got %v, want %v", path, got, want)
	}
}

// wrongFor is a value that one of a field's values cannot be; nil where it can be any.
func wrongFor(fd protoreflect.FieldDescriptor) any {
	switch {
	case fd.Kind() == protoreflect.StringKind:
		return map[string]any{"x": wrongMark}
	case fd.Kind() == protoreflect.EnumKind:
		return []any{wrongMark}
	case fd.Message() != nil && fd.Message().FullName() == "google.protobuf.Value":
		return nil
	default:
		return wrongMark
	}
}

// ours says that a field holds messages of the API, not of Google's.
func ours(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && fd.Message().ParentFile().Package() == methods.Package
}

func stripExtra(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Name() == extraField:
			m.Clear(fd)
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				stripExtra(v.List().Get(i).Message())
			}
		case !fd.IsMap():
			stripExtra(v.Message())
		}
		return true
	})
}
