package mirror

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/resource"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// claim gives a resource to a team, as an administrator does.
func (w *world) claim(kind, id, team string) error {
	admin := identity.Caller{Name: "admin", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN}
	_, err := resource.NewClaimer(w.store, w.Mirror).Claim(w.t.Context(), admin, &pb.ClaimResourceRequest{Kind: kind, Uuid: id, Team: team})
	return err
}

func TestPartsBelongToWhoeverTheirParentDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	e := w.estate(w.payments, "pay")
	parts := []string{"indexing_schedule", "indexing_job", "evaluation_run", "model_evaluation_metric"}
	for _, kind := range []string{"indexing_schedule", "evaluation_run"} { // made by us
		if team := w.teamOfRow(kind, e.all()[kind]); team != "payments" {
			t.Errorf("made, the %s belongs to %q", kind, team)
		}
	}
	w.rounds(1)
	for _, kind := range parts {
		if team := w.teamOfRow(kind, e.all()[kind]); team != "payments" {
			t.Errorf("listed, the %s belongs to %q", kind, team)
		}
	}
	// All of it made elsewhere, and claimed later.
	other := w.estateElsewhere("else")
	w.rounds(1)
	askTo(t, w.Fetch, w.auditor, &pb.GetIndexingScheduleRequest{KnowledgeBaseUuid: other.base}, &pb.GetIndexingScheduleResponse{})
	askTo(t, w.List, w.auditor, &pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: other.testCase}, &pb.ListEvaluationTestCaseRunsResponse{})
	for _, kind := range parts {
		if team := w.teamOfRow(kind, other.all()[kind]); team != "" {
			t.Errorf("before the claim, the %s belongs to %q", kind, team)
		}
	}
	for _, kind := range []string{knowledgeBaseKind, testCaseKind, metricKind} {
		if err := w.claim(kind, other.all()[kind], "search"); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range parts {
		if team := w.teamOfRow(kind, other.all()[kind]); team != "search" {
			t.Errorf("after the claim, the %s belongs to %q", kind, team)
		}
	}
	for _, kind := range append(parts, "model", "region", "model_catalog_entry", "model_router_preset", "model_router_task_preset") {
		id := other.all()[kind]
		if id == "" {
			id = one[string](w, "SELECT uuid::text FROM resources WHERE kind = $1 LIMIT 1", kind)
		}
		err := w.claim(kind, id, "payments")
		requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, err)
		if !strings.Contains(err.Error(), kind) {
			t.Errorf("claiming a %s is refused without a word of it: %v", kind, err)
		}
	}
	// One that was stored while its parent was claimed is found the next time.
	w.exec("UPDATE resources SET team_id = NULL WHERE uuid = $1", other.job)
	w.rounds(1)
	if team := w.teamOfRow("indexing_job", other.job); team != "search" {
		t.Errorf("left behind, the job belongs to %q", team)
	}
	// Parts vanish with what they are parts of: deleted by us, or elsewhere.
	w.change(w.payments, &pb.DeleteKnowledgeBaseRequest{Uuid: e.base})
	w.elsewhere(&pb.DeleteKnowledgeBaseRequest{Uuid: other.base})
	for _, estate := range []*estate{e, other} {
		w.elsewhere(&pb.UpdateEvaluationTestCaseRequest{
			TestCaseUuid: estate.testCase, Metrics: &pb.EvaluationMetricUuids{MetricUuids: []string{genaisim.MetricTone}},
		})
	}
	w.change(w.payments, &pb.DeleteCustomEvaluationMetricRequest{MetricUuid: e.metric})
	w.elsewhere(&pb.DeleteCustomEvaluationMetricRequest{MetricUuid: other.metric})
	for _, kind := range []string{"indexing_schedule", "indexing_job", "model_evaluation_metric"} {
		if w.rowOf(kind, e.all()[kind]).DeletedAt == nil {
			t.Errorf("the %s outlives what it is a part of", kind)
		}
	}
	w.rounds(1)
	for _, kind := range []string{"indexing_schedule", "indexing_job", "model_evaluation_metric"} {
		if w.rowOf(kind, other.all()[kind]).DeletedAt == nil {
			t.Errorf("the %s outlives what it is a part of, and was deleted elsewhere", kind)
		}
	}
}

// estateElsewhere makes what has parts, behind our back.
func (w *world) estateElsewhere(name string) *estate {
	w.t.Helper()
	e := &estate{name: name}
	base, _ := w.elsewhere(w.baseRequest(name + " base")).(*pb.CreateKnowledgeBaseResponse)
	e.base = base.GetKnowledgeBase().GetUuid()
	e.job = w.jobOf(e.base)
	schedule, _ := w.elsewhere(&pb.CreateIndexingScheduleRequest{KnowledgeBaseUuid: &e.base, Days: []int32{1}, Time: new("03:00")}).(*pb.CreateIndexingScheduleResponse)
	e.schedule = schedule.GetIndexingInfo().GetUuid()
	dataset, _ := w.elsewhere(datasetRequest(name + " dataset")).(*pb.CreateEvaluationDatasetResponse)
	e.dataset = dataset.GetEvaluationDatasetUuid()
	metric, _ := w.elsewhere(metricRequest(name + " metric")).(*pb.CreateCustomEvaluationMetricResponse)
	e.metric = metric.GetMetric().GetMetricUuid()
	testCase, _ := w.elsewhere(&pb.CreateEvaluationTestCaseRequest{
		Name: new(name + " case"), DatasetUuid: &e.dataset, Metrics: []string{e.metric},
	}).(*pb.CreateEvaluationTestCaseResponse)
	e.testCase = testCase.GetTestCaseUuid()
	e.agent = w.appear(name + " agent")
	run, _ := w.elsewhere(&pb.RunEvaluationTestCaseRequest{TestCaseUuid: &e.testCase, AgentUuids: []string{e.agent}}).(*pb.RunEvaluationTestCaseResponse)
	e.run = run.GetEvaluationRunUuids()[0]
	return e
}

