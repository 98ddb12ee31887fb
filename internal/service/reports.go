package service

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/history"
	"github.com/agentsvc/agentsvc/internal/resource"
)

// Audit serves the history.
type Audit struct {
	Reader  *audit.Reader
	Prover  *ledger.Prover
	History *history.Reader
}

var _ agentsvcv1connect.AuditServiceHandler = (*Audit)(nil)

// ListAuditEvents answers the events that the caller may see.
func (s *Audit) ListAuditEvents(ctx context.Context, req *pb.ListAuditEventsRequest) (*pb.ListAuditEventsResponse, error) {
	return s.Reader.List(ctx, caller(ctx), req)
}

// ExportAuditEvents answers all events that the caller may see, as a stream.
func (s *Audit) ExportAuditEvents(
	ctx context.Context, req *pb.ExportAuditEventsRequest, stream *connect.ServerStream[pb.ExportAuditEventsResponse],
) error {
	return s.Reader.Export(ctx, caller(ctx), req, stream.Send)
}

// SummarizeAuditEvents counts the events that the caller may see.
func (s *Audit) SummarizeAuditEvents(ctx context.Context, req *pb.SummarizeAuditEventsRequest) (*pb.SummarizeAuditEventsResponse, error) {
	return s.Reader.Summarize(ctx, caller(ctx), req)
}

// GetCheckpoint answers a signed checkpoint of the sealed history.
func (s *Audit) GetCheckpoint(ctx context.Context, req *pb.GetCheckpointRequest) (*pb.GetCheckpointResponse, error) {
	return s.Prover.Checkpoint(ctx, req)
}

// ProveAuditEvent proves that an event is in the sealed history.
func (s *Audit) ProveAuditEvent(ctx context.Context, req *pb.ProveAuditEventRequest) (*pb.ProveAuditEventResponse, error) {
	return s.Prover.Event(ctx, caller(ctx), req)
}

// ProveConsistency proves that a newer history begins with an older one.
func (s *Audit) ProveConsistency(ctx context.Context, req *pb.ProveConsistencyRequest) (*pb.ProveConsistencyResponse, error) {
	return s.Prover.Consistency(ctx, req)
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

// ApproveTransfer is a second owner's word for a transfer.
func (s *Resources) ApproveTransfer(ctx context.Context, req *pb.ApproveTransferRequest) (*pb.ApproveTransferResponse, error) {
	transfer, err := s.Claimer.Approve(ctx, caller(ctx), req)
	return answer(&pb.ApproveTransferResponse{Transfer: transfer}, err)
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
	transfer, err := s.Claimer.Release(ctx, caller(ctx), req)
	return answer(&pb.ReleaseResourceResponse{Transfer: transfer}, err)
}

// ListResourceOwners answers who has owned a resource.
func (s *Resources) ListResourceOwners(ctx context.Context, req *pb.ListResourceOwnersRequest) (*pb.ListResourceOwnersResponse, error) {
	return s.Reader.Owners(ctx, req)
}
