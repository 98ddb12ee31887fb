package operation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func requireReason(t testing.TB, err error, want pb.ErrorReason) {
	t.Helper()
	if got := fault.ReasonOf(err); err == nil || got != want {
		t.Fatalf("got %v (%v), want %s", err, got, want)
	}
}

func TestSecretsWaitSealed(t *testing.T) {
	t.Parallel()
	b := setup(t) // nobody works: the operation stays queued
	const secret = "Bearer-of-the-mcp-server"
	resp := &pb.CreateAgentResponse{}
	id := b.submit(b.caller, &pb.CreateAgentRequest{
		Name: new("agent"), ModelUuid: proto.String(genaisim.ModelLlama),
		McpServers: []*pb.McpServer{{ServerUrl: new("https://mcp.example"), ServerLabel: new("m"), Authorization: proto.String(secret)}},
		Mutation:   &pb.MutationOptions{Async: true},
	}, resp)
	var request, sealed []byte
	if err := b.pool.QueryRow(t.Context(), "SELECT request, sealed_request FROM operations WHERE id = $1", id).Scan(&request, &sealed); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(request, []byte(secret)) || bytes.Contains(sealed, []byte(secret)) || len(sealed) == 0 {
		t.Error("the secret is readable in the queue")
	}
	b.start(b.engine)
	if op := b.ended(id); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Fatalf("ended as %s: %s", op.GetState(), op.GetError())
	}
	if body := string(b.effects()[0].Body); !strings.Contains(body, secret) {
		t.Errorf("the vendor did not get the secret: %s", body)
	}
	b.requireConsistent()
}

func TestOneKeyOneChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	request := func(name string) *pb.CreateAgentRequest {
		return &pb.CreateAgentRequest{Name: &name, ModelUuid: proto.String(genaisim.ModelLlama), Mutation: &pb.MutationOptions{IdempotencyKey: "once"}}
	}
	var calls sync.WaitGroup
	answers := make([]string, 20)
	for i := range answers {
		calls.Go(func() {
			resp := &pb.CreateAgentResponse{}
			if err := b.engine.Change(t.Context(), b.caller, request("same"), resp); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			answers[i] = resp.GetAgent().GetUuid() + resp.GetOperation().GetId()
		})
	}
	calls.Wait()
	if slices.Sort(answers); answers[0] != answers[len(answers)-1] || answers[0] == "" {
		t.Errorf("callers with one key got different answers: %q", slices.Compact(answers))
	}
	if n := len(b.effects()); n != 1 {
		t.Errorf("the vendor made %d changes", n)
	}
	requireReason(t, b.engine.Change(t.Context(), b.caller, request("other"), &pb.CreateAgentResponse{}), pb.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED)
	search := b.team("search", 1)
	if err := b.engine.Change(t.Context(), search, request("other"), &pb.CreateAgentResponse{}); err != nil {
		t.Errorf("another team's key is not ours: %v", err)
	}
	b.requireConsistent()
}

func TestChangesOfOneResourceKeepTheirOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agent := b.create("agent")
	stop()
	var last *pb.UpdateAgentResponse
	const changes = 30
	for n := range changes {
		last = &pb.UpdateAgentResponse{}
		b.submit(b.caller, &pb.UpdateAgentRequest{
			Uuid: agent, Description: new(fmt.Sprintf("%02d", n)), Mutation: &pb.MutationOptions{Async: true},
		}, last)
	}
	b.start(b.another(), b.another())
	for _, op := range []string{last.GetOperation().GetId()} {
		b.ended(mustID(t, op))
	}
	var seen []string
	for _, r := range b.effects() {
		if r.Method == http.MethodPut {
			seen = append(seen, string(r.Body))
		}
	}
	if len(seen) != changes || !slices.IsSorted(seen) {
		t.Errorf("the vendor saw %q", seen)
	}
}

func TestTeamsTakeTurns(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Concurrency = 1 })
	heavy, light := b.team("heavy", 1), b.team("light", 1)
	submit := func(caller identity.Caller, name string) {
		b.submit(caller, &pb.CreateAgentRequest{
			Name: &name, ModelUuid: proto.String(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true},
		}, &pb.CreateAgentResponse{})
	}
	for n := range 40 {
		submit(heavy, fmt.Sprintf("heavy %d", n))
	}
	for n := range 5 {
		submit(light, fmt.Sprintf("light %d", n))
	}
	b.start(b.engine)
	b.await("all is done", func() bool { return b.count("SELECT count(*) FROM operations WHERE finished_at IS NULL") == 0 })
	var lightAt []int
	for i, r := range b.effects() {
		if strings.Contains(string(r.Body), "light") {
			lightAt = append(lightAt, i)
		}
	}
	for n, at := range lightAt {
		if at > 2*n+2 {
			t.Errorf("change %d of the light team was number %d: it must wait for one change of the other team at most", n+1, at+1)
		}
	}
}

func TestExpectedVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agent := b.create("agent")
	update := func(expected, description string) error {
		return b.engine.Change(t.Context(), b.caller, &pb.UpdateAgentRequest{
			Uuid: agent, Description: &description, Mutation: &pb.MutationOptions{ExpectedVersion: expected},
		}, &pb.UpdateAgentResponse{})
	}
	var first string
	if err := b.pool.QueryRow(t.Context(), "SELECT version_hash FROM resources WHERE uuid = $1", agent).Scan(&first); err != nil {
		t.Fatal(err)
	}
	if err := update(first, "one"); err != nil {
		t.Fatal(err)
	}
	before := len(b.sim.Requests())
	requireReason(t, update(first, "two"), pb.ErrorReason_ERROR_REASON_VERSION_MISMATCH)
	if len(b.sim.Requests()) != before {
		t.Error("the vendor was called")
	}
	b.requireConsistent()
}

func TestCancelUntilSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp := &pb.CreateAgentResponse{}
	id := b.submit(b.caller, &pb.CreateAgentRequest{
		Name: new("agent"), ModelUuid: proto.String(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true},
	}, resp)
	op, err := b.engine.Cancel(t.Context(), b.caller, id, "changed my mind")
	if err != nil || op.GetState() != pb.Operation_STATE_CANCELLED {
		t.Fatalf("cancelling: %v, %v", op.GetState(), err)
	}
	if op, err = b.engine.Cancel(t.Context(), b.caller, id, "again"); err != nil || op.GetState() != pb.Operation_STATE_CANCELLED {
		t.Errorf("cancelling again: %v, %v", op.GetState(), err)
	}
	b.start(b.engine)
	b.create("another")
	if n := len(b.effects()); n != 1 {
		t.Errorf("%d changes were made, the cancelled one among them", n)
	}
	b.requireConsistent()

	b.fault(genaisim.Fault{Method: "POST", DelayMS: 2000, Count: 1})
	slow := b.submit(b.caller, &pb.CreateAgentRequest{
		Name: new("slow"), ModelUuid: proto.String(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true},
	}, &pb.CreateAgentResponse{})
	b.await("it is sent", func() bool {
		return b.count("SELECT count(*) FROM operations WHERE id = $1 AND sent_at IS NOT NULL", slow) == 1
	})
	_, err = b.engine.Cancel(t.Context(), b.caller, slow, "too late")
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
}

func TestDeadlineNamesTheOperation(t *testing.T) {
	t.Parallel()
	b := setup(t) // nobody works
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := b.engine.Change(ctx, b.caller, &pb.CreateAgentRequest{Name: new("a"), ModelUuid: proto.String(genaisim.ModelLlama)}, &pb.CreateAgentResponse{})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_OPERATION_PENDING)
	var pending *fault.Error
	if errors.As(err, &pending); pending.Metadata["operation"] == "" {
		t.Fatal("the operation is not named")
	}
	b.start(b.engine)
	if op := b.ended(mustID(t, pending.Metadata["operation"])); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("it ended as %s", op.GetState())
	}
}

func TestValidateOnlyWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp := &pb.CreateAgentResponse{}
	if err := b.engine.Change(t.Context(), b.caller, &pb.CreateAgentRequest{
		Name: new("agent"), Mutation: &pb.MutationOptions{ValidateOnly: true},
	}, resp); err != nil {
		t.Fatal(err)
	}
	if !resp.GetOperation().GetValidateOnly() || b.count("SELECT (SELECT count(*) FROM operations) + (SELECT count(*) FROM audit_events)") != 0 {
		t.Errorf("it wrote something, or did not say what it is: %v", resp)
	}
}

func TestFullBacklogRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.pool.Exec(t.Context(), "UPDATE teams SET backlog_limit = 3"); err != nil {
		t.Fatal(err)
	}
	request := &pb.CreateAgentRequest{Name: new("a"), Mutation: &pb.MutationOptions{Async: true}}
	for range 3 {
		b.submit(b.caller, request, &pb.CreateAgentResponse{})
	}
	err := b.engine.Change(t.Context(), b.caller, request, &pb.CreateAgentResponse{})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_BACKLOG_FULL)
	if n := b.count("SELECT count(*) FROM operations"); n != 3 {
		t.Errorf("%d operations were written", n)
	}
}

