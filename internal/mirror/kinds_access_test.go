package mirror

import (
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// may is what the access rules say of a call.
func (w *world) may(caller identity.Caller, req proto.Message) error {
	w.t.Helper()
	guard := access.New(w.store, w.Knows, slog.New(slog.DiscardHandler))
	_, err := guard.Check(w.t.Context(), caller, methods.API().ByRequest(req), req)
	return err
}

// operator is a caller with the role in a team of whom the other may only look.
func operator(viewer identity.Caller) identity.Caller {
	viewer.Teams = []identity.Membership{viewer.Teams[0]}
	viewer.Teams[0].Role = pb.Role_ROLE_OPERATOR
	return viewer
}

func TestMetricsAreSharedOrATeams(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	if _, err := w.store.UpsertTeam(t.Context(), access.PlatformTeam); err != nil {
		t.Fatal(err)
	}
	admin := identity.Caller{Name: "admin", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN}
	own := w.make(w.payments, metricRequest("kindness"))
	dataset := w.make(w.payments, datasetRequest("prompts"))
	theirs := w.make(w.search, datasetRequest("prompts"))
	w.rounds(1)
	testCase := func(dataset string, metrics ...string) proto.Message {
		return &pb.CreateEvaluationTestCaseRequest{Name: new("x"), DatasetUuid: &dataset, Metrics: metrics}
	}
	modelRun := func(dataset string, metrics ...string) proto.Message {
		return &pb.CreateModelEvaluationRunRequest{Name: new("x"), DatasetUuid: &dataset, MetricUuids: metrics}
	}
	const (
		fine   = pb.ErrorReason_ERROR_REASON_UNSPECIFIED
		hidden = pb.ErrorReason_ERROR_REASON_NOT_FOUND
		tooLow = pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED
	)
	for name, tc := range map[string]struct {
		caller identity.Caller
		req    proto.Message
		want   pb.ErrorReason
	}{
		"a team's own metric in its test case":       {operator(w.payer), testCase(dataset, own, genaisim.MetricTone), fine},
		"a team's own metric in its run":             {operator(w.payer), modelRun(dataset, own, genaisim.MetricModelHarm), fine},
		"the vendor's metrics in anybody's":          {operator(w.searcher), testCase(theirs, genaisim.MetricTone, genaisim.MetricToxicity), fine},
		"the vendor's metrics in anybody's run":      {operator(w.searcher), modelRun(theirs, genaisim.MetricModelHarm), fine},
		"another team's metric in a test case":       {operator(w.searcher), testCase(theirs, own), hidden},
		"another team's metric in a run":             {operator(w.searcher), modelRun(theirs, own), hidden},
		"another team's dataset":                     {operator(w.searcher), modelRun(dataset, genaisim.MetricModelHarm), hidden},
		"a metric for agents in a model's run":       {operator(w.payer), modelRun(dataset, genaisim.MetricTone), hidden},
		"changing one's own":                         {operator(w.payer), &pb.UpdateCustomEvaluationMetricRequest{MetricUuid: own}, fine},
		"changing one's own, as a viewer":            {w.payer, &pb.UpdateCustomEvaluationMetricRequest{MetricUuid: own}, tooLow},
		"changing another team's":                    {operator(w.searcher), &pb.UpdateCustomEvaluationMetricRequest{MetricUuid: own}, hidden},
		"changing the vendor's":                      {operator(w.payer), &pb.UpdateCustomEvaluationMetricRequest{MetricUuid: genaisim.MetricTone}, tooLow},
		"deleting the vendor's":                      {operator(w.payer), &pb.DeleteCustomEvaluationMetricRequest{MetricUuid: genaisim.MetricTone}, tooLow},
		"changing the vendor's, as an auditor":       {w.auditor, &pb.UpdateCustomEvaluationMetricRequest{MetricUuid: genaisim.MetricTone}, tooLow},
		"changing the vendor's, as an administrator": {admin, &pb.UpdateCustomEvaluationMetricRequest{MetricUuid: genaisim.MetricTone}, fine},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.may(tc.caller, tc.req)
			if tc.want != fine {
				requireReason(t, tc.want, err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAReferenceToAKindNeverListed names resources that we have not heard of yet.
func TestAReferenceToAKindNeverListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	caller := operator(w.payer)
	dataset := w.make(w.payments, datasetRequest("prompts"))
	start := w.mark()
	// The vendor's metrics are anybody's to use, once we have heard of them.
	req := &pb.CreateEvaluationTestCaseRequest{Name: new("x"), DatasetUuid: &dataset, Metrics: []string{genaisim.MetricTone}}
	for range 2 {
		if err := w.may(caller, req); err != nil {
			t.Error(err)
		}
	}
	// What is nobody's is not found, whether we have heard of it or not; nor is what does not exist.
	base := &pb.GetKnowledgeBaseRequest{Uuid: genaisim.KnowledgeBaseA}
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, w.may(caller, base))
	if err := w.may(w.auditor, base); err != nil {
		t.Errorf("an auditor may see what there is: %v", err)
	}
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, w.may(w.auditor, &pb.GetKnowledgeBaseRequest{Uuid: uuid.NewString()}))
	if asked := w.asked(start); asked["GET /v2/gen-ai/evaluation_metrics"] != 1 || asked["GET /v2/gen-ai/knowledge_bases"] != 1 || len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
	// By its name, too.
	named := &pb.CreateEvaluationTestCaseRequest{Name: new("x"), DatasetUuid: &dataset, Metrics: []string{genaisim.MetricTone}, AgentWorkspaceName: new("lab")}
	w.elsewhere(&pb.CreateWorkspaceRequest{Name: new("lab")})
	admin := identity.Caller{Name: "admin", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN, Teams: caller.Teams}
	if err := w.may(admin, named); err != nil {
		t.Error(err)
	}
	if n := one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'workspace' AND name = 'lab'"); n != 1 {
		t.Error("nobody looked whether there is a workspace of the name")
	}
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, w.may(caller, named)) // it is nobody's
	w.exec("UPDATE resources SET team_id = $1 WHERE kind = 'workspace'", w.payments)
	if err := w.may(caller, named); err != nil {
		t.Error(err)
	}
	named.AgentWorkspaceName = new("nowhere")
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, w.may(admin, named))
	// So a claim finds what there is, without a list before it.
	w = newWorld(t, genaisim.Config{}, plenty)
	if err := w.claim(knowledgeBaseKind, genaisim.KnowledgeBaseA, "payments"); err != nil {
		t.Error(err)
	}
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, w.claim(knowledgeBaseKind, uuid.NewString(), "payments"))
	if row := w.rowOf(knowledgeBaseKind, genaisim.KnowledgeBaseA); row.Name != "product-manuals" || *row.TeamID != w.payments {
		t.Errorf("row: %+v", row)
	}
	// And where the vendor cannot be asked, nobody is told that there is nothing.
	w = newWorld(t, genaisim.Config{}, plenty)
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Status: 503}}); err != nil {
		t.Fatal(err)
	}
	requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, w.may(w.auditor, base))
	requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, w.claim(knowledgeBaseKind, genaisim.KnowledgeBaseA, "payments"))
}

// TestAKindThatMayNotBeListed keeps nobody from what is not of it.
func TestAKindThatMayNotBeListed(t *testing.T) {
	t.Parallel()
	const someModel = "7f000000-0000-4000-8000-000000000001"
	for name, tc := range map[string]struct {
		status int
		model  string
		want   pb.ErrorReason
	}{
		"the vendor is away":              {503, genaisim.ModelLlama, pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE},
		"it forbids, of another kind":     {403, genaisim.ModelLlama, pb.ErrorReason_ERROR_REASON_UNSPECIFIED},
		"it forbids, of that, maybe":      {403, someModel, pb.ErrorReason_ERROR_REASON_UNSPECIFIED},
		"all may be listed, and has none": {0, someModel, pb.ErrorReason_ERROR_REASON_NOT_FOUND},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, genaisim.Config{}, plenty)
			if tc.status != 0 {
				if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Path: "/v2/gen-ai/custom_models", Status: tc.status}}); err != nil {
					t.Fatal(err)
				}
			}
			err := w.may(operator(w.payer), &pb.CreateAgentRequest{Name: new("x"), ModelUuid: &tc.model})
			if tc.want != pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
				requireReason(t, tc.want, err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
