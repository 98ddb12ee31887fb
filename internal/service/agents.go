package service

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// Agents serves the life of an agent.
type Agents Backend

var _ agentsvcv1connect.AgentServiceHandler = (*Agents)(nil)

// ListAgents answers from our copy.
func (s *Agents) ListAgents(ctx context.Context, req *pb.ListAgentsRequest) (*pb.ListAgentsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListAgentsResponse{})
}

// GetAgent answers from our copy.
func (s *Agents) GetAgent(ctx context.Context, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetAgentResponse{})
}

// CreateAgent makes an agent.
func (s *Agents) CreateAgent(ctx context.Context, req *pb.CreateAgentRequest) (*pb.CreateAgentResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateAgentResponse{})
}

// UpdateAgent changes an agent's settings.
func (s *Agents) UpdateAgent(ctx context.Context, req *pb.UpdateAgentRequest) (*pb.UpdateAgentResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateAgentResponse{})
}

// DeleteAgent deletes an agent, unless others route to it: see [Rules].
func (s *Agents) DeleteAgent(ctx context.Context, req *pb.DeleteAgentRequest) (*pb.DeleteAgentResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteAgentResponse{})
}

// UpdateAgentDeploymentVisibility says who may call an agent.
func (s *Agents) UpdateAgentDeploymentVisibility(
	ctx context.Context, req *pb.UpdateAgentDeploymentVisibilityRequest,
) (*pb.UpdateAgentDeploymentVisibilityResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateAgentDeploymentVisibilityResponse{})
}

// GetAgentUsage asks the vendor.
func (s *Agents) GetAgentUsage(ctx context.Context, req *pb.GetAgentUsageRequest) (*pb.GetAgentUsageResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.GetAgentUsageResponse{})
}

// ListAgentVersions answers from our copy.
func (s *Agents) ListAgentVersions(ctx context.Context, req *pb.ListAgentVersionsRequest) (*pb.ListAgentVersionsResponse, error) {
	return s.Mirror.ListAgentVersions(ctx, caller(ctx), req)
}

// RollbackAgentVersion brings back an earlier version.
func (s *Agents) RollbackAgentVersion(ctx context.Context, req *pb.RollbackAgentVersionRequest) (*pb.RollbackAgentVersionResponse, error) {
	return change(ctx, s.Operations, req, &pb.RollbackAgentVersionResponse{})
}

// WaitAgent follows an agent until its deployment has come to an end.
func (s *Agents) WaitAgent(ctx context.Context, req *pb.WaitAgentRequest, stream *connect.ServerStream[pb.WaitAgentResponse]) error {
	return wait(ctx, Backend(*s), req, stream)
}
