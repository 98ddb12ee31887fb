package operation_test

import (
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// claim gives what the scene knows to the caller's team.
func (s *scene) claim(name string) {
	s.t.Helper()
	on := s.known[name]
	tag, err := s.pool.Exec(s.t.Context(), "UPDATE resources SET team_id = $1 WHERE kind = $2 AND uuid = $3",
		s.caller.ActingTeam.ID, on.kind, on.uuid)
	if err != nil || tag.RowsAffected() != 1 {
		s.t.Fatalf("claiming %s: %v, %v", name, tag, err)
	}
}

// modelKey is a key that is there from the start: none can be made.
func (s *scene) modelKey() string {
	s.t.Helper()
	s.sim.Reset()
	if _, err := s.pool.Exec(s.t.Context(), "DELETE FROM resources WHERE kind = 'model_api_key'"); err != nil {
		s.t.Fatal(err)
	}
	s.list("ModelKeyService.ListModelApiKeys")
	s.note("model_api_key", genaisim.ModelKeyA)
	s.claim("model_api_key")
	return genaisim.ModelKeyA
}

func (s *scene) router() string {
	s.t.Helper()
	created := made(s, &pb.CreateModelRouterRequest{Name: new(s.name + " router"), FallbackModels: []string{"openai-gpt"}}, &pb.CreateModelRouterResponse{})
	return s.note("model_router", created.GetModelRouter().GetUuid())
}

func (s *scene) workspace() string {
	s.t.Helper()
	created := made(s, &pb.CreateWorkspaceRequest{Name: new(s.name + " workspace")}, &pb.CreateWorkspaceResponse{})
	return s.note("workspace", created.GetWorkspace().GetUuid())
}

// importing brings in a model that is anybody's, with a token all the same.
func (s *scene) importing() *pb.ImportCustomModelRequest {
	return &pb.ImportCustomModelRequest{
		Name: &s.name, AcceptTermsAndConditions: new(true), SourceType: new(pb.CustomModel_SOURCE_TYPE_HUGGINGFACE),
		SourceRef: &pb.CustomModelSourceRef{RepoId: new("someone/model"), HfToken: new("token-of-the-hub"), CommitSha: new("0a1b2c")},
		Tags:      &pb.CustomModelTags{Tags: []string{"mine"}},
	}
}

func (s *scene) customModel() string {
	s.t.Helper()
	return s.note("custom_model", made(s, s.importing(), &pb.ImportCustomModelResponse{}).GetModel().GetUuid())
}

func modelCases() map[string]changeCase {
	model, router, key := map[string]held{"custom_model": current}, map[string]held{"model_router": current}, map[string]held{"model_api_key": current}
	return map[string]changeCase{
		"CustomModelService.ImportCustomModel": {
			about: "custom_model", shows: "after", rows: model, thorough: true,
			prepare: func(s *scene) proto.Message { return s.importing() },
		},
		"CustomModelService.UpdateCustomModelMetadata": {
			about: "custom_model", shows: "before after", rows: model,
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateCustomModelMetadataRequest{
					Uuid: s.customModel(), Description: &s.name, Tags: &pb.CustomModelTags{Tags: []string{"other"}},
				}
			},
		},
		"CustomModelService.DeleteCustomModel": {
			about: "custom_model", shows: "before", rows: map[string]held{"custom_model": gone},
			prepare: func(s *scene) proto.Message { return &pb.DeleteCustomModelRequest{Uuid: s.customModel()} },
		},
		"ModelRouterService.CreateModelRouter": {
			about: "model_router", shows: "after", rows: router,
			prepare: func(s *scene) proto.Message {
				return &pb.CreateModelRouterRequest{Name: &s.name, Regions: []string{genaisim.DefaultRegion}, Policies: []*pb.ModelRouterPolicy{
					{CustomTask: &pb.ModelRouterCustomTask{Name: new("t"), Description: new("d")}, Models: []string{"openai-gpt"}},
				}}
			},
		},
		"ModelRouterService.UpdateModelRouter": {
			about: "model_router", shows: "before after", rows: router,
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateModelRouterRequest{Uuid: s.router(), Name: &s.name}
			},
		},
		"ModelRouterService.DeleteModelRouter": {
			about: "model_router", shows: "before", rows: map[string]held{"model_router": gone, "agent": behind},
			prepare: func(s *scene) proto.Message {
				s.agentAs("agent", &pb.CreateAgentRequest{ModelRouterUuid: new(s.router())})
				return &pb.DeleteModelRouterRequest{Uuid: s.known["model_router"].uuid}
			},
		},
		"ModelKeyService.CreateModelApiKey": {
			about: "model_api_key", refused: true,
			prepare: func(s *scene) proto.Message { return &pb.CreateModelApiKeyRequest{Name: &s.name} },
		},
		"ModelKeyService.UpdateModelApiKey": {
			about: "model_api_key", shows: "before after", rows: key,
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateModelApiKeyRequest{ApiKeyUuid: s.modelKey(), Name: &s.name}
			},
		},
		"ModelKeyService.RegenerateModelApiKey": {
			about: "model_api_key", rows: key,
			lost:    []string{"ModelKeyService.RegenerateModelApiKey", "ModelKeyService.RegenerateModelApiKey"},
			prepare: func(s *scene) proto.Message { return &pb.RegenerateModelApiKeyRequest{ApiKeyUuid: s.modelKey()} },
		},
		"ModelKeyService.DeleteModelApiKey": {
			about: "model_api_key", shows: "before", rows: map[string]held{"model_api_key": gone},
			prepare: func(s *scene) proto.Message { return &pb.DeleteModelApiKeyRequest{ApiKeyUuid: s.modelKey()} },
		},
	}
}

