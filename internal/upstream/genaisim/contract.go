package genaisim

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// contractJSON is the vendor's REST surface in a compact form: per operation
// its query parameters, body fields and answer fields, each with a type
// expression (see parseType).
//
//go:embed contract.json
var contractJSON []byte

// contract is contractJSON in a form that can be looked up and walked. It is
// read-only once loaded.
type contract struct {
	shapes     map[string]*schema
	operations map[string]*operation
	root       *node
}

// operation is one method of one path template.
type operation struct {
	key      string // "METHOD /path/{template}"
	method   string
	template string
	params   []string // names of the path parameters, in order
	query    map[string]*schema
	body     *schema // an object; without fields where no body is documented
	answer   *schema
}

// node is one level of the tree that finds an operation by its path. Literal
// segments win over parameters, as in "data_sources" beside "{uuid}".
type node struct {
	literal map[string]*node
	param   *node
	methods map[string]*operation
}

// loadContract reads the embedded contract. It panics when the contract is
// broken, which only a change of this package can cause.
func loadContract() *contract {
	var raw struct {
		Enums      map[string][]string          `json:"enums"`
		Shapes     map[string]map[string]string `json:"shapes"`
		Operations map[string]struct {
			Query  map[string]string `json:"query"`
			Body   map[string]string `json:"body"`
			Answer map[string]string `json:"answer"`
		} `json:"operations"`
	}
	if err := json.Unmarshal(contractJSON, &raw); err != nil {
		panic(fmt.Sprintf("reading the embedded contract: %v", err))
	}
	con := &contract{
		shapes:     make(map[string]*schema, len(raw.Shapes)),
		operations: make(map[string]*operation, len(raw.Operations)),
		root:       &node{},
	}
	// Shapes refer to each other, some to themselves, so all exist before any
	// is filled in.
	for name := range raw.Shapes {
		con.shapes[name] = &schema{kind: kindObject}
	}
	types := typeParser{shapes: con.shapes, enums: raw.Enums}
	for name, fields := range raw.Shapes {
		con.shapes[name].fields = types.fields(fields)
	}
	for key, op := range raw.Operations {
		method, template, _ := strings.Cut(key, " ")
		parsed := &operation{
			key: key, method: method, template: template,
			query:  types.fields(op.Query),
			body:   &schema{kind: kindObject, fields: types.fields(op.Body)},
			answer: &schema{kind: kindObject, fields: types.fields(op.Answer)},
		}
		con.operations[key] = parsed
		con.root.add(parsed)
		types.beyondContract(parsed)
	}
	return con
}

// paramSchema is the type of a path parameter, told by its name.
func paramSchema(name string) *schema {
	if strings.HasSuffix(name, "uuid") {
		return &schema{kind: kindUUID}
	}
	return &schema{kind: kindAny}
}

func (n *node) add(op *operation) {
	for segment := range strings.SplitSeq(strings.Trim(op.template, "/"), "/") {
		if strings.HasPrefix(segment, "{") {
			op.params = append(op.params, strings.Trim(segment, "{}"))
			if n.param == nil {
				n.param = &node{}
			}
			n = n.param
			continue
		}
		if n.literal == nil {
			n.literal = make(map[string]*node)
		}
		next, ok := n.literal[segment]
		if !ok {
			next = &node{}
			n.literal[segment] = next
		}
		n = next
	}
	if n.methods == nil {
		n.methods = make(map[string]*operation)
	}
	n.methods[op.method] = op
}

// find returns the operation for a request, with the values of its path
// parameters. Without one it returns the methods the path does have, sorted;
// none means that there is no such path.
func (con *contract) find(method, path string) (op *operation, values, allowed []string) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	values = make([]string, 0, 4)
	end := con.root.walk(segments, &values)
	if end == nil {
		return nil, nil, nil
	}
	if op, ok := end.methods[method]; ok {
		return op, values, nil
	}
	return nil, nil, slices.Sorted(maps.Keys(end.methods))
}

func (n *node) walk(segments []string, values *[]string) *node {
	if len(segments) == 0 {
		if n.methods == nil {
			return nil
		}
		return n
	}
	head, rest := segments[0], segments[1:]
	if next, ok := n.literal[head]; ok {
		if end := next.walk(rest, values); end != nil {
			return end
		}
	}
	if n.param == nil || head == "" {
		return nil
	}
	kept := len(*values)
	*values = append(*values, head)
	if end := n.param.walk(rest, values); end != nil {
		return end
	}
	*values = (*values)[:kept]
	return nil
}
