package resource

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// Transfer gives a resource to another team: at once where the caller may act for both, or
// else once an owner of the other team accepts it; and in any case not before a second owner
// has agreed, where the team that gives it wants one.
func (c *Claimer) Transfer(ctx context.Context, by identity.Caller, req *pb.TransferResourceRequest) (*pb.Transfer, error) {
	if err := c.kinds.Ownable(req.GetKind()); err != nil {
		return nil, err
	}
	var out *pb.Transfer
	err := c.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		row, from, err := owned(ctx, q, req.GetKind(), req.GetUuid())
		if err != nil {
			return err
		}
		to, err := q.TeamByName(ctx, req.GetToTeam())
		switch {
		case db.NoRows(err) || err == nil && to.ArchivedAt != nil:
			return fault.Invalid("to_team", "there is no team %q", req.GetToTeam())
		case err != nil:
			return fmt.Errorf("looking for team %s: %w", req.GetToTeam(), err)
		case to.ID == from.ID:
			return fault.Precondition("%s %s belongs to team %q already", row.Kind, row.UUID, to.Name)
		}
		if err := thawed(ctx, q, dbsql.TeamByIDRow{ID: to.ID, Name: to.Name}); err != nil {
			return err
		}
		made, err := offer(ctx, q, by, row, from, &to.ID, req.GetReason())
		if err != nil {
			return err
		}
		if by.Role(to.ID) < pb.Role_ROLE_OWNER || made.NeedsApproval {
			out = pending(made, from.Name, to.Name)
			return record(ctx, q, by, req, row, moved{team: &from.ID, reason: req.GetReason(), after: map[string]string{"transfer_to": to.Name}})
		}
		out, err = handOverTo(ctx, q, by, req, made, to.Name)
		return err
	})
	return out, err
}

// offer notes that a resource, which is locked, is on its way to another team, or to none.
func offer(
	ctx context.Context, q *db.Queries, by identity.Caller, row dbsql.Resource, from dbsql.TeamByIDRow, to *uuid.UUID, reason string,
) (dbsql.Transfer, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return dbsql.Transfer{}, fmt.Errorf("making the id of a transfer: %w", err)
	}
	if err := q.EndExpiredTransfers(ctx, dbsql.EndExpiredTransfersParams{Kind: row.Kind, UUID: row.UUID}); err != nil {
		return dbsql.Transfer{}, fmt.Errorf("ending transfers that expired: %w", err)
	}
	params := dbsql.InsertTransferParams{
		ID: id, Kind: row.Kind, UUID: row.UUID, Name: row.Name, FromTeamID: from.ID, ToTeamID: to, Actor: by.Name, Reason: reason,
		NeedsApproval: needsApproval(from),
	}
	if by.PrincipalID != uuid.Nil {
		params.PrincipalID = &by.PrincipalID
	}
	made, err := q.InsertTransfer(ctx, params)
	if db.NoRows(err) {
		return made, fault.Precondition("%s %s is on its way to a team, or to be released, already: decline that transfer first", row.Kind, row.UUID)
	}
	if err != nil {
		return made, fmt.Errorf("noting a transfer: %w", err)
	}
	return made, nil
}

// needsApproval says that nothing leaves a team on the word of one. That is so whatever it wants a
// second owner for: what is another team's, or nobody's until it is claimed, is not held
// against this team's rules, so who gives it away could get round each of them.
func needsApproval(from dbsql.TeamByIDRow) bool { return len(from.Approvals) > 0 }

// Approve is a second owner's word: from then on the other team may accept it, and what is to
// be released is.
func (c *Claimer) Approve(ctx context.Context, by identity.Caller, req *pb.ApproveTransferRequest) (*pb.Transfer, error) {
	var out *pb.Transfer
	err := c.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		t, err := open(ctx, q, by, req.GetTransfer())
		switch {
		case err != nil:
			return err
		case t.FromTeamID != by.ActingTeam.ID || !t.NeedsApproval:
			return fault.Precondition("transfer %s does not wait for a second owner of team %q", t.ID, by.ActingTeam.Name)
		}
		through, err := q.TransferAskedThrough(ctx, t.ID)
		if err != nil {
			return fmt.Errorf("looking who asked for transfer %s: %w", t.ID, err)
		}
		asked := identity.Asked{Principal: t.PrincipalID, Name: t.Actor, Through: strings.Join(through, "")}
		if err := identity.Another(ctx, q, by, asked, "transfer "+t.ID.String()); err != nil {
			return err
		}
		if t, err = q.ApproveTransfer(ctx, dbsql.ApproveTransferParams{ApprovedBy: by.Name, ID: t.ID}); err != nil {
			return fmt.Errorf("approving a transfer: %w", err)
		}
		if t.ToTeamID == nil {
			out, err = handOverTo(ctx, q, by, req, t, "")
			return err
		}
		to, err := q.TeamByID(ctx, *t.ToTeamID)
		if err != nil {
			return fmt.Errorf("looking for a team: %w", err)
		}
		out = pending(t, by.ActingTeam.Name, to.Name)
		row := dbsql.Resource{Kind: t.Kind, UUID: t.UUID, Name: t.Name}
		return record(ctx, q, by, req, row, moved{team: &t.FromTeamID, reason: req.GetReason(), after: map[string]string{"transfer_to": to.Name}})
	})
	return out, err
}

