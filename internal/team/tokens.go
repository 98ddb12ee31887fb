package team

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// CreateToken makes a token for one of a team's services. It answers the secret, which is
// kept nowhere.
func (r *Registry) CreateToken(
	ctx context.Context, by identity.Caller, req *pb.CreateServiceTokenRequest,
) (*pb.CreateServiceTokenResponse, error) {
	resp := &pb.CreateServiceTokenResponse{}
	err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		in, err := alive(ctx, q, req.GetTeam())
		if err != nil {
			return err
		}
		if err := mayMakeTokens(ctx, q, in, req.GetService(), req.GetRole()); err != nil {
			return err
		}
		made, err := identity.CreateToken(ctx, q, identity.TokenSpec{
			Service: req.GetService(), Team: in.Name, Role: req.GetRole(), Lifetime: req.GetLifetime().AsDuration(),
		})
		if err != nil {
			return err
		}
		if err := q.SetServiceMaker(ctx, dbsql.SetServiceMakerParams{TeamID: &in.ID, ID: made.Principal}); err != nil {
			return fmt.Errorf("noting whose service %s is: %w", req.GetService(), err)
		}
		row, err := q.TokenOfTeam(ctx, dbsql.TokenOfTeamParams{ID: made.ID, TeamID: &in.ID})
		if err != nil {
			return fmt.Errorf("reading the token made: %w", err)
		}
		resp.Token, resp.Secret = token(row), made.Secret
		return record(ctx, q, by, req, change{
			team: &in.ID, resource: audit.Ref{Kind: "service_token", Name: row.Service + "/" + row.ID},
			parent: audit.Ref{Kind: "principal", UUID: &made.Principal, Name: row.Service}, reason: req.GetReason(), after: resp.GetToken(),
		})
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// mayMakeTokens refuses tokens for a service that is not the team's alone: with one, its
// owners could do in other teams what the service may do there. As the role that comes with a token
// is the service's from then on, it must not be a lower one for the last owner.
func mayMakeTokens(ctx context.Context, q *db.Queries, in dbsql.Team, service string, role pb.Role) error {
	maker, err := q.ServiceMaker(ctx, dbsql.ServiceMakerParams{TeamID: in.ID, Service: service})
	if db.NoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking whose service %s is: %w", service, err)
	}
	theirs := maker.TeamID != nil && *maker.TeamID == in.ID
	// One that was made on the command line is the team's if it is in no other.
	unclaimed := maker.TeamID == nil && maker.Role != "" && maker.Elsewhere == 0
	// A platform role is an administrator's to hand out, also where the service was the team's before.
	// With one that may act for others, a team's owners could write other people's names into the history.
	if !theirs && !unclaimed || maker.Platform || maker.MayActForOthers {
		return fault.Precondition("the name %q is taken by a service that is not team %q's alone: choose another, or ask an administrator",
			service, in.Name)
	}
	if maker.Role == ownerRole && role != pb.Role_ROLE_OWNER {
		return notTheLast(ctx, q, in, dbsql.PrincipalsCalledRow{ID: maker.ID, Name: service})
	}
	return nil
}

// Tokens answers a page of the tokens of a team's services.
func (r *Registry) Tokens(ctx context.Context, team uuid.UUID, req *pb.ListServiceTokensRequest) (*pb.ListServiceTokensResponse, error) {
	read := func(page listing.Page) ([]db.TokenRow, error) { return r.store.ListServiceTokens(ctx, team, page) }
	tokens, next, err := listing.Answer(r.tokens, r.lists.tokens, req, read, func(row db.TokenRow) *pb.ServiceToken {
		return token(dbsql.TokenOfTeamRow{
			ID: row.ID, Service: row.Service, CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt, RevokedAt: row.RevokedAt,
			LastUsedAt: row.LastUsedAt,
		})
	})
	return &pb.ListServiceTokensResponse{Tokens: tokens, NextPageToken: next}, err
}

// RevokeToken ends a token of one of a team's services.
func (r *Registry) RevokeToken(ctx context.Context, by identity.Caller, req *pb.RevokeServiceTokenRequest) (*pb.ServiceToken, error) {
	var after *pb.ServiceToken
	err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		in, err := held(ctx, q, req.GetTeam())
		if err != nil {
			return err
		}
		of := dbsql.TokenOfTeamParams{ID: req.GetToken(), TeamID: &in.ID}
		row, err := q.TokenOfTeam(ctx, of)
		if db.NoRows(err) {
			return fault.NotFound("service_token", req.GetToken())
		}
		if err != nil {
			return fmt.Errorf("looking for token %s: %w", req.GetToken(), err)
		}
		before := token(row)
		if _, err := identity.RevokeToken(ctx, q, row.ID); err != nil {
			return err
		}
		if row, err = q.TokenOfTeam(ctx, of); err != nil {
			return fmt.Errorf("reading token %s: %w", req.GetToken(), err)
		}
		after = token(row)
		if before.GetRevokeTime() != nil {
			return nil
		}
		return record(ctx, q, by, req, change{
			team: &in.ID, resource: audit.Ref{Kind: "service_token", Name: row.Service + "/" + row.ID}, parent: refTo(in),
			reason: req.GetReason(), before: before, after: after,
		})
	})
	return after, err
}

func token(row dbsql.TokenOfTeamRow) *pb.ServiceToken {
	t := &pb.ServiceToken{
		Id: row.ID, Service: row.Service, CreateTime: timestamppb.New(row.CreatedAt), ExpireTime: timestamppb.New(row.ExpiresAt),
	}
	if row.RevokedAt != nil {
		t.RevokeTime = timestamppb.New(row.RevokedAt.Truncate(time.Microsecond))
	}
	if row.LastUsedAt != nil {
		t.LastUseTime = timestamppb.New(row.LastUsedAt.Truncate(time.Microsecond))
	}
	return t
}
