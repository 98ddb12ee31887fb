package mirror

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestWorkspacesHideWhatIsOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	mine, theirs := w.estate(w.payments, "pay"), w.estate(w.search, "find")
	w.rounds(1)
	w.change(w.payments, &pb.MoveAgentsToWorkspaceRequest{WorkspaceUuid: mine.workspace, AgentUuids: []string{theirs.agent}})
	w.make(w.search, &pb.CreateEvaluationTestCaseRequest{
		Name: new("hidden case"), DatasetUuid: &theirs.dataset, Metrics: []string{genaisim.MetricTone}, WorkspaceUuid: &mine.workspace,
	})
	names := func(shown *pb.Workspace) (agents, cases []string) {
		t.Helper()
		for _, agent := range shown.GetAgents() {
			agents = append(agents, agent.GetName())
			if agent.GetUuid() == "" || agent.Instruction != nil || agent.GetDeployment() != nil || agent.ApiKeyInfos != nil {
				t.Errorf("an agent shows %v", agent)
			}
		}
		for _, testCase := range shown.GetEvaluationTestCases() {
			cases = append(cases, testCase.GetName())
			if testCase.GetTestCaseUuid() == "" || testCase.DatasetUuid != nil || testCase.Metrics != nil {
				t.Errorf("a test case shows %v", testCase)
			}
		}
		slices.Sort(agents)
		slices.Sort(cases)
		return agents, cases
	}
	for name, tc := range map[string]struct {
		caller        identity.Caller
		agents, cases []string
	}{
		"its own team": {w.payer, []string{"", "pay agent"}, []string{"", "pay case"}},
		"an auditor":   {w.auditor, []string{"find agent", "pay agent"}, []string{"hidden case", "pay case"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, most := range []*durationpb.Duration{durationpb.New(0), nil} {
				one := askTo(t, w.Get, tc.caller, &pb.GetWorkspaceRequest{WorkspaceUuid: mine.workspace, MaxStaleness: most}, &pb.GetWorkspaceResponse{})
				list := askTo(t, w.List, tc.caller, &pb.ListWorkspacesRequest{MaxStaleness: most, Filter: `name = "pay workspace"`}, &pb.ListWorkspacesResponse{})
				for _, shown := range append(list.GetWorkspaces(), one.GetWorkspace()) {
					agents, cases := names(shown)
					if !slices.Equal(agents, tc.agents) || !slices.Equal(cases, tc.cases) {
						t.Errorf("shows the agents %q and the cases %q", agents, cases)
					}
				}
			}
		})
	}
	// Answers to changes show what is the team's that made them.
	resp := w.elsewhere(&pb.UpdateWorkspaceRequest{WorkspaceUuid: mine.workspace, Description: new("x")}).(*pb.UpdateWorkspaceResponse)
	w.reduce(w.payments, resp)
	if agents, cases := names(resp.GetWorkspace()); !slices.Equal(agents, []string{"", "pay agent"}) || !slices.Equal(cases, []string{"", "pay case"}) {
		t.Errorf("the answer to a change names %q and %q", agents, cases)
	}
	agent := w.elsewhere(&pb.UpdateAgentRequest{Uuid: theirs.agent, Description: new("x")}).(*pb.UpdateAgentResponse)
	w.reduce(w.search, agent)
	if at := agent.GetAgent().GetWorkspace(); at.GetUuid() != mine.workspace || at.Name != nil {
		t.Errorf("the answer to a change of an agent shows the workspace %v", at)
	}
}

