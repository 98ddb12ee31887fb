package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// newAgents makes so many agents for team payments, eight at a time.
func newAgents(t *testing.T, c *client, n int) []string {
	t.Helper()
	agents := make([]string, n)
	var makers sync.WaitGroup
	for maker := range 8 {
		makers.Go(func() {
			for i := maker; i < n; i += 8 {
				agents[i] = newAgent(t, c, fmt.Sprintf("batched-%03d", i))
			}
		})
	}
	makers.Wait()
	return agents
}

// replaceModel gives agents another model.
func replaceModel(o *pb.MutationOptions) *pb.BatchUpdateAgentsRequest {
	return &pb.BatchUpdateAgentsRequest{Update: &pb.UpdateAgentRequest{ModelUuid: proto.String(genaisim.ModelDeepSeek)}, Mutation: o}
}

// watch follows an operation until it has ended, the stream breaks or enough says so.
func watch(t *testing.T, c *client, id string, enough func(*pb.Operation) bool) (last *pb.Operation, messages int) {
	t.Helper()
	stream, err := c.operations.WatchOperation(t.Context(), &pb.WatchOperationRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for stream.Receive() {
		last, messages = stream.Msg().GetOperation(), messages+1
		if enough(last) {
			return last, messages
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatalf("the stream ended with %v", err)
	}
	return last, messages
}

// TestBatchOutlivesItsReplica kills the only replica in the middle of a batch of 200, and
// starts another.
func TestBatchOutlivesItsReplica(t *testing.T) {
	w := newWorld(t)
	first := w.serve(t)
	c := first.overGRPC(t, w.payments)
	const size = 200
	req := replaceModel(&pb.MutationOptions{Reason: "the model retires", Async: true})
	req.Uuids = newAgents(t, c, size)
	w.vendor.fail(t, genaisim.Fault{Method: http.MethodPut, DelayAfterMS: 60})
	begun := time.Now()
	resp, err := c.agents.BatchUpdateAgents(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("accepted in %s", time.Since(begun).Round(time.Millisecond))
	id := resp.GetOperation().GetId()
	seen, before := watch(t, c, id, func(op *pb.Operation) bool { return op.GetBatch().GetSucceeded() >= size/4 })
	if seen.GetState() != pb.Operation_STATE_RUNNING {
		t.Fatalf("the batch is %s with %v: the kill would prove nothing", seen.GetState(), seen.GetBatch())
	}

	first.kill(t)

	w.vendor.fail(t)
	c = w.serve(t).overGRPC(t, w.payments)
	op, after := watch(t, c, id, func(*pb.Operation) bool { return false })
	if p := op.GetBatch(); op.GetState() != pb.Operation_STATE_SUCCEEDED || p.GetSucceeded() != size || p.GetTotal() != size {
		t.Errorf("the batch ended as %s with %v", op.GetState(), p)
	}
	requests := w.vendor.count(func(r genaisim.Request) bool { return r.Method == http.MethodPut })
	effects := w.vendor.effects(func(r genaisim.Request) bool { return r.Method == http.MethodPut })
	slices.Sort(effects)
	if distinct := len(slices.Compact(slices.Clone(effects))); len(effects) != size || distinct != size {
		t.Errorf("the vendor made %d changes of %d agents, want each of %d once", len(effects), distinct, size)
	}
	if n := w.count(t, "SELECT count(*) FROM operations WHERE finished_at IS NULL"); n != 0 {
		t.Errorf("%d operations have not ended", n)
	}
	outcomes := w.count(t, `SELECT count(*) FROM audit_events e JOIN operations o ON o.id = e.operation_id
		WHERE (o.id = $1 OR o.parent_operation_id = $1) AND e.outcome = 'SUCCEEDED'`, id)
	if outcomes != size+1 {
		t.Errorf("the history tells of %d outcomes, want %d", outcomes, size+1)
	}
	t.Logf("killed at %d of %d; %d changes in %d requests, %d and %d messages, %s in all", seen.GetBatch().GetSucceeded(), size,
		len(effects), requests, before, after, time.Since(begun).Round(10*time.Millisecond))
}

// TestBatchesOfWhoMayNot write nothing.
func TestBatchesOfWhoMayNot(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	c, stranger := s.overGRPC(t, w.payments), s.as(t, w.search)
	agents := newAgents(t, c, 3)
	theirs, err := stranger.agents.CreateAgent(t.Context(), agentRequest("theirs", nil))
	if err != nil {
		t.Fatal(err)
	}
	_, alone := c.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{Uuid: theirs.GetAgent().GetUuid(), K: proto.Int32(1)})
	operations, changes := w.count(t, "SELECT count(*) FROM operations"), w.vendor.count(changing)
	req := replaceModel(nil)
	req.Uuids = append(slices.Clone(agents), theirs.GetAgent().GetUuid())

	_, err = c.agents.BatchUpdateAgents(t.Context(), req)

	if connect.CodeOf(err) != connect.CodeNotFound || err.Error() != alone.Error() {
		t.Errorf("another team's agent is refused with %v, alone with %v", err, alone)
	}
	for name, bad := range map[string]*pb.BatchUpdateAgentsRequest{
		"uuids and filter": {Uuids: agents, Filter: `name = "x"`, Update: req.GetUpdate()},
		"neither":          {Update: req.GetUpdate()},
		"no update":        {Uuids: agents},
		"a uuid within":    {Uuids: agents, Update: &pb.UpdateAgentRequest{Uuid: agents[0], K: proto.Int32(1)}},
		"options within":   {Uuids: agents, Update: &pb.UpdateAgentRequest{K: proto.Int32(1), Mutation: &pb.MutationOptions{Async: true}}},
		"out of range":     {Uuids: agents, Update: &pb.UpdateAgentRequest{Temperature: proto.Float64(2)}},
		"a version":        {Uuids: agents, Update: req.GetUpdate(), Mutation: &pb.MutationOptions{ExpectedVersion: "x"}},
		"a bad filter":     {Filter: "nosuch = 1", Update: req.GetUpdate()},
		"twice the same":   {Uuids: []string{agents[0], strings.ToUpper(agents[0])}, Update: req.GetUpdate()},
	} {
		if _, err := c.agents.BatchUpdateAgents(t.Context(), bad); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v, want INVALID_ARGUMENT", name, err)
		}
	}
	none := replaceModel(nil)
	none.Filter = `name = "theirs"`
	if _, err := c.agents.BatchUpdateAgents(t.Context(), none); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a filter that finds another team's agent: %v", err)
	}
	if n := w.count(t, "SELECT count(*) FROM operations"); n != operations || w.vendor.count(changing) != changes {
		t.Errorf("%d operations were written and %d changes made", n-operations, w.vendor.count(changing)-changes)
	}
}

