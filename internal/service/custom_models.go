package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// CustomModels serves the account's own models.
type CustomModels Backend

var _ agentsvcv1connect.CustomModelServiceHandler = (*CustomModels)(nil)

// ListCustomModels answers from our copy.
func (s *CustomModels) ListCustomModels(ctx context.Context, req *pb.ListCustomModelsRequest) (*pb.ListCustomModelsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListCustomModelsResponse{})
}

// ImportCustomModel imports a model, which belongs to mutation.team.
func (s *CustomModels) ImportCustomModel(ctx context.Context, req *pb.ImportCustomModelRequest) (*pb.ImportCustomModelResponse, error) {
	return change(ctx, s.Operations, req, &pb.ImportCustomModelResponse{})
}

// GetCustomModel answers from our copy.
func (s *CustomModels) GetCustomModel(ctx context.Context, req *pb.GetCustomModelRequest) (*pb.GetCustomModelResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetCustomModelResponse{})
}

// DeleteCustomModel deletes a custom model.
func (s *CustomModels) DeleteCustomModel(ctx context.Context, req *pb.DeleteCustomModelRequest) (*pb.DeleteCustomModelResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteCustomModelResponse{})
}

// UpdateCustomModelMetadata changes what a custom model is called and said to be.
func (s *CustomModels) UpdateCustomModelMetadata(
	ctx context.Context, req *pb.UpdateCustomModelMetadataRequest,
) (*pb.UpdateCustomModelMetadataResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateCustomModelMetadataResponse{})
}
