package upstream_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// ask makes one call that must succeed.
func ask[Resp proto.Message](t *testing.T, c *upstream.Client, req proto.Message, resp Resp) Resp {
	t.Helper()
	reply, err := c.Do(t.Context(), methods.API().ByRequest(req), req, resp)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Status != 200 || reply.RequestID == "" || reply.Remaining < 0 {
		t.Errorf("reply %+v", reply)
	}
	return resp
}

// TestAgainstTheStrictSimulator walks through the life of an agent at a vendor
// that refuses whatever its contract does not have.
func TestAgainstTheStrictSimulator(t *testing.T) {
	t.Parallel()
	sim := genaisim.New(genaisim.Config{Token: "secret-token", Strict: true, SeedAgents: 3, RatePerHour: 5000})
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	var drift bytes.Buffer
	c, err := upstream.New(upstream.Config{
		BaseURL: server.URL, Token: func() string { return "secret-token" }, UserAgent: "agentsvc/test", Transport: transport,
		Log: slog.New(slog.NewTextHandler(&drift, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}

	list := ask(t, c, &pb.ListAgentsRequest{Page: proto.Int32(1), PerPage: proto.Int32(2), PageSize: 1}, &pb.ListAgentsResponse{})
	if len(list.GetAgents()) != 2 || list.GetMeta().GetTotal() != 3 {
		t.Fatalf("page 1 of 2 agents: %v", list)
	}
	seed := list.GetAgents()[0]

	made := ask(t, c, &pb.CreateAgentRequest{
		Name: new("Ada"), Description: new("first"), Instruction: new("Be kind."), Region: new("tor1"),
		ModelUuid: seed.GetModel().Uuid, ProjectId: seed.ProjectId, Tags: []string{"a"},
		McpServers: []*pb.McpServer{{ServerLabel: new("l"), ServerUrl: new("https://mcp.example.com")}},
		Mutation:   &pb.MutationOptions{Team: "payments", Reason: "a test"},
	}, &pb.CreateAgentResponse{}).GetAgent()
	id := made.GetUuid()
	if id == "" || made.GetName() != "Ada" || made.GetCreatedAt() == nil {
		t.Fatalf("made %v", made)
	}

	ask(t, c, &pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.5), K: proto.Int32(7), ProvideCitations: new(true)}, &pb.UpdateAgentResponse{})
	changed := ask(t, c, &pb.UpdateAgentRequest{
		Uuid: id, Name: new("Grace"),
		UpdateMask: &fieldmaskpb.FieldMask{
			Paths: []string{"name", "temperature", "k", "provide_citations", "tags", "description", "mcp_servers"},
		},
	}, &pb.UpdateAgentResponse{}).GetAgent()
	if changed.GetName() != "Grace" || changed.GetTemperature() != 0 || changed.GetK() != 0 || changed.GetProvideCitations() ||
		len(changed.GetTags()) != 0 || changed.GetDescription() != "" || len(changed.GetMcpServers()) != 0 {
		t.Errorf("changed to %v", changed)
	}

	schema, err := structpb.NewStruct(map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, c, &pb.AddAgentRouteRequest{
		ParentAgentUuid: id, ChildAgentUuid: seed.GetUuid(), RouteName: new("seed"), IfCase: new("asked"),
	}, &pb.AddAgentRouteResponse{})
	ask(t, c, &pb.UpdateAgentRouteRequest{ParentAgentUuid: id, ChildAgentUuid: seed.GetUuid(), IfCase: new("asked twice")}, &pb.UpdateAgentRouteResponse{})
	ask(t, c, &pb.AddFunctionRouteRequest{
		AgentUuid: id, FunctionName: new("weather"), FaasName: new("default/weather"), FaasNamespace: new("fn-1"), InputSchema: schema,
	}, &pb.AddFunctionRouteResponse{})
	ask(t, c, &pb.GetAgentUsageRequest{Uuid: id, Start: made.GetCreatedAt()}, &pb.GetAgentUsageResponse{})

	got := ask(t, c, &pb.GetAgentRequest{Uuid: id}, &pb.GetAgentResponse{}).GetAgent()
	if len(got.GetChildAgents()) != 1 || got.GetChildAgents()[0].GetIfCase() != "asked twice" || len(got.GetFunctions()) != 1 ||
		!proto.Equal(got.GetFunctions()[0].GetInputSchema(), schema) {
		t.Errorf("read %v", got)
	}
	ask(t, c, &pb.AttachGuardrailsRequest{AgentUuid: id, Guardrails: []*pb.AgentGuardrailInput{
		{GuardrailUuid: new(genaisim.GuardrailJailbreak), Priority: proto.Int32(1)},
	}}, &pb.AttachGuardrailsResponse{})
	ask(t, c, &pb.AttachKnowledgeBasesRequest{AgentUuid: id, KnowledgeBaseUuids: []string{genaisim.KnowledgeBaseA}}, &pb.AttachKnowledgeBasesResponse{})
	ask(t, c, &pb.AttachKnowledgeBaseRequest{AgentUuid: id, KnowledgeBaseUuid: genaisim.KnowledgeBaseB}, &pb.AttachKnowledgeBaseResponse{})
	ask(t, c, &pb.DetachKnowledgeBaseRequest{AgentUuid: id, KnowledgeBaseUuid: genaisim.KnowledgeBaseA}, &pb.DetachKnowledgeBaseResponse{})
	ask(t, c, &pb.UpdateAgentDeploymentVisibilityRequest{
		Uuid: id, Visibility: pb.AgentDeployment_VISIBILITY_PUBLIC.Enum(),
	}, &pb.UpdateAgentDeploymentVisibilityResponse{})
	key := ask(t, c, &pb.CreateAgentApiKeyRequest{AgentUuid: id, Name: new("k")}, &pb.CreateAgentApiKeyResponse{}).GetApiKeyInfo()
	again := ask(t, c, &pb.RegenerateAgentApiKeyRequest{AgentUuid: id, ApiKeyUuid: key.GetUuid()}, &pb.RegenerateAgentApiKeyResponse{})
	if key.GetSecretKey() == "" || again.GetApiKeyInfo().GetSecretKey() == key.GetSecretKey() {
		t.Error("no new secret was given")
	}
	ask(t, c, &pb.DeleteAgentApiKeyRequest{AgentUuid: id, ApiKeyUuid: key.GetUuid()}, &pb.DeleteAgentApiKeyResponse{})
	ask(t, c, &pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: made.VersionHash}, &pb.RollbackAgentVersionResponse{})
	if versions := ask(t, c, &pb.ListAgentVersionsRequest{Uuid: id}, &pb.ListAgentVersionsResponse{}); len(versions.GetAgentVersions()) < 3 {
		t.Errorf("versions %v", versions)
	}

	ask(t, c, &pb.DeleteAgentRequest{Uuid: id, Force: true}, &pb.DeleteAgentResponse{})
	gone := &pb.GetAgentRequest{Uuid: id}
	_, err = c.Do(t.Context(), methods.API().ByRequest(gone), gone, &pb.GetAgentResponse{})
	var vendor *upstream.Error
	if !errors.As(err, &vendor) || !vendor.NotFound() || vendor.VendorID != "not_found" || vendor.RequestID == "" {
		t.Errorf("reading what is deleted: %v", err)
	}

	for _, entry := range sim.Requests() {
		if len(entry.Deviations) > 0 {
			t.Errorf("%s %s departs from the contract: %v", entry.Method, entry.Path, entry.Deviations)
		}
	}
	if drift.Len() > 0 {
		t.Errorf("our messages do not know all that the contract has:\n%s", drift.String())
	}
}
