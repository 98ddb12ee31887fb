package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestASecondOwnerApproves has a team want a second owner's word for deletions and keys.
func TestASecondOwnerApproves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	second := s.as(t, run(t, environment("DATABASE_URL="+w.database), "token", "create", "--name", "second-bot", "--team", "payments", "--role", "owner"))
	first := s.as(t, w.payments)
	set := func(rules ...pb.ApprovalRule) {
		t.Helper()
		if _, err := first.teams.SetTeamApprovals(t.Context(), &pb.SetTeamApprovalsRequest{Team: "payments", Approvals: rules}); err != nil {
			t.Fatal(err)
		}
	}
	set(pb.ApprovalRule_APPROVAL_RULE_DELETE_AGENT, pb.ApprovalRule_APPROVAL_RULE_REVEAL_KEY)
	doomed, kept := create(t, first, "doomed"), create(t, first, "kept")
	pending := func(agent string) string {
		t.Helper()
		_, err := first.agents.DeleteAgent(t.Context(), &pb.DeleteAgentRequest{Uuid: agent, Mutation: &pb.MutationOptions{Reason: "unused"}})
		requireReason(t, err, pb.ErrorReason_ERROR_REASON_APPROVAL_PENDING)
		return operationOf(err)
	}
	// One owner cannot do without the second: neither by ending the rule, nor with a service of their own.
	_, err := first.teams.SetTeamApprovals(t.Context(), &pb.SetTeamApprovalsRequest{Team: "payments"})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	made, err := first.teams.CreateServiceToken(t.Context(), &pb.CreateServiceTokenRequest{
		Team: "payments", Service: "puppet", Role: pb.Role_ROLE_OWNER, Lifetime: durationpb.New(time.Hour), Reason: "mine",
	})
	if err != nil {
		t.Fatal(err)
	}
	puppet := s.as(t, made.GetSecret())
	before := len(w.vendor.Requests())
	yes, no := pending(doomed), pending(kept)
	// What waits for approval holds up nothing.
	if _, err := first.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{Uuid: kept, Description: new("still here")}); err != nil {
		t.Fatal(err)
	}
	op, err := first.operations.GetOperation(t.Context(), &pb.GetOperationRequest{Id: yes})
	if err != nil || op.GetOperation().GetState() != pb.Operation_STATE_PENDING_APPROVAL ||
		op.GetOperation().GetApproval().GetRule() != pb.ApprovalRule_APPROVAL_RULE_DELETE_AGENT {
		t.Errorf("what waits is %v, %v", op, err)
	}
	_, err = first.operations.ApproveOperation(t.Context(), &pb.ApproveOperationRequest{Id: yes})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED) // their own
	_, err = puppet.operations.ApproveOperation(t.Context(), &pb.ApproveOperationRequest{Id: yes})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED) // with a token they made
	_, err = s.as(t, w.search).operations.ApproveOperation(t.Context(), &pb.ApproveOperationRequest{Id: yes})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_NOT_FOUND) // another team's owner
	for _, r := range w.vendor.Requests()[before:] {
		if r.Method == http.MethodDelete {
			t.Errorf("%s was deleted without approval", r.Path)
		}
	}

	if _, err := second.operations.ApproveOperation(t.Context(), &pb.ApproveOperationRequest{Id: yes, Reason: "indeed"}); err != nil {
		t.Fatal(err)
	}
	if op, err := first.operations.WaitOperation(t.Context(), &pb.WaitOperationRequest{Id: yes}); err != nil ||
		op.GetOperation().GetState() != pb.Operation_STATE_SUCCEEDED || op.GetOperation().GetApproval().GetDecidedBy() != "second-bot" {
		t.Errorf("approved, it ended as %v, %v", op, err)
	}
	declined, err := second.operations.DeclineOperation(t.Context(), &pb.DeclineOperationRequest{Id: no, Reason: "it is used"})
	if err != nil || declined.GetOperation().GetState() != pb.Operation_STATE_FAILED {
		t.Errorf("declined, it is %v, %v", declined, err)
	}
	_, err = second.operations.ApproveOperation(t.Context(), &pb.ApproveOperationRequest{Id: no})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if deleted := effects(w.vendor.Server, agentsPath+"/"+kept); len(deleted) != 1 { // the update
		t.Errorf("the agent that was kept was changed %d times", len(deleted))
	}

	w.approvesAKey(t, first, second, kept)
	w.expires(t, first, kept)
	for _, want := range []string{"ApproveOperation", "DeclineOperation"} {
		if n := w.count(t, "SELECT count(*) FROM audit_events WHERE method LIKE '%.' || $1 AND actor = 'second-bot'", want); n == 0 {
			t.Errorf("the history has no %s", want)
		}
	}
}

// approvesAKey has a key be made once a second owner agrees: who asked for it gets its secret.
func (w *world) approvesAKey(t *testing.T, first, second *client, agent string) {
	t.Helper()
	req := &pb.CreateAgentApiKeyRequest{AgentUuid: agent, Name: new("ci")}
	_, err := first.keys.CreateAgentApiKey(t.Context(), req)
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST) // else nobody could fetch the secret
	req.Mutation = &pb.MutationOptions{IdempotencyKey: "ci-key"}
	_, err = first.keys.CreateAgentApiKey(t.Context(), req)
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_APPROVAL_PENDING)
	if _, err := second.operations.ApproveOperation(t.Context(), &pb.ApproveOperationRequest{Id: operationOf(err)}); err != nil {
		t.Fatal(err)
	}
	key, err := first.keys.CreateAgentApiKey(t.Context(), req)
	if err != nil || key.GetApiKeyInfo().GetSecretKey() == "" || key.GetApiKeyInfo().GetSecretKey() != w.vendor.secret(key.GetApiKeyInfo().GetUuid()) {
		t.Errorf("who asked for the key gets %v, %v", key, err)
	}
}

// expires has nobody decide.
func (w *world) expires(t *testing.T, first *client, agent string) {
	t.Helper()
	late, err := first.agents.DeleteAgent(t.Context(), &pb.DeleteAgentRequest{Uuid: agent, Mutation: &pb.MutationOptions{Async: true}})
	if err != nil || late.GetOperation().GetState() != pb.Operation_STATE_PENDING_APPROVAL {
		t.Fatalf("asked for, it is %v, %v", late, err)
	}
	// They take no place in the queue, and are bounded like it.
	w.exec(t, "UPDATE teams SET backlog_limit = 1 WHERE name = 'payments'")
	_, err = first.agents.DeleteAgent(t.Context(), &pb.DeleteAgentRequest{Uuid: agent, Mutation: &pb.MutationOptions{Async: true}})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_BACKLOG_FULL)
	w.exec(t, "UPDATE teams SET backlog_limit = 1000 WHERE name = 'payments'")
	w.exec(t, "UPDATE operations SET approval_expires_at = clock_timestamp() WHERE state = 'PENDING_APPROVAL'")
	await(t, "what nobody approved fails", func() bool {
		op, err := first.operations.GetOperation(t.Context(), &pb.GetOperationRequest{Id: late.GetOperation().GetId()})
		return err == nil && op.GetOperation().GetState() == pb.Operation_STATE_FAILED
	})
	if deleted := effects(w.vendor.Server, agentsPath+"/"+agent); len(deleted) > 0 {
		for _, r := range w.vendor.Requests() {
			if r.Method == http.MethodDelete && r.Effect != genaisim.NoEffect && r.Path == agentsPath+"/"+agent {
				t.Error("what nobody approved was made")
			}
		}
	}
}
