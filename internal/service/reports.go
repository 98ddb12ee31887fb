package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/resource"
)

// Audit serves the history.
type Audit struct{ Reader *audit.Reader }

var _ agentsvcv1connect.AuditServiceHandler = (*Audit)(nil)

// ListAuditEvents answers the events that the caller may see.
func (s *Audit) ListAuditEvents(ctx context.Context, req *pb.ListAuditEventsRequest) (*pb.ListAuditEventsResponse, error) {
	return s.Reader.List(ctx, caller(ctx), req)
}

// Resources serves who owns what.
type Resources struct {
	Reader  *resource.Reader
	Claimer *resource.Claimer
}

var _ agentsvcv1connect.ResourceServiceHandler = (*Resources)(nil)

// ListResources answers what the caller may see of any kind.
func (s *Resources) ListResources(ctx context.Context, req *pb.ListResourcesRequest) (*pb.ListResourcesResponse, error) {
	return s.Reader.List(ctx, caller(ctx), req)
}

// ClaimResource gives a resource without an owner to a team.
func (s *Resources) ClaimResource(ctx context.Context, req *pb.ClaimResourceRequest) (*pb.ClaimResourceResponse, error) {
	return s.Claimer.Claim(ctx, caller(ctx), req)
}

// TransferResource gives a resource to another team.
func (s *Resources) TransferResource(ctx context.Context, req *pb.TransferResourceRequest) (*pb.TransferResourceResponse, error) {
	transfer, err := s.Claimer.Transfer(ctx, caller(ctx), req)
	return answer(&pb.TransferResourceResponse{Transfer: transfer}, err)
}

// AcceptTransfer takes what another team gives.
func (s *Resources) AcceptTransfer(ctx context.Context, req *pb.AcceptTransferRequest) (*pb.AcceptTransferResponse, error) {
	transfer, err := s.Claimer.Accept(ctx, caller(ctx), req)
	return answer(&pb.AcceptTransferResponse{Transfer: transfer}, err)
}

// DeclineTransfer ends a transfer without effect.
func (s *Resources) DeclineTransfer(ctx context.Context, req *pb.DeclineTransferRequest) (*pb.DeclineTransferResponse, error) {
	transfer, err := s.Claimer.Decline(ctx, caller(ctx), req)
	return answer(&pb.DeclineTransferResponse{Transfer: transfer}, err)
}

// ListTransfers answers what a team gives and is given.
func (s *Resources) ListTransfers(ctx context.Context, req *pb.ListTransfersRequest) (*pb.ListTransfersResponse, error) {
	return s.Reader.Transfers(ctx, caller(ctx).ActingTeam.ID, req)
}

// ReleaseResource has a resource belong to nobody.
func (s *Resources) ReleaseResource(ctx context.Context, req *pb.ReleaseResourceRequest) (*pb.ReleaseResourceResponse, error) {
	return answer(&pb.ReleaseResourceResponse{}, s.Claimer.Release(ctx, caller(ctx), req))
}

// ListResourceOwners answers who has owned a resource.
func (s *Resources) ListResourceOwners(ctx context.Context, req *pb.ListResourceOwnersRequest) (*pb.ListResourceOwnersResponse, error) {
	return s.Reader.Owners(ctx, req)
}
