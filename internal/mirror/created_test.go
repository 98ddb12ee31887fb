package mirror

import (
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestAPresetIsTheTeamsWhoseRunMadeIt settles a run that could not be read right after it was made.
func TestAPresetIsTheTeamsWhoseRunMadeIt(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(w *world, run string){
		"the run is read first": func(w *world, run string) {
			askTo(w.t, w.Fetch, w.auditor, &pb.GetModelEvaluationRunRequest{EvalRunUuid: run}, &pb.GetModelEvaluationRunResponse{})
		},
		"the runs are listed first": func(w *world, _ string) {
			askTo(w.t, w.List, w.auditor, &pb.ListModelEvaluationRunsRequest{MaxStaleness: durationpb.New(0)}, &pb.ListModelEvaluationRunsResponse{})
		},
		"the presets are listed first": func(w *world, _ string) {
			askTo(w.t, w.List, w.auditor, &pb.ListModelEvaluationPresetsRequest{MaxStaleness: durationpb.New(0)}, &pb.ListModelEvaluationPresetsResponse{})
		},
		"the sync is first": func(*world, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, genaisim.Config{}, plenty)
			dataset := w.make(w.payments, datasetRequest("prompts"))
			w.rounds(1)
			s := w.sent(w.payments, &pb.CreateModelEvaluationRunRequest{
				Name: new("run"), CandidateModelUuid: new(genaisim.ModelLlama), JudgeModelUuid: new(genaisim.ModelClaude), DatasetUuid: &dataset,
				MetricUuids: []string{genaisim.MetricModelCorrectness}, PresetName: new("preset"),
				PresetSaveSections: []pb.ModelEvaluationPreset_PresetSaveSection{pb.ModelEvaluationPreset_PRESET_SAVE_SECTION_JUDGE},
			})
			w.settle(s.op, s.method, s.req, s.response)
			made, _ := s.response.(*pb.CreateModelEvaluationRunResponse)
			look(w, made.GetEvalRunUuid())
			w.rounds(2)
			preset := one[string](w, "SELECT uuid::text FROM resources WHERE kind = 'model_evaluation_preset'")
			if team := w.teamOfRow(presetKind, preset); team != "payments" {
				t.Errorf("the preset belongs to %q", team)
			}
			if row := w.rowOf(presetKind, preset); row.Name != "preset" || row.Body == nil || row.DirtySince != nil {
				t.Errorf("the preset: %+v", row)
			}
			if told := w.told(); len(told) > 0 {
				t.Errorf("told: %q", told)
			}
		})
	}
}

// TestNothingHoldsUpPresetsForEver has a run that cannot be read.
func TestNothingHoldsUpPresetsForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	dataset := w.make(w.payments, datasetRequest("prompts"))
	w.rounds(1)
	run := func(name string) *pb.CreateModelEvaluationRunRequest {
		return &pb.CreateModelEvaluationRunRequest{
			Name: &name, CandidateModelUuid: new(genaisim.ModelLlama), JudgeModelUuid: new(genaisim.ModelClaude), DatasetUuid: &dataset,
			MetricUuids: []string{genaisim.MetricModelCorrectness}, PresetName: new(name + " preset"),
			PresetSaveSections: []pb.ModelEvaluationPreset_PresetSaveSection{pb.ModelEvaluationPreset_PRESET_SAVE_SECTION_JUDGE},
		}
	}
	s := w.sent(w.payments, run("ours"))
	w.settle(s.op, s.method, s.req, s.response)
	made, _ := s.response.(*pb.CreateModelEvaluationRunResponse)
	w.elsewhere(run("theirs"))
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Path: "/v2/gen-ai/model_evaluation_runs/" + made.GetEvalRunUuid(), Status: 403}}); err != nil {
		t.Fatal(err)
	}
	const presets = "SELECT count(*) FROM resources WHERE kind = 'model_evaluation_preset'"
	w.rounds(2)
	if n := one[int64](w, presets); n != 0 {
		t.Errorf("%d presets are stored while it is not known whose they are", n)
	}
	w.exec("UPDATE resources SET dirty_since = dirty_since - interval '1 hour'")
	w.rounds(1)
	if n := one[int64](w, presets); n != 2 {
		t.Errorf("%d presets are stored after an hour", n)
	}
}
