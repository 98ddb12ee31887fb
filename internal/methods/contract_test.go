package methods_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// contract is the vendor's surface as the simulator keeps it: type expressions such
// as "uuid", "integer", "@Agent", "[@McpServer]" or "#RetrievalMethod".
type contract struct {
	Enums      map[string][]string          `json:"enums"`
	Shapes     map[string]map[string]string `json:"shapes"`
	Operations map[string]struct {
		Query  map[string]string `json:"query"`
		Body   map[string]string `json:"body"`
		Answer map[string]string `json:"answer"`
	} `json:"operations"`
}

// vendorOperations is how many the vendor has.
const vendorOperations = 119

// TestEveryFieldOfTheContractIsThere compares the API with the vendor's contract,
// which was extracted from the vendor's documentation and not from our proto files:
// every field of every request and, at any depth, of every response must be in our
// messages with the type that its JSON form needs.
func TestEveryFieldOfTheContractIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "upstream", "genaisim", "contract.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := contract{}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	covered, fields := 0, 0
	for _, m := range methods.API().All() {
		if !m.Upstream() {
			continue
		}
		op, ok := c.Operations[m.Verb+" "+m.Path]
		if !ok {
			t.Errorf("%s: the contract has no %s %s", m.Name, m.Verb, m.Path)
			continue
		}
		covered++
		input := m.Input.Descriptor()
		for _, parameter := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(m.Path, -1) {
			fields += c.check(t, string(m.Name), input, parameter[1], "string", nil)
		}
		for _, given := range []map[string]string{op.Query, op.Body} {
			for name, kind := range given {
				fields += c.check(t, string(m.Name), input, name, kind, nil)
			}
		}
		for name, kind := range op.Answer {
			fields += c.check(t, string(m.Name), m.Output.Descriptor(), name, kind, nil)
		}
	}
	if covered != vendorOperations {
		t.Errorf("%d operations are covered, want %d", covered, vendorOperations)
	}
	t.Logf("%d operations, %d fields of the contract compared", covered, fields)
}

// check compares one field and what is below it, and answers how many it compared.
func (c contract) check(t *testing.T, where string, in protoreflect.MessageDescriptor, name, kind string, seen []string) int {
	t.Helper()
	where += "." + name
	fd := in.Fields().ByName(protoreflect.Name(name))
	if fd == nil {
		t.Errorf("%s is missing", where)
		return 1
	}
	if methods.Local(fd) {
		t.Errorf("%s is marked as ours", where)
	}
	inner, list := strings.CutPrefix(kind, "[")
	inner = strings.TrimSuffix(inner, "]")
	if fd.IsList() != list {
		t.Errorf("%s: is it a list? the contract says %s", where, kind)
	}
	switch {
	case strings.HasPrefix(inner, "@"):
		shape := inner[1:]
		if fd.Message() == nil {
			t.Errorf("%s is no message", where)
			return 1
		}
		if slices.Contains(seen, shape) {
			return 1 // shapes contain themselves
		}
		n := 1
		for field, kind := range c.Shapes[shape] {
			n += c.check(t, where, fd.Message(), field, kind, append(slices.Clone(seen), shape))
		}
		return n
	case strings.HasPrefix(inner, "#"):
		if fd.Enum() == nil {
			t.Errorf("%s is no enum", where)
			return 1
		}
		for _, value := range c.Enums[inner[1:]] {
			if fd.Enum().Values().ByName(protoreflect.Name(value)) == nil {
				t.Errorf("%s does not know %s", where, value)
			}
		}
		return 1
	}
	if got := jsonForms(fd); !slices.Contains(got, inner) {
		t.Errorf("%s is %s in JSON, the contract says %s", where, got, inner)
	}
	return 1
}

// jsonForms are the contract's names for what a field looks like in JSON.
func jsonForms(fd protoreflect.FieldDescriptor) []string {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return []string{"boolean"}
	case protoreflect.Int32Kind:
		return []string{"integer"}
	case protoreflect.DoubleKind:
		return []string{"number", "integer"} // or a count that may exceed 32 bits
	case protoreflect.Uint64Kind:
		return []string{"int64"} // in a string
	case protoreflect.StringKind:
		return []string{"string", "uuid"}
	case protoreflect.MessageKind:
		switch fd.Message().FullName() {
		case "google.protobuf.Timestamp":
			return []string{"timestamp"}
		case "google.protobuf.Struct":
			return []string{"object", "any"}
		case "google.protobuf.Value":
			return []string{"any", "object"} // where the words say that it may be a list or a text as well
		}
	default: // the contract knows no other
	}
	return nil
}
