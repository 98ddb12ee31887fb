package service

import (
	"context"
	"errors"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// Teams is TeamService.
type Teams struct{}

var _ agentsvcv1connect.TeamServiceHandler = (*Teams)(nil)

var errNoIdentity = errors.New("a handler was reached without an identity")

// WhoAmI needs no look-up: what is asked for is how the caller was let in.
func (*Teams) WhoAmI(ctx context.Context, _ *pb.WhoAmIRequest) (*pb.WhoAmIResponse, error) {
	caller, ok := identity.From(ctx)
	if !ok {
		return nil, errNoIdentity
	}
	resp := &pb.WhoAmIResponse{Name: caller.Name, Service: caller.Service, PlatformRole: caller.Platform}
	for _, m := range caller.Teams {
		resp.Memberships = append(resp.Memberships, &pb.Membership{Team: m.Team, Role: m.Role, Account: m.Account})
	}
	return resp, nil
}
