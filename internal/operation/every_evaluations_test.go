package operation_test

import (
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// dataset makes a dataset that our copy has read.
func (s *scene) dataset() string {
	s.t.Helper()
	created := made(s, &pb.CreateEvaluationDatasetRequest{Name: new(s.name + " questions"), FileUploadDataset: questions()},
		&pb.CreateEvaluationDatasetResponse{})
	s.note("evaluation_dataset", created.GetEvaluationDatasetUuid())
	s.list("EvaluationService.ListEvaluationDatasets")
	return created.GetEvaluationDatasetUuid()
}

// questions is a file that cannot be read: what is evaluated with it ends without results,
// which would be others each time.
func questions() *pb.FileUploadDataSource {
	return &pb.FileUploadDataSource{OriginalFileName: new("questions.invalid"), SizeInBytes: new(uint64(800)), StoredObjectKey: new("key")}
}

func (s *scene) metric() string {
	s.t.Helper()
	created := made(s, &pb.CreateCustomEvaluationMetricRequest{
		MetricName: new(s.name + " metric"), Config: &pb.CustomEvaluationConfig{ScoringPrompt: new("Is it polite?")},
	}, &pb.CreateCustomEvaluationMetricResponse{})
	return s.note("evaluation_metric", created.GetMetric().GetMetricUuid())
}

func (s *scene) testCase() string {
	s.t.Helper()
	created := made(s, &pb.CreateEvaluationTestCaseRequest{
		Name: new(s.name + " case"), DatasetUuid: new(s.dataset()), Metrics: []string{genaisim.MetricCorrectness},
	}, &pb.CreateEvaluationTestCaseResponse{})
	return s.note("evaluation_test_case", created.GetTestCaseUuid())
}

// evaluating evaluates a model with a dataset of its own.
func (s *scene) evaluating() *pb.CreateModelEvaluationRunRequest {
	s.t.Helper()
	return &pb.CreateModelEvaluationRunRequest{
		Name: new(s.name + " run"), DatasetUuid: new(s.dataset()), CandidateModelUuid: new(genaisim.ModelLlama),
		JudgeModelUuid: new(genaisim.ModelGPT), MetricUuids: []string{genaisim.MetricModelCorrectness, genaisim.MetricModelHarm},
	}
}

// modelRun evaluates a model, of which the given sections are saved as a preset.
func (s *scene) modelRun(sections []pb.ModelEvaluationPreset_PresetSaveSection) string {
	s.t.Helper()
	request := s.evaluating()
	request.PresetSaveSections = sections
	return s.note("model_evaluation_run", made(s, request, &pb.CreateModelEvaluationRunResponse{}).GetEvalRunUuid())
}

func evaluationCases() map[string]changeCase {
	return map[string]changeCase{
		"EvaluationService.CreateEvaluationDataset": {
			about: "evaluation_dataset", shows: "after", rows: map[string]held{"evaluation_dataset": behind},
			prepare: func(s *scene) proto.Message {
				return &pb.CreateEvaluationDatasetRequest{Name: &s.name, FileUploadDataset: questions()}
			},
		},
		"EvaluationService.DeleteEvaluationDataset": {
			about: "evaluation_dataset", shows: "before", rows: map[string]held{"evaluation_dataset": gone},
			prepare: func(s *scene) proto.Message { return &pb.DeleteEvaluationDatasetRequest{DatasetUuid: s.dataset()} },
		},
		"EvaluationService.CreateCustomEvaluationMetric": {
			about: "evaluation_metric", shows: "after", rows: map[string]held{"evaluation_metric": current},
			prepare: func(s *scene) proto.Message {
				return &pb.CreateCustomEvaluationMetricRequest{
					MetricName: &s.name, Config: &pb.CustomEvaluationConfig{ScoringPrompt: new("Is it short?")},
				}
			},
		},
		"EvaluationService.UpdateCustomEvaluationMetric": {
			about: "evaluation_metric", shows: "before after", rows: map[string]held{"evaluation_metric": current},
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateCustomEvaluationMetricRequest{
					MetricUuid: s.metric(), Description: &s.name, Config: &pb.CustomEvaluationConfig{ScoringPrompt: new("Is it kind?")},
				}
			},
		},
		"EvaluationService.DeleteCustomEvaluationMetric": {
			about: "evaluation_metric", shows: "before", rows: map[string]held{"evaluation_metric": gone},
			prepare: func(s *scene) proto.Message { return &pb.DeleteCustomEvaluationMetricRequest{MetricUuid: s.metric()} },
		},
		"EvaluationService.CreateEvaluationTestCase": {
			about: "evaluation_test_case", shows: "after", rows: map[string]held{"evaluation_test_case": current},
			prepare: func(s *scene) proto.Message {
				return &pb.CreateEvaluationTestCaseRequest{
					Name: &s.name, DatasetUuid: new(s.dataset()), Metrics: []string{genaisim.MetricCorrectness, s.metric()},
					WorkspaceUuid: new(s.workspace()),
				}
			},
		},
		"EvaluationService.UpdateEvaluationTestCase": {
			about: "evaluation_test_case", shows: "before after", rows: map[string]held{"evaluation_test_case": current},
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateEvaluationTestCaseRequest{
					TestCaseUuid: s.testCase(), Description: &s.name,
					Metrics: &pb.EvaluationMetricUuids{MetricUuids: []string{genaisim.MetricCorrectness, genaisim.MetricTone}},
				}
			},
		},
		"EvaluationService.RunEvaluationTestCase": {
			about: "evaluation_run of evaluation_test_case", shows: "after", slow: true, thorough: true,
			rows: map[string]held{"evaluation_run": behind, "evaluation_test_case": current},
			prepare: func(s *scene) proto.Message {
				// One that is named twice is run once.
				agents := []string{s.agent(), s.agentAs("second", &pb.CreateAgentRequest{}), s.known["agent"].uuid}
				s.agentAs("third", &pb.CreateAgentRequest{})
				return &pb.RunEvaluationTestCaseRequest{
					TestCaseUuid: new(s.testCase()), RunName: &s.name, AgentUuids: agents, AgentDeploymentNames: []string{s.name + " third"},
				}
			},
			also: func(s *scene, response proto.Message) {
				runs := methods.Strings(response, "evaluation_run_uuids")
				if len(runs) != 3 {
					s.t.Errorf("the caller is told of %q, want three runs", runs)
				}
				if n := s.count("SELECT count(*) FROM resources WHERE kind = 'evaluation_run' AND uuid = ANY ($1::uuid[]) AND parent_uuid = $2",
					runs, s.known["evaluation_test_case"].uuid); n != len(runs) {
					s.t.Errorf("our copy has %d of them", n)
				}
			},
		},
	}
}

