package mirror

import (
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

const (
	testCaseKind = "evaluation_test_case"
	datasetKind  = "evaluation_dataset"
	presetKind   = "model_evaluation_preset"
)

// evaluations are what agents are judged by.
func evaluations() []*kind {
	return []*kind{
		{
			name: datasetKind, summary: (*pb.EvaluationDataset)(nil), full: (*pb.EvaluationDataset)(nil),
			list: "EvaluationService.ListEvaluationDatasets", items: "evaluation_datasets",
			columns:    columns{uuid: "dataset_uuid", name: "dataset_name", created: "created_at"},
			attributes: map[string]string{"dataset_type": "dataset_type"},
			volatile:   []string{"row_count", "file_size", "has_ground_truth", "vendor_extra"}, // found out after the upload
		},
		agentMetrics(),
		{
			name: testCaseKind, summary: (*pb.EvaluationTestCase)(nil), full: (*pb.EvaluationTestCase)(nil),
			list: "EvaluationService.ListEvaluationTestCases", items: "evaluation_test_cases",
			others: []string{"WorkspaceService.ListWorkspaceEvaluationTestCases"},
			get:    "EvaluationService.GetEvaluationTestCase", id: "test_case_uuid", item: "evaluation_test_case",
			columns:    columns{uuid: "test_case_uuid", name: "name", created: "created_at", updated: "updated_at"},
			attributes: map[string]string{"dataset_uuid": "dataset_uuid"},
			neighbours: []neighbour{
				{path: "dataset", kinds: []string{datasetKind}},
				{kinds: []string{datasetKind}, uuid: "dataset_uuid", telling: []string{"dataset_name"}},
				{path: "metrics", kinds: []string{metricKind}},
				{path: "star_metric", kinds: []string{metricKind}, telling: []string{"name"}},
			},
			compared: judged(),
			volatile: []string{
				"dataset", "dataset_name", "latest_version_number_of_runs", "total_runs", "created_by_user_email", "created_by_user_id",
				"updated_by_user_email", "updated_by_user_id", "vendor_extra",
			},
			stamps: []string{"updated_at", "version"},
		},
		{
			// There is no list of all runs, so they are known as far as they were started here,
			// read, or listed with their test case.
			name: "evaluation_run", summary: (*pb.EvaluationRun)(nil), full: (*pb.EvaluationRun)(nil),
			items: "evaluation_runs", others: []string{"EvaluationService.ListEvaluationTestCaseRuns"},
			get: "EvaluationService.GetEvaluationRun", id: "evaluation_run_uuid", item: "evaluation_run",
			columns:    columns{uuid: "evaluation_run_uuid", name: "run_name", status: "status", created: "queued_at", updated: "finished_at"},
			attributes: map[string]string{"test_case_uuid": "test_case_uuid", "agent_uuid": "agent_uuid"},
			part:       &partOf{kind: testCaseKind, path: "test_case_uuid"},
			neighbours: []neighbour{
				{kinds: []string{agentKind}, uuid: "agent_uuid", telling: []string{"agent_name", "agent_deployment_name"}},
			},
			quiet: true,
			passing: []string{
				"EVALUATION_RUN_QUEUED", "EVALUATION_RUN_RUNNING_DATASET", "EVALUATION_RUN_EVALUATING_RESULTS", "EVALUATION_RUN_CANCELLING",
			},
			ends: map[string]outcome{
				"EVALUATION_RUN_SUCCESSFUL": succeeded, "EVALUATION_RUN_PARTIALLY_SUCCESSFUL": succeeded,
				"EVALUATION_RUN_FAILED": failed, "EVALUATION_RUN_CANCELLED": failed,
			},
		},
	}
}

// modelEvaluations are what models are judged by.
func modelEvaluations() []*kind {
	return []*kind{
		modelMetrics(),
		{
			name: presetKind, summary: (*pb.ModelEvaluationPreset)(nil), full: (*pb.ModelEvaluationPreset)(nil),
			list: "ModelEvaluationService.ListModelEvaluationPresets", items: "presets",
			get: "ModelEvaluationService.GetModelEvaluationPreset", id: "eval_preset_uuid", item: "preset",
			columns:    columns{uuid: "eval_preset_uuid", name: "name", created: "created_at"},
			attributes: map[string]string{"dataset_uuid": "dataset_uuid", "judge_model_uuid": "judge_model_uuid"},
			neighbours: evaluated(),
			compared:   judged(),
			quiet:      true,
		},
		{
			name: "model_evaluation_run", summary: (*pb.ModelEvaluationRunListItem)(nil), full: (*pb.ModelEvaluationRun)(nil),
			makes: &partOf{kind: presetKind, path: "eval_preset_uuid"},
			list:  "ModelEvaluationService.ListModelEvaluationRuns", items: "runs",
			get: "ModelEvaluationService.GetModelEvaluationRun", id: "eval_run_uuid", item: "run",
			columns: columns{uuid: "eval_run_uuid", name: "name", status: "status", created: "created_at"},
			attributes: map[string]string{
				"candidate_model_uuid": "candidate_model_uuid", "candidate_model_name": "candidate_model_name",
				"judge_model_uuid": "judge_model_uuid", "dataset_uuid": "dataset_uuid",
			},
			neighbours: append(evaluated(),
				neighbour{kinds: []string{presetKind}, uuid: "eval_preset_uuid", telling: []string{"eval_preset_name"}}),
			compared:    judged(),
			unversioned: []string{"name", "progress"},
			quiet:       true,
			passing: []string{
				"MODEL_EVALUATION_RUN_QUEUED", "MODEL_EVALUATION_RUN_RUNNING_DATASET", "MODEL_EVALUATION_RUN_EVALUATING_RESULTS",
				"MODEL_EVALUATION_RUN_CANCELLING",
			},
		},
	}
}

// judged is what counts of the metrics by which something is judged: what they are is theirs.
func judged() map[string][]string {
	return map[string][]string{"metrics": {"metric_uuid"}, "star_metric": {"metric_uuid", "success_threshold", "success_threshold_pct"}}
}

// evaluated are those around an evaluation of models. Models that we do not know are the
// vendor's.
func evaluated() []neighbour {
	models := []string{"custom_model", routerKind}
	return []neighbour{
		{kinds: []string{datasetKind}, uuid: "dataset_uuid", telling: []string{"dataset_name"}},
		{path: "metrics", kinds: []string{modelMetricKind}},
		{path: "star_metric", kinds: []string{modelMetricKind}, telling: []string{"name"}},
		{kinds: models, uuid: "candidate_model_uuid", telling: []string{"candidate_model_name"}, offered: true},
		{kinds: models, uuid: "judge_model_uuid", telling: []string{"judge_model_name"}, offered: true},
	}
}

func everybody(proto.Message) bool { return true }

// catalogues are what the vendor offers. Nobody owns it, and everybody may see it.
func catalogues() []*kind {
	all := []*kind{
		{
			name: "model", summary: (*pb.ModelListItem)(nil), full: (*pb.ModelListItem)(nil), list: "ModelService.ListModels", items: "models",
			columns:    columns{uuid: "uuid", name: "name", status: "lifecycle_status", created: "created_at", updated: "updated_at"},
			attributes: map[string]string{"id": "id", "provider": "provider", "type": "type", "parent_uuid": "parent_uuid"},
		},
		{
			name: "model_catalog_entry", summary: (*pb.ModelCatalogEntry)(nil), full: (*pb.ModelCatalogEntry)(nil),
			list: "ModelService.ListModelCatalog", items: "data",
			named: true, columns: columns{uuid: "id", name: "name", created: "created_at"},
			attributes: map[string]string{"model_id": "model_id", "provider": "provider", "type": "type", "creator": "creator"},
		},
		{
			name: "model_router_preset", summary: (*pb.ModelRouterPreset)(nil), full: (*pb.ModelRouterPreset)(nil),
			list: "ModelRouterService.ListModelRouterPresets", items: "presets",
			named: true, columns: columns{uuid: "slug", name: "display_name"}, attributes: map[string]string{"slug": "slug"},
		},
		{
			name: "model_router_task_preset", summary: (*pb.ModelRouterTaskPreset)(nil), full: (*pb.ModelRouterTaskPreset)(nil),
			list: "ModelRouterService.ListModelRouterTaskPresets", items: "tasks",
			named: true, columns: columns{uuid: "task_slug", name: "name", tags: "tags"},
			attributes: map[string]string{"task_slug": "task_slug", "category": "category"},
		},
		{
			name: "region", summary: (*pb.Region)(nil), full: (*pb.Region)(nil), list: "PlatformService.ListRegions", items: "regions",
			named: true, columns: columns{uuid: "region", name: "region"},
		},
	}
	for _, k := range all {
		k.catalogue, k.shared, k.quiet, k.slow = true, everybody, true, catalogueEvery
	}
	return all
}
