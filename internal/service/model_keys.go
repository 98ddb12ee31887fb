package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// ModelKeys serves API keys of models.
type ModelKeys Backend

var _ agentsvcv1connect.ModelKeyServiceHandler = (*ModelKeys)(nil)

// ListModelApiKeys answers from our copy.
func (s *ModelKeys) ListModelApiKeys(ctx context.Context, req *pb.ListModelApiKeysRequest) (*pb.ListModelApiKeysResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelApiKeysResponse{})
}

// CreateModelApiKey makes a model key.
//
// Deprecated: the vendor ended it.
func (s *ModelKeys) CreateModelApiKey(ctx context.Context, req *pb.CreateModelApiKeyRequest) (*pb.CreateModelApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateModelApiKeyResponse{})
}

// UpdateModelApiKey renames a key.
func (s *ModelKeys) UpdateModelApiKey(ctx context.Context, req *pb.UpdateModelApiKeyRequest) (*pb.UpdateModelApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateModelApiKeyResponse{})
}

// DeleteModelApiKey deletes a key.
func (s *ModelKeys) DeleteModelApiKey(ctx context.Context, req *pb.DeleteModelApiKeyRequest) (*pb.DeleteModelApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteModelApiKeyResponse{})
}

// RegenerateModelApiKey gives a key a new secret.
func (s *ModelKeys) RegenerateModelApiKey(
	ctx context.Context, req *pb.RegenerateModelApiKeyRequest,
) (*pb.RegenerateModelApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.RegenerateModelApiKeyResponse{})
}
