package operation_test

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// agent makes an agent, known as such.
func (s *scene) agent() string { return s.agentAs("agent", &pb.CreateAgentRequest{}) }

// agentAs makes an agent that is known by a name of its own.
func (s *scene) agentAs(name string, request *pb.CreateAgentRequest) string {
	s.t.Helper()
	request.Name, request.ModelUuid = new(s.name+" "+name), new(genaisim.ModelLlama)
	return s.noteAs(name, "agent", made(s, request, &pb.CreateAgentResponse{}).GetAgent().GetUuid())
}

// mcpServers are servers with secrets.
func (s *scene) mcpServers() []*pb.McpServer {
	s.t.Helper()
	headers, err := structpb.NewStruct(map[string]any{"x-api-key": "key-in-a-header"})
	if err != nil {
		s.t.Fatal(err)
	}
	return []*pb.McpServer{{
		ServerUrl: new("https://mcp.example"), ServerLabel: new("m"), Authorization: new("Bearer token-of-the-server"), Headers: headers,
	}}
}

func agentCases() map[string]changeCase {
	return map[string]changeCase{
		"AgentService.CreateAgent": {
			about: "agent", shows: "after", rows: map[string]held{"agent": current}, thorough: true,
			prepare: func(s *scene) proto.Message {
				return &pb.CreateAgentRequest{
					Name: &s.name, ModelUuid: new(genaisim.ModelLlama), Tags: []string{"mine"}, McpServers: s.mcpServers(),
					ModelRouterUuid: new(s.router()), WorkspaceUuid: new(s.workspace()), KnowledgeBaseUuid: []string{genaisim.KnowledgeBaseA},
				}
			},
		},
		"AgentService.UpdateAgent": {
			about: "agent", shows: "before after", rows: map[string]held{"agent": current}, thorough: true,
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateAgentRequest{Uuid: s.agent(), Temperature: new(0.1), McpServers: s.mcpServers()}
			},
		},
		"AgentService.DeleteAgent": {
			about: "agent", shows: "before", rows: map[string]held{"agent": gone, "parent": behind}, thorough: true,
			prepare: func(s *scene) proto.Message {
				made(s, &pb.AddAgentRouteRequest{ParentAgentUuid: s.agentAs("parent", &pb.CreateAgentRequest{}), ChildAgentUuid: s.agent()},
					&pb.AddAgentRouteResponse{})
				s.ask(s.known["parent"])
				return &pb.DeleteAgentRequest{Uuid: s.known["agent"].uuid}
			},
		},
		"AgentService.RollbackAgentVersion": {
			about: "agent", shows: "before after", rows: map[string]held{"agent": current},
			prepare: func(s *scene) proto.Message {
				id := s.agent()
				first := s.row("agent").VersionHash
				made(s, &pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.1)}, &pb.UpdateAgentResponse{})
				return &pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: &first}
			},
		},
		"AgentService.UpdateAgentDeploymentVisibility": {
			about: "agent", shows: "before after", rows: map[string]held{"agent": current},
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateAgentDeploymentVisibilityRequest{
					Uuid: s.agent(), Visibility: new(pb.AgentDeployment_VISIBILITY_PUBLIC),
				}
			},
		},
	}
}

func keyCases() map[string]changeCase {
	key := func(s *scene) (agent, key string) {
		agent = s.agent()
		created := made(s, &pb.CreateAgentApiKeyRequest{AgentUuid: agent, Name: new("before")}, &pb.CreateAgentApiKeyResponse{})
		return agent, s.note("agent_api_key", created.GetApiKeyInfo().GetUuid())
	}
	const about = "agent_api_key of agent"
	rows := map[string]held{"agent": current}
	return map[string]changeCase{
		"AgentKeyService.CreateAgentApiKey": {
			about: about, shows: "after", rows: rows, thorough: true,
			lost: []string{"AgentKeyService.CreateAgentApiKey", "AgentKeyService.RegenerateAgentApiKey"},
			prepare: func(s *scene) proto.Message {
				return &pb.CreateAgentApiKeyRequest{AgentUuid: s.agent(), Name: &s.name}
			},
		},
		"AgentKeyService.UpdateAgentApiKey": {
			about: about, shows: "before after", rows: rows,
			prepare: func(s *scene) proto.Message {
				agent, id := key(s)
				return &pb.UpdateAgentApiKeyRequest{AgentUuid: agent, ApiKeyUuid: id, Name: &s.name}
			},
		},
		"AgentKeyService.RegenerateAgentApiKey": {
			about: about, rows: rows,
			lost: []string{"AgentKeyService.RegenerateAgentApiKey", "AgentKeyService.RegenerateAgentApiKey"},
			prepare: func(s *scene) proto.Message {
				agent, id := key(s)
				return &pb.RegenerateAgentApiKeyRequest{AgentUuid: agent, ApiKeyUuid: id}
			},
		},
		"AgentKeyService.DeleteAgentApiKey": {
			about: about, shows: "before", rows: rows,
			prepare: func(s *scene) proto.Message {
				agent, id := key(s)
				return &pb.DeleteAgentApiKeyRequest{AgentUuid: agent, ApiKeyUuid: id}
			},
		},
	}
}