func TestTheStateOfADatabaseIsKept(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, DatabaseTime: time.Hour}, plenty)
	id := w.make(w.payments, w.baseRequest("base"))
	get := func(most *durationpb.Duration) *pb.GetKnowledgeBaseResponse {
		t.Helper()
		return askTo(t, w.Get, w.payer, &pb.GetKnowledgeBaseRequest{Uuid: id, MaxStaleness: most}, &pb.GetKnowledgeBaseResponse{})
	}
	listed := func(filter string) []*pb.KnowledgeBase {
		t.Helper()
		return askTo(t, w.List, w.payer, &pb.ListKnowledgeBasesRequest{Filter: filter}, &pb.ListKnowledgeBasesResponse{}).GetKnowledgeBases()
	}
	if got := get(durationpb.New(0)); got.GetDatabaseStatus() != pb.KnowledgeBase_CREATING || got.DatabaseStatus == nil {
		t.Errorf("at first: %v", got)
	}
	w.rounds(1)
	if got := get(nil); got.DatabaseStatus == nil || got.GetDatabaseStatus() != pb.KnowledgeBase_CREATING || got.GetFreshness().GetSource() != fromMirror {
		t.Errorf("after a listing: %v", got)
	}
	if got := listed(`status = "CREATING"`); len(got) != 1 || got[0].DatabaseStatus == nil || got[0].GetUuid() != id {
		t.Errorf("listed: %v", got)
	}
	clock.pass(2 * time.Hour)
	w.rounds(1) // the sync looks at what is on its way
	if got := get(nil); got.GetDatabaseStatus() != pb.KnowledgeBase_ONLINE || got.GetKnowledgeBase().GetDatabaseStatus() != pb.KnowledgeBase_ONLINE {
		t.Errorf("later: %v", got)
	}
	// One that is ailing is looked at until it is well again.
	w.doctor("GET", "/v2/gen-ai/knowledge_bases/"+id, func(answer map[string]any) { answer["database_status"] = "UNHEALTHY" })
	if got := get(durationpb.New(0)); got.GetDatabaseStatus() != pb.KnowledgeBase_UNHEALTHY {
		t.Errorf("ailing: %v", got)
	}
	if err := w.sim.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	w.rounds(1)
	if got := get(nil); got.GetDatabaseStatus() != pb.KnowledgeBase_ONLINE {
		t.Errorf("well again: %v", got)
	}
	// Neither a listing nor a change, which do not show it, forgets it.
	w.elsewhere(&pb.UpdateKnowledgeBaseRequest{Uuid: id, Name: new("renamed")})
	w.rounds(1)
	w.change(w.payments, &pb.UpdateKnowledgeBaseRequest{Uuid: id, Tags: []string{"x"}})
	if got := listed(`status = "ONLINE"`); len(got) != 1 || got[0].GetDatabaseStatus() != pb.KnowledgeBase_ONLINE || got[0].GetName() != "renamed" || len(got[0].GetTags()) != 1 {
		t.Errorf("listed: %v", got)
	}
	if got := get(nil); got.GetDatabaseStatus() != pb.KnowledgeBase_ONLINE {
		t.Errorf("after a change: %v", got)
	}
}

// TestAnEarlierVersionIsNotStored reads versions of a test case.
func TestAnEarlierVersionIsNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	e := w.estate(w.payments, "pay")
	w.change(w.payments, &pb.UpdateEvaluationTestCaseRequest{TestCaseUuid: e.testCase, Name: new("second")})
	w.rounds(1)
	before := w.rowOf(testCaseKind, e.testCase)
	for version, want := range map[int32]string{1: "pay case", 2: "second"} {
		start := w.mark()
		got := askTo(t, w.Get, w.payer, &pb.GetEvaluationTestCaseRequest{TestCaseUuid: e.testCase, EvaluationTestCaseVersion: &version}, &pb.GetEvaluationTestCaseResponse{})
		if got.GetEvaluationTestCase().GetName() != want || got.GetEvaluationTestCase().GetVersion() != version || got.GetFreshness().GetSource() != fromVendor {
			t.Errorf("version %d: %v", version, got)
		}
		if asked := w.asked(start)["GET /v2/gen-ai/evaluation_test_cases/{test_case_uuid}"]; asked != 1 {
			t.Errorf("version %d: asked %d times", version, asked)
		}
	}
	if diff := cmp.Diff(before, w.rowOf(testCaseKind, e.testCase)); diff != "" {
		t.Errorf("the row is another: %s", diff)
	}
	got := askTo(t, w.Get, w.payer, &pb.GetEvaluationTestCaseRequest{TestCaseUuid: e.testCase}, &pb.GetEvaluationTestCaseResponse{})
	if got.GetEvaluationTestCase().GetName() != "second" || got.GetFreshness().GetSource() != fromMirror {
		t.Errorf("without a version: %v", got)
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}

func TestAModelEvaluationRunPagesItsResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	e := w.estate(w.payments, "pay")
	inputs := map[string]bool{}
	req := &pb.GetModelEvaluationRunRequest{EvalRunUuid: e.modelRun, PageSize: 2}
	pages := 0
	for ; ; pages++ {
		got := askTo(t, w.Fetch, w.payer, req, &pb.GetModelEvaluationRunResponse{})
		for _, result := range got.GetResults() {
			inputs[result.GetInput()] = true
		}
		if got.GetRun().GetEvalRunUuid() != e.modelRun || got.GetTotalSize() != 5 || got.GetRun().GetResultSummary() == nil || got.GetFreshness().GetSource() != fromVendor {
			t.Errorf("got %v", got)
		}
		if req.PageToken = got.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if len(inputs) != 5 || pages != 2 {
		t.Errorf("%d results on %d pages more", len(inputs), pages)
	}
	body := &pb.ModelEvaluationRun{}
	if err := proto.Unmarshal(w.rowOf("model_evaluation_run", e.modelRun).Body, body); err != nil || body.GetResultSummary() == nil {
		t.Errorf("stored is %v, %v", body, err)
	}
	wrong := &pb.GetModelEvaluationRunRequest{EvalRunUuid: e.modelRun, Page: new(int32(1))}
	requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, w.Fetch(t.Context(), w.payer, wrong, &pb.GetModelEvaluationRunResponse{}))
}

// TestWhatWeMadeIsListedWhole lists what is made by an answer that gives no more than an
// uuid, of a kind that cannot be read alone.
func TestWhatWeMadeIsListedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	w.rounds(1)
	id := w.make(w.payments, datasetRequest("prompts"))
	list := func() *pb.ListEvaluationDatasetsResponse {
		t.Helper()
		return askTo(t, w.List, w.payer, &pb.ListEvaluationDatasetsRequest{}, &pb.ListEvaluationDatasetsResponse{})
	}
	start := w.mark()
	for range 2 {
		if got := list(); len(got.GetEvaluationDatasets()) != 1 || got.GetEvaluationDatasets()[0].GetRowCount() != 5 || got.GetFreshness().GetStale() {
			t.Errorf("got %v", got)
		}
	}
	if asked := w.asked(start)["GET /v2/gen-ai/evaluation_datasets"]; asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	other := w.make(w.payments, datasetRequest("more prompts"))
	if err := w.round(t.Context()); err != nil { // not yet time to list the kind again
		t.Fatal(err)
	}
	for _, id := range []string{id, other} {
		if row := w.rowOf("evaluation_dataset", id); row.Body == nil || row.DirtySince != nil || w.teamOfRow("evaluation_dataset", id) != "payments" {
			t.Errorf("row: %+v", row)
		}
	}
	w.make(w.payments, datasetRequest("even more prompts"))
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Status: 503}}); err != nil {
		t.Fatal(err)
	}
	if got := list(); len(got.GetEvaluationDatasets()) != 3 || !got.GetFreshness().GetStale() {
		t.Errorf("without the vendor: %v", got)
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}

// TestAllListsAtOnce asks for every kind for the first time, as somebody does who opens the
// console of a new installation.
func TestAllListsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty, func(c *Config) { c.Patience = time.Minute })
	lists, _ := listMethods()
	answers := make(chan error, 2*len(lists)+1)
	ctx := within(t, time.Minute)
	for range 2 {
		for _, method := range lists {
			if len(method.Access.GetTargets()) > 0 {
				answers <- nil
				continue
			}
			go func() {
				answers <- w.List(ctx, w.auditor, method.Input.New().Interface(), method.Output.New().Interface())
			}()
		}
	}
	go func(ctx context.Context) { answers <- w.round(ctx) }(ctx)
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}
