package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// Platform serves what the platform offers to everybody.
type Platform Backend

var _ agentsvcv1connect.PlatformServiceHandler = (*Platform)(nil)

// ListRegions answers from our copy.
func (s *Platform) ListRegions(ctx context.Context, req *pb.ListRegionsRequest) (*pb.ListRegionsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListRegionsResponse{})
}

// GetOAuth2Url asks the vendor, and records that the answer was handed out.
func (s *Platform) GetOAuth2Url(ctx context.Context, req *pb.GetOAuth2UrlRequest) (*pb.GetOAuth2UrlResponse, error) {
	return reveal(ctx, s.Mirror, req, &pb.GetOAuth2UrlResponse{})
}

// CreateDropboxTokens asks the vendor, and records that the answer was handed out.
func (s *Platform) CreateDropboxTokens(ctx context.Context, req *pb.CreateDropboxTokensRequest) (*pb.CreateDropboxTokensResponse, error) {
	return reveal(ctx, s.Mirror, req, &pb.CreateDropboxTokensResponse{})
}