func routeCases() map[string]changeCase {
	route := func(s *scene) (parent, child string) {
		parent, child = s.agent(), s.agentAs("child", &pb.CreateAgentRequest{})
		s.noteAs("agent_route", "agent", child)
		return parent, child
	}
	routed := func(s *scene) (parent, child string) {
		parent, child = route(s)
		made(s, &pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, RouteName: new("before")}, &pb.AddAgentRouteResponse{})
		s.ask(s.known["agent"])
		return parent, child
	}
	function := func(s *scene) (agent, function string) {
		agent = s.agent()
		added := made(s, &pb.AddFunctionRouteRequest{
			AgentUuid: agent, FunctionName: new("f"), FaasName: new("default/f"), FaasNamespace: new("ns"),
		}, &pb.AddFunctionRouteResponse{})
		return agent, s.note("agent_function", added.GetAgent().GetFunctions()[0].GetUuid())
	}
	// What was taken away is not found when it is taken away again, and the answer to that shows
	// no agent.
	unread, read := map[string]held{"agent": behind}, map[string]held{"agent": current}
	return map[string]changeCase{
		"AgentRouteService.AddAgentRoute": {
			about: "agent_route of agent", shows: "after", rows: unread, thorough: true,
			prepare: func(s *scene) proto.Message {
				parent, child := route(s)
				return &pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, RouteName: &s.name, IfCase: new("asked")}
			},
		},
		"AgentRouteService.UpdateAgentRoute": {
			about: "agent_route of agent", shows: "before after", rows: unread,
			prepare: func(s *scene) proto.Message {
				parent, child := routed(s)
				return &pb.UpdateAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, RouteName: &s.name}
			},
		},
		"AgentRouteService.DeleteAgentRoute": {
			about: "agent_route of agent", shows: "before", rows: unread,
			prepare: func(s *scene) proto.Message {
				parent, child := routed(s)
				return &pb.DeleteAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child}
			},
		},
		"AgentRouteService.AddFunctionRoute": {
			about: "agent_function of agent", shows: "after", rows: read,
			prepare: func(s *scene) proto.Message {
				return &pb.AddFunctionRouteRequest{
					AgentUuid: s.agent(), FunctionName: &s.name, FaasName: new("default/f"), FaasNamespace: new("ns"),
				}
			},
		},
		"AgentRouteService.UpdateFunctionRoute": {
			about: "agent_function of agent", shows: "before after", rows: read,
			prepare: func(s *scene) proto.Message {
				agent, id := function(s)
				return &pb.UpdateFunctionRouteRequest{AgentUuid: agent, FunctionUuid: id, Description: &s.name}
			},
		},
		"AgentRouteService.DeleteFunctionRoute": {
			about: "agent_function of agent", shows: "before", rows: read, lostRows: unread,
			prepare: func(s *scene) proto.Message {
				agent, id := function(s)
				return &pb.DeleteFunctionRouteRequest{AgentUuid: agent, FunctionUuid: id}
			},
		},
		"AgentRouteService.AttachGuardrails": {
			about: "agent", shows: "before after", rows: read,
			prepare: func(s *scene) proto.Message {
				return &pb.AttachGuardrailsRequest{AgentUuid: s.agent(), Guardrails: []*pb.AgentGuardrailInput{
					{GuardrailUuid: new(genaisim.GuardrailJailbreak)}, {GuardrailUuid: new(genaisim.GuardrailSensitiveData)},
				}}
			},
		},
		"AgentRouteService.DetachGuardrail": {
			about: "agent", shows: "before after", rows: read, lostShows: "nothing", lostRows: unread,
			prepare: func(s *scene) proto.Message {
				made(s, &pb.AttachGuardrailsRequest{AgentUuid: s.agent(), Guardrails: []*pb.AgentGuardrailInput{
					{GuardrailUuid: new(genaisim.GuardrailJailbreak)},
				}}, &pb.AttachGuardrailsResponse{})
				return &pb.DetachGuardrailRequest{AgentUuid: s.known["agent"].uuid, GuardrailUuid: genaisim.GuardrailJailbreak}
			},
		},
		"AgentRouteService.AttachKnowledgeBase": {
			about: "agent", shows: "before after", rows: read,
			prepare: func(s *scene) proto.Message {
				return &pb.AttachKnowledgeBaseRequest{AgentUuid: s.agent(), KnowledgeBaseUuid: genaisim.KnowledgeBaseA}
			},
		},
		"AgentRouteService.AttachKnowledgeBases": {
			about: "agent", shows: "before after", rows: read, thorough: true,
			prepare: func(s *scene) proto.Message {
				return &pb.AttachKnowledgeBasesRequest{
					AgentUuid: s.agent(), KnowledgeBaseUuids: []string{genaisim.KnowledgeBaseA, genaisim.KnowledgeBaseB},
				}
			},
		},
		"AgentRouteService.DetachKnowledgeBase": {
			about: "agent", shows: "before after", rows: read, lostShows: "nothing", lostRows: unread,
			prepare: func(s *scene) proto.Message {
				made(s, &pb.AttachKnowledgeBaseRequest{AgentUuid: s.agent(), KnowledgeBaseUuid: genaisim.KnowledgeBaseA},
					&pb.AttachKnowledgeBaseResponse{})
				return &pb.DetachKnowledgeBaseRequest{AgentUuid: s.known["agent"].uuid, KnowledgeBaseUuid: genaisim.KnowledgeBaseA}
			},
		},
	}
}
