package service

import (
	"context"
	"math"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// nested is free-form JSON of a depth, the outermost object included.
func nested(depth int, list bool) *structpb.Struct {
	v := structpb.NewStructValue(&structpb.Struct{})
	for range depth - 2 {
		if list {
			v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
		} else {
			v = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"a": v}})
		}
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{"a": v}}
}

// unknown gives a message a field of a later version.
func unknown[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99999, protowire.VarintType), 1))
	return m
}

func object(v *structpb.Value) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{"a": v}}
}

func TestContentThatNobodyCouldKeepIsRefused(t *testing.T) {
	t.Parallel()
	headers := func(s *structpb.Struct) proto.Message {
		return &pb.UpdateAgentRequest{McpServers: []*pb.McpServer{{}, {Headers: s}}}
	}
	schema := func(s *structpb.Struct) proto.Message { return &pb.AddFunctionRouteRequest{InputSchema: s} }
	for name, tc := range map[string]struct {
		req   proto.Message
		field string // of the one violation; empty if there is none
	}{
		"an unknown field":            {unknown(&pb.UpdateAgentRequest{}), "(unknown)"},
		"an unknown field below":      {&pb.UpdateAgentRequest{McpServers: []*pb.McpServer{unknown(&pb.McpServer{})}}, "mcp_servers.(unknown)"},
		"64 objects":                  {schema(nested(64, false)), ""},
		"65 objects":                  {schema(nested(65, false)), "input_schema"},
		"65 lists":                    {schema(nested(65, true)), "input_schema"},
		"6000 objects":                {schema(nested(6000, false)), "input_schema"},
		"63 objects in a message":     {headers(nested(63, false)), ""},
		"64 objects in a message":     {headers(nested(64, false)), "mcp_servers.headers"},
		"JSON of 60 KiB":              {schema(object(structpb.NewStringValue(strings.Repeat("x", 60<<10)))), ""},
		"JSON of 65 KiB":              {schema(object(structpb.NewStringValue(strings.Repeat("x", 65<<10)))), "input_schema"},
		"headers of 65 KiB":           {headers(object(structpb.NewStringValue(strings.Repeat("x", 65<<10)))), "mcp_servers.headers"},
		"no number":                   {schema(object(structpb.NewNumberValue(math.NaN()))), "input_schema"},
		"a number without end":        {headers(object(structpb.NewNumberValue(math.Inf(-1)))), "mcp_servers.headers"},
		"a value that is none":        {schema(object(&structpb.Value{})), "input_schema"},
		"U+0000 in a text":            {schema(object(structpb.NewStringValue("\x00"))), "input_schema"},
		"U+0000 in a name":            {schema(&structpb.Struct{Fields: map[string]*structpb.Value{"\x00": structpb.NewNullValue()}}), "input_schema"},
		"U+0000 in a list":            {&pb.UpdateAgentRequest{Tags: []string{"a", "b\x00"}}, "tags"},
		"a time after all calendars":  {&pb.GetAgentUsageRequest{Start: &timestamppb.Timestamp{Seconds: math.MaxInt64}}, "start"},
		"a time of two billion nanos": {&pb.GetAgentUsageRequest{Stop: &timestamppb.Timestamp{Nanos: 2e9}}, "stop"},
		"a duration without end":      {&pb.GetAgentRequest{MaxStaleness: &durationpb.Duration{Seconds: math.MaxInt64}}, "max_staleness"},
		"a mask that JSON has not":    {&pb.UpdateAgentRequest{UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"top__p"}}}, "update_mask"},
		"a mask of what there is":     {&pb.UpdateAgentRequest{UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"top_p", "tags"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := checkDecoded(t.Context(), methods.API().ByRequest(tc.req), tc.req)
			if tc.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tc.field+": ") {
				t.Errorf("error %v, want one of %s", err, tc.field)
			}
		})
	}
}

func TestContentIsLookedAtBeforeAccess(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for name, id := range map[string]string{"one's own": e.agent, "another's": e.other, "nobody's": uuid.NewString()} {
		t.Run(name, func(t *testing.T) {
			_, err := e.client(t).UpdateAgent(as(t, e.token), &pb.UpdateAgentRequest{
				Uuid: id, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"top__p"}},
			})
			f := wantFault(t, err, connect.CodeInvalidArgument, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
			if len(f.Violations) != 1 || f.Violations[0].Field != "update_mask" {
				t.Errorf("violations %+v, want one of update_mask", f.Violations)
			}
		})
	}
}

