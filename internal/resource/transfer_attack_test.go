package resource_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// What is frozen stays where it is, whichever side asks.
func TestNothingLeavesAFreezeOrComesToIt(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	rita, bob := owner("rita", "red", o.red), owner("bob", "blue", o.blue)
	given, err := o.claimer.Transfer(t.Context(), rita, &pb.TransferResourceRequest{Kind: "agent", Uuid: o.agent(t, "refunds", &o.red), ToTeam: "blue"})
	if err != nil {
		t.Fatal(err)
	}
	o.exec(t, "INSERT INTO freezes (team_id, actor, reason) VALUES ($1, 'ada', 'leaked key')", o.red)
	_, err = o.claimer.Accept(t.Context(), bob, &pb.AcceptTransferRequest{Team: "blue", Transfer: given.GetId()})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_FROZEN {
		t.Errorf("it has left a frozen team: %v", err)
	}
	_, err = o.claimer.Transfer(t.Context(), bob, &pb.TransferResourceRequest{Kind: "agent", Uuid: o.agent(t, "front", &o.blue), ToTeam: "red"})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_FROZEN {
		t.Errorf("it comes to a frozen team: %v", err)
	}
}

// A change that waits, for approval or in the queue, must not be made to what is another
// team's by then.
func TestNothingIsGivenWhileAChangeOfItWaits(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"QUEUED", "PENDING_APPROVAL"} {
		for _, on := range []string{"agent", "part", "also"} {
			t.Run(state+" "+on, func(t *testing.T) {
				t.Parallel()
				o := newOwnership(t)
				id, part := o.agent(t, "refunds", &o.red), uuid.NewString()
				o.exec(t, "INSERT INTO resources (kind, uuid, team_id, parent_kind, parent_uuid) VALUES ('agent_part', $1, $2, 'agent', $3)", part, o.red, id)
				key, also := map[string]string{"agent": "agent/" + id, "part": "agent_part/" + part, "also": "agent/x"}[on], []string{}
				if on == "also" {
					also = []string{"agent/" + id}
				}
				op := uuid.New()
				o.exec(t, `INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, also_keys, request_digest, request, lane,
					virtual_start, state) VALUES ($1, 'default', $2, 'rita', 'agentsvc.v1.AgentService.DeleteAgent', 'agent', $3, $4, '', '', 1, 0, $5)`,
					op, o.red, key, also, state)
				rita, bob := owner("rita", "red", o.red), owner("bob", "blue", o.blue)
				given, err := o.claimer.Transfer(t.Context(), rita, &pb.TransferResourceRequest{Kind: "agent", Uuid: id, ToTeam: "blue"})
				if err != nil {
					t.Fatal(err)
				}
				accept := func() error {
					_, err := o.claimer.Accept(t.Context(), bob, &pb.AcceptTransferRequest{Team: "blue", Transfer: given.GetId()})
					return err
				}
				if err := accept(); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
					t.Errorf("it was given with a change under way: %v", err)
				}
				_, err = o.claimer.Release(t.Context(), rita, &pb.ReleaseResourceRequest{Kind: "agent", Uuid: id})
				if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
					t.Errorf("it was released with a change under way: %v", err)
				}
				o.exec(t, "UPDATE operations SET state = 'CANCELLED', finished_at = now() WHERE id = $1", op)
				if err := accept(); err != nil {
					t.Errorf("once the change has ended: %v", err)
				}
			})
		}
	}
}

// Nobody is their own second owner: not with a service that they made, nor under another issuer.
func TestNobodyApprovesTheirOwnTransfer(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(*ownership, context.Context, identity.Caller, string) (*pb.Transfer, error){
		"to a team": func(o *ownership, ctx context.Context, by identity.Caller, id string) (*pb.Transfer, error) {
			return o.claimer.Transfer(ctx, by, &pb.TransferResourceRequest{Kind: "agent", Uuid: id, ToTeam: "blue"})
		},
		"to nobody": func(o *ownership, ctx context.Context, by identity.Caller, id string) (*pb.Transfer, error) {
			return o.claimer.Release(ctx, by, &pb.ReleaseResourceRequest{Kind: "agent", Uuid: id})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOwnership(t)
			o.exec(t, "UPDATE teams SET approvals = '{TRANSFER_RESOURCE}' WHERE id = $1", o.red)
			rita := owner("rita@example.com", "red", o.red)
			rita.PrincipalID = uuid.New()
			given, err := give(o, t.Context(), rita, o.agent(t, "refunds", &o.red))
			if err != nil || given.GetState() != pb.Transfer_STATE_PENDING_APPROVAL {
				t.Fatalf("given as %v, %v", given, err)
			}
			o.wantsAnotherHand(t, rita, given)
		})
	}
}

