package e2e_test

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// answered is an answer of the vendor that a caller is shown something of.
type answered struct {
	method *methods.Method
	op     vendorOperation
}

// read says that the service shows a resource that the method only reads.
func (a answered) read() bool {
	return a.method.Access.GetAction() == pb.Action_ACTION_READ || a.method.Access.GetAction() == pb.Action_ACTION_LIST
}

// reveals says that the method hands out the secrets of its answer.
func (a answered) reveals() bool {
	return a.method.Access.GetAction() == pb.Action_ACTION_REVEAL || a.method.Access.GetReturnsSecret()
}

// reduction is something of the vendor's answers that callers are not shown, on purpose.
// Whatever else is missing is lost.
type reduction struct {
	reason string
	// apply takes it out of an object of a shape ("" for the answer itself), and answers
	// how many values that were.
	apply func(a answered, shape string, object map[string]any) int
}

func reductions() []reduction {
	routed := []string{"uuid", "name", "if_case", "route_name", "route_uuid", "route_created_at", "route_created_by"}
	return []reduction{
		{"the vendor's pages of a list: next_page_token and total_size are ours", func(a answered, shape string, object map[string]any) int {
			if shape != "" || a.method.Verb != "GET" || a.op.list() == "" || slices.Contains(askedEachTime(), string(a.method.Name.Name())) {
				return 0
			}
			return without(object, "links", "meta")
		}},
		{"secrets, save of methods that hand them out", func(a answered, shape string, object map[string]any) int {
			if a.reveals() {
				return 0
			}
			return without(object, secretFields()[shape]...)
		}},
		{"agents that an agent routes to: who they are, and the route", func(_ answered, shape string, object map[string]any) int {
			return neighbours(shape == "Agent", object, "child_agents", routed...)
		}},
		{"agents that route to an agent: who they are", func(_ answered, shape string, object map[string]any) int {
			return neighbours(shape == "Agent", object, "parent_agents", "uuid", "name")
		}},
		{"the workspace of an agent: which it is", func(_ answered, shape string, object map[string]any) int {
			return neighbours(shape == "Agent", object, "workspace", "uuid", "name")
		}},
		{"the agents of a workspace: who they are", func(_ answered, shape string, object map[string]any) int {
			return neighbours(shape == "Workspace", object, "agents", "uuid", "name")
		}},
		{"the test cases of a workspace: which they are", func(_ answered, shape string, object map[string]any) int {
			return neighbours(shape == "Workspace", object, "evaluation_test_cases", "test_case_uuid", "name")
		}},
		{"what resources around a resource are, in the answers of changes, unless they are the team's: reads tell it to those who may know", around},
		{"presets that use a metric, in the answers of changes, unless they are the team's", func(a answered, shape string, object map[string]any) int {
			if a.read() || shape != "EvaluationMetric" {
				return 0
			}
			return without(object, "associated_presets")
		}},
	}
}

// around leaves of the resources around one, in the answer of a change, which they are. None
// that the test answers with is known to belong to a team.
func around(a answered, shape string, object map[string]any) int {
	kept := map[string]map[string][]string{
		"Agent": {
			"child_agents": {"uuid", "if_case", "route_name", "route_uuid", "route_created_at", "route_created_by"}, "parent_agents": {"uuid"},
			"workspace": {"uuid"}, "knowledge_bases": {"uuid", "added_to_agent_at"}, "model_router": {"uuid"}, "anthropic_api_key": {"uuid"},
			"openai_api_key": {"uuid"}, "model_provider_key": {"api_key_uuid"},
		},
		"AgentTemplate": {"knowledge_bases": {"uuid"}},
		"Workspace":     {"agents": {"uuid"}, "evaluation_test_cases": {"test_case_uuid"}},
	}
	taken := 0
	for field, keep := range kept[shape] {
		taken += neighbours(!a.read(), object, field, keep...)
	}
	return taken
}

// askedEachTime are the reads that show what the vendor says and nothing else: of lists it is
// asked for the very page that the caller wants, and its links and meta are in the answer.
func askedEachTime() []string {
	return []string{"GetIndexingSchedule", "GetModelEvaluationRun", "ListAgentApiKeys", "ListDataSources", "ListEvaluationRunResults"}
}

// inBodyInstead are parameters that the contract has in the query and in the body of an
// operation, by operation: they are sent in the body, where no log of addresses shows them.
func inBodyInstead() map[string][]string {
	return map[string][]string{"POST /v2/gen-ai/oauth2/dropbox/tokens": {"code"}}
}

// secretFields are the fields of the contract's shapes that hold secrets, or what is as
// good as one. That the API's description marks the same ones is checked.
func secretFields() map[string][]string {
	return map[string][]string{
		"":                     {"download_url", "signed_url", "refresh_token", "token"},
		"AgentApiKey":          {"api_key"},
		"AgentFunction":        {"api_key"},
		"ApiKeyInfo":           {"secret_key"},
		"CustomModelSourceRef": {"hf_token"},
		"McpServer":            {"authorization", "headers"},
		"PresignedUrlUpload":   {"presigned_url"},
	}
}

// secretMarks are the fields of the same that the API's description marks, by the
// contract's names of the shapes.
func secretMarks(c *contract, m *methods.Method, op vendorOperation) map[string][]string {
	marks := map[string][]string{}
	seen := map[string]bool{}
	var look func(shape string, fields map[string]string, d protoreflect.MessageDescriptor)
	look = func(shape string, fields map[string]string, d protoreflect.MessageDescriptor) {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			fd := d.Fields().ByName(protoreflect.Name(name))
			if fd == nil {
				continue // a test of the package methods tells
			}
			if methods.Secret(fd) {
				marks[shape] = append(marks[shape], name)
				continue
			}
			inner := fields[name]
			if of, list := element(inner); list {
				inner = of
			}
			if below := c.fields(inner); below != nil && !seen[inner] && fd.Message() != nil {
				seen[inner] = true
				look(inner[1:], below, fd.Message())
			}
		}
	}
	look("", op.Answer, m.Output.Descriptor())
	return marks
}

// reduce applies the reductions to an answer and counts what each took out.
func reduce(c *contract, a answered, answer map[string]any, taken map[string]int) {
	var visit func(shape string, fields map[string]string, object map[string]any)
	visit = func(shape string, fields map[string]string, object map[string]any) {
		for _, r := range reductions() {
			taken[r.reason] += r.apply(a, shape, object)
		}
		for name, value := range object {
			kind := fields[name]
			if inner, list := element(kind); list {
				kind = inner
			}
			if below := c.fields(kind); below != nil {
				for _, part := range objectsOf(value) {
					visit(kind[1:], below, part)
				}
			}
		}
	}
	visit("", a.op.Answer, answer)
}

// objectsOf are the objects that a value is or holds.
func objectsOf(value any) []map[string]any {
	switch v := value.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []any:
		var objects []map[string]any
		for _, item := range v {
			objects = append(objects, objectsOf(item)...)
		}
		return objects
	}
	return nil
}

// without takes fields out of an object.
func without(object map[string]any, names ...string) int {
	taken := 0
	for _, name := range names {
		if _, there := object[name]; there {
			delete(object, name)
			taken++
		}
	}
	return taken
}

// neighbours leaves only some fields of the objects in a field.
func neighbours(applies bool, object map[string]any, field string, keep ...string) int {
	taken := 0
	for _, part := range objectsOf(object[field]) {
		for name := range part {
			if applies && !slices.Contains(keep, name) {
				taken += without(part, name)
			}
		}
	}
	return taken
}
