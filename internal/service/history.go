package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// ListAgentHistory answers what happened to an agent.
func (s *Audit) ListAgentHistory(ctx context.Context, req *pb.ListAgentHistoryRequest) (*pb.ListAgentHistoryResponse, error) {
	return s.History.ListAgentHistory(ctx, caller(ctx), req)
}

// GetAgentAsOf answers an agent as it was.
func (s *Audit) GetAgentAsOf(ctx context.Context, req *pb.GetAgentAsOfRequest) (*pb.GetAgentAsOfResponse, error) {
	return s.History.GetAgentAsOf(ctx, caller(ctx), req)
}

// DiffAgentVersions answers how two versions differ.
func (s *Audit) DiffAgentVersions(ctx context.Context, req *pb.DiffAgentVersionsRequest) (*pb.DiffAgentVersionsResponse, error) {
	return s.History.DiffAgentVersions(ctx, caller(ctx), req)
}

// ListRouteHistory answers routes, and how long each held.
func (s *Audit) ListRouteHistory(ctx context.Context, req *pb.ListRouteHistoryRequest) (*pb.ListRouteHistoryResponse, error) {
	return s.History.ListRouteHistory(ctx, caller(ctx), req)
}

// GetRouteGraph answers where a conversation could go.
func (s *Audit) GetRouteGraph(ctx context.Context, req *pb.GetRouteGraphRequest) (*pb.GetRouteGraphResponse, error) {
	return s.History.GetRouteGraph(ctx, caller(ctx), req)
}

// PreflightRollback answers what a rollback would change.
func (s *Audit) PreflightRollback(ctx context.Context, req *pb.PreflightRollbackRequest) (*pb.PreflightRollbackResponse, error) {
	return s.History.PreflightRollback(ctx, caller(ctx), req)
}

// ListAgentVersionLabels answers the labels on an agent's versions.
func (s *Agents) ListAgentVersionLabels(
	ctx context.Context, req *pb.ListAgentVersionLabelsRequest,
) (*pb.ListAgentVersionLabelsResponse, error) {
	return s.History.ListAgentVersionLabels(ctx, caller(ctx), req)
}

// SetAgentVersionLabel puts a label on a version.
func (s *Agents) SetAgentVersionLabel(
	ctx context.Context, req *pb.SetAgentVersionLabelRequest,
) (*pb.SetAgentVersionLabelResponse, error) {
	return s.History.SetAgentVersionLabel(ctx, caller(ctx), req)
}

// DeleteAgentVersionLabel takes a label off.
func (s *Agents) DeleteAgentVersionLabel(
	ctx context.Context, req *pb.DeleteAgentVersionLabelRequest,
) (*pb.DeleteAgentVersionLabelResponse, error) {
	return s.History.DeleteAgentVersionLabel(ctx, caller(ctx), req)
}