// TestPartsListedBeforeTheirParentSettles has a listing store the parts of what is being
// made, which has no owner yet.
func TestPartsListedBeforeTheirParentSettles(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		req  func(w *world) proto.Message
		kind string
	}{
		"the job of a knowledge base":  {func(w *world) proto.Message { return w.baseRequest("base") }, "indexing_job"},
		"the model's side of a metric": {func(*world) proto.Message { return metricRequest("metric") }, "model_evaluation_metric"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, genaisim.Config{}, plenty)
			w.rounds(1)
			s := w.sent(w.payments, tc.req(w))
			known := all[uuid.UUID](w, "SELECT uuid FROM resources WHERE kind = $1", tc.kind)
			w.rounds(1)
			id := one[string](w, "SELECT uuid::text FROM resources WHERE kind = $1 AND uuid <> ALL ($2)", tc.kind, known)
			if team := w.teamOfRow(tc.kind, id); team != "" {
				t.Fatalf("it is %s's before what it is a part of is anybody's", team)
			}
			w.settled(s)
			if team := w.teamOfRow(tc.kind, id); team != "payments" {
				t.Errorf("it belongs to %q", team)
			}
			w.rounds(1)
			if told := w.told(); len(told) > 0 {
				t.Errorf("told: %q", told)
			}
		})
	}
}

// TestACustomMetricIsInBothListsAtOnce uses a metric right after it was made, before any
// list was read again.
func TestACustomMetricIsInBothListsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	w.rounds(1)
	id := w.make(w.payments, metricRequest("kindness"))
	start := w.mark()
	named := func(name string) (agents, models int) {
		t.Helper()
		filter := `name = "` + name + `"`
		return len(askTo(t, w.List, w.payer, &pb.ListEvaluationMetricsRequest{Filter: filter}, &pb.ListEvaluationMetricsResponse{}).GetMetrics()),
			len(askTo(t, w.List, w.payer, &pb.ListModelEvaluationMetricsRequest{Filter: filter}, &pb.ListModelEvaluationMetricsResponse{}).GetMetrics())
	}
	if a, m := named("kindness"); a != 1 || m != 1 {
		t.Errorf("%d for agents, %d for models", a, m)
	}
	w.change(w.payments, &pb.UpdateCustomEvaluationMetricRequest{MetricUuid: id, MetricName: new("patience")})
	if a, m := named("patience"); a != 1 || m != 1 {
		t.Errorf("renamed: %d for agents, %d for models", a, m)
	}
	if team := w.teamOfRow("model_evaluation_metric", id); team != "payments" {
		t.Errorf("for models it belongs to %q", team)
	}
	w.change(w.payments, &pb.DeleteCustomEvaluationMetricRequest{MetricUuid: id})
	if a, m := named("patience"); a != 0 || m != 0 {
		t.Errorf("deleted: %d for agents, %d for models", a, m)
	}
	if asked := w.asked(start); asked["GET /v2/gen-ai/evaluation_metrics"]+asked["GET /v2/gen-ai/model_evaluation_metrics"] != 0 {
		t.Errorf("asked %v", asked)
	}
	w.rounds(1)
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}

// TestPartsOfWhatIsGoneStayGone has the vendor go on showing the job of a knowledge base that was
// deleted.
func TestPartsOfWhatIsGoneStayGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{IndexTime: time.Hour}, plenty)
	base := w.make(w.payments, w.baseRequest("base"))
	job := w.jobOf(base)
	w.rounds(1)
	w.doctor("GET", "/v2/gen-ai/indexing_jobs", func(map[string]any) {}) // as it is now, whatever happens
	s := w.sent(w.payments, &pb.CancelIndexingJobRequest{Uuid: job})
	w.change(w.payments, &pb.DeleteKnowledgeBaseRequest{Uuid: base})
	gone := func(when string) {
		t.Helper()
		if row := w.rowOf("indexing_job", job); row.DeletedAt == nil {
			t.Errorf("%s, the job of what was deleted is back: %+v", when, row)
		}
		if list := askTo(t, w.List, w.payer, &pb.ListIndexingJobsRequest{}, &pb.ListIndexingJobsResponse{}); len(list.GetJobs()) != 0 {
			t.Errorf("%s, the list shows %v", when, list.GetJobs())
		}
	}
	gone("after the deletion")
	w.rounds(1)
	gone("listed again")
	w.settled(s)
	gone("cancelled before and settled after")
	w.exec("DELETE FROM resources WHERE kind = 'indexing_job'")
	w.rounds(1)
	if n := one[int64](w, "SELECT count(*) FROM resources WHERE uuid = $1 AND deleted_at IS NULL", job); n != 0 {
		t.Error("a job that was never seen came after what it is a part of had gone")
	}
	// What comes back comes with its parts.
	w.exec("UPDATE resources SET deleted_at = NULL WHERE uuid = $1", base)
	askTo(t, w.List, w.auditor, &pb.ListIndexingJobsRequest{MaxStaleness: durationpb.New(0)}, &pb.ListIndexingJobsResponse{})
	if row := w.rowOf("indexing_job", job); row.DeletedAt != nil {
		t.Errorf("the job stays away: %+v", row)
	}
}
