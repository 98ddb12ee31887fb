package service

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// KnowledgeBases serves knowledge bases and their data sources.
type KnowledgeBases Backend

var _ agentsvcv1connect.KnowledgeBaseServiceHandler = (*KnowledgeBases)(nil)

// ListKnowledgeBases answers from our copy.
func (s *KnowledgeBases) ListKnowledgeBases(
	ctx context.Context, req *pb.ListKnowledgeBasesRequest,
) (*pb.ListKnowledgeBasesResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListKnowledgeBasesResponse{})
}

// CreateKnowledgeBase makes a knowledge base that belongs to mutation.team.
func (s *KnowledgeBases) CreateKnowledgeBase(
	ctx context.Context, req *pb.CreateKnowledgeBaseRequest,
) (*pb.CreateKnowledgeBaseResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateKnowledgeBaseResponse{})
}

// GetKnowledgeBase answers from our copy.
func (s *KnowledgeBases) GetKnowledgeBase(ctx context.Context, req *pb.GetKnowledgeBaseRequest) (*pb.GetKnowledgeBaseResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetKnowledgeBaseResponse{})
}

// UpdateKnowledgeBase changes the settings that the request gives and leaves the others.
func (s *KnowledgeBases) UpdateKnowledgeBase(
	ctx context.Context, req *pb.UpdateKnowledgeBaseRequest,
) (*pb.UpdateKnowledgeBaseResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateKnowledgeBaseResponse{})
}

// DeleteKnowledgeBase deletes a knowledge base with its data sources.
func (s *KnowledgeBases) DeleteKnowledgeBase(
	ctx context.Context, req *pb.DeleteKnowledgeBaseRequest,
) (*pb.DeleteKnowledgeBaseResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteKnowledgeBaseResponse{})
}

// CreateDataSourceUploadUrls asks the vendor, and records that the answer was handed out.
func (s *KnowledgeBases) CreateDataSourceUploadUrls(
	ctx context.Context, req *pb.CreateDataSourceUploadUrlsRequest,
) (*pb.CreateDataSourceUploadUrlsResponse, error) {
	return reveal(ctx, s.Mirror, req, &pb.CreateDataSourceUploadUrlsResponse{})
}

// ListDataSources asks the vendor.
func (s *KnowledgeBases) ListDataSources(ctx context.Context, req *pb.ListDataSourcesRequest) (*pb.ListDataSourcesResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.ListDataSourcesResponse{})
}

// AddDataSource gives a knowledge base another data source.
func (s *KnowledgeBases) AddDataSource(ctx context.Context, req *pb.AddDataSourceRequest) (*pb.AddDataSourceResponse, error) {
	return change(ctx, s.Operations, req, &pb.AddDataSourceResponse{})
}

// UpdateDataSource changes how the documents of a data source are cut into chunks.
func (s *KnowledgeBases) UpdateDataSource(ctx context.Context, req *pb.UpdateDataSourceRequest) (*pb.UpdateDataSourceResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateDataSourceResponse{})
}

// DeleteDataSource takes a data source from a knowledge base.
func (s *KnowledgeBases) DeleteDataSource(ctx context.Context, req *pb.DeleteDataSourceRequest) (*pb.DeleteDataSourceResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteDataSourceResponse{})
}

// WaitKnowledgeBase follows one until it has come to an end.
func (s *KnowledgeBases) WaitKnowledgeBase(
	ctx context.Context, req *pb.WaitKnowledgeBaseRequest, stream *connect.ServerStream[pb.WaitKnowledgeBaseResponse],
) error {
	return wait(ctx, Backend(*s), req, stream)
}