func TestRulesHoldWhenTheChangeLeavesTheQueue(t *testing.T) {
	t.Parallel()
	var forbid atomic.Bool
	b := setup(t, func(c *operation.Config) {
		c.Rules = operation.Rules{"agentsvc.v1.AgentService.CreateAgent": func(context.Context, uuid.UUID, proto.Message) error {
			if forbid.Load() {
				return fault.Precondition("not any more")
			}
			return nil
		}}
	})
	id := b.submit(b.caller, &pb.CreateAgentRequest{Name: new("agent"), Mutation: &pb.MutationOptions{Async: true}}, &pb.CreateAgentResponse{})
	forbid.Store(true)
	err := b.engine.Change(t.Context(), b.caller, &pb.CreateAgentRequest{Name: new("agent")}, &pb.CreateAgentResponse{})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	b.start(b.engine)
	if op := b.ended(id); op.GetState() != pb.Operation_STATE_FAILED || !strings.Contains(op.GetError().GetMessage(), "not any more") {
		t.Errorf("it ended as %s: %s", op.GetState(), op.GetError().GetMessage())
	}
	if n := len(b.sim.Requests()); n != 0 {
		t.Errorf("the vendor was asked %d times", n)
	}
	b.requireConsistent()
}

func TestRollbackTellsWhatItChanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agent := b.create("agent")
	var first string
	if err := b.pool.QueryRow(t.Context(), "SELECT version_hash FROM resources WHERE uuid = $1", agent).Scan(&first); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.Change(t.Context(), b.caller, &pb.UpdateAgentRequest{Uuid: agent, Temperature: new(0.1)}, &pb.UpdateAgentResponse{}); err != nil {
		t.Fatal(err)
	}
	rollback := &pb.RollbackAgentVersionResponse{}
	if err := b.engine.Change(t.Context(), b.caller, &pb.RollbackAgentVersionRequest{Uuid: agent, VersionHash: &first}, rollback); err != nil {
		t.Fatal(err)
	}
	var before, after float64
	var hash string
	if err := b.pool.QueryRow(t.Context(), `SELECT (before->>'temperature')::float8, (after->>'temperature')::float8, after->>'version_hash'
		FROM audit_events WHERE operation_id = $1 AND outcome = 'SUCCEEDED'`, rollback.GetOperation().GetId()).Scan(&before, &after, &hash); err != nil {
		t.Fatal(err)
	}
	if before != 0.1 || after != 0.7 || hash != rollback.GetVersionHash() {
		t.Errorf("the history tells of %v becoming %v, at version %s", before, after, hash)
	}
	// What follows is told from there, not from before the rollback.
	if err := b.engine.Change(t.Context(), b.caller, &pb.UpdateAgentRequest{Uuid: agent, Description: new("d")}, &pb.UpdateAgentResponse{}); err != nil {
		t.Fatal(err)
	}
	if n := b.count("SELECT count(*) FROM audit_events WHERE after ? 'temperature' AND outcome = 'SUCCEEDED' AND action = 'UPDATE'"); n != 2 {
		t.Errorf("%d events tell of the temperature, want the update's and the rollback's", n)
	}
	b.requireConsistent()
}

func TestOperationsAreNamedFromTheStart(t *testing.T) {
	t.Parallel()
	b := setup(t) // nobody works: nothing has a uuid yet
	later := &pb.MutationOptions{Async: true}
	id := uuid.NewString()
	b.submit(b.caller, &pb.RunEvaluationTestCaseRequest{TestCaseUuid: &id, RunName: new("named"), Mutation: later}, &pb.RunEvaluationTestCaseResponse{})
	b.submit(b.caller, &pb.CreateCustomEvaluationMetricRequest{MetricName: new("named"), Mutation: later}, &pb.CreateCustomEvaluationMetricResponse{})
	b.submit(b.caller, &pb.AddFunctionRouteRequest{AgentUuid: id, FunctionName: new("named"), Mutation: later}, &pb.AddFunctionRouteResponse{})
	b.submit(b.caller, &pb.CreateWorkspaceRequest{Name: new("named"), Mutation: later}, &pb.CreateWorkspaceResponse{})
	if n := b.count(`SELECT count(*) FROM operations o JOIN audit_events e ON e.operation_id = o.id AND e.outcome = 'ACCEPTED'
		WHERE o.resource_name = 'named' AND e.resource_name = 'named'`); n != 4 {
		t.Errorf("%d of 4 operations and their events are named", n)
	}
}