func platformCases() map[string]changeCase {
	const secret = "secret-of-the-provider"
	anthropic := func(s *scene) string {
		created := made(s, &pb.CreateAnthropicApiKeyRequest{Name: new("before"), ApiKey: new(secret)}, &pb.CreateAnthropicApiKeyResponse{})
		return s.note("anthropic_key", created.GetApiKeyInfo().GetUuid())
	}
	openAI := func(s *scene) string {
		created := made(s, &pb.CreateOpenAiApiKeyRequest{Name: new("before"), ApiKey: new(secret)}, &pb.CreateOpenAiApiKeyResponse{})
		return s.note("openai_key", created.GetApiKeyInfo().GetUuid())
	}
	anthropicRow, openAIRow := map[string]held{"anthropic_key": current}, map[string]held{"openai_key": current}
	return map[string]changeCase{
		"ProviderKeyService.CreateAnthropicApiKey": {
			about: "anthropic_key", shows: "after", rows: anthropicRow,
			prepare: func(s *scene) proto.Message {
				return &pb.CreateAnthropicApiKeyRequest{Name: &s.name, ApiKey: new(secret)}
			},
		},
		"ProviderKeyService.UpdateAnthropicApiKey": {
			about: "anthropic_key", shows: "before after", rows: anthropicRow,
			// A secret that is given is a change, as nobody knows the old one.
			lost: []string{"ProviderKeyService.UpdateAnthropicApiKey", "ProviderKeyService.UpdateAnthropicApiKey"},
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateAnthropicApiKeyRequest{ApiKeyUuid: anthropic(s), Name: &s.name, ApiKey: new("another-" + secret)}
			},
		},
		"ProviderKeyService.DeleteAnthropicApiKey": {
			about: "anthropic_key", shows: "before", rows: map[string]held{"anthropic_key": gone, "agent": behind},
			prepare: func(s *scene) proto.Message {
				s.agentAs("agent", &pb.CreateAgentRequest{AnthropicKeyUuid: new(anthropic(s))})
				return &pb.DeleteAnthropicApiKeyRequest{ApiKeyUuid: s.known["anthropic_key"].uuid}
			},
		},
		"ProviderKeyService.CreateOpenAiApiKey": {
			about: "openai_key", shows: "after", rows: openAIRow,
			prepare: func(s *scene) proto.Message { return &pb.CreateOpenAiApiKeyRequest{Name: &s.name, ApiKey: new(secret)} },
		},
		"ProviderKeyService.UpdateOpenAiApiKey": {
			about: "openai_key", shows: "before after", rows: openAIRow,
			lost: []string{"ProviderKeyService.UpdateOpenAiApiKey", "ProviderKeyService.UpdateOpenAiApiKey"},
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateOpenAiApiKeyRequest{ApiKeyUuid: openAI(s), Name: &s.name, ApiKey: new("another-" + secret)}
			},
		},
		"ProviderKeyService.DeleteOpenAiApiKey": {
			about: "openai_key", shows: "before", rows: map[string]held{"openai_key": gone, "agent": behind},
			prepare: func(s *scene) proto.Message {
				s.agentAs("agent", &pb.CreateAgentRequest{OpenAiKeyUuid: new(openAI(s))})
				return &pb.DeleteOpenAiApiKeyRequest{ApiKeyUuid: s.known["openai_key"].uuid}
			},
		},
		"WorkspaceService.CreateWorkspace": {
			about: "workspace", shows: "after", rows: map[string]held{"workspace": current, "agent": behind},
			prepare: func(s *scene) proto.Message {
				return &pb.CreateWorkspaceRequest{Name: &s.name, Description: new("d"), AgentUuids: []string{s.agent()}}
			},
		},
		"WorkspaceService.UpdateWorkspace": {
			about: "workspace", shows: "before after", rows: map[string]held{"workspace": current},
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateWorkspaceRequest{WorkspaceUuid: s.workspace(), Description: &s.name}
			},
		},
		"WorkspaceService.MoveAgentsToWorkspace": {
			// That an agent moved is told of the agent.
			about: "workspace", rows: map[string]held{"workspace": current, "agent": behind},
			prepare: func(s *scene) proto.Message {
				return &pb.MoveAgentsToWorkspaceRequest{WorkspaceUuid: s.workspace(), AgentUuids: []string{s.agent()}}
			},
		},
		"WorkspaceService.DeleteWorkspace": {
			about: "workspace", shows: "before", rows: map[string]held{"workspace": gone, "agent": behind},
			prepare: func(s *scene) proto.Message {
				s.agentAs("agent", &pb.CreateAgentRequest{WorkspaceUuid: new(s.workspace())})
				return &pb.DeleteWorkspaceRequest{WorkspaceUuid: s.known["workspace"].uuid}
			},
		},
	}
}