// Accept takes what another team gives.
func (c *Claimer) Accept(ctx context.Context, by identity.Caller, req *pb.AcceptTransferRequest) (*pb.Transfer, error) {
	var out *pb.Transfer
	err := c.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		t, err := open(ctx, q, by, req.GetTransfer())
		if err != nil {
			return err
		}
		if t.ToTeamID == nil || *t.ToTeamID != by.ActingTeam.ID {
			return fault.Precondition("transfer %s is from team %q: an owner of the other team accepts it", t.ID, by.ActingTeam.Name)
		}
		if t.NeedsApproval {
			return fault.Precondition("transfer %s waits for a second owner of the team that gives it", t.ID)
		}
		out, err = handOverTo(ctx, q, by, req, t, by.ActingTeam.Name)
		return err
	})
	return out, err
}

// handOverTo ends a transfer, which is locked, with its effect. The team that it is to is called
// name; "" for none.
func handOverTo(
	ctx context.Context, q *db.Queries, by identity.Caller, req interface {
		proto.Message
		GetReason() string
	}, t dbsql.Transfer, name string,
) (*pb.Transfer, error) {
	row, from, err := owned(ctx, q, t.Kind, t.UUID.String())
	if err != nil {
		return nil, err
	}
	if err := thawed(ctx, q, from); err != nil {
		return nil, err
	}
	if from.ID != t.FromTeamID {
		return nil, fault.Precondition("%s %s does not belong any more to the team that gives it", t.Kind, t.UUID)
	}
	if t.ApprovedBy == "" && needsApproval(from) {
		return nil, fault.Precondition("team %q wants a second owner for this by now: have transfer %s declined, and made anew", from.Name, t.ID)
	}
	if t, err = q.EndTransfer(ctx, dbsql.EndTransferParams{Accepted: new(true), EndedBy: by.Name, ID: t.ID}); err != nil {
		return nil, fmt.Errorf("ending a transfer: %w", err)
	}
	out := pending(t, from.Name, name)
	out.State = pb.Transfer_STATE_ACCEPTED
	reason := cmp.Or(req.GetReason(), t.Reason)
	return out, give(ctx, q, by, req, row, handOver{from: from.Name, to: t.ToTeamID, toName: name, reason: reason})
}

// Decline ends a transfer without effect.
func (c *Claimer) Decline(ctx context.Context, by identity.Caller, req *pb.DeclineTransferRequest) (*pb.Transfer, error) {
	var out *pb.Transfer
	err := c.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		t, err := open(ctx, q, by, req.GetTransfer())
		if err != nil {
			return err
		}
		var from, to string
		for id, name := range map[*uuid.UUID]*string{&t.FromTeamID: &from, t.ToTeamID: &to} {
			if id == nil {
				continue
			}
			team, err := q.TeamByID(ctx, *id)
			if err != nil {
				return fmt.Errorf("looking for a team: %w", err)
			}
			*name = team.Name
		}
		if t, err = q.EndTransfer(ctx, dbsql.EndTransferParams{Accepted: new(false), EndedBy: by.Name, ID: t.ID}); err != nil {
			return fmt.Errorf("ending a transfer: %w", err)
		}
		out = pending(t, from, to)
		out.State = pb.Transfer_STATE_DECLINED
		row := dbsql.Resource{Kind: t.Kind, UUID: t.UUID, Name: t.Name}
		// In the history of the team that owns it, whoever declined.
		return record(ctx, q, by, req, row, moved{
			team: &t.FromTeamID, reason: req.GetReason(), before: map[string]string{"transfer_to": to},
		})
	})
	return out, err
}

// Release has a resource belong to nobody. Where a second owner has to agree, it answers what
// waits for one; else nil.
func (c *Claimer) Release(ctx context.Context, by identity.Caller, req *pb.ReleaseResourceRequest) (*pb.Transfer, error) {
	if err := c.kinds.Ownable(req.GetKind()); err != nil {
		return nil, err
	}
	var out *pb.Transfer
	err := c.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		row, from, err := owned(ctx, q, req.GetKind(), req.GetUuid())
		if err != nil {
			return err
		}
		if !needsApproval(from) {
			return give(ctx, q, by, req, row, handOver{from: from.Name, reason: req.GetReason()})
		}
		made, err := offer(ctx, q, by, row, from, nil, req.GetReason())
		if err != nil {
			return err
		}
		out = pending(made, from.Name, "")
		return record(ctx, q, by, req, row, moved{team: &from.ID, reason: req.GetReason(), after: map[string]string{"transfer_to": ""}})
	})
	return out, err
}

