package mirror

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// reduce leaves of the answer to a change what is the team's.
func (w *world) reduce(team uuid.UUID, resp proto.Message) {
	w.t.Helper()
	if err := w.Reduce(w.t.Context(), team, resp); err != nil {
		w.t.Fatal(err)
	}
}

// TestWhatIsAttachedIsShownToWhoMaySeeIt has what is payments' use what is search's: somebody
// with roles in both attached it.
func TestWhatIsAttachedIsShownToWhoMaySeeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	mine, theirs := w.estate(w.payments, "pay"), w.estate(w.search, "find")
	w.change(w.payments, &pb.UpdateAgentRequest{
		Uuid: mine.agent, ModelRouterUuid: &theirs.router, AnthropicKeyUuid: &theirs.anthropic, OpenAiKeyUuid: &theirs.openAI,
	})
	for _, base := range []string{mine.base, theirs.base} {
		w.change(w.payments, &pb.AttachKnowledgeBaseRequest{AgentUuid: mine.agent, KnowledgeBaseUuid: base})
	}
	front := w.create("pay front")
	w.change(w.payments, &pb.AddAgentRouteRequest{ParentAgentUuid: front, ChildAgentUuid: mine.agent, RouteName: new("the route")})
	w.change(w.payments, &pb.AddAgentRouteRequest{ParentAgentUuid: front, ChildAgentUuid: theirs.agent, RouteName: new("their route")})
	mixed := w.make(w.payments, &pb.CreateEvaluationTestCaseRequest{
		Name: new("pay mixed"), DatasetUuid: &theirs.dataset, Metrics: []string{genaisim.MetricTone, theirs.metric, mine.metric},
		StarMetric: &pb.StarMetric{MetricUuid: &theirs.metric, SuccessThreshold: new(3.0)},
	})
	run := w.make(w.payments, &pb.RunEvaluationTestCaseRequest{TestCaseUuid: &mixed, AgentUuids: []string{theirs.agent}, RunName: new("pay mixed run")})
	modelRun := w.make(w.payments, &pb.CreateModelEvaluationRunRequest{
		Name: new("pay mixed model run"), CandidateModelUuid: new(genaisim.ModelLlama), JudgeModelUuid: new(genaisim.ModelClaude),
		DatasetUuid: &theirs.dataset, MetricUuids: []string{genaisim.MetricModelCorrectness}, EvalPresetUuid: &theirs.preset,
	})
	w.rounds(1)
	both := identity.Caller{Name: "both", Teams: append(w.payer.Teams[:1:1], w.searcher.Teams...)}
	type read struct {
		call      func(c identity.Caller, most *durationpb.Duration) proto.Message
		own       []string // what everybody of the team reads
		neighbour []string // what only those read who may see the neighbours
	}
	get := func(req, resp proto.Message) func(identity.Caller, *durationpb.Duration) proto.Message {
		return func(c identity.Caller, most *durationpb.Duration) proto.Message {
			ask := proto.Clone(req)
			if most != nil {
				setMessage(ask, "max_staleness", most)
			}
			return askTo(t, w.Get, c, ask, resp.ProtoReflect().New().Interface())
		}
	}
	fetch := func(req, resp proto.Message) func(identity.Caller, *durationpb.Duration) proto.Message {
		return func(c identity.Caller, _ *durationpb.Duration) proto.Message {
			return askTo(t, w.Fetch, c, req, resp.ProtoReflect().New().Interface())
		}
	}
	for name, r := range map[string]read{
		"an agent": {
			get(&pb.GetAgentRequest{Uuid: mine.agent}, &pb.GetAgentResponse{}),
			[]string{"pay agent", "pay base", "pay workspace", theirs.base, theirs.router, theirs.anthropic, theirs.openAI},
			[]string{"find base", "find router", "find anthropic", "find openai"},
		},
		"agents in a list": {
			func(c identity.Caller, most *durationpb.Duration) proto.Message {
				return askTo(t, w.List, c, &pb.ListAgentsRequest{Filter: `name = "pay agent"`, MaxStaleness: most}, &pb.ListAgentsResponse{})
			},
			[]string{"pay agent", theirs.router}, []string{"find router"},
		},
		"the agents that one routes to": {
			func(c identity.Caller, most *durationpb.Duration) proto.Message {
				resp, err := w.ListAgentRoutes(t.Context(), c, &pb.ListAgentRoutesRequest{Uuid: front, MaxStaleness: most})
				if err != nil {
					t.Fatal(err)
				}
				return resp
			},
			[]string{"pay agent", "pay base", "the route", "their route", theirs.base, theirs.agent},
			[]string{"find base", "find router", "find anthropic", "find agent"},
		},
		"versions of an agent": {
			func(c identity.Caller, most *durationpb.Duration) proto.Message {
				resp, err := w.ListAgentVersions(t.Context(), c, &pb.ListAgentVersionsRequest{Uuid: mine.agent, MaxStaleness: most})
				if err != nil {
					t.Fatal(err)
				}
				return resp
			},
			[]string{"pay base", theirs.base}, []string{"find base"},
		},
		"a test case": {
			get(&pb.GetEvaluationTestCaseRequest{TestCaseUuid: mixed}, &pb.GetEvaluationTestCaseResponse{}),
			[]string{"pay mixed", theirs.dataset, theirs.metric, "pay metric", "how kind is it?", "tone"},
			[]string{"find metric", "find dataset"},
		},
		"an earlier version of a test case": {
			get(&pb.GetEvaluationTestCaseRequest{TestCaseUuid: mixed, EvaluationTestCaseVersion: new(int32(1))}, &pb.GetEvaluationTestCaseResponse{}),
			[]string{"pay mixed", theirs.dataset, theirs.metric, "pay metric"}, []string{"find metric", "find dataset"},
		},
		"a run": {
			get(&pb.GetEvaluationRunRequest{EvaluationRunUuid: run}, &pb.GetEvaluationRunResponse{}),
			[]string{"pay mixed run", theirs.agent}, []string{"find agent"},
		},
		"a run for models": {
			fetch(&pb.GetModelEvaluationRunRequest{EvalRunUuid: modelRun}, &pb.GetModelEvaluationRunResponse{}),
			[]string{"pay mixed model run", theirs.dataset, genaisim.MetricModelCorrectness, "EVALUATION_SCOPE_MODEL"},
			[]string{"find preset"}, // the results have the prompts of the dataset: they are the run's
		},
		"runs for models in a list": {
			func(c identity.Caller, most *durationpb.Duration) proto.Message {
				ask := &pb.ListModelEvaluationRunsRequest{Filter: `name = "pay mixed model run"`, MaxStaleness: most}
				return askTo(t, w.List, c, ask, &pb.ListModelEvaluationRunsResponse{})
			},
			[]string{"pay mixed model run", theirs.dataset, "llama3.3-70b-instruct"}, []string{"find dataset"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for who, c := range map[string]identity.Caller{"payments": w.payer, "both": both, "an auditor": w.auditor} {
				for _, most := range []*durationpb.Duration{durationpb.New(0), nil} {
					shown := strings.ToLower(prototext.Format(r.call(c, most)))
					for _, text := range r.own {
						if !strings.Contains(shown, strings.ToLower(text)) {
							t.Errorf("%s is not shown %q: %s", who, text, shown)
						}
					}
					for _, text := range r.neighbour {
						if strings.Contains(shown, text) != (who != "payments") {
							t.Errorf("whether %s is shown %q is %v: %s", who, text, who == "payments", shown)
						}
					}
				}
			}
		})
	}
	// The answer to a change shows what is the team's.
	update := w.elsewhere(&pb.UpdateAgentRequest{Uuid: mine.agent, Description: new("x")}).(*pb.UpdateAgentResponse)
	w.reduce(w.payments, update)
	shown := prototext.Format(update)
	for text, want := range map[string]bool{
		"pay base": true, "pay workspace": true, theirs.base: true, theirs.router: true,
		"find base": false, "find router": false, "find anthropic": false, "find openai": false,
	} {
		if strings.Contains(shown, text) != want {
			t.Errorf("the answer to a change shows %q: %v", text, !want)
		}
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}

