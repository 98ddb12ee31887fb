package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// AgentRoutes serves what an agent may hand over to or draw on.
type AgentRoutes Backend

var _ agentsvcv1connect.AgentRouteServiceHandler = (*AgentRoutes)(nil)

// ListAgentRoutes answers from our copy.
func (s *AgentRoutes) ListAgentRoutes(ctx context.Context, req *pb.ListAgentRoutesRequest) (*pb.ListAgentRoutesResponse, error) {
	return s.Mirror.ListAgentRoutes(ctx, caller(ctx), req)
}

// AddAgentRoute adds a child, unless that closes a circle: see [Rules].
func (s *AgentRoutes) AddAgentRoute(ctx context.Context, req *pb.AddAgentRouteRequest) (*pb.AddAgentRouteResponse, error) {
	return change(ctx, s.Operations, req, &pb.AddAgentRouteResponse{})
}

// UpdateAgentRoute changes a child's route.
func (s *AgentRoutes) UpdateAgentRoute(ctx context.Context, req *pb.UpdateAgentRouteRequest) (*pb.UpdateAgentRouteResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateAgentRouteResponse{})
}

// DeleteAgentRoute takes a child away.
func (s *AgentRoutes) DeleteAgentRoute(ctx context.Context, req *pb.DeleteAgentRouteRequest) (*pb.DeleteAgentRouteResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteAgentRouteResponse{})
}

// AddFunctionRoute adds a function.
func (s *AgentRoutes) AddFunctionRoute(ctx context.Context, req *pb.AddFunctionRouteRequest) (*pb.AddFunctionRouteResponse, error) {
	return change(ctx, s.Operations, req, &pb.AddFunctionRouteResponse{})
}

// UpdateFunctionRoute changes a function's route.
func (s *AgentRoutes) UpdateFunctionRoute(ctx context.Context, req *pb.UpdateFunctionRouteRequest) (*pb.UpdateFunctionRouteResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateFunctionRouteResponse{})
}

// DeleteFunctionRoute takes a function away.
func (s *AgentRoutes) DeleteFunctionRoute(ctx context.Context, req *pb.DeleteFunctionRouteRequest) (*pb.DeleteFunctionRouteResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteFunctionRouteResponse{})
}

// AttachGuardrails adds guardrails.
func (s *AgentRoutes) AttachGuardrails(ctx context.Context, req *pb.AttachGuardrailsRequest) (*pb.AttachGuardrailsResponse, error) {
	return change(ctx, s.Operations, req, &pb.AttachGuardrailsResponse{})
}

// DetachGuardrail takes a guardrail away.
func (s *AgentRoutes) DetachGuardrail(ctx context.Context, req *pb.DetachGuardrailRequest) (*pb.DetachGuardrailResponse, error) {
	return change(ctx, s.Operations, req, &pb.DetachGuardrailResponse{})
}

// AttachKnowledgeBases adds knowledge bases.
func (s *AgentRoutes) AttachKnowledgeBases(ctx context.Context, req *pb.AttachKnowledgeBasesRequest) (*pb.AttachKnowledgeBasesResponse, error) {
	return change(ctx, s.Operations, req, &pb.AttachKnowledgeBasesResponse{})
}

// AttachKnowledgeBase adds a knowledge base.
func (s *AgentRoutes) AttachKnowledgeBase(ctx context.Context, req *pb.AttachKnowledgeBaseRequest) (*pb.AttachKnowledgeBaseResponse, error) {
	return change(ctx, s.Operations, req, &pb.AttachKnowledgeBaseResponse{})
}

// DetachKnowledgeBase takes a knowledge base away.
func (s *AgentRoutes) DetachKnowledgeBase(ctx context.Context, req *pb.DetachKnowledgeBaseRequest) (*pb.DetachKnowledgeBaseResponse, error) {
	return change(ctx, s.Operations, req, &pb.DetachKnowledgeBaseResponse{})
}
