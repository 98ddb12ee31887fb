package mirror

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestAnAgentReadWhileWhatItRefersToChanges has the vendor make a change of ours that shows
// in an agent, which is read before the change settles.
func TestAnAgentReadWhileWhatItRefersToChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	w.rounds(1)
	router := w.make(w.payments, &pb.CreateModelRouterRequest{Name: new("router"), FallbackModels: []string{"openai-gpt"}})
	anthropic := w.make(w.payments, &pb.CreateAnthropicApiKeyRequest{Name: new("anthropic"), ApiKey: new("sk-ant-secret")})
	openAI := w.make(w.payments, &pb.CreateOpenAiApiKeyRequest{Name: new("openai"), ApiKey: new("sk-secret")})
	provided := w.make(w.payments, &pb.CreateOpenAiApiKeyRequest{Name: new("provided"), ApiKey: new("sk-secret")})
	base := w.make(w.payments, w.baseRequest("base"))
	from := w.make(w.payments, &pb.CreateWorkspaceRequest{Name: new("from")})
	to := w.make(w.payments, &pb.CreateWorkspaceRequest{Name: new("to")})
	for name, tc := range map[string]struct {
		agent  *pb.CreateAgentRequest
		change func(agent string) proto.Message
	}{
		"its router is deleted": {
			&pb.CreateAgentRequest{ModelRouterUuid: &router}, func(string) proto.Message { return &pb.DeleteModelRouterRequest{Uuid: router} },
		},
		"its Anthropic key is deleted": {
			&pb.CreateAgentRequest{AnthropicKeyUuid: &anthropic}, func(string) proto.Message { return &pb.DeleteAnthropicApiKeyRequest{ApiKeyUuid: anthropic} },
		},
		"its OpenAI key is deleted": {
			&pb.CreateAgentRequest{OpenAiKeyUuid: &openAI}, func(string) proto.Message { return &pb.DeleteOpenAiApiKeyRequest{ApiKeyUuid: openAI} },
		},
		"its provider's key is deleted": {
			&pb.CreateAgentRequest{ModelProviderKeyUuid: &provided}, func(string) proto.Message { return &pb.DeleteOpenAiApiKeyRequest{ApiKeyUuid: provided} },
		},
		"its knowledge base is deleted": {
			&pb.CreateAgentRequest{KnowledgeBaseUuid: []string{base}}, func(string) proto.Message { return &pb.DeleteKnowledgeBaseRequest{Uuid: base} },
		},
		"its workspace is deleted": {
			&pb.CreateAgentRequest{WorkspaceUuid: &from}, func(string) proto.Message { return &pb.DeleteWorkspaceRequest{WorkspaceUuid: from} },
		},
		"it is moved": {
			&pb.CreateAgentRequest{}, func(agent string) proto.Message {
				return &pb.MoveAgentsToWorkspaceRequest{WorkspaceUuid: to, AgentUuids: []string{agent}}
			},
		},
		"a workspace is made around it": {
			&pb.CreateAgentRequest{}, func(agent string) proto.Message {
				return &pb.CreateWorkspaceRequest{Name: new("around"), AgentUuids: []string{agent}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: a creation under way is of its kind's whole list
			tc.agent.Name, tc.agent.ModelUuid = &name, new(genaisim.ModelLlama)
			agent := w.make(w.payments, tc.agent)
			before := len(w.told())
			s := w.sent(w.payments, tc.change(agent))
			askTo(t, w.Get, w.payer, &pb.GetAgentRequest{Uuid: agent, MaxStaleness: durationpb.New(0)}, &pb.GetAgentResponse{})
			if err := w.round(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.settled(s)
			w.sync()
			if told := w.told()[before:]; len(told) > 0 {
				t.Errorf("our own change is told as made elsewhere: %v", told)
			}
			shown := askTo(t, w.Get, w.payer, &pb.GetAgentRequest{Uuid: agent}, &pb.GetAgentResponse{})
			fresh := askTo(t, w.Get, w.payer, &pb.GetAgentRequest{Uuid: agent, MaxStaleness: durationpb.New(0)}, &pb.GetAgentResponse{})
			if shown.GetFreshness().GetStale() || !proto.Equal(shown.GetAgent(), fresh.GetAgent()) {
				t.Errorf("afterwards it is shown as\n%v\nand is\n%v", shown, fresh)
			}
		})
	}
}

// TestACreationUnderWayIsLeftToItsSettling has lists show what is being made, of kinds
// whose creations carry no tag.
func TestACreationUnderWayIsLeftToItsSettling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	dataset := w.make(w.payments, datasetRequest("prompts"))
	testCase := w.make(w.payments, &pb.CreateEvaluationTestCaseRequest{Name: new("case"), DatasetUuid: &dataset, Metrics: []string{genaisim.MetricTone}})
	agent := w.create("agent")
	base := w.make(w.payments, w.baseRequest("base"))
	w.rounds(1)
	var begun []started
	for _, req := range []proto.Message{
		&pb.CreateModelRouterRequest{Name: new("router"), FallbackModels: []string{"openai-gpt"}},
		&pb.CreateAnthropicApiKeyRequest{Name: new("anthropic"), ApiKey: new("sk-ant-secret")},
		&pb.CreateOpenAiApiKeyRequest{Name: new("openai"), ApiKey: new("sk-secret")},
		&pb.CreateWorkspaceRequest{Name: new("workspace")},
		&pb.ImportCustomModelRequest{
			Name: new("model"), SourceType: pb.CustomModel_SOURCE_TYPE_HUGGINGFACE.Enum(), AcceptTermsAndConditions: new(true),
			SourceRef: &pb.CustomModelSourceRef{RepoId: new("meta/llama")},
		},
		datasetRequest("dataset"), metricRequest("metric"),
		&pb.CreateEvaluationTestCaseRequest{Name: new("other case"), DatasetUuid: &dataset, Metrics: []string{genaisim.MetricTone}},
		&pb.CreateModelEvaluationRunRequest{
			Name: new("model run"), CandidateModelUuid: new(genaisim.ModelLlama), JudgeModelUuid: new(genaisim.ModelClaude), DatasetUuid: &dataset,
			MetricUuids: []string{genaisim.MetricModelCorrectness}, PresetName: new("preset"),
			PresetSaveSections: []pb.ModelEvaluationPreset_PresetSaveSection{pb.ModelEvaluationPreset_PRESET_SAVE_SECTION_JUDGE},
		},
		&pb.RunEvaluationTestCaseRequest{TestCaseUuid: &testCase, AgentUuids: []string{agent}, RunName: new("run")},
		&pb.CreateIndexingScheduleRequest{KnowledgeBaseUuid: &base, Days: []int32{1}, Time: new("03:00")},
	} {
		begun = append(begun, w.sent(w.payments, req))
	}
	w.rounds(1)
	askTo(t, w.List, w.auditor, &pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: testCase}, &pb.ListEvaluationTestCaseRunsResponse{})
	askTo(t, w.Fetch, w.auditor, &pb.GetIndexingScheduleRequest{KnowledgeBaseUuid: base}, &pb.GetIndexingScheduleResponse{})
	for _, s := range begun {
		kind, id := s.method.Access.GetSubject().GetKind(), methods.String(s.response, s.method.Access.GetSubject().GetField())
		if n := one[int64](w, "SELECT count(*) FROM resources WHERE kind = $1 AND uuid = $2", kind, id); n != 0 {
			t.Errorf("a %s is stored before it is settled", kind)
		}
		w.settled(s)
		if team := w.teamOfRow(kind, id); team != "payments" {
			t.Errorf("a %s that is settled belongs to %q", kind, team)
		}
	}
	w.rounds(1)
	preset := one[string](w, "SELECT uuid::text FROM resources WHERE kind = 'model_evaluation_preset'") // which the run was saved as
	if team := w.teamOfRow("model_evaluation_preset", preset); team != "payments" {
		t.Errorf("the preset belongs to %q", team)
	}
	for _, s := range begun {
		kind, id := s.method.Access.GetSubject().GetKind(), methods.String(s.response, s.method.Access.GetSubject().GetField())
		if row := w.rowOf(kind, id); w.teamOfRow(kind, id) != "payments" || row.Body == nil || row.DirtySince != nil || row.DeletedAt != nil {
			t.Errorf("a %s that is listed again: %+v", kind, row)
		}
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}