func TestTextsHaveLimits(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	long := strings.Repeat("x", 65537)
	server := func(url string) *pb.UpdateAgentRequest {
		return &pb.UpdateAgentRequest{McpServers: []*pb.McpServer{{ServerUrl: &url}}}
	}
	for name, tc := range map[string]struct {
		req   *pb.UpdateAgentRequest
		field string
	}{
		"instruction":            {&pb.UpdateAgentRequest{Instruction: &long}, "instruction"},
		"description":            {&pb.UpdateAgentRequest{Description: new(long[:10001])}, "description"},
		"domain":                 {&pb.UpdateAgentRequest{AllowedDomains: []string{long[:1001]}}, "allowed_domains[0]"},
		"authorization":          {&pb.UpdateAgentRequest{McpServers: []*pb.McpServer{{Authorization: new(long[:8193])}}}, "mcp_servers[0].authorization"},
		"servers":                {&pb.UpdateAgentRequest{McpServers: make([]*pb.McpServer, 51)}, "mcp_servers"},
		"tools":                  {&pb.UpdateAgentRequest{McpServers: []*pb.McpServer{{AllowedTools: make([]string, 201)}}}, "mcp_servers[0].allowed_tools"},
		"mask":                   {&pb.UpdateAgentRequest{UpdateMask: &fieldmaskpb.FieldMask{Paths: make([]string, 101)}}, "update_mask"},
		"a password in a URL":    {server("https://pat:hidden@mcp.example.com/"), "mcp_servers[0].server_url"},
		"a user behind a slash":  {server(`https://pat\@mcp.example.com/`), "mcp_servers[0].server_url"},
		"a URL of another world": {server("file:///etc/passwd"), "mcp_servers[0].server_url"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.req.Uuid = e.agent
			_, err := e.client(t).UpdateAgent(as(t, e.token), tc.req)
			f := wantFault(t, err, connect.CodeInvalidArgument, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
			if len(f.Violations) != 1 || f.Violations[0].Field != tc.field {
				t.Errorf("violations %+v, want one of %s", f.Violations, tc.field)
			}
			if strings.Contains(f.Public, "hidden") {
				t.Errorf("told %q", f.Public)
			}
		})
	}
	for _, url := range []string{"https://mcp.example.com", "http://mcp.example.com:8080/a?to=pat@example.com", "https://mcp.example.com?x#y"} {
		req := server(url)
		req.Uuid = e.agent
		_, err := e.client(t).UpdateAgent(as(t, e.token), req)
		if connect.CodeOf(err) != connect.CodeUnimplemented {
			t.Errorf("%s: %v, want it let through", url, err)
		}
	}
}

func TestUUIDsAreInOneForm(t *testing.T) {
	t.Parallel()
	lower := uuid.NewString()
	upper := strings.ToUpper(lower)
	for name, tc := range map[string]struct{ req, want proto.Message }{
		"one, and no other text": {
			&pb.UpdateAgentRequest{Uuid: upper, Name: new(upper), ModelUuid: new(upper), Tags: []string{upper}, McpServers: []*pb.McpServer{{ServerLabel: new(upper)}}},
			&pb.UpdateAgentRequest{Uuid: lower, Name: new(upper), ModelUuid: new(lower), Tags: []string{upper}, McpServers: []*pb.McpServer{{ServerLabel: new(upper)}}},
		},
		"several": {
			&pb.AttachKnowledgeBasesRequest{AgentUuid: lower, KnowledgeBaseUuids: []string{lower, upper}},
			&pb.AttachKnowledgeBasesRequest{AgentUuid: lower, KnowledgeBaseUuids: []string{lower, lower}},
		},
		"in messages": {
			&pb.AttachGuardrailsRequest{AgentUuid: upper, Guardrails: []*pb.AgentGuardrailInput{{GuardrailUuid: new(upper)}, {}}},
			&pb.AttachGuardrailsRequest{AgentUuid: lower, Guardrails: []*pb.AgentGuardrailInput{{GuardrailUuid: new(lower)}, {}}},
		},
		"not in free-form JSON": {
			&pb.AddFunctionRouteRequest{AgentUuid: upper, InputSchema: object(structpb.NewStringValue(upper))},
			&pb.AddFunctionRouteRequest{AgentUuid: lower, InputSchema: object(structpb.NewStringValue(upper))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := normalise(t.Context(), methods.API().ByRequest(tc.req), tc.req); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, tc.req, protocmp.Transform()); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandlersGetUUIDsInOneForm(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	got := ""
	e.agents.get = func(_ context.Context, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
		got = req.GetUuid()
		return &pb.GetAgentResponse{}, nil
	}
	if _, err := e.client(t).GetAgent(as(t, e.token), &pb.GetAgentRequest{Uuid: strings.ToUpper(e.agent)}); err != nil || got != e.agent {
		t.Errorf("the handler got %q, %v; want %q", got, err, e.agent)
	}
}
