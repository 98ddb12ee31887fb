package resource_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// owner acts for a team that they own, as the access check would have found it.
func owner(name, team string, id uuid.UUID) identity.Caller {
	return identity.Caller{
		Name: name, ActingTeam: identity.Team{ID: id, Name: team},
		Teams: []identity.Membership{{TeamID: id, Team: team, Role: pb.Role_ROLE_OWNER}},
	}
}

func (o *ownership) owners(t *testing.T, id string) (teams, actors []string) {
	t.Helper()
	resp, err := o.reader.Owners(t.Context(), &pb.ListResourceOwnersRequest{Kind: "agent", Uuid: id})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range resp.GetOwners() {
		teams, actors = append(teams, one.GetTeam()), append(actors, one.GetActor())
	}
	return teams, actors
}

func TestATransferIsAccepted(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	id := o.agent(t, "refunds", &o.red)
	o.exec(t, "INSERT INTO resources (kind, uuid, team_id, parent_kind, parent_uuid) VALUES ('agent_part', gen_random_uuid(), $1, 'agent', $2)", o.red, id)
	rita, bob := owner("rita", "red", o.red), owner("bob", "blue", o.blue)

	given, err := o.claimer.Transfer(t.Context(), rita, &pb.TransferResourceRequest{Kind: "agent", Uuid: id, ToTeam: "blue", Reason: "reorganised"})
	if err != nil || given.GetState() != pb.Transfer_STATE_PENDING {
		t.Fatalf("given as %v, %v", given, err)
	}
	_, err = o.claimer.Transfer(t.Context(), rita, &pb.TransferResourceRequest{Kind: "agent", Uuid: id, ToTeam: "blue"})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("given twice: %v", err)
	}
	// Who gives it cannot accept it in the other team's place, and a stranger sees nothing.
	_, err = o.claimer.Accept(t.Context(), rita, &pb.AcceptTransferRequest{Team: "red", Transfer: given.GetId()})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("accepted by who gives it: %v", err)
	}
	_, err = o.claimer.Accept(t.Context(), owner("eve", "green", uuid.New()), &pb.AcceptTransferRequest{Team: "green", Transfer: given.GetId()})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_NOT_FOUND {
		t.Errorf("accepted by a stranger: %v", err)
	}
	if teams, _ := o.owners(t, id); !slices.Equal(teams, []string{"red"}) {
		t.Errorf("before it is accepted it belongs to %v", teams)
	}

	// Several accept at once: it changes hands once.
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := o.claimer.Accept(t.Context(), bob, &pb.AcceptTransferRequest{Team: "blue", Transfer: given.GetId()}); err == nil {
				accepted.Add(1)
			}
		})
	}
	wg.Wait()
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d of 5 have accepted it", n)
	}
	if teams, actors := o.owners(t, id); !slices.Equal(teams, []string{"blue", "red"}) || !slices.Equal(actors, []string{"bob", ""}) {
		t.Errorf("it has belonged to %v, given by %v", teams, actors)
	}
	var parts int
	if err := o.pool.QueryRow(t.Context(), "SELECT count(*) FROM resources WHERE team_id = $1", o.blue).Scan(&parts); err != nil || parts != 2 {
		t.Errorf("%d resources are the other team's, want it and its part", parts)
	}
	var seen []string
	for _, e := range o.events(t, id) {
		seen = append(seen, e.GetTeam()+" "+e.GetReason())
	}
	if len(seen) != 3 { // asked for, and handed over in both histories
		t.Errorf("the history has %v", seen)
	}
	for _, side := range []struct {
		team  uuid.UUID
		state string
	}{{o.red, `state = "ACCEPTED"`}, {o.blue, `state = "ACCEPTED" AND to_team = "blue"`}} {
		listed, err := o.reader.Transfers(t.Context(), side.team, &pb.ListTransfersRequest{Filter: side.state})
		if err != nil || len(listed.GetTransfers()) != 1 || listed.GetTransfers()[0].GetEndedBy() != "bob" {
			t.Errorf("a team's transfers are %v, %v", listed, err)
		}
	}
}