// TestBatchByFilter repeats a batch whose agents do not match its filter any more, and
// looks at what it did as callers do.
func TestBatchByFilter(t *testing.T) {
	w := newWorld(t)
	c := w.serve(t).overGRPC(t, w.payments)
	agents := newAgents(t, c, 12)
	broken := agents[5]
	w.vendor.fail(t, genaisim.Fault{Method: http.MethodPut, Path: agentsPath + "/" + broken, Status: http.StatusUnprocessableEntity})
	req := replaceModel(&pb.MutationOptions{ValidateOnly: true, IdempotencyKey: "llama retires"})
	req.Filter = `model_uuid = "` + genaisim.ModelLlama + `"`
	resp, err := c.agents.BatchUpdateAgents(t.Context(), proto.CloneOf(req))
	if err != nil || len(resp.GetPlan().GetUpdates()) != 12 || resp.GetOperation().GetId() != "" {
		t.Fatalf("planned %v, %v", resp, err)
	}

	req.Mutation.ValidateOnly = false
	_, err = c.agents.BatchUpdateAgents(t.Context(), proto.CloneOf(req))

	if connect.CodeOf(err) != connect.CodeAborted {
		t.Fatalf("ended with %v, want ABORTED", err)
	}
	t.Log(err)
	req.Mutation.Async = true
	again, err := c.agents.BatchUpdateAgents(t.Context(), proto.CloneOf(req))
	if err != nil {
		t.Fatalf("repeating it: %v", err)
	}
	id := again.GetOperation().GetId()
	if p := again.GetOperation().GetBatch(); p.GetTotal() != 12 || p.GetSucceeded() != 11 || p.GetFailed() != 1 {
		t.Errorf("repeating it tells %v", p)
	}
	failed, err := c.operations.ListOperations(t.Context(), &pb.ListOperationsRequest{Filter: `parent_operation = "` + id + `" AND state = "FAILED"`})
	if err != nil || len(failed.GetOperations()) != 1 || failed.GetOperations()[0].GetResource().GetUuid() != broken ||
		failed.GetOperations()[0].GetParentOperation() != id {
		t.Errorf("what failed is listed as %v, %v", failed, err)
	}
	w.vendor.fail(t)
	rest, err := c.operations.ResumeOperation(t.Context(), &pb.ResumeOperationRequest{Id: id, Reason: "the vendor is well again"})
	if err != nil {
		t.Fatal(err)
	}
	op := ended(t, c, rest.GetOperation().GetId())
	if op.GetBatch().GetSucceeded() != 1 || op.GetBatch().GetTotal() != 1 {
		t.Errorf("resuming it tells %v", op.GetBatch())
	}
	if n := len(w.vendor.effects(func(r genaisim.Request) bool { return r.Method == http.MethodPut })); n != 12 {
		t.Errorf("the vendor made %d changes, want 12", n)
	}
}
