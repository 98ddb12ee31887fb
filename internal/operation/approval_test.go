package operation_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// TestWhatWaitsForApprovalHasNoPlace has changes wait for a second owner: the team's next ones
// stand no further behind for them, and one takes its place when it is approved.
func TestWhatWaitsForApprovalHasNoPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agent := b.create("agent")
	stop()
	if _, err := b.pool.Exec(t.Context(), "UPDATE teams SET approvals = '{DELETE_AGENT}' WHERE id = $1", b.caller.ActingTeam.ID); err != nil {
		t.Fatal(err)
	}
	const finishes = "SELECT sum(virtual_finish)::integer FROM fair_teams"
	before := b.count(finishes)
	err := b.engine.Change(t.Context(), b.caller, &pb.DeleteAgentRequest{Uuid: agent}, &pb.DeleteAgentResponse{})
	pending, ok := errors.AsType[*fault.Error](err)
	if !ok || fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_APPROVAL_PENDING {
		t.Fatalf("asking for it: %v", err)
	}
	if n := b.count(finishes); n != before {
		t.Errorf("the team's next change stands at %d, not at %d", n, before)
	}
	second := b.caller
	second.PrincipalID, second.Name = uuid.Nil, "another owner"
	if _, err := b.engine.Approve(t.Context(), second, uuid.MustParse(pending.Metadata["operation"]), "indeed"); err != nil {
		t.Fatal(err)
	}
	if n := b.count(finishes); n != before+1 {
		t.Errorf("approved, it is at %d, not at %d", n, before+1)
	}
	b.requireConsistent()
}

// TestNobodyApprovesWhatTheyAskedForInAnothersName has a service ask in somebody's name, and
// approve it in its own.
func TestNobodyApprovesWhatTheyAskedForInAnothersName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agent := b.create("agent")
	stop()
	if _, err := b.pool.Exec(t.Context(), "UPDATE teams SET approvals = '{DELETE_AGENT}' WHERE id = $1", b.caller.ActingTeam.ID); err != nil {
		t.Fatal(err)
	}
	desk, through, second := b.caller, b.caller, b.caller
	through.ActingService = "desk"
	desk.Name, second.Name, second.PrincipalID = "desk", "another owner", uuid.New()
	const principal = "INSERT INTO principals (kind, issuer, subject, name) VALUES ($1, '', $2, $2) RETURNING id"
	for kind, who := range map[string]*identity.Caller{"PERSON": &through, "SERVICE": &desk} {
		if err := b.pool.QueryRow(t.Context(), principal, kind, who.Name).Scan(&who.PrincipalID); err != nil {
			t.Fatal(err)
		}
	}
	err := b.engine.Change(t.Context(), through, &pb.DeleteAgentRequest{Uuid: agent}, &pb.DeleteAgentResponse{})
	pending, ok := errors.AsType[*fault.Error](err)
	if !ok || fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_APPROVAL_PENDING {
		t.Fatalf("asking for it: %v", err)
	}
	id := uuid.MustParse(pending.Metadata["operation"])
	if _, err := b.engine.Approve(t.Context(), desk, id, "indeed"); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("approved by the service that asked: %v", err)
	}
	if _, err := b.engine.Approve(t.Context(), second, id, "indeed"); err != nil {
		t.Errorf("a second owner cannot approve: %v", err)
	}
}
