package mirror

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestTheVendorsFiltersNarrow sets every filter of the vendor's that a list has.
func TestTheVendorsFiltersNarrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	mine, theirs := w.estate(w.payments, "pay"), w.estate(w.search, "find")
	w.rounds(1)
	seen := map[protoreflect.FullName]bool{}
	for name, tc := range map[string]struct {
		req proto.Message
		// shows says that payments' own one, or for a catalogue anything, is among them.
		shows bool
	}{
		"deployed agents":          {&pb.ListAgentsRequest{OnlyDeployed: new(true)}, true},
		"agents, deployed or not":  {&pb.ListAgentsRequest{OnlyDeployed: new(false)}, true},
		"ready models":             {&pb.ListCustomModelsRequest{Status: pb.CustomModel_STATUS_READY.Enum()}, true},
		"failed models":            {&pb.ListCustomModelsRequest{Status: pb.CustomModel_STATUS_FAILED.Enum()}, false},
		"datasets of this type":    {&pb.ListEvaluationDatasetsRequest{DatasetType: pb.EvaluationDataset_EVALUATION_DATASET_TYPE_NON_ADK.Enum()}, true},
		"datasets of another type": {&pb.ListEvaluationDatasetsRequest{DatasetType: pb.EvaluationDataset_EVALUATION_DATASET_TYPE_ADK.Enum()}, false},
		"runs of a version": {
			&pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: mine.testCase, EvaluationTestCaseVersion: new(int32(1))}, true,
		},
		"runs of a preset":         {&pb.ListModelEvaluationRunsRequest{EvalPresetUuid: &mine.preset}, true},
		"runs of another preset":   {&pb.ListModelEvaluationRunsRequest{EvalPresetUuid: &theirs.preset}, false},
		"runs in a state":          {&pb.ListModelEvaluationRunsRequest{Status: pb.ModelEvaluationRun_MODEL_EVALUATION_RUN_SUCCESSFUL.Enum()}, true},
		"runs in another state":    {&pb.ListModelEvaluationRunsRequest{Status: pb.ModelEvaluationRun_MODEL_EVALUATION_RUN_FAILED.Enum()}, false},
		"runs in states":           {&pb.ListModelEvaluationRunsRequest{Statuses: []pb.ModelEvaluationRun_ModelEvaluationRunStatus{6, 8}}, true},
		"runs that are found":      {&pb.ListModelEvaluationRunsRequest{Search: new("pay")}, true},
		"runs that are not found":  {&pb.ListModelEvaluationRunsRequest{Search: new("find model")}, false},
		"runs of such a candidate": {&pb.ListModelEvaluationRunsRequest{CandidateTypes: []string{"CANDIDATE_MODEL_SOURCE_SERVERLESS"}}, true},
		"runs of another":          {&pb.ListModelEvaluationRunsRequest{CandidateTypes: []string{"CANDIDATE_MODEL_SOURCE_ROUTER"}}, false},
		"sorted runs": {
			&pb.ListModelEvaluationRunsRequest{SortBy: new("MODEL_EVALUATION_RUN_SORT_FIELD_STATUS"), SortDirection: new("SORT_DIRECTION_DESC")}, true,
		},
		"models for a use": {&pb.ListModelsRequest{Usecases: []pb.Model_ModelUsecase{pb.Model_MODEL_USECASE_KNOWLEDGEBASE}}, true},
		"public models":    {&pb.ListModelsRequest{PublicOnly: new(true)}, true},
		"inference":        {&pb.ListRegionsRequest{ServesInference: new(true)}, true},
		"batches":          {&pb.ListRegionsRequest{ServesBatch: new(true)}, true},
		"deployed agents of a workspace": {
			&pb.ListWorkspaceAgentsRequest{WorkspaceUuid: mine.workspace, OnlyDeployed: new(true)}, true,
		},
	} {
		method := w.api.ByRequest(tc.req)
		tc.req.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			seen[fd.FullName()] = true
			return true
		})
		t.Run(name, func(t *testing.T) {
			k := w.listing(method)
			start := w.mark()
			paid, searched := w.walk(t, w.payer, tc.req, 0), w.walk(t, w.searcher, tc.req, 0)
			if asked := w.asked(start)[method.Verb+" "+method.Path]; asked != 2 || paid.freshness.GetSource() != fromVendor {
				t.Errorf("asked %d times, %v", asked, paid.freshness)
			}
			if k.catalogue {
				if all := w.walk(t, w.payer, method.Input.New().Interface(), 0); len(paid.ids) == 0 || len(paid.ids) >= len(all.ids) || !slices.Equal(paid.ids, searched.ids) {
					t.Errorf("%v and %v of %v", paid.names, searched.names, all.names)
				}
			} else if own := mine.all()[k.name]; paid.has(own, k) != tc.shows || searched.has(own, k) || paid.has(theirs.all()[k.name], k) {
				t.Errorf("payments sees %v, search %v", paid.names, searched.names)
			}
			w.checkPages(t, tc.req, w.walk(t, w.auditor, tc.req, 0))
			if len(paid.names) > 0 {
				w.checkFilters(t, k, tc.req, w.walk(t, w.auditor, tc.req, 0))
			}
		})
	}
	lists, _ := listMethods()
	for name, method := range lists {
		fields := method.Input.Descriptor().Fields()
		for i := range fields.Len() {
			fd := fields.Get(i)
			paging := slices.Contains([]string{"page", "per_page", "limit"}, string(fd.Name()))
			target := slices.ContainsFunc(method.Access.GetTargets(), func(target *pb.Target) bool { return target.GetField() == string(fd.Name()) })
			if !methods.Local(fd) && !paging && !target && !seen[fd.FullName()] {
				t.Errorf("%s: nothing narrows by %s", name, fd.Name())
			}
		}
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}

