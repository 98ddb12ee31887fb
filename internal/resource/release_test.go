package resource_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// Whatever a team wants a second owner for, one alone, or an administrator, cannot have it belong
// to another team or to nobody: who has it then is not held to the team's rules.
func TestOneHandGivesNothingAway(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"TRANSFER_RESOURCE", "DELETE_AGENT"} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			o := newOwnership(t)
			early, err := o.claimer.Transfer(t.Context(), owner("rita", "red", o.red),
				&pb.TransferResourceRequest{Kind: "agent", Uuid: o.agent(t, "early", &o.red), ToTeam: "blue"})
			if err != nil {
				t.Fatal(err)
			}
			o.exec(t, "UPDATE teams SET approvals = $2 WHERE id = $1", o.red, []string{rule})
			bob := owner("bob", "blue", o.blue)
			if _, err := o.claimer.Accept(t.Context(), bob, &pb.AcceptTransferRequest{Team: "blue", Transfer: early.GetId()}); err == nil {
				t.Error("what was offered before the rule is accepted without a second owner")
			}
			both := owner("rita", "red", o.red)
			both.Teams = append(both.Teams, identity.Membership{TeamID: o.blue, Team: "blue", Role: pb.Role_ROLE_OWNER})
			boss := admin()
			boss.ActingTeam = both.ActingTeam
			for name, by := range map[string]identity.Caller{"an owner of both teams": both, "an administrator": boss} {
				given, released := o.agent(t, "given", &o.red), o.agent(t, "released", &o.red)
				transfer, err := o.claimer.Transfer(t.Context(), by, &pb.TransferResourceRequest{Kind: "agent", Uuid: given, ToTeam: "blue"})
				if err != nil || transfer.GetState() != pb.Transfer_STATE_PENDING_APPROVAL {
					t.Errorf("given by %s as %v, %v", name, transfer, err)
				}
				release, err := o.claimer.Release(t.Context(), by, &pb.ReleaseResourceRequest{Kind: "agent", Uuid: released})
				if err != nil || release.GetState() != pb.Transfer_STATE_PENDING_APPROVAL || release.GetToTeam() != "" {
					t.Errorf("released by %s as %v, %v", name, release, err)
				}
				for _, id := range []string{transfer.GetId(), release.GetId()} {
					if _, err := o.claimer.Accept(t.Context(), bob, &pb.AcceptTransferRequest{Team: "blue", Transfer: id}); err == nil {
						t.Errorf("what %s gives away is accepted without a second owner", name)
					}
				}
				for _, id := range []string{given, released} {
					if _, err := o.claimer.Claim(t.Context(), admin(), &pb.ClaimResourceRequest{Kind: "agent", Uuid: id, Team: "blue"}); err == nil {
						t.Errorf("what %s gives away is claimed without a second owner", name)
					}
					if teams, _ := o.owners(t, id); !slices.Equal(teams, []string{"red"}) {
						t.Errorf("what %s gives away has belonged to %v", name, teams)
					}
				}
			}
		})
	}
}

func TestAReleaseIsApprovedOrDeclined(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	o.exec(t, "UPDATE teams SET approvals = '{TRANSFER_RESOURCE}' WHERE id = $1", o.red)
	id, part := o.agent(t, "refunds", &o.red), uuid.NewString()
	o.exec(t, "INSERT INTO resources (kind, uuid, team_id, parent_kind, parent_uuid) VALUES ('agent_part', $1, $2, 'agent', $3)", part, o.red, id)
	rita, roy := owner("rita", "red", o.red), owner("roy", "red", o.red)
	ask := func() *pb.Transfer {
		t.Helper()
		asked, err := o.claimer.Release(t.Context(), rita, &pb.ReleaseResourceRequest{Kind: "agent", Uuid: id, Reason: "nobody wants it"})
		if err != nil {
			t.Fatal(err)
		}
		return asked
	}
	asked := ask()
	_, err := o.claimer.Release(t.Context(), rita, &pb.ReleaseResourceRequest{Kind: "agent", Uuid: id})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("released twice: %v", err)
	}
	declined, err := o.claimer.Decline(t.Context(), roy, &pb.DeclineTransferRequest{Team: "red", Transfer: asked.GetId()})
	if err != nil || declined.GetState() != pb.Transfer_STATE_DECLINED || declined.GetFromTeam() != "red" || declined.GetToTeam() != "" {
		t.Errorf("declined as %v, %v", declined, err)
	}

	asked = ask()
	op := uuid.New()
	o.exec(t, `INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, request_digest, request, lane, virtual_start, state)
		VALUES ($1, 'default', $2, 'rita', 'agentsvc.v1.AgentService.UpdateAgent', 'agent', $3, '', '', 1, 0, 'QUEUED')`, op, o.red, "agent/"+id)
	approve := func() (*pb.Transfer, error) {
		return o.claimer.Approve(t.Context(), roy, &pb.ApproveTransferRequest{Team: "red", Transfer: asked.GetId()})
	}
	if _, err := approve(); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("released with a change under way: %v", err)
	}
	o.exec(t, "UPDATE operations SET state = 'CANCELLED', finished_at = now() WHERE id = $1", op)
	done, err := approve()
	if err != nil || done.GetState() != pb.Transfer_STATE_ACCEPTED || done.GetApprovedBy() != "roy" {
		t.Fatalf("approved as %v, %v", done, err)
	}
	if teams, actors := o.owners(t, id); !slices.Equal(teams, []string{"", "red"}) || !slices.Equal(actors, []string{"roy", ""}) {
		t.Errorf("it has belonged to %v, given by %v", teams, actors)
	}
	var left int
	if err := o.pool.QueryRow(t.Context(), "SELECT count(*) FROM resources WHERE team_id IS NOT NULL").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d of the resource and its part still have an owner (%v)", left, err)
	}
	listed, err := o.reader.Transfers(t.Context(), o.red, &pb.ListTransfersRequest{Filter: `state = "ACCEPTED" AND to_team = ""`})
	if err != nil || len(listed.GetTransfers()) != 1 || listed.GetTransfers()[0].GetReason() != "nobody wants it" {
		t.Errorf("the team's releases are %v, %v", listed, err)
	}
	var actors []string
	for _, e := range o.events(t, id) {
		actors = append(actors, e.GetActor())
	}
	if !slices.Equal(actors, []string{"roy", "rita", "roy", "rita"}) { // approved, asked for, declined, asked for
		t.Errorf("the history has events of %v", actors)
	}
}
