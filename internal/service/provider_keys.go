package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// ProviderKeys serves the keys of other model providers.
type ProviderKeys Backend

var _ agentsvcv1connect.ProviderKeyServiceHandler = (*ProviderKeys)(nil)

// ListAnthropicApiKeys answers from our copy.
func (s *ProviderKeys) ListAnthropicApiKeys(
	ctx context.Context, req *pb.ListAnthropicApiKeysRequest,
) (*pb.ListAnthropicApiKeysResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListAnthropicApiKeysResponse{})
}

// CreateAnthropicApiKey hands the vendor an Anthropic key, which belongs to mutation.team.
func (s *ProviderKeys) CreateAnthropicApiKey(
	ctx context.Context, req *pb.CreateAnthropicApiKeyRequest,
) (*pb.CreateAnthropicApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateAnthropicApiKeyResponse{})
}

// GetAnthropicApiKey answers from our copy.
func (s *ProviderKeys) GetAnthropicApiKey(ctx context.Context, req *pb.GetAnthropicApiKeyRequest) (*pb.GetAnthropicApiKeyResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetAnthropicApiKeyResponse{})
}

// UpdateAnthropicApiKey renames a key, or replaces what the vendor holds under it.
func (s *ProviderKeys) UpdateAnthropicApiKey(
	ctx context.Context, req *pb.UpdateAnthropicApiKeyRequest,
) (*pb.UpdateAnthropicApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateAnthropicApiKeyResponse{})
}

// DeleteAnthropicApiKey deletes a key.
func (s *ProviderKeys) DeleteAnthropicApiKey(
	ctx context.Context, req *pb.DeleteAnthropicApiKeyRequest,
) (*pb.DeleteAnthropicApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteAnthropicApiKeyResponse{})
}

// ListAgentsByAnthropicApiKey asks the vendor which, and shows of them what the caller may see.
func (s *ProviderKeys) ListAgentsByAnthropicApiKey(
	ctx context.Context, req *pb.ListAgentsByAnthropicApiKeyRequest,
) (*pb.ListAgentsByAnthropicApiKeyResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListAgentsByAnthropicApiKeyResponse{})
}

// ListOpenAiApiKeys answers from our copy.
func (s *ProviderKeys) ListOpenAiApiKeys(ctx context.Context, req *pb.ListOpenAiApiKeysRequest) (*pb.ListOpenAiApiKeysResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListOpenAiApiKeysResponse{})
}

// CreateOpenAiApiKey hands the vendor an OpenAI key, which belongs to mutation.team.
func (s *ProviderKeys) CreateOpenAiApiKey(ctx context.Context, req *pb.CreateOpenAiApiKeyRequest) (*pb.CreateOpenAiApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateOpenAiApiKeyResponse{})
}

// GetOpenAiApiKey answers from our copy.
func (s *ProviderKeys) GetOpenAiApiKey(ctx context.Context, req *pb.GetOpenAiApiKeyRequest) (*pb.GetOpenAiApiKeyResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetOpenAiApiKeyResponse{})
}

// UpdateOpenAiApiKey renames a key, or replaces what the vendor holds under it.
func (s *ProviderKeys) UpdateOpenAiApiKey(ctx context.Context, req *pb.UpdateOpenAiApiKeyRequest) (*pb.UpdateOpenAiApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateOpenAiApiKeyResponse{})
}

// DeleteOpenAiApiKey deletes a key.
func (s *ProviderKeys) DeleteOpenAiApiKey(ctx context.Context, req *pb.DeleteOpenAiApiKeyRequest) (*pb.DeleteOpenAiApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteOpenAiApiKeyResponse{})
}

// ListAgentsByOpenAiApiKey asks the vendor which, and shows of them what the caller may see.
func (s *ProviderKeys) ListAgentsByOpenAiApiKey(
	ctx context.Context, req *pb.ListAgentsByOpenAiApiKeyRequest,
) (*pb.ListAgentsByOpenAiApiKeyResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListAgentsByOpenAiApiKeyResponse{})
}
