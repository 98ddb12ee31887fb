package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// Workspaces serves workspaces.
type Workspaces Backend

var _ agentsvcv1connect.WorkspaceServiceHandler = (*Workspaces)(nil)

// ListWorkspaces answers from our copy.
func (s *Workspaces) ListWorkspaces(ctx context.Context, req *pb.ListWorkspacesRequest) (*pb.ListWorkspacesResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListWorkspacesResponse{})
}

// CreateWorkspace makes a workspace that belongs to mutation.team, and moves agents there.
func (s *Workspaces) CreateWorkspace(ctx context.Context, req *pb.CreateWorkspaceRequest) (*pb.CreateWorkspaceResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateWorkspaceResponse{})
}

// GetWorkspace answers from our copy.
func (s *Workspaces) GetWorkspace(ctx context.Context, req *pb.GetWorkspaceRequest) (*pb.GetWorkspaceResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetWorkspaceResponse{})
}

// UpdateWorkspace changes what a workspace is called and said to be.
func (s *Workspaces) UpdateWorkspace(ctx context.Context, req *pb.UpdateWorkspaceRequest) (*pb.UpdateWorkspaceResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateWorkspaceResponse{})
}

// DeleteWorkspace deletes a workspace.
func (s *Workspaces) DeleteWorkspace(ctx context.Context, req *pb.DeleteWorkspaceRequest) (*pb.DeleteWorkspaceResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteWorkspaceResponse{})
}

// ListWorkspaceAgents asks the vendor which, and shows of them what the caller may see.
func (s *Workspaces) ListWorkspaceAgents(ctx context.Context, req *pb.ListWorkspaceAgentsRequest) (*pb.ListWorkspaceAgentsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListWorkspaceAgentsResponse{})
}

// MoveAgentsToWorkspace moves agents into a workspace.
func (s *Workspaces) MoveAgentsToWorkspace(
	ctx context.Context, req *pb.MoveAgentsToWorkspaceRequest,
) (*pb.MoveAgentsToWorkspaceResponse, error) {
	return change(ctx, s.Operations, req, &pb.MoveAgentsToWorkspaceResponse{})
}

// ListWorkspaceEvaluationTestCases asks the vendor which, and shows of them what the caller may see.
func (s *Workspaces) ListWorkspaceEvaluationTestCases(
	ctx context.Context, req *pb.ListWorkspaceEvaluationTestCasesRequest,
) (*pb.ListWorkspaceEvaluationTestCasesResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListWorkspaceEvaluationTestCasesResponse{})
}