// TestNarrowedListsShowNothingOfOthers has agents of two teams in one workspace, with one
// team's keys, and asks for them by what they share.
func TestNarrowedListsShowNothingOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	mine, theirs := w.estate(w.payments, "pay"), w.estate(w.search, "find")
	w.rounds(1)
	w.change(w.payments, &pb.MoveAgentsToWorkspaceRequest{WorkspaceUuid: mine.workspace, AgentUuids: []string{theirs.agent}})
	w.change(w.search, &pb.UpdateAgentRequest{Uuid: theirs.agent, AnthropicKeyUuid: &mine.anthropic, OpenAiKeyUuid: &mine.openAI})
	w.change(w.search, &pb.AddAgentRouteRequest{ParentAgentUuid: theirs.agent, ChildAgentUuid: mine.agent})
	w.elsewhere(&pb.CreateEvaluationTestCaseRequest{
		Name: new("unowned"), DatasetUuid: &mine.dataset, Metrics: []string{genaisim.MetricTone}, WorkspaceUuid: &mine.workspace,
	})
	stranger := w.appear("a stranger") // never listed before
	w.elsewhere(&pb.MoveAgentsToWorkspaceRequest{WorkspaceUuid: mine.workspace, AgentUuids: []string{stranger}})
	agents := map[string]func(bool) []*pb.Agent{
		"of a workspace": func(paying bool) []*pb.Agent {
			return askTo(t, w.List, w.either(paying), &pb.ListWorkspaceAgentsRequest{WorkspaceUuid: mine.workspace}, &pb.ListWorkspaceAgentsResponse{}).GetAgents()
		},
		"of an Anthropic key": func(paying bool) []*pb.Agent {
			return askTo(t, w.List, w.either(paying), &pb.ListAgentsByAnthropicApiKeyRequest{Uuid: mine.anthropic}, &pb.ListAgentsByAnthropicApiKeyResponse{}).GetAgents()
		},
		"of an OpenAI key": func(paying bool) []*pb.Agent {
			return askTo(t, w.List, w.either(paying), &pb.ListAgentsByOpenAiApiKeyRequest{Uuid: mine.openAI}, &pb.ListAgentsByOpenAiApiKeyResponse{}).GetAgents()
		},
	}
	for name, list := range agents {
		paid, searched := list(true), list(false)
		if len(paid) != 1 || paid[0].GetUuid() != mine.agent || len(searched) != 1 || searched[0].GetUuid() != theirs.agent {
			t.Fatalf("%s: payments sees %v, search %v", name, paid, searched)
		}
		// What is theirs shows in mine by uuid alone, and the other way round.
		if parents := paid[0].GetParentAgents(); len(parents) != 1 || parents[0].GetUuid() != theirs.agent || parents[0].Name != nil || parents[0].Instruction != nil {
			t.Errorf("%s: a parent shows %v", name, parents)
		}
		if children := searched[0].GetChildAgents(); len(children) != 1 || children[0].GetUuid() != mine.agent || children[0].Name != nil || children[0].GetDeployment() != nil {
			t.Errorf("%s: a child shows %v", name, children)
		}
		if at := searched[0].GetWorkspace(); at.GetUuid() != mine.workspace || at.Name != nil || at.Description != nil {
			t.Errorf("%s: a workspace shows %v", name, at)
		}
		if at := paid[0].GetWorkspace(); at.GetName() != "pay workspace" {
			t.Errorf("%s: one's own workspace shows %v", name, at)
		}
	}
	cases := w.walk(t, w.payer, &pb.ListWorkspaceEvaluationTestCasesRequest{WorkspaceUuid: mine.workspace}, 0)
	if !slices.Equal(cases.names, []string{"pay case"}) {
		t.Errorf("payments sees the cases %v", cases.names)
	}
	for name, req := range map[string]proto.Message{
		"a workspace that there is not":      &pb.ListWorkspaceAgentsRequest{WorkspaceUuid: mine.agent},
		"a key that there is not":            &pb.ListAgentsByAnthropicApiKeyRequest{Uuid: mine.agent},
		"a knowledge base that there is not": &pb.ListKnowledgeBaseIndexingJobsRequest{KnowledgeBaseUuid: mine.agent},
		"a version that there is not":        &pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: mine.testCase, EvaluationTestCaseVersion: new(int32(9))},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.List(t.Context(), w.payer, req, w.api.ByRequest(req).Output.New().Interface())
			requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, err)
		})
	}
}