// TestMetricsNameOnlyPresetsThatOneSees lists the vendor's metrics, which two teams' presets use.
func TestMetricsNameOnlyPresetsThatOneSees(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	theirs := ""
	for team, name := range map[uuid.UUID]string{w.payments: "pay", w.search: "find"} {
		dataset := w.make(team, datasetRequest(name+" dataset"))
		run := w.make(team, &pb.CreateModelEvaluationRunRequest{
			Name: new(name + " run"), CandidateModelUuid: new(genaisim.ModelLlama), JudgeModelUuid: new(genaisim.ModelClaude),
			DatasetUuid: &dataset, MetricUuids: []string{genaisim.MetricModelCorrectness}, PresetName: new(name + " preset"),
			PresetSaveSections: []pb.ModelEvaluationPreset_PresetSaveSection{pb.ModelEvaluationPreset_PRESET_SAVE_SECTION_METRICS},
		})
		shown, _ := w.elsewhere(&pb.GetModelEvaluationRunRequest{EvalRunUuid: run}).(*pb.GetModelEvaluationRunResponse)
		if team == w.search {
			theirs = shown.GetRun().GetEvalPresetUuid()
		}
	}
	w.rounds(1)
	for name, tc := range map[string]struct {
		caller identity.Caller
		shown  []string
		hidden []string
	}{
		"a team":     {w.payer, []string{"pay preset"}, []string{"find preset", theirs}},
		"another":    {w.searcher, []string{"find preset", theirs}, []string{"pay preset"}},
		"an auditor": {w.auditor, []string{"pay preset", "find preset"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, most := range []*durationpb.Duration{durationpb.New(0), nil} {
				models := askTo(t, w.List, tc.caller, &pb.ListModelEvaluationMetricsRequest{MaxStaleness: most}, &pb.ListModelEvaluationMetricsResponse{})
				shown := prototext.Format(models)
				for _, text := range tc.shown {
					if !strings.Contains(shown, text) {
						t.Errorf("%q is not shown", text)
					}
				}
				for _, text := range tc.hidden {
					if strings.Contains(shown, text) {
						t.Errorf("%q is shown", text)
					}
				}
				for _, metric := range models.GetMetrics() {
					if metric.GetMetricName() == "" || metric.GetMetricUuid() == "" {
						t.Errorf("a metric of the vendor's is not shown whole: %v", metric)
					}
				}
			}
		})
	}
	presets := askTo(t, w.List, w.payer, &pb.ListModelEvaluationPresetsRequest{}, &pb.ListModelEvaluationPresetsResponse{})
	if shown := prototext.Format(presets); strings.Contains(shown, "find preset") || !strings.Contains(shown, "pay preset") {
		t.Errorf("a preset's metrics name %s", shown)
	}
}
