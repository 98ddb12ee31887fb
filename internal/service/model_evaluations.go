package service

import (
	"context"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

// ModelEvaluations serves the evaluation of models.
type ModelEvaluations Backend

var _ agentsvcv1connect.ModelEvaluationServiceHandler = (*ModelEvaluations)(nil)

// CreateModelEvaluationDatasetUploadUrls asks the vendor, and records that the answer was handed out.
func (s *ModelEvaluations) CreateModelEvaluationDatasetUploadUrls(
	ctx context.Context, req *pb.CreateModelEvaluationDatasetUploadUrlsRequest,
) (*pb.CreateModelEvaluationDatasetUploadUrlsResponse, error) {
	return reveal(ctx, s.Mirror, req, &pb.CreateModelEvaluationDatasetUploadUrlsResponse{})
}

// ListModelEvaluationMetrics answers from our copy.
func (s *ModelEvaluations) ListModelEvaluationMetrics(
	ctx context.Context, req *pb.ListModelEvaluationMetricsRequest,
) (*pb.ListModelEvaluationMetricsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelEvaluationMetricsResponse{})
}

// ListModelEvaluationPresets answers from our copy.
func (s *ModelEvaluations) ListModelEvaluationPresets(
	ctx context.Context, req *pb.ListModelEvaluationPresetsRequest,
) (*pb.ListModelEvaluationPresetsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelEvaluationPresetsResponse{})
}

// GetModelEvaluationPreset answers from our copy.
func (s *ModelEvaluations) GetModelEvaluationPreset(
	ctx context.Context, req *pb.GetModelEvaluationPresetRequest,
) (*pb.GetModelEvaluationPresetResponse, error) {
	return get(ctx, s.Mirror, req, &pb.GetModelEvaluationPresetResponse{})
}

// DeleteModelEvaluationPreset deletes a preset.
func (s *ModelEvaluations) DeleteModelEvaluationPreset(
	ctx context.Context, req *pb.DeleteModelEvaluationPresetRequest,
) (*pb.DeleteModelEvaluationPresetResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteModelEvaluationPresetResponse{})
}

// ListModelEvaluationRuns answers from our copy.
func (s *ModelEvaluations) ListModelEvaluationRuns(
	ctx context.Context, req *pb.ListModelEvaluationRunsRequest,
) (*pb.ListModelEvaluationRunsResponse, error) {
	return list(ctx, s.Mirror, req, &pb.ListModelEvaluationRunsResponse{})
}

// CreateModelEvaluationRun starts a run that belongs to mutation.team.
func (s *ModelEvaluations) CreateModelEvaluationRun(
	ctx context.Context, req *pb.CreateModelEvaluationRunRequest,
) (*pb.CreateModelEvaluationRunResponse, error) {
	return change(ctx, s.Operations, req, &pb.CreateModelEvaluationRunResponse{})
}

// GetModelEvaluationRun asks the vendor.
func (s *ModelEvaluations) GetModelEvaluationRun(
	ctx context.Context, req *pb.GetModelEvaluationRunRequest,
) (*pb.GetModelEvaluationRunResponse, error) {
	return fetch(ctx, s.Mirror, req, &pb.GetModelEvaluationRunResponse{})
}

// UpdateModelEvaluationRun renames a run.
func (s *ModelEvaluations) UpdateModelEvaluationRun(
	ctx context.Context, req *pb.UpdateModelEvaluationRunRequest,
) (*pb.UpdateModelEvaluationRunResponse, error) {
	return change(ctx, s.Operations, req, &pb.UpdateModelEvaluationRunResponse{})
}

// DeleteModelEvaluationRun deletes a run that has ended.
func (s *ModelEvaluations) DeleteModelEvaluationRun(
	ctx context.Context, req *pb.DeleteModelEvaluationRunRequest,
) (*pb.DeleteModelEvaluationRunResponse, error) {
	return change(ctx, s.Operations, req, &pb.DeleteModelEvaluationRunResponse{})
}

// CancelModelEvaluationRun ends a run that has not ended.
func (s *ModelEvaluations) CancelModelEvaluationRun(
	ctx context.Context, req *pb.CancelModelEvaluationRunRequest,
) (*pb.CancelModelEvaluationRunResponse, error) {
	return change(ctx, s.Operations, req, &pb.CancelModelEvaluationRunResponse{})
}

// GetModelEvaluationRunDownloadUrl asks the vendor, and records that the answer was handed out.
func (s *ModelEvaluations) GetModelEvaluationRunDownloadUrl(
	ctx context.Context, req *pb.GetModelEvaluationRunDownloadUrlRequest,
) (*pb.GetModelEvaluationRunDownloadUrlResponse, error) {
	return reveal(ctx, s.Mirror, req, &pb.GetModelEvaluationRunDownloadUrlResponse{})
}
