package operation_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestEachChangeIsMadeOnce goes through what may become of a request and its reply,
// for every way of finding out.
func TestEachChangeIsMadeOnce(t *testing.T) {
	t.Parallel()
	troubles := map[string]genaisim.Fault{
		"no trouble":              {DelayMS: 1},
		"dropped before":          {Drop: "before", Count: 1},
		"dropped after":           {Drop: "after", Count: 1},
		"dropped after, twice":    {Drop: "after", Count: 2},
		"500 without effect":      {Status: 500, Count: 1},
		"500 with effect":         {Status: 500, After: true, Count: 1},
		"garbage after":           {Body: "<html>", Count: 1},
		"throttled":               {Status: 429, Count: 1, Headers: map[string]string{"retry-after": "1"}},
		"unavailable three times": {Status: 503, Count: 3},
	}
	changes := map[string]struct {
		method, path string
		req          func(agent, child string) proto.Message
		resp         func() proto.Message
		effects      int // how many, once all is done; 0: 1
	}{
		"create": {
			method: "POST", path: "/v2/gen-ai/agents",
			req: func(string, string) proto.Message {
				return &pb.CreateAgentRequest{Name: new("new"), ModelUuid: proto.String(genaisim.ModelLlama), Tags: []string{"mine"}}
			},
			resp: func() proto.Message { return &pb.CreateAgentResponse{} },
		},
		"update": {
			method: "PUT", path: "/v2/gen-ai/agents/{uuid}",
			req: func(agent, _ string) proto.Message {
				return &pb.UpdateAgentRequest{Uuid: agent, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"temperature"}}, Description: nil}
			},
			resp: func() proto.Message { return &pb.UpdateAgentResponse{} },
		},
		"delete": {
			method: "DELETE", path: "/v2/gen-ai/agents/{uuid}",
			req:  func(agent, _ string) proto.Message { return &pb.DeleteAgentRequest{Uuid: agent} },
			resp: func() proto.Message { return &pb.DeleteAgentResponse{} },
		},
		"add route": {
			method: "POST", path: "/v2/gen-ai/agents/{parent}/child_agents/{child}",
			req: func(agent, child string) proto.Message {
				return &pb.AddAgentRouteRequest{ParentAgentUuid: agent, ChildAgentUuid: child, RouteName: new("r")}
			},
			resp: func() proto.Message { return &pb.AddAgentRouteResponse{} },
		},
		"add function": {
			method: "POST", path: "/v2/gen-ai/agents/{agent}/functions",
			req: func(agent, _ string) proto.Message {
				return &pb.AddFunctionRouteRequest{
					AgentUuid: agent, FunctionName: new("f"), FaasName: new("default/f"), FaasNamespace: new("ns"),
				}
			},
			resp: func() proto.Message { return &pb.AddFunctionRouteResponse{} },
		},
		"attach guardrails": {
			method: "POST", path: "/v2/gen-ai/agents/{agent}/guardrails",
			req: func(agent, _ string) proto.Message {
				return &pb.AttachGuardrailsRequest{AgentUuid: agent, Guardrails: []*pb.AgentGuardrailInput{
					{GuardrailUuid: proto.String(genaisim.GuardrailJailbreak)}, {GuardrailUuid: proto.String(genaisim.GuardrailSensitiveData)},
				}}
			},
			resp: func() proto.Message { return &pb.AttachGuardrailsResponse{} },
		},
		"attach knowledge bases": {
			method: "POST", path: "/v2/gen-ai/agents/{agent}/knowledge_bases",
			req: func(agent, _ string) proto.Message {
				return &pb.AttachKnowledgeBasesRequest{AgentUuid: agent, KnowledgeBaseUuids: []string{genaisim.KnowledgeBaseA, genaisim.KnowledgeBaseB}}
			},
			resp: func() proto.Message { return &pb.AttachKnowledgeBasesResponse{} },
		},
	}
	for changeName, change := range changes {
		t.Run(changeName, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.start(b.engine)
			for troubleName, trouble := range troubles {
				t.Run(troubleName, func(t *testing.T) { // one after the other: they share the vendor
					agent, child := b.create("parent"), b.create("child")
					before := len(b.effects())
					if trouble.Path == "" {
						trouble.Method, trouble.Path = change.method, change.path
					}
					b.fault(trouble)

					resp := change.resp()
					if err := b.engine.Change(t.Context(), b.caller, change.req(agent, child), resp); err != nil {
						t.Fatalf("the change failed: %v", err)
					}
					b.fault()
					if made := b.effects()[before:]; len(made) != 1 {
						t.Errorf("the vendor made %d changes, want 1: %+v", len(made), made)
					}
					b.requireConsistent()
				})
			}
		})
	}
}

func TestLostSecretIsMadeAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agent := b.create("agent")
	b.fault(genaisim.Fault{Method: "POST", Path: "/v2/gen-ai/agents/{agent}/api_keys", Drop: "after", Count: 1})
	resp := &pb.CreateAgentApiKeyResponse{}
	if err := b.engine.Change(t.Context(), b.caller, &pb.CreateAgentApiKeyRequest{AgentUuid: agent, Name: new("key")}, resp); err != nil {
		t.Fatal(err)
	}
	secret := resp.GetApiKeyInfo().GetSecretKey()
	if secret == "" {
		t.Fatal("no secret came")
	}
	var made []string
	for _, r := range b.effects() {
		if strings.Contains(r.Path, "api_keys") {
			made = append(made, r.Operation)
		}
	}
	want := []string{"POST /v2/gen-ai/agents/{agent_uuid}/api_keys", "PUT /v2/gen-ai/agents/{agent_uuid}/api_keys/{api_key_uuid}/regenerate"}
	if !slices.Equal(made, want) {
		t.Errorf("the vendor made %q, want %q", made, want)
	}
	if n := b.count("SELECT count(*) FROM operations o WHERE o::text LIKE '%' || $1 || '%' OR o.sealed_response IS NOT NULL", secret); n != 0 {
		t.Error("the secret is still in the queue")
	}
	if n := b.count("SELECT (SELECT count(*) FROM audit_events e WHERE e::text LIKE '%' || $1 || '%') + (SELECT count(*) FROM resources r WHERE r::text LIKE '%' || $1 || '%')", secret); n != 0 {
		t.Error("the secret is in the history or the mirror")
	}
	b.requireConsistent()
}