// open is a transfer from or to the team that the caller acts for, locked, which has not ended.
func open(ctx context.Context, q *db.Queries, by identity.Caller, id string) (dbsql.Transfer, error) {
	row, err := q.LockTransfer(ctx, dbsql.LockTransferParams{ID: uuid.MustParse(id), TeamID: by.ActingTeam.ID}) // validated
	switch {
	case db.NoRows(err):
		return dbsql.Transfer{}, fault.NotFound("transfer", id)
	case err != nil:
		return dbsql.Transfer{}, fmt.Errorf("locking transfer %s: %w", id, err)
	case !row.Open:
		return dbsql.Transfer{}, fault.Precondition("transfer %s has ended", id)
	}
	return row.Transfer, nil
}

// owned is a resource that belongs to a team, locked, and the team.
func owned(ctx context.Context, q *db.Queries, kind, id string) (dbsql.Resource, dbsql.TeamByIDRow, error) {
	row, err := q.LockResource(ctx, dbsql.LockResourceParams{Kind: kind, UUID: uuid.MustParse(id)}) // validated
	switch {
	case db.NoRows(err) || err == nil && row.DeletedAt != nil:
		return row, dbsql.TeamByIDRow{}, fault.NotFound(kind, id)
	case err != nil:
		return row, dbsql.TeamByIDRow{}, fmt.Errorf("locking %s %s: %w", kind, id, err)
	case row.TeamID == nil:
		return row, dbsql.TeamByIDRow{}, fault.Precondition("%s %s belongs to no team: claim it", kind, id)
	}
	team, err := q.TeamByID(ctx, *row.TeamID)
	if err != nil {
		return row, team, fmt.Errorf("looking for the owner of %s %s: %w", kind, id, err)
	}
	return row, team, nil
}

// thawed refuses what is to leave a team that is frozen, or come to it. The access check has
// asked only about the team that the call acts for.
func thawed(ctx context.Context, q *db.Queries, team dbsql.TeamByIDRow) error {
	row, err := q.FreezeOf(ctx, &team.ID)
	switch {
	case db.NoRows(err):
		return nil
	case err != nil:
		return fmt.Errorf("looking whether team %s is frozen: %w", team.Name, err)
	}
	return fault.New(pb.ErrorReason_ERROR_REASON_FROZEN, "team %q is frozen: only what takes rights or changes back can be done. %s froze it at %s: %s",
		team.Name, row.Actor, row.FrozenAt.UTC().Format(time.RFC3339), row.Reason)
}

// pending is a transfer as callers see it, in the state that it began with.
func pending(t dbsql.Transfer, from, to string) *pb.Transfer {
	state := pb.Transfer_STATE_PENDING
	if t.NeedsApproval {
		state = pb.Transfer_STATE_PENDING_APPROVAL
	}
	return &pb.Transfer{
		Id: t.ID.String(), State: state, ApprovedBy: t.ApprovedBy, Kind: t.Kind, Uuid: t.UUID.String(), Name: t.Name, FromTeam: from, ToTeam: to,
		RequestedBy: t.Actor, Reason: t.Reason, CreateTime: timestamppb.New(t.CreatedAt), ExpireTime: timestamppb.New(t.ExpiresAt),
		EndedBy: t.EndedBy, EndTime: timeOf(t.EndedAt),
	}
}

// Transfers answers a page of what a team gives and is given.
func (r *Reader) Transfers(ctx context.Context, team uuid.UUID, req *pb.ListTransfersRequest) (*pb.ListTransfersResponse, error) {
	read := func(page listing.Page) ([]db.TransferRow, error) { return r.store.ListTransfers(ctx, team, page) }
	transfers, next, err := listing.Answer(r.tokens, r.transfers, req, read, func(row db.TransferRow) *pb.Transfer {
		t := pending(dbsql.Transfer{
			ID: row.ID, Kind: row.Kind, UUID: row.UUID, Name: row.Name, Actor: row.Actor, Reason: row.Reason,
			CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt, EndedBy: row.EndedBy, EndedAt: row.EndedAt, ApprovedBy: row.ApprovedBy,
		}, row.FromTeam, row.ToTeam)
		t.State = pb.Transfer_State(pb.Transfer_State_value["STATE_"+row.State])
		return t
	})
	return &pb.ListTransfersResponse{Transfers: transfers, NextPageToken: next}, err
}

// Owners answers who has owned a resource.
func (r *Reader) Owners(ctx context.Context, req *pb.ListResourceOwnersRequest) (*pb.ListResourceOwnersResponse, error) {
	rows, err := r.store.OwnersOf(ctx, dbsql.OwnersOfParams{Kind: req.GetKind(), UUID: uuid.MustParse(req.GetUuid())}) // validated
	if err != nil {
		return nil, fmt.Errorf("reading who owned %s %s: %w", req.GetKind(), req.GetUuid(), db.Classify(err))
	}
	resp := &pb.ListResourceOwnersResponse{}
	for _, row := range rows {
		resp.Owners = append(resp.Owners, &pb.ResourceOwner{
			Team: row.Team, StartTime: timestamppb.New(row.ValidFrom), EndTime: timeOf(row.ValidTo), Actor: row.Actor, Reason: row.Reason,
		})
	}
	return resp, nil
}
