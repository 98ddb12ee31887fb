package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// AgentKeys serves the API keys of agents.
type AgentKeys Backend

var _ agentsvcv1connect.AgentKeyServiceHandler = (*AgentKeys)(nil)

// ListAgentApiKeys asks the vendor.
func (s *AgentKeys) ListAgentApiKeys(ctx context.Context, req *pb.ListAgentApiKeysRequest) (*pb.ListAgentApiKeysResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.ListAgentApiKeysResponse{})
}

// CreateAgentApiKey makes a key.
func (s *AgentKeys) CreateAgentApiKey(ctx context.Context, req *pb.CreateAgentApiKeyRequest) (*pb.CreateAgentApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateAgentApiKeyResponse{})
}

// UpdateAgentApiKey renames a key.
func (s *AgentKeys) UpdateAgentApiKey(ctx context.Context, req *pb.UpdateAgentApiKeyRequest) (*pb.UpdateAgentApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateAgentApiKeyResponse{})
}

// DeleteAgentApiKey deletes a key.
func (s *AgentKeys) DeleteAgentApiKey(ctx context.Context, req *pb.DeleteAgentApiKeyRequest) (*pb.DeleteAgentApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteAgentApiKeyResponse{})
}

// RegenerateAgentApiKey gives a key a new secret.
func (s *AgentKeys) RegenerateAgentApiKey(
	ctx context.Context, req *pb.RegenerateAgentApiKeyRequest,
) (*pb.RegenerateAgentApiKeyResponse, error) {
	return change(ctx, s.Operations, req, &pb.RegenerateAgentApiKeyResponse{})
}
