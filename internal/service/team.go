package service

import (
	"context"
	"errors"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/team"
)

// Teams is TeamService.
type Teams struct {
	Registry *team.Registry
	// Guard is told of freezes.
	Guard *access.Guard
}

var _ agentsvcv1connect.TeamServiceHandler = (*Teams)(nil)

var errNoIdentity = errors.New("a handler was reached without an identity")

// WhoAmI needs no look-up: what is asked for is how the caller was let in.
func (*Teams) WhoAmI(ctx context.Context, _ *pb.WhoAmIRequest) (*pb.WhoAmIResponse, error) {
	caller, ok := identity.From(ctx)
	if !ok {
		return nil, errNoIdentity
	}
	resp := &pb.WhoAmIResponse{Name: caller.Name, Service: caller.Service, PlatformRole: caller.Platform, Methods: access.Callable(caller)}
	for _, m := range caller.Teams {
		resp.Memberships = append(resp.Memberships, &pb.Membership{Team: m.Team, Role: m.Role, Account: m.Account})
	}
	return resp, nil
}

// CreateTeam makes a team.
func (s *Teams) CreateTeam(ctx context.Context, req *pb.CreateTeamRequest) (*pb.CreateTeamResponse, error) {
	made, err := s.Registry.Create(ctx, caller(ctx), req)
	return answer(&pb.CreateTeamResponse{Team: made}, err)
}

// GetTeam answers a team.
func (s *Teams) GetTeam(ctx context.Context, req *pb.GetTeamRequest) (*pb.GetTeamResponse, error) {
	found, err := s.Registry.Get(ctx, req.GetTeam())
	return answer(&pb.GetTeamResponse{Team: found}, err)
}

// ListTeams answers the caller's teams.
func (s *Teams) ListTeams(ctx context.Context, req *pb.ListTeamsRequest) (*pb.ListTeamsResponse, error) {
	return s.Registry.List(ctx, caller(ctx), req)
}

// UpdateTeam sets what administrators decide of a team.
func (s *Teams) UpdateTeam(ctx context.Context, req *pb.UpdateTeamRequest) (*pb.UpdateTeamResponse, error) {
	changed, err := s.Registry.Update(ctx, caller(ctx), req)
	return answer(&pb.UpdateTeamResponse{Team: changed}, err)
}

// SetTeamApprovals says which changes wait for a second owner.
func (s *Teams) SetTeamApprovals(ctx context.Context, req *pb.SetTeamApprovalsRequest) (*pb.SetTeamApprovalsResponse, error) {
	changed, err := s.Registry.SetApprovals(ctx, caller(ctx), req)
	return answer(&pb.SetTeamApprovalsResponse{Team: changed}, err)
}

// ArchiveTeam ends a team.
func (s *Teams) ArchiveTeam(ctx context.Context, req *pb.ArchiveTeamRequest) (*pb.ArchiveTeamResponse, error) {
	archived, err := s.Registry.Archive(ctx, caller(ctx), req)
	return answer(&pb.ArchiveTeamResponse{Team: archived}, err)
}

// ListMembers answers who belongs to a team.
func (s *Teams) ListMembers(ctx context.Context, req *pb.ListMembersRequest) (*pb.ListMembersResponse, error) {
	return s.Registry.Members(ctx, caller(ctx).ActingTeam.ID, req)
}

// SetMember gives somebody a role in a team.
func (s *Teams) SetMember(ctx context.Context, req *pb.SetMemberRequest) (*pb.SetMemberResponse, error) {
	changed, err := s.Registry.SetMember(ctx, caller(ctx), req)
	return answer(&pb.SetMemberResponse{Member: changed}, err)
}

// RemoveMember takes somebody's role in a team away.
func (s *Teams) RemoveMember(ctx context.Context, req *pb.RemoveMemberRequest) (*pb.RemoveMemberResponse, error) {
	return answer(&pb.RemoveMemberResponse{}, s.Registry.RemoveMember(ctx, caller(ctx), req))
}

// CreateServiceToken makes a token for a service of a team.
func (s *Teams) CreateServiceToken(ctx context.Context, req *pb.CreateServiceTokenRequest) (*pb.CreateServiceTokenResponse, error) {
	return s.Registry.CreateToken(ctx, caller(ctx), req)
}

// ListServiceTokens answers the tokens of a team's services.
func (s *Teams) ListServiceTokens(ctx context.Context, req *pb.ListServiceTokensRequest) (*pb.ListServiceTokensResponse, error) {
	return s.Registry.Tokens(ctx, caller(ctx).ActingTeam.ID, req)
}

// RevokeServiceToken ends a token of a team's service.
func (s *Teams) RevokeServiceToken(ctx context.Context, req *pb.RevokeServiceTokenRequest) (*pb.RevokeServiceTokenResponse, error) {
	revoked, err := s.Registry.RevokeToken(ctx, caller(ctx), req)
	return answer(&pb.RevokeServiceTokenResponse{Token: revoked}, err)
}

// Freeze keeps everybody from changing something.
func (s *Teams) Freeze(ctx context.Context, req *pb.FreezeRequest) (*pb.FreezeResponse, error) {
	freeze, err := s.Registry.Freeze(ctx, caller(ctx), req)
	s.Guard.ForgetFreezes() // also after an error, with which it may have been committed
	return answer(&pb.FreezeResponse{Freeze: freeze}, err)
}

// Unfreeze ends that.
func (s *Teams) Unfreeze(ctx context.Context, req *pb.UnfreezeRequest) (*pb.UnfreezeResponse, error) {
	err := s.Registry.Unfreeze(ctx, caller(ctx), req)
	s.Guard.ForgetFreezes()
	return answer(&pb.UnfreezeResponse{}, err)
}
