package operation_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// agents makes so many agents at once.
func (b *bench) agents(n int) []string {
	b.t.Helper()
	ids := make([]string, n)
	var calls sync.WaitGroup
	for i := range ids {
		calls.Go(func() { ids[i] = b.create(fmt.Sprintf("agent-%03d", i)) })
	}
	calls.Wait()
	return ids
}

// replace is a batch that gives agents another model.
func replace(agents []string, options *pb.MutationOptions) *pb.BatchUpdateAgentsRequest {
	return &pb.BatchUpdateAgentsRequest{
		Uuids: agents, Update: &pb.UpdateAgentRequest{ModelUuid: proto.String(genaisim.ModelDeepSeek)}, Mutation: options,
	}
}

// batch submits a batch without waiting for it.
func (b *bench) batch(req *pb.BatchUpdateAgentsRequest) uuid.UUID {
	b.t.Helper()
	resp := &pb.BatchUpdateAgentsResponse{}
	if err := b.engine.BatchUpdateAgents(b.t.Context(), b.caller, req, resp); err != nil {
		b.t.Fatalf("submitting a batch: %v", err)
	}
	return mustID(b.t, resp.GetOperation().GetId())
}

// resume submits what a batch did not change.
func (b *bench) resume(id uuid.UUID) uuid.UUID {
	b.t.Helper()
	rest, err := b.engine.Rest(b.t.Context(), id, "again")
	if err != nil {
		b.t.Fatalf("resuming: %v", err)
	}
	return b.batch(rest)
}

// updates are how often the vendor changed each agent.
func (b *bench) updates() map[string]int {
	made := map[string]int{}
	for _, r := range b.effects() {
		if r.Method == http.MethodPut {
			made[r.Path[len("/v2/gen-ai/agents/"):]]++
		}
	}
	return made
}

// states counts the changes of a batch by state.
func (b *bench) states(batch uuid.UUID, state string) int {
	return b.count("SELECT count(*) FROM operations WHERE parent_operation_id = $1 AND state = $2", batch, state)
}

func requireProgress(t *testing.T, op *pb.Operation, state pb.Operation_State, want *pb.BatchProgress) {
	t.Helper()
	if diff := cmp.Diff(want, op.GetBatch(), protocmp.Transform()); diff != "" || op.GetState() != state {
		t.Errorf("the batch is %s (%s), want %s: %s", op.GetState(), op.GetError().GetMessage(), state, diff)
	}
}

var async = &pb.MutationOptions{Async: true} //nolint:gochecknoglobals // never changed

func TestBatchTellsWhatFailedAndResumesThat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agents := b.agents(50)
	broken := []string{agents[3], agents[17], agents[49]}
	var faults []genaisim.Fault
	for _, agent := range broken {
		faults = append(faults, genaisim.Fault{Method: "PUT", Path: "/v2/gen-ai/agents/" + agent, Status: 422})
	}
	b.fault(faults...)

	err := b.engine.BatchUpdateAgents(t.Context(), b.caller, replace(agents, &pb.MutationOptions{Reason: "llama retires"}), &pb.BatchUpdateAgentsResponse{})

	requireReason(t, err, pb.ErrorReason_ERROR_REASON_BATCH_INCOMPLETE)
	told, _ := errors.AsType[*fault.Error](err)
	if m := told.Metadata; m["total"] != "50" || m["succeeded"] != "47" || m["failed"] != "3" {
		t.Errorf("told %q, %v", told.Public, told.Metadata)
	}
	t.Log(told.Public)
	first := mustID(t, told.Metadata["operation"])
	requireProgress(t, b.ended(first), pb.Operation_STATE_FAILED, &pb.BatchProgress{Total: 50, Succeeded: 47, Failed: 3})
	b.fault()

	second := b.resume(first)

	requireProgress(t, b.ended(second), pb.Operation_STATE_SUCCEEDED, &pb.BatchProgress{Total: 3, Succeeded: 3})
	if again := b.resume(first); again != second {
		t.Errorf("resuming again made batch %s, not %s", again, second)
	}
	made := b.updates()
	if len(made) != 50 || slices.Max(slices.Collect(maps.Values(made))) != 1 {
		t.Errorf("%d agents were changed: %v", len(made), made)
	}
	resumed := b.count("SELECT count(*) FROM operations WHERE parent_operation_id = $1 AND resource_uuid::text = ANY ($2)", second, broken)
	if resumed != 3 {
		t.Errorf("%d of the 3 were resumed", resumed)
	}
	_, err = b.engine.Rest(t.Context(), second, "")
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	b.requireConsistent()
}

func TestOneKeyOneBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agents := b.agents(5)
	options := &pb.MutationOptions{IdempotencyKey: "llama", Async: true}
	ids := make([]uuid.UUID, 8)
	var calls sync.WaitGroup
	for i := range ids {
		calls.Go(func() { ids[i] = b.batch(replace(agents, options)) })
	}
	calls.Wait()
	if len(slices.Compact(ids)) != 1 {
		t.Errorf("one key stands for %v", ids)
	}
	b.ended(ids[0])
	if again := b.batch(replace(agents, options)); again != ids[0] {
		t.Error("the key does not stand for its batch after the end")
	}
	err := b.engine.BatchUpdateAgents(t.Context(), b.caller, replace(agents[1:], options), &pb.BatchUpdateAgentsResponse{})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED)
	if n := b.count("SELECT count(*) FROM operations WHERE parent_operation_id IS NOT NULL"); n != 5 {
		t.Errorf("%d changes were written", n)
	}
	b.requireConsistent()
}

func TestBatchPlansAndLeavesOutWhatIsSo(t *testing.T) {
	t.Parallel()
	var forbidden atomic.Value
	b := setup(t, func(c *operation.Config) {
		c.Rules = operation.Rules{"agentsvc.v1.AgentService.UpdateAgent": func(_ context.Context, _ uuid.UUID, req proto.Message) error {
			if update, _ := req.(*pb.UpdateAgentRequest); update.GetUuid() == forbidden.Load() {
				return fault.Precondition("not this one")
			}
			return nil
		}}
	})
	b.start(b.engine)
	agents := b.agents(4)
	b.ended(b.batch(replace(agents[:1], async)))
	before := b.count("SELECT count(*) FROM operations") + b.count("SELECT count(*) FROM audit_events")
	forbidden.Store(agents[3])
	resp := &pb.BatchUpdateAgentsResponse{}

	if err := b.engine.BatchUpdateAgents(t.Context(), b.caller, replace(agents, &pb.MutationOptions{ValidateOnly: true}), resp); err != nil {
		t.Fatal(err)
	}

	if after := b.count("SELECT count(*) FROM operations") + b.count("SELECT count(*) FROM audit_events"); after != before {
		t.Errorf("validate_only wrote %d rows", after-before)
	}
	plan := resp.GetPlan()
	if len(plan.GetUnchanged()) != 1 || plan.GetUnchanged()[0].GetUuid() != agents[0] || len(plan.GetProblems()) != 1 ||
		plan.GetProblems()[0].GetAgent().GetUuid() != agents[3] || plan.GetProblems()[0].GetMessage() != "not this one" {
		t.Errorf("planned %v", plan)
	}
	if len(plan.GetUpdates()) != 2 {
		t.Fatalf("%d would be changed", len(plan.GetUpdates()))
	}
	change := plan.GetUpdates()[0].GetChanges()[0]
	if change.GetPath() != "model.uuid" || change.GetBefore().GetStringValue() != genaisim.ModelLlama || change.GetAfter().GetStringValue() != genaisim.ModelDeepSeek {
		t.Errorf("the change is planned as %v", change)
	}
	err := b.engine.BatchUpdateAgents(t.Context(), b.caller, replace(agents, async), resp)
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if after := b.count("SELECT count(*) FROM operations") + b.count("SELECT count(*) FROM audit_events"); after != before {
		t.Errorf("a batch that is forbidden wrote %d rows", after-before)
	}
	requireProgress(t, b.ended(b.batch(replace(agents[:3], async))), pb.Operation_STATE_SUCCEEDED, &pb.BatchProgress{Total: 3, Succeeded: 2, Unchanged: 1})
	requireProgress(t, b.ended(b.batch(replace(agents[:3], async))), pb.Operation_STATE_SUCCEEDED, &pb.BatchProgress{Total: 3, Unchanged: 3})
	b.requireConsistent()
}

func TestBatchesAreRefusedWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agents := b.agents(3)
	search := b.team("search", 1)
	if _, err := b.pool.Exec(t.Context(), "UPDATE resources SET team_id = $1 WHERE uuid = $2", search.ActingTeam.ID, agents[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := b.pool.Exec(t.Context(), "UPDATE teams SET backlog_limit = 1 WHERE id = $1", b.caller.ActingTeam.ID); err != nil {
		t.Fatal(err)
	}
	before := b.count("SELECT count(*) FROM operations") + b.count("SELECT count(*) FROM audit_events")
	for name, tc := range map[string]struct {
		req  *pb.BatchUpdateAgentsRequest
		want pb.ErrorReason
	}{
		"more than the backlog takes": {replace(agents[:2], async), pb.ErrorReason_ERROR_REASON_BACKLOG_FULL},
		"agents of two teams":         {replace(agents[1:], async), pb.ErrorReason_ERROR_REASON_INVALID_REQUEST},
		"an agent twice":              {replace([]string{agents[0], agents[0]}, async), pb.ErrorReason_ERROR_REASON_INVALID_REQUEST},
		"a mask that leaves something out": {&pb.BatchUpdateAgentsRequest{
			Uuids: agents[:1], Update: &pb.UpdateAgentRequest{K: proto.Int32(1), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"name"}}},
		}, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST},
	} {
		err := b.engine.BatchUpdateAgents(t.Context(), b.caller, tc.req, &pb.BatchUpdateAgentsResponse{})
		if fault.ReasonOf(err) != tc.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := b.count("SELECT count(*) FROM operations") + b.count("SELECT count(*) FROM audit_events"); after != before {
		t.Errorf("%d rows were written", after-before)
	}
}

func TestThousandChangesAreOneCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	agents := make([]string, 1000)
	for i := range agents {
		agents[i] = uuid.NewString()
	}
	begun := time.Now()
	id := b.batch(replace(agents, async))
	took := time.Since(begun)
	t.Logf("submitted in %s", took.Round(time.Millisecond))
	if took > 10*time.Second { // a tenth of it on an idle machine
		t.Errorf("it took %s", took)
	}
	if n := b.count("SELECT count(DISTINCT virtual_start) FROM operations WHERE parent_operation_id = $1 AND lane = 3", id); n != 1000 {
		t.Errorf("%d places in the queue", n)
	}
	b.requireConsistent()
}

// TestBatchLeavesRoomForOthers: a batch takes turns with another team in its lane.
func TestBatchLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Concurrency = 1 })
	stop := b.start(b.engine)
	agents := b.agents(20)
	light := b.create("light")
	stop()
	id := b.batch(replace(agents, async))
	search := b.team("search", 1)
	other := b.submit(search, &pb.UpdateAgentRequest{
		Uuid: light, K: proto.Int32(3), Mutation: &pb.MutationOptions{Async: true, Lane: pb.MutationOptions_LANE_BULK},
	}, &pb.UpdateAgentResponse{})
	b.start(b.engine)
	b.ended(other)
	b.ended(id)
	before := b.count("SELECT count(*) FROM operations o, operations x WHERE x.id = $1 AND o.parent_operation_id = $2 AND o.started_at < x.started_at", other, id)
	if before > 2 {
		t.Errorf("another team's change waited for %d of the batch", before)
	}
}

func TestBatchWithSecretsIsNotResumed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agents := b.agents(2)
	b.fault(genaisim.Fault{Method: "PUT", Path: "/v2/gen-ai/agents/" + agents[0], Status: 422})
	req := &pb.BatchUpdateAgentsRequest{Uuids: agents, Update: &pb.UpdateAgentRequest{McpServers: []*pb.McpServer{{
		ServerUrl: new("https://mcp.example"), ServerLabel: new("m"), Authorization: new("Bearer of-the-batch"),
	}}}, Mutation: async}
	planned, plan := proto.CloneOf(req), &pb.BatchUpdateAgentsResponse{}
	planned.Mutation = &pb.MutationOptions{ValidateOnly: true}
	if err := b.engine.BatchUpdateAgents(t.Context(), b.caller, planned, plan); err != nil || strings.Contains(plan.String(), "of-the-batch") {
		t.Errorf("the plan is %v, %v", plan, err)
	}
	id := b.batch(req)
	requireProgress(t, b.ended(id), pb.Operation_STATE_FAILED, &pb.BatchProgress{Total: 2, Succeeded: 1, Failed: 1})
	_, err := b.engine.Rest(t.Context(), id, "")
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if n := b.count("SELECT count(*) FROM operations WHERE position('of-the-batch' IN encode(request, 'escape')) > 0"); n != 0 {
		t.Errorf("the secret is in %d operations", n)
	}
	if n := b.count("SELECT count(*) FROM audit_events WHERE position('of-the-batch' IN concat(request, before, after)) > 0"); n != 0 {
		t.Errorf("the secret is in %d events", n)
	}
	b.requireConsistent()
}