// wantsAnotherHand has those approve a transfer of rita's who may be rita, and then somebody else.
func (o *ownership) wantsAnotherHand(t *testing.T, rita identity.Caller, given *pb.Transfer) {
	t.Helper()
	made := func(by, service uuid.UUID) {
		o.exec(t, `INSERT INTO audit_events (id, actor, principal_id, action, method, resource_kind, parent_kind, parent_uuid, outcome, origin)
			VALUES (gen_random_uuid(), 'x', $1, 'REVEAL', 'agentsvc.v1.TeamService.CreateServiceToken', 'service_token', 'principal', $2, 'SUCCEEDED', 'API')`, by, service)
	}
	another := func(name string) identity.Caller {
		c := owner(name, "red", o.red)
		c.PrincipalID = uuid.New()
		return c
	}
	again, puppet, puppets, through, roy := another(rita.Name), another("bot"), another("bot-2"), another("roy@example.com"), another("roy@example.com")
	through.ActingService = "portal"
	made(rita.PrincipalID, puppet.PrincipalID)
	made(puppet.PrincipalID, puppets.PrincipalID)
	approve := &pb.ApproveTransferRequest{Team: "red", Transfer: given.GetId()}
	for name, by := range map[string]identity.Caller{
		"herself": rita, "herself under another issuer": again, "a service of hers": puppet, "a service that her service made": puppets,
		"somebody through a service": through,
	} {
		if _, err := o.claimer.Approve(t.Context(), by, approve); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
			t.Errorf("approved by %s: %v", name, err)
		}
	}
	if _, err := o.claimer.Approve(t.Context(), roy, approve); err != nil {
		t.Errorf("a second owner cannot approve: %v", err)
	}
}

func TestAnArchivedTeamIsGivenNothing(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	o.exec(t, "UPDATE teams SET archived_at = now() WHERE id = $1", o.red)
	_, err := o.claimer.Claim(t.Context(), admin(), &pb.ClaimResourceRequest{Kind: "agent", Uuid: o.agent(t, "refunds", nil), Team: "red"})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_INVALID_REQUEST {
		t.Errorf("claimed for a team that is no more: %v", err)
	}
}

// What a service asks for in somebody's name it does not decide on in its own, nor do those
// who made a token of it.
func TestNobodyApprovesWhatTheyAskedForInAnothersName(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	o.exec(t, "UPDATE teams SET approvals = '{TRANSFER_RESOURCE}' WHERE id = $1", o.red)
	another := func(name string) identity.Caller {
		c := owner(name, "red", o.red)
		c.PrincipalID = uuid.New()
		return c
	}
	rita, roy, rob, desk := another("rita@example.com"), another("roy@example.com"), another("rob@example.com"), another("desk")
	o.exec(t, "INSERT INTO principals (id, kind, issuer, subject, name, may_act_for_others) VALUES ($1, 'SERVICE', '', 'desk', 'desk', true)", desk.PrincipalID)
	o.exec(t, `INSERT INTO audit_events (id, actor, principal_id, action, method, resource_kind, parent_kind, parent_uuid, outcome, origin)
		VALUES (gen_random_uuid(), 'rob', $1, 'REVEAL', 'agentsvc.v1.TeamService.CreateServiceToken', 'service_token', 'principal', $2, 'SUCCEEDED', 'API')`,
		rob.PrincipalID, desk.PrincipalID)
	through := rita
	through.ActingService = "desk"
	id := o.agent(t, "refunds", &o.red)
	// Her own word, taken back, says nothing about the next.
	herself, err := o.claimer.Release(t.Context(), rita, &pb.ReleaseResourceRequest{Kind: "agent", Uuid: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.claimer.Decline(t.Context(), rita, &pb.DeclineTransferRequest{Team: "red", Transfer: herself.GetId()}); err != nil {
		t.Fatal(err)
	}
	asked, err := o.claimer.Release(t.Context(), through, &pb.ReleaseResourceRequest{Kind: "agent", Uuid: id})
	if err != nil {
		t.Fatal(err)
	}
	approve := &pb.ApproveTransferRequest{Team: "red", Transfer: asked.GetId()}
	for name, by := range map[string]identity.Caller{"the service": desk, "who made its token": rob, "herself": rita} {
		if _, err := o.claimer.Approve(t.Context(), by, approve); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
			t.Errorf("approved by %s: %v", name, err)
		}
	}
	if _, err := o.claimer.Approve(t.Context(), roy, approve); err != nil {
		t.Errorf("a second owner cannot approve: %v", err)
	}
}