func modelEvaluationCases() map[string]changeCase {
	rows := map[string]held{"model_evaluation_run": current}
	return map[string]changeCase{
		"ModelEvaluationService.CreateModelEvaluationRun": {
			about: "model_evaluation_run", shows: "after", rows: rows, slow: true,
			prepare: func(s *scene) proto.Message {
				request := s.evaluating()
				request.PresetSaveSections = []pb.ModelEvaluationPreset_PresetSaveSection{pb.ModelEvaluationPreset_PRESET_SAVE_SECTION_JUDGE}
				return request
			},
		},
		"ModelEvaluationService.UpdateModelEvaluationRun": {
			about: "model_evaluation_run", shows: "before after", rows: rows,
			prepare: func(s *scene) proto.Message {
				return &pb.UpdateModelEvaluationRunRequest{EvalRunUuid: s.modelRun(nil), Name: &s.name}
			},
		},
		"ModelEvaluationService.CancelModelEvaluationRun": {
			about: "model_evaluation_run", shows: "before after", rows: rows, slow: true,
			prepare: func(s *scene) proto.Message { return &pb.CancelModelEvaluationRunRequest{EvalRunUuid: s.modelRun(nil)} },
		},
		"ModelEvaluationService.DeleteModelEvaluationRun": {
			about: "model_evaluation_run", shows: "before", rows: map[string]held{"model_evaluation_run": gone},
			prepare: func(s *scene) proto.Message { return &pb.DeleteModelEvaluationRunRequest{EvalRunUuid: s.modelRun(nil)} },
		},
		"ModelEvaluationService.DeleteModelEvaluationPreset": {
			about: "model_evaluation_preset", shows: "before", rows: map[string]held{"model_evaluation_preset": gone},
			prepare: func(s *scene) proto.Message {
				run := &pb.GetModelEvaluationRunResponse{}
				id := s.modelRun([]pb.ModelEvaluationPreset_PresetSaveSection{pb.ModelEvaluationPreset_PRESET_SAVE_SECTION_METRICS})
				if err := s.mirror.Get(s.t.Context(), s.caller, &pb.GetModelEvaluationRunRequest{EvalRunUuid: id}, run); err != nil {
					s.t.Fatal(err)
				}
				preset := s.note("model_evaluation_preset", run.GetRun().GetEvalPresetUuid())
				s.ask(s.known["model_evaluation_preset"])
				s.claim("model_evaluation_preset")
				return &pb.DeleteModelEvaluationPresetRequest{EvalPresetUuid: preset}
			},
		},
	}
}
