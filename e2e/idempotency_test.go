package e2e_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestIdempotencyKey is about the options that go with every change: idempotency_key
// and the others.
func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	option := options{world: w, s: s, c: s.as(t, w.payments)}
	t.Run("the same key attaches to the first operation", option.sameKey)
	t.Run("the same key from twenty clients at once", option.sameKeyAtOnce)
	t.Run("another team's key is its own", option.otherTeamsKey)
	t.Run("expected_version", option.expectedVersion)
	t.Run("validate_only", option.validateOnly)
	t.Run("async and WaitOperation", option.asyncAndWait)
	t.Run("a deadline that comes first", option.deadline)
}

// options is a service whose changes are asked for with options, by c.
type options struct {
	*world

	s *service
	c *client
}

func (w options) sameKey(t *testing.T) {
	c := w.c
	before := w.vendor.count(changing)
	first, err := c.agents.CreateAgent(t.Context(), agentRequest("keyed", &pb.MutationOptions{IdempotencyKey: "once", Reason: "first"}))
	if err != nil {
		t.Fatal(err)
	}
	// The reason is no part of what is asked for.
	again, err := c.agents.CreateAgent(t.Context(), agentRequest("keyed", &pb.MutationOptions{IdempotencyKey: "once", Reason: "again"}))
	if err != nil {
		t.Fatal(err)
	}
	if again.GetOperation().GetId() != first.GetOperation().GetId() || again.GetAgent().GetUuid() != first.GetAgent().GetUuid() {
		t.Errorf("asked again, the answer is %v, want that of %v", again.GetOperation(), first.GetOperation())
	}
	_, err = c.agents.CreateAgent(t.Context(), agentRequest("keyed-otherwise", &pb.MutationOptions{IdempotencyKey: "once"}))
	wantCode(t, err, connect.CodeAlreadyExists)
	info := detail[*errdetails.ErrorInfo](err)
	if info.GetReason() != pb.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED.String() || info.GetMetadata()["operation"] != first.GetOperation().GetId() {
		t.Errorf("the reason is %v", info)
	}
	_, err = c.agents.DeleteAgent(t.Context(), &pb.DeleteAgentRequest{
		Uuid: first.GetAgent().GetUuid(), Mutation: &pb.MutationOptions{IdempotencyKey: "once"},
	})
	wantCode(t, err, connect.CodeAlreadyExists)
	if n := w.vendor.count(changing) - before; n != 1 {
		t.Errorf("%d changes were sent, want 1", n)
	}
}

func (w options) sameKeyAtOnce(t *testing.T) {
	const clients = 20
	it := creating("keyed-by-twenty")
	var mu sync.Mutex
	var ids []string
	var wg sync.WaitGroup
	for i := range clients {
		c := w.s.as(t, w.payments)
		if i%2 == 1 {
			c = w.s.overGRPC(t, w.payments)
		}
		wg.Go(func() {
			got, err := it.do(t.Context(), c, &pb.MutationOptions{IdempotencyKey: "twenty"})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("a client was told %v", err)
			}
			ids = append(ids, got.operation.GetId())
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if distinct := slices.Compact(ids); len(distinct) != 1 {
		t.Fatalf("%d clients were told of the operations %q, want one", clients, distinct)
	}
	w.once(t, w.c, it, ids[0], 0)
}

func (w options) otherTeamsKey(t *testing.T) {
	ids := map[string]bool{}
	for team, token := range map[string]string{"payments": w.payments, "search": w.search} {
		resp, err := w.s.as(t, token).agents.CreateAgent(t.Context(), agentRequest("of-"+team, &pb.MutationOptions{IdempotencyKey: "shared"}))
		if err != nil {
			t.Fatal(err)
		}
		ids[resp.GetOperation().GetId()] = true
	}
	if len(ids) != 2 {
		t.Errorf("two teams with the same key have %d operations", len(ids))
	}
}

func (w options) expectedVersion(t *testing.T) {
	c := w.c
	id := newAgent(t, c, "versioned")
	path := agentsPath + "/" + id
	got, err := c.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id})
	if err != nil {
		t.Fatal(err)
	}
	first := got.GetAgent().GetVersionHash()
	update := func(description, version string) (*pb.UpdateAgentResponse, error) {
		return c.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{
			Uuid: id, Description: &description, Mutation: &pb.MutationOptions{ExpectedVersion: version},
		})
	}
	if _, err := update("at the version seen", first); err != nil {
		t.Fatalf("expecting the version that there is: %v", err)
	}
	puts := w.vendor.count(sent(http.MethodPut, path))
	aborted := func(what string, err error) {
		t.Helper()
		wantCode(t, err, connect.CodeAborted)
		if reason := detail[*errdetails.ErrorInfo](err).GetReason(); reason != pb.ErrorReason_ERROR_REASON_VERSION_MISMATCH.String() {
			t.Errorf("%s: the reason is %s", what, reason)
		}
		if n := w.vendor.count(sent(http.MethodPut, path)); n != puts {
			t.Errorf("%s: the change was sent to the vendor", what)
		}
	}
	_, err = update("at a version of before", first)
	aborted("a version that we know to be old", err)

	// Somebody changes it in the vendor's console, and our copy does not know.
	got, err = c.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id})
	if err != nil {
		t.Fatal(err)
	}
	w.inConsole(t, http.MethodPost, id, `{"description": "changed in the console"}`)
	_, err = update("at a version that was the newest", got.GetAgent().GetVersionHash())
	aborted("a version that only the vendor knows to be old", err)
	shown, err := c.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id, MaxStaleness: now()})
	if err != nil || shown.GetAgent().GetDescription() != "changed in the console" {
		t.Errorf("the agent is described as %q (%v)", shown.GetAgent().GetDescription(), err)
	}
	// Two changes may be of one second, so its time does not stand for a version.
	_, err = update("by its time", shown.GetAgent().GetUpdatedAt().AsTime().Format(time.RFC3339Nano))
	aborted("the time of what has versions", err)
	if _, err := update("at the version seen again", shown.GetAgent().GetVersionHash()); err != nil {
		t.Errorf("expecting the version that there is: %v", err)
	}
}

