package upstream

import (
	"errors"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	agentID = "9a6e3975-b0c6-11ef-bf8f-4e013e2ddde4"
	childID = "bd2a2db5-b8b0-11ef-bf8f-4e013e2ddde4"
)

func mask(names ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: names} }

func freeForm(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rendered is what is asked, with the body as text.
type rendered struct {
	Method, Path string
	Query        url.Values
	Body         string
}

func TestRender(t *testing.T) {
	t.Parallel()
	schema := freeForm(t, map[string]any{
		"type": "object", "n": 1.5, "deep": map[string]any{"required": []any{"city", true, nil}}, "html": "<b>&",
	})
	for name, tc := range map[string]struct {
		req  proto.Message
		want rendered
	}{
		"a list without settings": {
			&pb.ListAgentsRequest{PageSize: 7, PageToken: "x", Filter: "f", OrderBy: "o", MaxStaleness: durationpb.New(1)},
			rendered{Method: "GET", Path: "/v2/gen-ai/agents"},
		},
		"a list with the vendor's paging": {
			&pb.ListAgentsRequest{OnlyDeployed: new(false), Page: proto.Int32(2), PerPage: proto.Int32(200)},
			rendered{Method: "GET", Path: "/v2/gen-ai/agents", Query: url.Values{
				"only_deployed": {"false"}, "page": {"2"}, "per_page": {"200"},
			}},
		},
		"a read": {
			&pb.GetAgentRequest{Uuid: agentID, MaxStaleness: durationpb.New(0)},
			rendered{Method: "GET", Path: "/v2/gen-ai/agents/" + agentID},
		},
		"an id that is no id is escaped": {
			&pb.GetAgentRequest{Uuid: "a/b?c#d {uuid}"},
			rendered{Method: "GET", Path: "/v2/gen-ai/agents/a%2Fb%3Fc%23d%20%7Buuid%7D"},
		},
		"times in a query": {
			&pb.GetAgentUsageRequest{
				Uuid:  agentID,
				Start: timestamppb.New(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)),
				Stop:  timestamppb.New(time.Date(2026, 3, 2, 1, 2, 3, 500e6, time.FixedZone("", 3600))),
			},
			rendered{Method: "GET", Path: "/v2/gen-ai/agents/" + agentID + "/usage", Query: url.Values{
				"start": {"2026-03-01T00:00:00Z"}, "stop": {"2026-03-02T00:02:03.5Z"},
			}},
		},
		"a creation": {
			&pb.CreateAgentRequest{
				Name: new("Ada"), Description: new(""), ThinkingTokenBudget: proto.Int32(0),
				KnowledgeBaseUuid: []string{childID}, Tags: []string{"a", "b"}, WebSearchEnabled: new(false),
				McpServers: []*pb.McpServer{{ServerUrl: new("https://x"), Headers: freeForm(t, map[string]any{"X-A": "1"})}},
				Mutation:   &pb.MutationOptions{Team: "payments", Reason: "why", Async: true},
			},
			rendered{Method: "POST", Path: "/v2/gen-ai/agents", Body: `{"description":"","knowledge_base_uuid":["` + childID + `"],` +
				`"mcp_servers":[{"headers":{"X-A":"1"},"server_url":"https://x"}],"name":"Ada","tags":["a","b"],` +
				`"thinking_token_budget":0,"web_search_enabled":false}`},
		},
		"an update of what is present": {
			&pb.UpdateAgentRequest{
				Uuid: agentID, Temperature: proto.Float64(0), TopP: new(0.7), K: proto.Int32(0),
				ProvideCitations: new(false), RetrievalMethod: pb.Agent_RETRIEVAL_METHOD_SUB_QUERIES.Enum(),
				Mutation: &pb.MutationOptions{ExpectedVersion: "v"},
			},
			rendered{Method: "PUT", Path: "/v2/gen-ai/agents/" + agentID, Body: `{"k":0,"provide_citations":false,` +
				`"retrieval_method":"RETRIEVAL_METHOD_SUB_QUERIES","temperature":0,"top_p":0.7}`},
		},
		"an update of nothing": {
			&pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask()},
			rendered{Method: "PUT", Path: "/v2/gen-ai/agents/" + agentID, Body: `{}`},
		},
		"an update to zeros by mask": {
			&pb.UpdateAgentRequest{
				Uuid:       agentID,
				UpdateMask: mask("temperature", "k", "provide_citations", "tags", "description", "retrieval_method"),
			},
			rendered{Method: "PUT", Path: "/v2/gen-ai/agents/" + agentID, Body: `{"description":"","k":0,"provide_citations":false,` +
				`"retrieval_method":"RETRIEVAL_METHOD_UNKNOWN","tags":[],"temperature":0}`},
		},
		"present fields named in the mask": {
			&pb.UpdateAgentRequest{
				Uuid: agentID, Name: new("Ada"), Tags: []string{"x"},
				McpServers: []*pb.McpServer{{ServerLabel: new("l")}}, UpdateMask: mask("tags", "name", "mcp_servers", "tags"),
			},
			rendered{
				Method: "PUT", Path: "/v2/gen-ai/agents/" + agentID,
				Body: `{"mcp_servers":[{"server_label":"l"}],"name":"Ada","tags":["x"]}`,
			},
		},
		"MCP servers cleared by mask": {
			&pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("mcp_servers")},
			rendered{Method: "PUT", Path: "/v2/gen-ai/agents/" + agentID, Body: `{"clear_mcp_servers":true}`},
		},
		"MCP servers and their flag in the mask": {
			&pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("mcp_servers", "clear_mcp_servers")},
			rendered{Method: "PUT", Path: "/v2/gen-ai/agents/" + agentID, Body: `{"clear_mcp_servers":true}`},
		},
		"MCP servers cleared by their flag": {
			&pb.UpdateAgentRequest{Uuid: agentID, ClearMcpServers: new(true)},
			rendered{Method: "PUT", Path: "/v2/gen-ai/agents/" + agentID, Body: `{"clear_mcp_servers":true}`},
		},
		"a route between two agents": {
			&pb.UpdateAgentRouteRequest{
				ParentAgentUuid: agentID, ChildAgentUuid: childID, IfCase: new("asked for money"), Uuid: new("r"),
			},
			rendered{
				Method: "PUT", Path: "/v2/gen-ai/agents/" + agentID + "/child_agents/" + childID,
				Body: `{"if_case":"asked for money","uuid":"r"}`,
			},
		},
		"a deletion has no body": {
			&pb.DeleteAgentRequest{Uuid: agentID, Force: true, Mutation: &pb.MutationOptions{}},
			rendered{Method: "DELETE", Path: "/v2/gen-ai/agents/" + agentID},
		},
		"guardrails": {
			&pb.AttachGuardrailsRequest{AgentUuid: agentID, Guardrails: []*pb.AgentGuardrailInput{
				{GuardrailUuid: new("g"), Priority: proto.Int32(1)}, {},
			}},
			rendered{
				Method: "POST", Path: "/v2/gen-ai/agents/" + agentID + "/guardrails",
				Body: `{"guardrails":[{"guardrail_uuid":"g","priority":1},{}]}`,
			},
		},
		"a function with its schemas": {
			&pb.AddFunctionRouteRequest{
				AgentUuid: agentID, FunctionName: new("weather"), InputSchema: schema, OutputSchema: &structpb.Struct{},
			},
			rendered{
				Method: "POST", Path: "/v2/gen-ai/agents/" + agentID + "/functions",
				Body: `{"function_name":"weather","input_schema":{"deep":{"required":["city",true,null]},` +
					`"html":"<b>&","n":1.5,"type":"object"},"output_schema":{}}`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := proto.Clone(tc.req)
			got, err := Render(methods.API().ByRequest(tc.req), tc.req)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Query) == 0 {
				got.Query = nil
			}
			if diff := cmp.Diff(tc.want, rendered{got.Method, got.Path, got.Query, string(got.Body)}); diff != "" {
				t.Errorf("rendered otherwise (-want +got):\n%s", diff)
			}
			if !proto.Equal(before, tc.req) {
				t.Error("rendering changed the request")
			}
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		req   proto.Message
		field string // whose violation it is
		text  string
		mask  bool // CheckMask refuses it, too
	}{
		"no id":                {req: &pb.GetAgentRequest{}, field: "uuid", text: "required"},
		"an id that is a path": {req: &pb.GetAgentRequest{Uuid: ".."}, field: "uuid", text: "no id"},
		"one id of two":        {req: &pb.DeleteAgentRouteRequest{ParentAgentUuid: agentID}, field: "child_agent_uuid", text: "required"},
		"a number without end": {
			req: &pb.UpdateAgentRequest{Uuid: agentID, Temperature: new(math.NaN())}, field: "temperature", text: "finite",
		},
		"a number without end in free form": {
			req: &pb.AddFunctionRouteRequest{AgentUuid: agentID, InputSchema: &structpb.Struct{
				Fields: map[string]*structpb.Value{"n": structpb.NewNumberValue(math.Inf(1))},
			}}, field: "input_schema", text: "JSON",
		},
		"an enum value that is none": {
			req:   &pb.UpdateAgentRequest{Uuid: agentID, RetrievalMethod: pb.Agent_RetrievalMethod(99).Enum()},
			field: "retrieval_method", text: "99",
		},
		"a time that is none": {
			req: &pb.GetAgentUsageRequest{Uuid: agentID, Start: &timestamppb.Timestamp{Nanos: -1}}, field: "start", text: "no time",
		},
		"present but not in the mask": {
			req:   &pb.UpdateAgentRequest{Uuid: agentID, Name: new("n"), K: proto.Int32(0), UpdateMask: mask("name")},
			field: "update_mask", text: "does not name k,", mask: true,
		},
		"unknown in the mask": {
			req: &pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("nose\n")}, field: "update_mask", text: `"nose"`, mask: true,
		},
		"the id in the mask": {
			req: &pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("uuid")}, field: "update_mask", text: "uuid", mask: true,
		},
		"what is ours in the mask": {
			req: &pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("mutation")}, field: "update_mask", text: "mutation", mask: true,
		},
		"the mask in the mask": {
			req: &pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("update_mask")}, field: "update_mask", text: "update_mask", mask: true,
		},
		"a nested name in the mask": {
			req: &pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("mcp_servers.headers")}, field: "update_mask", text: "nested", mask: true,
		},
		"everything in the mask": {
			req: &pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("*")}, field: "update_mask", text: "no field", mask: true,
		},
		"clearing against its flag": {
			req: &pb.UpdateAgentRequest{
				Uuid: agentID, ClearMcpServers: new(false), UpdateMask: mask("mcp_servers", "clear_mcp_servers"),
			}, field: "update_mask", text: "contradicts", mask: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Render(methods.API().ByRequest(tc.req), tc.req)
			var invalid *fault.Error
			if !errors.As(err, &invalid) || len(invalid.Violations) != 1 || invalid.Violations[0].Field != tc.field {
				t.Fatalf("got %v, want a violation of %s", err, tc.field)
			}
			if !strings.Contains(invalid.Public, tc.text) {
				t.Errorf("%q does not tell of %q", invalid.Public, tc.text)
			}
			if refused := CheckMask(tc.req) != nil; refused != tc.mask {
				t.Errorf("CheckMask refuses: %v, want %v", refused, tc.mask)
			}
		})
	}
}

func TestRenderOfAnotherMethodsRequest(t *testing.T) {
	t.Parallel()
	api := methods.API()
	if _, err := Render(api.ByName("AgentService.GetAgent"), &pb.DeleteAgentRequest{Uuid: agentID}); err == nil {
		t.Error("a deletion was rendered as a read")
	}
	if _, err := Render(api.ByName("OperationService.GetOperation"), &pb.GetOperationRequest{}); err == nil {
		t.Error("a method of ours was rendered for the vendor")
	}
	if err := CheckMask(&pb.Agent{}); err != nil {
		t.Errorf("what is no request was refused: %v", err)
	}
}
