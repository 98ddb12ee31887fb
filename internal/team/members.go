package team

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

const (
	kindService = "SERVICE"
	ownerRole   = "OWNER"
	rolePrefix  = "ROLE_"
)

// Members answers a page of who belongs to a team.
func (r *Registry) Members(ctx context.Context, team uuid.UUID, req *pb.ListMembersRequest) (*pb.ListMembersResponse, error) {
	read := func(page listing.Page) ([]db.MemberRow, error) { return r.store.ListMembers(ctx, team, page) }
	members, next, err := listing.Answer(r.tokens, r.lists.members, req, read, func(row db.MemberRow) *pb.Member {
		who := dbsql.PrincipalsCalledRow{ID: row.PrincipalID, Kind: row.Kind, Name: row.Name, Disabled: row.Disabled}
		return member(who, row.Role, row.CreatedAt)
	})
	return &pb.ListMembersResponse{Members: members, NextPageToken: next}, err
}

func member(who dbsql.PrincipalsCalledRow, role string, since time.Time) *pb.Member {
	return &pb.Member{
		Principal: who.ID.String(), Name: who.Name, Service: who.Kind == kindService, Disabled: who.Disabled,
		Role: pb.Role(pb.Role_value[rolePrefix+role]), CreateTime: timestamppb.New(since),
	}
}

// SetMember gives somebody a role in a team.
func (r *Registry) SetMember(ctx context.Context, by identity.Caller, req *pb.SetMemberRequest) (*pb.Member, error) {
	role := strings.TrimPrefix(req.GetRole().String(), rolePrefix)
	var after *pb.Member
	err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		in, who, before, err := r.membership(ctx, q, req.GetTeam(), req.GetMember())
		if err != nil {
			return err
		}
		if before.GetRole() == pb.Role_ROLE_OWNER && role != ownerRole {
			if err := notTheLast(ctx, q, in, who); err != nil {
				return err
			}
		}
		since, err := q.SetMembership(ctx, dbsql.SetMembershipParams{TeamID: in.ID, PrincipalID: who.ID, Role: role})
		if err != nil {
			return fmt.Errorf("setting the role of %s in team %s: %w", who.Name, in.Name, err)
		}
		after = member(who, role, since)
		if before != nil && proto.Equal(before, after) {
			return nil
		}
		return record(ctx, q, by, req, about(in, who, req.GetReason(), before, after))
	})
	return after, err
}

// RemoveMember takes somebody's role in a team away.
func (r *Registry) RemoveMember(ctx context.Context, by identity.Caller, req *pb.RemoveMemberRequest) error {
	return r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		in, who, before, err := r.membership(ctx, q, req.GetTeam(), req.GetMember())
		if err != nil {
			return err
		}
		if before == nil {
			return fault.NotFound("member", req.GetMember())
		}
		if before.GetRole() == pb.Role_ROLE_OWNER {
			if err := notTheLast(ctx, q, in, who); err != nil {
				return err
			}
		}
		if err := q.DeleteMembership(ctx, dbsql.DeleteMembershipParams{TeamID: in.ID, PrincipalID: who.ID}); err != nil {
			return fmt.Errorf("removing %s from team %s: %w", who.Name, in.Name, err)
		}
		return record(ctx, q, by, req, about(in, who, req.GetReason(), before, nil))
	})
}

// about is a change of somebody's role; a nil member is none.
func about(in dbsql.Team, who dbsql.PrincipalsCalledRow, reason string, before, after *pb.Member) change {
	c := change{team: &in.ID, resource: audit.Ref{Kind: "principal", UUID: &who.ID, Name: who.Name}, parent: refTo(in), reason: reason}
	if before != nil {
		c.before = before
	}
	if after != nil {
		c.after = after
	}
	return c
}

// membership is a team, locked, and somebody in it; no member: they do not belong to it.
func (r *Registry) membership(
	ctx context.Context, q *db.Queries, team, called string,
) (dbsql.Team, dbsql.PrincipalsCalledRow, *pb.Member, error) {
	var who dbsql.PrincipalsCalledRow
	in, err := alive(ctx, q, team)
	if err != nil {
		return in, who, nil, err
	}
	if who, err = principal(ctx, q, called); err != nil {
		return in, who, nil, err
	}
	row, err := q.MemberOf(ctx, dbsql.MemberOfParams{TeamID: in.ID, PrincipalID: who.ID})
	if db.NoRows(err) {
		return in, who, nil, nil
	}
	if err != nil {
		return in, who, nil, fmt.Errorf("looking for %s in team %s: %w", who.Name, in.Name, err)
	}
	return in, who, member(who, row.Role, row.CreatedAt), nil
}

// principal is the one person or service that is meant.
func principal(ctx context.Context, q *db.Queries, called string) (dbsql.PrincipalsCalledRow, error) {
	found, err := q.PrincipalsCalled(ctx, called)
	switch {
	case err != nil:
		return dbsql.PrincipalsCalledRow{}, fmt.Errorf("looking for %q: %w", called, err)
	case len(found) == 0:
		return dbsql.PrincipalsCalledRow{}, fault.Invalid("member",
			"nobody is known as %q: people are known once they have called, services once they have a token", called)
	case len(found) > 1:
		ids := make([]string, 0, len(found))
		for _, row := range found {
			ids = append(ids, row.ID.String())
		}
		return dbsql.PrincipalsCalledRow{}, fault.Invalid("member", "%q may be any of these: give the unique id of one: %s", called, strings.Join(ids, ", "))
	}
	return found[0], nil
}

// notTheLast refuses to leave a team without an owner. The team's row is locked, so of two
// owners who go at the same time one stays.
func notTheLast(ctx context.Context, q *db.Queries, in dbsql.Team, who dbsql.PrincipalsCalledRow) error {
	others, err := q.OtherOwners(ctx, dbsql.OtherOwnersParams{TeamID: in.ID, PrincipalID: who.ID})
	if err != nil {
		return fmt.Errorf("counting the owners of team %s: %w", in.Name, err)
	}
	if others == 0 {
		return fault.Precondition("%s is the last owner of team %q: make somebody else an owner first", who.Name, in.Name)
	}
	return nil
}
