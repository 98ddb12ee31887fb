package operation_test

import (
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// TestWhatGotAnotherOwner is not changed by who had it, where it was given away between the check
// of access and the commit of the change: by a change that the claim would mark as sent, and by
// one that it would not.
func TestWhatGotAnotherOwner(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	given, route, kept := b.create("given"), b.create("route"), b.create("kept")
	stop()
	before := len(b.effects())
	other := b.team("other", 1)
	doomed := []string{
		b.submit(b.caller, &pb.UpdateAgentRequest{Uuid: given, K: new(int32(3)), Mutation: async}, &pb.UpdateAgentResponse{}).String(),
		b.submit(b.caller, &pb.AddAgentRouteRequest{
			ParentAgentUuid: route, ChildAgentUuid: kept, Mutation: async,
		}, &pb.AddAgentRouteResponse{}).String(),
	}
	fine := b.submit(b.caller, &pb.UpdateAgentRequest{Uuid: kept, K: new(int32(3)), Mutation: async}, &pb.UpdateAgentResponse{})
	if _, err := b.pool.Exec(t.Context(), "UPDATE resources SET team_id = $1 WHERE uuid = ANY ($2::uuid[])",
		other.ActingTeam.ID, []string{given, route}); err != nil {
		t.Fatal(err)
	}
	b.start(b.engine)
	for _, id := range doomed {
		op := b.ended(mustID(t, id))
		if op.GetState() != pb.Operation_STATE_FAILED || op.GetError().GetCode() != 5 {
			t.Errorf("%s ended as %s with %v", op.GetMethod(), op.GetState(), op.GetError())
		}
	}
	if op := b.ended(fine); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("the change of what was kept ended as %s: %v", op.GetState(), op.GetError())
	}
	if made := len(b.effects()) - before; made != 1 {
		t.Errorf("the vendor made %d changes, want 1", made)
	}
	// What nobody owns is the platform team's to change, for however short that has been so.
	if _, err := b.pool.Exec(t.Context(), "UPDATE resources SET team_id = NULL WHERE uuid = $1", kept); err != nil {
		t.Fatal(err)
	}
	platform := b.team("platform", 1)
	op := b.ended(b.submit(platform, &pb.UpdateAgentRequest{Uuid: kept, K: new(int32(4)), Mutation: async}, &pb.UpdateAgentResponse{}))
	if op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("the platform team's change ended as %s: %v", op.GetState(), op.GetError())
	}
}
