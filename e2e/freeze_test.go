package e2e_test

import (
	"strings"
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestTeamsAreRunByCalls has an administrator make a team and freeze it, with a change waiting
// in the queue.
func TestTeamsAreRunByCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	admin := s.as(t, run(t, environment("DATABASE_URL="+w.database), "token", "create", "--name", "root-bot", "--platform", "admin"))

	if _, err := admin.teams.CreateTeam(t.Context(), &pb.CreateTeamRequest{Name: "growth", Reason: "new product"}); err != nil {
		t.Fatal(err)
	}
	made, err := admin.teams.CreateServiceToken(t.Context(), &pb.CreateServiceTokenRequest{Team: "growth", Service: "growth-bot", Role: pb.Role_ROLE_OWNER})
	if err != nil {
		t.Fatal(err)
	}
	growth, other := s.as(t, made.GetSecret()), w.serve(t).as(t, made.GetSecret())
	agent := create(t, growth, "helper")
	who, err := growth.teams.WhoAmI(t.Context(), &pb.WhoAmIRequest{})
	if err != nil || len(who.GetMemberships()) != 1 || len(who.GetMethods()) < 100 {
		t.Errorf("the new service is %v, %v", who, err)
	}

	// What was queued before the freeze waits, and goes on after it.
	slow := genaisim.Fault{Method: "PUT", DelayMS: 1500, Count: 1}
	w.vendor.fail(t, slow)
	update := func(text string) string {
		t.Helper()
		resp, err := growth.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{
			Uuid: agent, Description: &text, Mutation: &pb.MutationOptions{Async: true, Reason: text},
		})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetOperation().GetId()
	}
	sent := update("sent before the freeze")
	await(t, "the first change is sent", func() bool {
		return w.count(t, "SELECT count(*) FROM operations WHERE id = $1 AND sent_at IS NOT NULL", sent) == 1
	})
	queued := update("queued before the freeze") // behind the first, of the same agent
	regretted := update("taken back during the freeze")
	if _, err := admin.teams.Freeze(t.Context(), &pb.FreezeRequest{Team: "growth", Reason: "leaked key"}); err != nil {
		t.Fatal(err)
	}
	if op, err := growth.operations.WaitOperation(t.Context(), &pb.WaitOperationRequest{Id: sent}); err != nil || op.GetOperation().GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("what was sent ended as %v, %v", op, err)
	}
	_, err = growth.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{Uuid: agent, Description: new("refused"), Mutation: &pb.MutationOptions{Async: true}})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_FROZEN)
	await(t, "another replica knows", func() bool {
		_, err = other.teams.SetTeamApprovals(t.Context(), &pb.SetTeamApprovalsRequest{Team: "growth"})
		return err != nil
	})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_FROZEN)
	if !strings.Contains(err.Error(), "root-bot froze it at") || !strings.Contains(err.Error(), "leaked key") {
		t.Errorf("the refusal says %v", err)
	}
	if _, err := growth.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: agent}); err != nil {
		t.Errorf("a read while frozen: %v", err)
	}
	if op, err := growth.operations.CancelOperation(t.Context(), &pb.CancelOperationRequest{Id: regretted, Reason: "leaked key"}); err != nil ||
		op.GetOperation().GetState() != pb.Operation_STATE_CANCELLED {
		t.Errorf("what was queued is not taken back while frozen: %v, %v", op.GetOperation().GetState(), err)
	}
	<-time.After(2 * time.Second) // long enough for a worker to have taken it
	if op, err := growth.operations.GetOperation(t.Context(), &pb.GetOperationRequest{Id: queued}); err != nil || op.GetOperation().GetState() != pb.Operation_STATE_QUEUED {
		t.Errorf("what was queued is %v while frozen, %v", op.GetOperation().GetState(), err)
	}
	if _, err := admin.teams.Unfreeze(t.Context(), &pb.UnfreezeRequest{Team: "growth", Reason: "rotated"}); err != nil {
		t.Fatal(err)
	}
	if op, err := growth.operations.WaitOperation(t.Context(), &pb.WaitOperationRequest{Id: queued}); err != nil || op.GetOperation().GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("what was queued ended as %v, %v", op, err)
	}

	// A revoked token is refused within a second, and the last owner stays.
	await(t, "the token is refused", func() bool {
		_, err := admin.teams.RevokeServiceToken(t.Context(), &pb.RevokeServiceTokenRequest{Team: "growth", Token: made.GetToken().GetId()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = growth.teams.WhoAmI(t.Context(), &pb.WhoAmIRequest{})
		return err != nil
	})
	_, err = admin.teams.RemoveMember(t.Context(), &pb.RemoveMemberRequest{Team: "growth", Member: "growth-bot"})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if _, err := admin.resources.TransferResource(t.Context(), &pb.TransferResourceRequest{Kind: "agent", Uuid: agent, ToTeam: "payments"}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.as(t, w.payments).agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: agent}); err != nil || got.GetAgent().GetName() != "helper" {
		t.Errorf("the new owner sees %v, %v", got, err)
	}
}
