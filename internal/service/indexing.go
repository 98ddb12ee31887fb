package service

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// Indexing serves indexing jobs and schedules.
type Indexing Backend

var _ agentsvcv1connect.IndexingServiceHandler = (*Indexing)(nil)

// ListIndexingJobs answers from our copy.
func (s *Indexing) ListIndexingJobs(ctx context.Context, req *pb.ListIndexingJobsRequest) (*pb.ListIndexingJobsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListIndexingJobsResponse{})
}

// StartIndexingJob indexes data sources of a knowledge base.
func (s *Indexing) StartIndexingJob(ctx context.Context, req *pb.StartIndexingJobRequest) (*pb.StartIndexingJobResponse, error) {
	return change(ctx, s.Operations, req, &pb.StartIndexingJobResponse{})
}

// ListIndexingJobDataSources asks the vendor.
func (s *Indexing) ListIndexingJobDataSources(
	ctx context.Context, req *pb.ListIndexingJobDataSourcesRequest,
) (*pb.ListIndexingJobDataSourcesResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.ListIndexingJobDataSourcesResponse{})
}

// GetIndexingJobDetailsUrl asks the vendor, and records that the answer was handed out.
func (s *Indexing) GetIndexingJobDetailsUrl(
	ctx context.Context, req *pb.GetIndexingJobDetailsUrlRequest,
) (*pb.GetIndexingJobDetailsUrlResponse, error) {
	return reveal(ctx, s.Mirror, req, &pb.GetIndexingJobDetailsUrlResponse{})
}

// GetIndexingJob answers from our copy.
func (s *Indexing) GetIndexingJob(ctx context.Context, req *pb.GetIndexingJobRequest) (*pb.GetIndexingJobResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetIndexingJobResponse{})
}

// CancelIndexingJob ends a job that is not finished.
func (s *Indexing) CancelIndexingJob(ctx context.Context, req *pb.CancelIndexingJobRequest) (*pb.CancelIndexingJobResponse, error) {
	return change(ctx, s.Operations, req, &pb.CancelIndexingJobResponse{})
}

// ListKnowledgeBaseIndexingJobs asks the vendor which, and shows of them what the caller may see.
func (s *Indexing) ListKnowledgeBaseIndexingJobs(
	ctx context.Context, req *pb.ListKnowledgeBaseIndexingJobsRequest,
) (*pb.ListKnowledgeBaseIndexingJobsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListKnowledgeBaseIndexingJobsResponse{})
}

// CreateIndexingSchedule has a knowledge base indexed on days of the week.
func (s *Indexing) CreateIndexingSchedule(
	ctx context.Context, req *pb.CreateIndexingScheduleRequest,
) (*pb.CreateIndexingScheduleResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateIndexingScheduleResponse{})
}

// GetIndexingSchedule asks the vendor.
func (s *Indexing) GetIndexingSchedule(ctx context.Context, req *pb.GetIndexingScheduleRequest) (*pb.GetIndexingScheduleResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.GetIndexingScheduleResponse{})
}

// DeleteIndexingSchedule ends a schedule.
func (s *Indexing) DeleteIndexingSchedule(
	ctx context.Context, req *pb.DeleteIndexingScheduleRequest,
) (*pb.DeleteIndexingScheduleResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteIndexingScheduleResponse{})
}

// WaitIndexingJob follows one until it has come to an end.
func (s *Indexing) WaitIndexingJob(
	ctx context.Context, req *pb.WaitIndexingJobRequest, stream *connect.ServerStream[pb.WaitIndexingJobResponse],
) error {
	return wait(ctx, Backend(*s), req, stream)
}
