package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// Models serves what models there are.
type Models Backend

var _ agentsvcv1connect.ModelServiceHandler = (*Models)(nil)

// ListModels answers from our copy.
func (s *Models) ListModels(ctx context.Context, req *pb.ListModelsRequest) (*pb.ListModelsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelsResponse{})
}

// ListModelCatalog answers from our copy.
func (s *Models) ListModelCatalog(ctx context.Context, req *pb.ListModelCatalogRequest) (*pb.ListModelCatalogResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelCatalogResponse{})
}

// GetModelCatalogCard asks the vendor.
func (s *Models) GetModelCatalogCard(ctx context.Context, req *pb.GetModelCatalogCardRequest) (*pb.GetModelCatalogCardResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.GetModelCatalogCardResponse{})
}
