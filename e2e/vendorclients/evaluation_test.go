package vendorclients_test

import (
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// dataset uploads nothing and registers it: the simulator makes up what is in a file.
func (a *account) dataset(t *testing.T, name string) string {
	t.Helper()
	ctx := t.Context()
	uploads := must(a.CreateModelEvalDatasetUploadPresignedURLs(ctx, &godo.CreateModelEvalDatasetUploadPresignedURLsRequest{
		Files: []*godo.PresignedUrlFile{{FileName: name + ".csv", FileSize: "1000"}},
	}))(t).Uploads
	if len(uploads) != 1 || uploads[0].PresignedURL == "" || uploads[0].ExpiresAt == nil {
		t.Fatalf("the client reads the uploads %+v", uploads)
	}
	return must(a.CreateEvaluationDataset(ctx, &godo.CreateEvaluationDatasetRequest{
		Name: name, DatasetType: godo.EvaluationDatasetTypeModel,
		FileUploadDataset: &godo.FileUploadDataSource{OriginalFileName: name + ".csv", Size: "1000", StoredObjectKey: uploads[0].ObjectKey},
	}))(t).EvaluationDatasetUUID
}

func TestModelEvaluation(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{EvaluationTime: time.Minute}), t.Context()
	dataset := a.dataset(t, "questions")
	datasets := must(a.ListEvaluationDatasets(ctx, &godo.EvaluationDatasetListOptions{DatasetType: godo.EvaluationDatasetTypeModel}))(t)
	if list := datasets.EvaluationDatasets; len(list) != 1 || list[0].DatasetUUID != dataset || list[0].RowCount == 0 || list[0].FileSize != "1000" {
		t.Errorf("the client reads the datasets %+v", list)
	}
	metric := must(a.CreateCustomEvaluationMetric(ctx, &godo.CreateCustomEvaluationMetricRequest{
		MetricName: "politeness", Config: &godo.CustomEvaluationMetricConfig{ScoringPrompt: "Is it polite?"},
	}))(t)
	request := &godo.CreateModelEvaluationRunRequest{
		Name: "first", DatasetUUID: dataset, MetricUUIDs: []string{metric.MetricUUID}, JudgeModelUUID: genaisim.ModelGPT,
		CandidateModelSource: godo.CandidateModelSourceServerless, CandidateModelUUID: genaisim.ModelLlama,
		CandidateInferenceConfig: &godo.CandidateInferenceConfig{Temperature: 0.5},
		PresetName:               "usual", PresetSaveSections: []godo.PresetSaveSection{godo.PresetSaveSectionMetrics},
		StarMetric: &godo.StarMetric{MetricUUID: metric.MetricUUID, SuccessThreshold: new(float32(80))},
	}

	run := must(a.CreateModelEvaluationRun(ctx, request))(t).EvalRunUuid

	check(t, "the new name", must(a.UpdateModelEvaluationRun(ctx, run, &godo.UpdateModelEvaluationRunRequest{Name: "better"}))(t).Run.Name, "better")
	a.clock.advance(time.Minute)
	got := must(a.GetModelEvaluationRun(ctx, run, &godo.ModelEvaluationRunGetOptions{PerPage: 2}))(t)
	if got.Run.Status != godo.ModelEvaluationRunSuccessful || len(got.Results) != 2 || len(got.Results[0].MetricResults) != 1 || got.Links.IsLastPage() {
		t.Errorf("the client reads the run %+v with the results %+v", got.Run, got.Results)
	}
	if url := must(a.GetModelEvaluationRunResultsDownloadURL(ctx, run))(t); url.DownloadURL == "" || url.ExpiresAt == nil {
		t.Errorf("the results are at %+v", url)
	}
	runs := must(a.ListModelEvaluationRuns(ctx, &godo.ModelEvaluationRunListOptions{
		Statuses:       []godo.ModelEvaluationRunStatus{godo.ModelEvaluationRunSuccessful, godo.ModelEvaluationRunFailed},
		CandidateTypes: []godo.CandidateModelSource{godo.CandidateModelSourceServerless}, Search: "BETTER",
		SortBy: godo.ModelEvaluationRunSortFieldCreatedAt, SortDirection: godo.ModelEvaluationRunSortDirectionDesc,
	}))(t)
	if len(runs.Runs) != 1 || runs.Runs[0].EvalRunUuid != run || runs.Runs[0].Progress == nil {
		t.Errorf("the client reads the runs %+v", runs.Runs)
	}

	second := must(a.CreateModelEvaluationRun(ctx, request))(t).EvalRunUuid
	check(t, "a deletion too early", must(a.DeleteModelEvaluationRun(ctx, second))(t).Status, godo.DeleteModelEvaluationRunStatusFail)
	check(t, "a cancellation", must(a.CancelModelEvaluationRun(ctx, second))(t).Run.Status, godo.ModelEvaluationRunCancelling)
	check(t, "a deletion", must(a.DeleteModelEvaluationRun(ctx, run))(t).Status, godo.DeleteModelEvaluationRunStatusSuccess)

	presets := must(a.ListModelEvaluationPresets(ctx))(t).Presets
	if len(presets) == 0 {
		t.Fatal("no preset was saved")
	}
	for _, preset := range presets {
		check(t, "metrics of a preset", len(must(a.GetModelEvaluationPreset(ctx, preset.EvalPresetUuid))(t).Preset.Metrics), 1)
		must(a.DeleteModelEvaluationPreset(ctx, preset.EvalPresetUuid))(t)
	}
	if metrics := must(a.ListModelEvaluationMetrics(ctx))(t).Metrics; len(metrics) < 2 || metrics[0].MetricName == "" {
		t.Errorf("the client reads the metrics %+v", metrics)
	}
}
