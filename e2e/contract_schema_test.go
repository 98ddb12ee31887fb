package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// contract is the vendor's surface as it was taken from the vendor's documentation: which
// operations there are and what goes in and out of each. Types are expressions such as
// "uuid", "integer", "@Agent", "[@McpServer]" or "#RetrievalMethod".
type contract struct {
	Enums      map[string][]string          `json:"enums"`
	Shapes     map[string]map[string]string `json:"shapes"`
	Operations map[string]vendorOperation   `json:"operations"`
}

// vendorOperation is one method of one path.
type vendorOperation struct {
	Query  map[string]string `json:"query"`
	Body   map[string]string `json:"body"`
	Answer map[string]string `json:"answer"`
}

// vendorOperations is how many the vendor has.
const vendorOperations = 119

func readContract(t *testing.T) *contract {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "internal", "upstream", "genaisim", "contract.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{}
	if err := json.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	if len(c.Operations) != vendorOperations {
		t.Errorf("the contract has %d operations, want %d", len(c.Operations), vendorOperations)
	}
	return c
}

// paged says whether the vendor gives the operation's list in pages.
func (o vendorOperation) paged() bool { return o.Query["page"] != "" }

// list is the name of the answer's list of shapes; "" if it has none.
func (o vendorOperation) list() string {
	for name, kind := range o.Answer {
		if strings.HasPrefix(kind, "[@") {
			return name
		}
	}
	return ""
}

// pageFields are the vendor's fields by which pages are asked for. The service sets them.
func pageFields() []string { return []string{"page", "per_page", "limit"} }

// find is the operation that a request is for, "" if there is none, and the values in its
// path. Of two that fit, the one with fewer places to fill is meant.
func (c *contract) find(method, path string) (key string, params map[string]string) {
	segments := strings.Split(path, "/")
	for candidate := range c.Operations {
		verb, template, _ := strings.Cut(candidate, " ")
		parts := strings.Split(template, "/")
		if verb != method || len(parts) != len(segments) {
			continue
		}
		found := map[string]string{}
		fits := true
		for i, part := range parts {
			if name, ok := strings.CutPrefix(part, "{"); ok {
				value, err := url.PathUnescape(segments[i])
				fits = fits && err == nil && value != ""
				found[strings.TrimSuffix(name, "}")] = value
			} else {
				fits = fits && part == segments[i]
			}
		}
		if fits && (key == "" || len(found) < len(params)) {
			key, params = candidate, found
		}
	}
	return key, params
}

// element is what a list is of; false if the type is no list.
func element(kind string) (string, bool) {
	inner, list := strings.CutPrefix(kind, "[")
	return strings.TrimSuffix(inner, "]"), list
}

// fields are those of an object's type; nil for other types. Of two forms that a value may
// have, the object is meant.
func (c *contract) fields(kind string) map[string]string {
	kind, _, _ = strings.Cut(kind, "|")
	if name, ok := strings.CutPrefix(kind, "@"); ok {
		return c.Shapes[name]
	}
	return nil
}

// check says what is wrong with a value that was read from JSON with numbers as they were
// written. It knows nothing of what the simulator would let pass.
func (c *contract) check(where, kind string, value any) []string {
	wrong := func(want string) []string {
		return []string{fmt.Sprintf("%s is %s, want %s", where, short(value), want)}
	}
	if inner, list := element(kind); list {
		items, ok := value.([]any)
		if !ok {
			return wrong("a list")
		}
		var found []string
		for i, item := range items {
			found = append(found, c.check(where+"["+strconv.Itoa(i)+"]", inner, item)...)
		}
		return found
	}
	if strings.HasPrefix(kind, "@") {
		object, ok := value.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		return c.checkFields(where, c.fields(kind), object)
	}
	if ok, want := c.isScalar(kind, value); !ok {
		return wrong(want)
	}
	return nil
}

func (c *contract) checkFields(where string, fields map[string]string, object map[string]any) []string {
	var found []string
	for name, value := range object {
		kind, known := fields[name]
		if !known {
			found = append(found, fmt.Sprintf("%s.%s is not in the contract", where, name))
			continue
		}
		found = append(found, c.check(where+"."+name, kind, value)...)
	}
	return found
}

// isScalar says whether a value has a type that is neither a list nor a shape, and what
// the type is.
func (c *contract) isScalar(kind string, value any) (ok bool, want string) {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	if enum, isEnum := strings.CutPrefix(kind, "#"); isEnum {
		return isText && slices.Contains(c.Enums[enum], text), "one of " + enum
	}
	switch kind {
	case "string":
		return isText, "a text"
	case "uuid":
		return isText && isUUID(text), "a uuid"
	case "timestamp":
		_, err := time.Parse(time.RFC3339Nano, text)
		return isText && err == nil, "a time"
	case "integer":
		_, err := strconv.ParseInt(number.String(), 10, 64)
		return isNumber && err == nil, "an integer"
	case "int64":
		_, err := strconv.ParseUint(text, 10, 64)
		return isText && err == nil, "an integer in a string"
	case "number":
		return isNumber, "a number"
	case "boolean":
		_, is := value.(bool)
		return is, "true or false"
	case "object":
		_, is := value.(map[string]any)
		return is, "an object"
	case "any":
		return value != nil, "something"
	}
	return false, "a type that the contract does not have: " + kind
}

func isUUID(text string) bool {
	return len(text) == 36 && strings.Count(text, "-") == 4 && strings.Trim(text, "0123456789abcdef-") == ""
}
