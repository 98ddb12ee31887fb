package mirror

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestEverythingAtOnce has two replicas sync, read and list, and an administrator claim,
// while operations make and delete what all of them look at.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	other := New(w.cfg)
	t.Cleanup(other.running.Wait)
	var bases, metrics []string
	for i := range 4 {
		base, _ := w.elsewhere(w.baseRequest(fmt.Sprintf("base %d", i))).(*pb.CreateKnowledgeBaseResponse)
		bases = append(bases, base.GetKnowledgeBase().GetUuid())
		metric, _ := w.elsewhere(metricRequest(fmt.Sprintf("metric %d", i))).(*pb.CreateCustomEvaluationMetricResponse)
		metrics = append(metrics, metric.GetMetric().GetMetricUuid())
	}
	w.rounds(1)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	meanwhile := func(what string, do func(ctx context.Context, m *Mirror) error) {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := do(context.WithoutCancel(ctx), []*Mirror{w.Mirror, other}[i%2]); err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
			}
		})
	}
	list := func(req proto.Message) func(ctx context.Context, m *Mirror) error {
		return func(ctx context.Context, m *Mirror) error {
			return m.List(ctx, w.auditor, req, m.api.ByRequest(req).Output.New().Interface())
		}
	}
	meanwhile("syncing", func(ctx context.Context, m *Mirror) error { return m.round(ctx) })
	meanwhile("listing jobs", list(&pb.ListIndexingJobsRequest{MaxStaleness: durationpb.New(0)}))
	meanwhile("listing the jobs of one", list(&pb.ListKnowledgeBaseIndexingJobsRequest{KnowledgeBaseUuid: bases[3]}))
	meanwhile("listing metrics", list(&pb.ListEvaluationMetricsRequest{MaxStaleness: durationpb.New(0)}))
	meanwhile("listing metrics for models", list(&pb.ListModelEvaluationMetricsRequest{MaxStaleness: durationpb.New(0)}))
	meanwhile("listing agents", list(&pb.ListAgentsRequest{MaxStaleness: durationpb.New(0)}))

	router := w.make(w.payments, &pb.CreateModelRouterRequest{Name: new("router"), FallbackModels: []string{"openai-gpt"}})
	var agents []string
	for i := range 3 {
		agents = append(agents, w.make(w.payments, &pb.CreateAgentRequest{
			Name: new(fmt.Sprintf("agent %d", i)), ModelUuid: new(genaisim.ModelLlama), KnowledgeBaseUuid: bases[:2], ModelRouterUuid: &router,
		}))
	}
	for _, base := range bases[:3] {
		if err := w.claim(knowledgeBaseKind, base, "payments"); err != nil {
			t.Error(err)
		}
		if err := w.claim(metricKind, metrics[0], "payments"); err != nil {
			t.Error(err)
		}
	}
	workspace := w.make(w.payments, &pb.CreateWorkspaceRequest{Name: new("workspace"), AgentUuids: agents})
	for _, req := range []proto.Message{
		&pb.DeleteKnowledgeBaseRequest{Uuid: bases[0]}, &pb.DeleteModelRouterRequest{Uuid: router}, &pb.DeleteCustomEvaluationMetricRequest{MetricUuid: metrics[0]},
		&pb.DeleteKnowledgeBaseRequest{Uuid: bases[1]}, &pb.DeleteWorkspaceRequest{WorkspaceUuid: workspace}, &pb.DeleteAgentRequest{Uuid: agents[0]},
	} {
		w.change(w.payments, req)
	}
	made := w.make(w.payments, w.baseRequest("made"))
	stop()
	wg.Wait()
	w.rounds(2)

	const orphans = `SELECT p.kind || ' ' || p.uuid FROM resources p JOIN resources w ON w.kind = p.parent_kind AND w.uuid = p.parent_uuid
		WHERE p.team_id IS DISTINCT FROM w.team_id OR (w.deleted_at IS NOT NULL AND p.deleted_at IS NULL)`
	if found := all[string](w, orphans); len(found) > 0 {
		t.Errorf("parts that are not with what they are parts of: %v", found)
	}
	if n := one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'indexing_job' AND parent_uuid = $1 AND team_id = $2", made, w.payments); n != 1 {
		t.Errorf("%d jobs of what was made", n)
	}
	if behind := all[string](w, "SELECT kind || ' ' || name FROM resources WHERE deleted_at IS NULL AND (dirty_since IS NOT NULL OR body_synced_at IS NULL)"); len(behind) > 0 {
		t.Errorf("known to be behind are %v", behind)
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
}
