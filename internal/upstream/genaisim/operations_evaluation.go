package genaisim

import "time"

// evaluationOperations are those about evaluations of agents and models.
func evaluationOperations() map[string]handler {
	const (
		base     = "/v2/gen-ai"
		datasets = base + "/evaluation_datasets"
		custom   = base + "/custom_evaluation_metrics"
		cases    = base + "/evaluation_test_cases"
		runs     = base + "/evaluation_runs"
		presets  = base + "/model_evaluation_presets"
		modelRun = base + "/model_evaluation_runs/{eval_run_uuid}"
	)
	return map[string]handler{
		"GET " + datasets:                                  listDatasets,
		"POST " + datasets:                                 createDataset,
		"DELETE " + datasets + "/{dataset_uuid}":           deleteDataset,
		"GET " + datasets + "/{dataset_uuid}/download_url": getDatasetURL,
		"POST " + datasets + "/file_upload_presigned_urls": presignDatasetFiles,

		"POST " + base + "/model_evaluation/datasets/file_upload_presigned_urls": presignModelDatasetFiles,

		"GET " + base + "/evaluation_metrics":       listAgentMetrics,
		"GET " + base + "/model_evaluation_metrics": listModelMetrics,
		"POST " + custom:                            createMetric,
		"PUT " + custom + "/{metric_uuid}":          updateMetric,
		"DELETE " + custom + "/{metric_uuid}":       deleteMetric,

		"GET " + cases:                       listTestCases,
		"POST " + cases:                      createTestCase,
		"GET " + cases + "/{test_case_uuid}": getTestCase,
		"PUT " + cases + "/{test_case_uuid}": updateTestCase,
		"GET " + cases + "/{evaluation_test_case_uuid}/evaluation_runs":      listRuns,
		"GET " + base + "/workspaces/{workspace_uuid}/evaluation_test_cases": listWorkspaceTestCases,

		"POST " + runs:                                               runTestCase,
		"GET " + runs + "/{evaluation_run_uuid}":                     getRun,
		"GET " + runs + "/{evaluation_run_uuid}/results":             listResults,
		"GET " + runs + "/{evaluation_run_uuid}/results/{prompt_id}": getResult,

		"GET " + presets:                            listPresets,
		"GET " + presets + "/{eval_preset_uuid}":    getPreset,
		"DELETE " + presets + "/{eval_preset_uuid}": deletePreset,

		"GET " + base + "/model_evaluation_runs":    listModelRuns,
		"POST " + base + "/model_evaluation_runs":   createModelRun,
		"GET " + modelRun:                           getModelRun,
		"PATCH " + modelRun:                         renameModelRun,
		"DELETE " + modelRun:                        deleteModelRun,
		"PUT " + modelRun + "/cancel":               cancelModelRun,
		"GET " + modelRun + "/results/download_url": getModelRunURL,
	}
}

// evaluation is the part of the state that they are about. All lists are in the
// order of creation.
type evaluation struct {
	time time.Duration // that a run takes

	datasets  []*dataset
	metrics   []*metric // the vendor's come first; deleted ones stay
	testCases []*testCase
	runs      []*evaluationRun
	presets   []*evaluationPreset
	modelRuns []*modelRun
}

func newEvaluation(cfg Config) evaluation {
	return evaluation{time: cfg.EvaluationTime, metrics: builtinMetrics()}
}

// countEvaluation adds how many there are of each kind.
func (st *state) countEvaluation(counts map[string]int) {
	e := st.evaluation
	counts["evaluation_datasets"] = len(e.datasets)
	counts["evaluation_test_cases"] = len(e.testCases)
	counts["evaluation_runs"] = len(e.runs)
	counts["model_evaluation_presets"] = len(e.presets)
	counts["model_evaluation_runs"] = len(e.modelRuns)
	for _, m := range e.metrics {
		if m.deletedAt.IsZero() {
			counts["evaluation_metrics"]++
		}
	}
}