func TestNarrowedListsWithoutTheVendor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	mine, theirs := w.estate(w.payments, "pay"), w.estate(w.search, "find")
	w.rounds(1)
	w.change(w.payments, &pb.RunEvaluationTestCaseRequest{TestCaseUuid: &mine.testCase, AgentUuids: []string{mine.agent}, RunName: new("another")})
	w.rounds(1)
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Status: 503}}); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 20*time.Second)
	for name, tc := range map[string]struct {
		req  proto.Message
		want int // items, from our copy; 0 for an error
	}{
		"jobs of a knowledge base":    {&pb.ListKnowledgeBaseIndexingJobsRequest{KnowledgeBaseUuid: mine.base}, 1},
		"runs of a test case":         {&pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: mine.testCase}, 2},
		"a page of runs":              {&pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: mine.testCase, PageSize: 1}, 1},
		"runs, by our filter":         {&pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: mine.testCase, Filter: `name = "another"`}, 1},
		"another team's jobs":         {&pb.ListKnowledgeBaseIndexingJobsRequest{KnowledgeBaseUuid: theirs.base}, -1},
		"runs of a version":           {&pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: mine.testCase, EvaluationTestCaseVersion: new(int32(2))}, 0},
		"agents of a workspace":       {&pb.ListWorkspaceAgentsRequest{WorkspaceUuid: mine.workspace}, 0},
		"test cases of a workspace":   {&pb.ListWorkspaceEvaluationTestCasesRequest{WorkspaceUuid: mine.workspace}, 0},
		"agents of a key":             {&pb.ListAgentsByAnthropicApiKeyRequest{Uuid: mine.anthropic}, 0},
		"models by the vendor's word": {&pb.ListModelsRequest{PublicOnly: new(true)}, 0},
		"agents by the vendor's word": {&pb.ListAgentsRequest{OnlyDeployed: new(true)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			method := w.api.ByRequest(tc.req)
			resp := method.Output.New().Interface()
			err := w.List(ctx, w.payer, tc.req, resp)
			if tc.want == 0 {
				requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			items := resp.ProtoReflect().Get(itemsField(w.listing(method), method)).List().Len()
			aged, _ := resp.(interface{ GetFreshness() *pb.Freshness })
			if f := aged.GetFreshness(); items != max(tc.want, 0) || !f.GetStale() || f.GetSource() != fromMirror || items > 0 && f.GetSyncedAt() == nil {
				t.Errorf("%d items, %v", items, f)
			}
		})
	}
}

// TestNarrowedListsAreAskedForOnce has many ask the same at once.
func TestNarrowedListsAreAskedForOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	e := w.estate(w.payments, "pay")
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", DelayMS: 500}}); err != nil {
		t.Fatal(err)
	}
	start := w.mark()
	answers := make(chan error, 20)
	for i := range cap(answers) {
		go func() {
			caller, want := w.payer, 1
			if i%2 == 1 {
				caller, want = w.searcher, 0
			}
			resp := &pb.ListWorkspaceAgentsResponse{}
			err := w.List(t.Context(), caller, &pb.ListWorkspaceAgentsRequest{WorkspaceUuid: e.workspace}, resp)
			if err == nil && len(resp.GetAgents()) != want {
				err = fmt.Errorf("%s sees %v", caller.Name, resp.GetAgents())
			}
			for _, agent := range resp.GetAgents() {
				agent.Name, agent.Tags = nil, nil // the answer is the caller's own
			}
			answers <- err
		}()
	}
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := w.asked(start)["GET /v2/gen-ai/workspaces/{workspace_uuid}/agents"]; n > 2 {
		t.Errorf("%d calls for %d callers", n, cap(answers))
	}
}
