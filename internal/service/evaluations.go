package service

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// Evaluations serves the evaluation of agents.
type Evaluations Backend

var _ agentsvcv1connect.EvaluationServiceHandler = (*Evaluations)(nil)

// ListEvaluationDatasets answers from our copy.
func (s *Evaluations) ListEvaluationDatasets(
	ctx context.Context, req *pb.ListEvaluationDatasetsRequest,
) (*pb.ListEvaluationDatasetsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListEvaluationDatasetsResponse{})
}

// CreateEvaluationDataset makes a dataset of an uploaded file.
func (s *Evaluations) CreateEvaluationDataset(
	ctx context.Context, req *pb.CreateEvaluationDatasetRequest,
) (*pb.CreateEvaluationDatasetResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateEvaluationDatasetResponse{})
}

// CreateEvaluationDatasetUploadUrls asks the vendor, and records that the answer was handed out.
func (s *Evaluations) CreateEvaluationDatasetUploadUrls(
	ctx context.Context, req *pb.CreateEvaluationDatasetUploadUrlsRequest,
) (*pb.CreateEvaluationDatasetUploadUrlsResponse, error) {
	return reveal(ctx, s.Mirror, req, &pb.CreateEvaluationDatasetUploadUrlsResponse{})
}

// DeleteEvaluationDataset deletes a dataset.
func (s *Evaluations) DeleteEvaluationDataset(
	ctx context.Context, req *pb.DeleteEvaluationDatasetRequest,
) (*pb.DeleteEvaluationDatasetResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteEvaluationDatasetResponse{})
}

// GetEvaluationDatasetDownloadUrl asks the vendor, and records that the answer was handed out.
func (s *Evaluations) GetEvaluationDatasetDownloadUrl(
	ctx context.Context, req *pb.GetEvaluationDatasetDownloadUrlRequest,
) (*pb.GetEvaluationDatasetDownloadUrlResponse, error) {
	return reveal(ctx, s.Mirror, req, &pb.GetEvaluationDatasetDownloadUrlResponse{})
}

// ListEvaluationMetrics answers from our copy.
func (s *Evaluations) ListEvaluationMetrics(
	ctx context.Context, req *pb.ListEvaluationMetricsRequest,
) (*pb.ListEvaluationMetricsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListEvaluationMetricsResponse{})
}

// CreateCustomEvaluationMetric makes a metric that belongs to mutation.team.
func (s *Evaluations) CreateCustomEvaluationMetric(
	ctx context.Context, req *pb.CreateCustomEvaluationMetricRequest,
) (*pb.CreateCustomEvaluationMetricResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateCustomEvaluationMetricResponse{})
}

// UpdateCustomEvaluationMetric changes a metric of a team's own.
func (s *Evaluations) UpdateCustomEvaluationMetric(
	ctx context.Context, req *pb.UpdateCustomEvaluationMetricRequest,
) (*pb.UpdateCustomEvaluationMetricResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateCustomEvaluationMetricResponse{})
}

// DeleteCustomEvaluationMetric deletes a metric of a team's own.
func (s *Evaluations) DeleteCustomEvaluationMetric(
	ctx context.Context, req *pb.DeleteCustomEvaluationMetricRequest,
) (*pb.DeleteCustomEvaluationMetricResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteCustomEvaluationMetricResponse{})
}

// ListEvaluationTestCases answers from our copy.
func (s *Evaluations) ListEvaluationTestCases(
	ctx context.Context, req *pb.ListEvaluationTestCasesRequest,
) (*pb.ListEvaluationTestCasesResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListEvaluationTestCasesResponse{})
}

// CreateEvaluationTestCase makes a test case that belongs to mutation.team.
func (s *Evaluations) CreateEvaluationTestCase(
	ctx context.Context, req *pb.CreateEvaluationTestCaseRequest,
) (*pb.CreateEvaluationTestCaseResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateEvaluationTestCaseResponse{})
}

// ListEvaluationTestCaseRuns asks the vendor which, and shows of them what the caller may see.
func (s *Evaluations) ListEvaluationTestCaseRuns(
	ctx context.Context, req *pb.ListEvaluationTestCaseRunsRequest,
) (*pb.ListEvaluationTestCaseRunsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListEvaluationTestCaseRunsResponse{})
}

// GetEvaluationTestCase answers from our copy.
func (s *Evaluations) GetEvaluationTestCase(
	ctx context.Context, req *pb.GetEvaluationTestCaseRequest,
) (*pb.GetEvaluationTestCaseResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetEvaluationTestCaseResponse{})
}

// UpdateEvaluationTestCase makes a new version of a test case.
func (s *Evaluations) UpdateEvaluationTestCase(
	ctx context.Context, req *pb.UpdateEvaluationTestCaseRequest,
) (*pb.UpdateEvaluationTestCaseResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateEvaluationTestCaseResponse{})
}

// RunEvaluationTestCase runs a test case against agents, one run an agent.
func (s *Evaluations) RunEvaluationTestCase(
	ctx context.Context, req *pb.RunEvaluationTestCaseRequest,
) (*pb.RunEvaluationTestCaseResponse, error) {
	return change(ctx, s.Operations, req, &pb.RunEvaluationTestCaseResponse{})
}

// GetEvaluationRun answers from our copy.
func (s *Evaluations) GetEvaluationRun(ctx context.Context, req *pb.GetEvaluationRunRequest) (*pb.GetEvaluationRunResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetEvaluationRunResponse{})
}

// ListEvaluationRunResults asks the vendor.
func (s *Evaluations) ListEvaluationRunResults(
	ctx context.Context, req *pb.ListEvaluationRunResultsRequest,
) (*pb.ListEvaluationRunResultsResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.ListEvaluationRunResultsResponse{})
}

// GetEvaluationRunResult asks the vendor.
func (s *Evaluations) GetEvaluationRunResult(
	ctx context.Context, req *pb.GetEvaluationRunResultRequest,
) (*pb.GetEvaluationRunResultResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.GetEvaluationRunResultResponse{})
}

// WaitEvaluationRun follows one until it has come to an end.
func (s *Evaluations) WaitEvaluationRun(
	ctx context.Context, req *pb.WaitEvaluationRunRequest, stream *connect.ServerStream[pb.WaitEvaluationRunResponse],
) error {
	return wait(ctx, Backend(*s), req, stream)
}
