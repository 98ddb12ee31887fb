package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// ModelRouters serves the routers that choose models.
type ModelRouters Backend

var _ agentsvcv1connect.ModelRouterServiceHandler = (*ModelRouters)(nil)

// ListModelRouters answers from our copy.
func (s *ModelRouters) ListModelRouters(ctx context.Context, req *pb.ListModelRoutersRequest) (*pb.ListModelRoutersResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelRoutersResponse{})
}

// CreateModelRouter makes a router that belongs to mutation.team.
func (s *ModelRouters) CreateModelRouter(ctx context.Context, req *pb.CreateModelRouterRequest) (*pb.CreateModelRouterResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateModelRouterResponse{})
}

// ListModelRouterPresets answers from our copy.
func (s *ModelRouters) ListModelRouterPresets(
	ctx context.Context, req *pb.ListModelRouterPresetsRequest,
) (*pb.ListModelRouterPresetsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelRouterPresetsResponse{})
}

// ListModelRouterTaskPresets answers from our copy.
func (s *ModelRouters) ListModelRouterTaskPresets(
	ctx context.Context, req *pb.ListModelRouterTaskPresetsRequest,
) (*pb.ListModelRouterTaskPresetsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelRouterTaskPresetsResponse{})
}

// GetModelRouter answers from our copy.
func (s *ModelRouters) GetModelRouter(ctx context.Context, req *pb.GetModelRouterRequest) (*pb.GetModelRouterResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetModelRouterResponse{})
}

// UpdateModelRouter changes the settings that the request gives and leaves the others.
func (s *ModelRouters) UpdateModelRouter(ctx context.Context, req *pb.UpdateModelRouterRequest) (*pb.UpdateModelRouterResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateModelRouterResponse{})
}

// DeleteModelRouter deletes a model router.
func (s *ModelRouters) DeleteModelRouter(ctx context.Context, req *pb.DeleteModelRouterRequest) (*pb.DeleteModelRouterResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteModelRouterResponse{})
}