func TestATransferThatIsNot(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	rita, bob := owner("rita", "red", o.red), owner("bob", "blue", o.blue)
	give := func(id string) *pb.Transfer {
		t.Helper()
		given, err := o.claimer.Transfer(t.Context(), rita, &pb.TransferResourceRequest{Kind: "agent", Uuid: id, ToTeam: "blue"})
		if err != nil {
			t.Fatal(err)
		}
		return given
	}
	id := o.agent(t, "refunds", &o.red)
	for _, by := range []struct {
		who  identity.Caller
		team string
	}{{rita, "red"}, {bob, "blue"}} { // either side ends it
		given := give(id)
		declined, err := o.claimer.Decline(t.Context(), by.who, &pb.DeclineTransferRequest{Team: by.team, Transfer: given.GetId()})
		if err != nil || declined.GetState() != pb.Transfer_STATE_DECLINED {
			t.Fatalf("declined as %v, %v", declined, err)
		}
	}
	late := give(id)
	o.exec(t, "UPDATE transfers SET expires_at = clock_timestamp() WHERE ended_at IS NULL")
	_, err := o.claimer.Accept(t.Context(), bob, &pb.AcceptTransferRequest{Team: "blue", Transfer: late.GetId()})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("accepted after a week: %v", err)
	}
	listed, err := o.reader.Transfers(t.Context(), o.red, &pb.ListTransfersRequest{Filter: `state = "EXPIRED"`})
	if err != nil || len(listed.GetTransfers()) != 1 {
		t.Errorf("what expired is listed as %v, %v", listed, err)
	}
	moved := give(id) // the one that expired is not in its way
	o.exec(t, "UPDATE resources SET team_id = NULL WHERE uuid = $1", id)
	_, err = o.claimer.Accept(t.Context(), bob, &pb.AcceptTransferRequest{Team: "blue", Transfer: moved.GetId()})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("accepted what is the giver's no more: %v", err)
	}
	for name, req := range map[string]*pb.TransferResourceRequest{
		"to no team":   {Kind: "agent", Uuid: o.agent(t, "a", &o.red), ToTeam: "nowhere"},
		"to its owner": {Kind: "agent", Uuid: o.agent(t, "b", &o.red), ToTeam: "red"},
		"nobody's":     {Kind: "agent", Uuid: o.agent(t, "c", nil), ToTeam: "blue"},
		"a catalogue":  {Kind: "model", Uuid: uuid.NewString(), ToTeam: "blue"},
	} {
		if _, err := o.claimer.Transfer(t.Context(), rita, req); err == nil {
			t.Errorf("a transfer of what is %s is accepted", name)
		}
	}
}

func TestAnAdministratorGivesAtOnceAndReleases(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	id := o.agent(t, "refunds", &o.red)
	given, err := o.claimer.Transfer(t.Context(), admin(), &pb.TransferResourceRequest{Kind: "agent", Uuid: id, ToTeam: "blue", Reason: "they left"})
	if err != nil || given.GetState() != pb.Transfer_STATE_ACCEPTED {
		t.Fatalf("given as %v, %v", given, err)
	}
	if _, err := o.claimer.Release(t.Context(), admin(), &pb.ReleaseResourceRequest{Kind: "agent", Uuid: id, Reason: "nobody wants it"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.claimer.Release(t.Context(), admin(), &pb.ReleaseResourceRequest{Kind: "agent", Uuid: id}); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("released twice: %v", err)
	}
	if _, err := o.claimer.Claim(t.Context(), admin(), &pb.ClaimResourceRequest{Kind: "agent", Uuid: id, Team: "red", Reason: "back"}); err != nil {
		t.Fatal(err)
	}
	teams, actors := o.owners(t, id)
	if !slices.Equal(teams, []string{"red", "", "blue", "red"}) || !slices.Equal(actors, []string{"admin@example.com", "admin@example.com", "admin@example.com", ""}) {
		t.Errorf("it has belonged to %v, given by %v", teams, actors)
	}
}
