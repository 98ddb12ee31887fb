// Package methods reads the API's own description of itself: for every RPC its
// http rule (what to ask the vendor) and its access rule (what it needs, what it
// does, how it is reconciled), compiled once from the linked descriptors.
//
// It is why an endpoint is messages, one rpc with options and one line of handler.
package methods

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// Package is the proto package whose services we serve.
const Package = "agentsvc.v1"

// Method is one RPC.
type Method struct {
	// Name is the full name, such as "agentsvc.v1.AgentService.CreateAgent".
	Name protoreflect.FullName
	// Procedure is the path on the wire, such as "/agentsvc.v1.AgentService/CreateAgent".
	Procedure string
	Input     protoreflect.MessageType
	Output    protoreflect.MessageType
	// Access is nil for a method that forgot its rule; such a method cannot be called.
	Access *pb.Access
	// Verb and Path are the vendor's method and path template; empty for methods of ours.
	Verb, Path string
	// Body says that what is not in the path goes into a JSON body; otherwise it
	// goes into the query.
	Body bool
	// Streams says that the method answers with a stream.
	Streams bool
}

// Upstream says that the method is one of the vendor's.
func (m *Method) Upstream() bool { return m.Path != "" }

// Change says that the method changes the vendor's state, so that each call is
// an operation.
func (m *Method) Change() bool {
	return m.Upstream() && m.Access.GetReconcile() != pb.Reconcile_RECONCILE_UNSPECIFIED
}

// Batch says that the method is one of ours that makes many changes.
func (m *Method) Batch() bool { return m.Access.GetBatchOf() != "" }

// Durable says that each call is an operation: of a change, or of many.
func (m *Method) Durable() bool { return m.Change() || m.Batch() }

// Approval is the rule by which a team may have a request of the method wait for a second
// owner, as it is stored; "" if there is none.
func (m *Method) Approval(req proto.Message) string {
	rule := m.Access.GetApproval()
	where := m.Access.GetApprovalWhere()
	if rule == pb.ApprovalRule_APPROVAL_RULE_UNSPECIFIED || where != nil && !Meets(req.ProtoReflect(), where) {
		return ""
	}
	return ApprovalName(rule)
}

const approvalPrefix = "APPROVAL_RULE_"

// ApprovalName is a rule as it is stored.
func ApprovalName(rule pb.ApprovalRule) string {
	return strings.TrimPrefix(rule.String(), approvalPrefix)
}

// ApprovalRule is the rule that is stored as a name.
func ApprovalRule(name string) pb.ApprovalRule {
	return pb.ApprovalRule(pb.ApprovalRule_value[approvalPrefix+name])
}

// Table is all methods of the API.
type Table struct {
	all     []*Method
	byName  map[protoreflect.FullName]*Method
	byInput map[protoreflect.FullName]*Method
}

// API is the table of the linked descriptors. A description that contradicts
// itself is a bug that no start survives, so it panics.
var API = sync.OnceValue(func() *Table { //nolint:gochecknoglobals // computed once from constants
	table, err := load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		panic(err) //nolint:forbidigo // the descriptors are constants: no start can survive a contradiction in them
	}
	return table
})

// All methods, by name.
func (t *Table) All() []*Method { return slices.Clone(t.all) }

// ByName finds a method by its full name, or by "Service.Method"; nil if there is none.
func (t *Table) ByName(name string) *Method {
	if m := t.byName[protoreflect.FullName(name)]; m != nil {
		return m
	}
	return t.byName[protoreflect.FullName(Package+"."+name)]
}

// ByProcedure finds a method by its path on the wire; nil if there is none.
func (t *Table) ByProcedure(procedure string) *Method {
	return t.byName[protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(procedure, "/"), "/", "."))]
}

// ByRequest finds the method that takes the message; nil if there is none. No two
// methods share a request message: buf lint sees to it.
func (t *Table) ByRequest(m proto.Message) *Method {
	return t.byInput[m.ProtoReflect().Descriptor().FullName()]
}

// BatchOf is the method that a batch calls for each of its changes; nil if m is none.
func (t *Table) BatchOf(m *Method) *Method {
	if m == nil || !m.Batch() {
		return nil
	}
	return t.ByName(m.Access.GetBatchOf())
}

func load(files *protoregistry.Files, types *protoregistry.Types) (*Table, error) {
	t := &Table{byName: map[protoreflect.FullName]*Method{}, byInput: map[protoreflect.FullName]*Method{}}
	var problem error
	files.RangeFilesByPackage(Package, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m, err := compile(service.Methods().Get(j), types)
				if err != nil {
					problem = fmt.Errorf("reading the options of %s: %w", service.Methods().Get(j).FullName(), err)
					return false
				}
				t.all = append(t.all, m)
				t.byName[m.Name] = m
				t.byInput[m.Input.Descriptor().FullName()] = m
			}
		}
		return true
	})
	slices.SortFunc(t.all, func(a, b *Method) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return t, problem
}

func compile(d protoreflect.MethodDescriptor, types *protoregistry.Types) (*Method, error) {
	input, err := types.FindMessageByName(d.Input().FullName())
	if err != nil {
		return nil, err
	}
	output, err := types.FindMessageByName(d.Output().FullName())
	if err != nil {
		return nil, err
	}
	m := &Method{
		Name:      d.FullName(),
		Procedure: fmt.Sprintf("/%s/%s", d.Parent().FullName(), d.Name()),
		Input:     input,
		Output:    output,
		Streams:   d.IsStreamingServer(),
	}
	if access, ok := proto.GetExtension(d.Options(), pb.E_Access).(*pb.Access); ok && proto.HasExtension(d.Options(), pb.E_Access) {
		m.Access = access
	}
	if rule, ok := proto.GetExtension(d.Options(), annotations.E_Http).(*annotations.HttpRule); ok && rule != nil {
		if err := m.http(rule); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Method) http(rule *annotations.HttpRule) error {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		m.Verb, m.Path = "GET", p.Get
	case *annotations.HttpRule_Post:
		m.Verb, m.Path = "POST", p.Post
	case *annotations.HttpRule_Put:
		m.Verb, m.Path = "PUT", p.Put
	case *annotations.HttpRule_Patch:
		m.Verb, m.Path = "PATCH", p.Patch
	case *annotations.HttpRule_Delete:
		m.Verb, m.Path = "DELETE", p.Delete
	default:
		return fmt.Errorf("http rule of a kind that is not used here: %T", p)
	}
	switch rule.GetBody() {
	case "*":
		m.Body = true
	case "":
	default:
		return fmt.Errorf("http body %q: only \"*\" is used here", rule.GetBody())
	}
	return nil
}