func (w options) validateOnly(t *testing.T) {
	c := w.c
	id := newAgent(t, c, "validated")
	before := w.written(t)
	resp, err := c.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{
		Uuid: id, Temperature: new(0.1), Mutation: &pb.MutationOptions{ValidateOnly: true, Reason: "only looking"},
	})
	if op := resp.GetOperation(); err != nil || !op.GetValidateOnly() || op.GetId() != "" || op.GetResource().GetUuid() != id {
		t.Errorf("a right change is answered with %v, %v", op, err)
	}
	_, err = c.agents.CreateAgent(t.Context(), agentRequest("never-made", &pb.MutationOptions{ValidateOnly: true, Team: "payments"}))
	if err != nil {
		t.Error(err)
	}
	_, err = c.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{
		Uuid: id, Temperature: proto.Float64(7), Mutation: &pb.MutationOptions{ValidateOnly: true},
	})
	wantCode(t, err, connect.CodeInvalidArgument)
	w.nothingWritten(t, before)
}

func (w options) asyncAndWait(t *testing.T) {
	c := w.c
	it := updating(newAgent(t, c, "awaited"), "some time later")
	w.vendor.fail(t, genaisim.Fault{Method: it.verb, Path: it.path, DelayMS: 700, Count: 1})
	got, err := it.do(t.Context(), c, &pb.MutationOptions{Async: true})
	if err != nil || got.operation.GetState() != pb.Operation_STATE_QUEUED {
		t.Fatalf("answered %v, %v, want a queued operation at once", got.operation, err)
	}
	id := got.operation.GetId()
	early, err := c.operations.WaitOperation(t.Context(), &pb.WaitOperationRequest{Id: id, Timeout: durationpb.New(50 * time.Millisecond)})
	if err != nil || early.GetOperation().GetFinishTime() != nil {
		t.Errorf("a short wait is answered with %v, %v, want the operation as it stands", early.GetOperation(), err)
	}
	op := ended(t, c, id)
	if op.GetAttempts() != 1 || op.GetVendorRequestId() == "" || op.GetRequestedBy() != "payments-bot" {
		t.Errorf("the operation is %v", op)
	}
	w.once(t, c, it, id, 0)
}

func (w options) deadline(t *testing.T) {
	c := w.c
	it := updating(newAgent(t, c, "impatient"), "made although nobody waited")
	w.vendor.fail(t, genaisim.Fault{Method: it.verb, Path: it.path, DelayMS: 1500, Count: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	_, err := it.do(ctx, c, &pb.MutationOptions{})
	wantCode(t, err, connect.CodeDeadlineExceeded)
	info := detail[*errdetails.ErrorInfo](err)
	if info.GetReason() != pb.ErrorReason_ERROR_REASON_OPERATION_PENDING.String() {
		t.Fatalf("the caller was told %v with %v, want the operation's id", err, info)
	}
	ended(t, c, info.GetMetadata()["operation"])
	w.once(t, c, it, info.GetMetadata()["operation"], 0)
}

// TestCancelOperation takes changes back that wait for a worker, and checks that no
// worker makes them afterwards.
func TestCancelOperation(t *testing.T) {
	w := newWorld(t)
	preparing := w.serve(t)
	changes := w.changes(t, preparing.as(t, w.payments))
	last := updating(newAgent(t, preparing.as(t, w.payments), "last"), "after all others")
	preparing.kill(t)
	before := w.vendor.count(changing)

	idle := w.serve(t, "AGENTSVC_WORKERS=0")
	c := idle.as(t, w.payments)
	operations := submitAll(t, c, changes)
	waiter := make(chan error, 1)
	go func() {
		_, err := changes["update"].do(t.Context(), c, &pb.MutationOptions{IdempotencyKey: "update"})
		waiter <- err
	}()
	for name, id := range operations {
		for range 2 { // the second time changes nothing
			resp, err := c.operations.CancelOperation(t.Context(), &pb.CancelOperationRequest{Id: id, Reason: "not wanted after all"})
			if err != nil || resp.GetOperation().GetState() != pb.Operation_STATE_CANCELLED {
				t.Errorf("cancelling %s: %v, %v", name, resp.GetOperation(), err)
			}
		}
		history := column[string](t, w, "SELECT outcome || ' ' || reason FROM audit_events WHERE operation_id = $1 ORDER BY recorded_at", id)
		if !slices.Equal(history, []string{"ACCEPTED ", "CANCELLED not wanted after all"}) {
			t.Errorf("the history of %s is %q", name, history)
		}
	}
	wantCode(t, <-waiter, connect.CodeCanceled)

	working := w.serve(t).as(t, w.payments)
	got, err := last.do(t.Context(), working, &pb.MutationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := w.vendor.count(changing) - before; n != 1 {
		t.Errorf("%d changes were sent, want the last one alone", n)
	}
	_, err = working.operations.CancelOperation(t.Context(), &pb.CancelOperationRequest{Id: got.operation.GetId()})
	wantCode(t, err, connect.CodeFailedPrecondition)
	if n := w.count(t, "SELECT count(*) FROM operations WHERE state = 'CANCELLED' AND sent_at IS NULL"); n != len(changes) {
		t.Errorf("%d operations are cancelled, want %d", n, len(changes))
	}
	t.Logf("%d changes taken back, none sent", len(changes))
}
