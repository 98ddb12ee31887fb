package operation_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
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
