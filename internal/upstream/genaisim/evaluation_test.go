package genaisim

import (
	"testing"
	"time"
)

// walkEvaluation asks for every operation about evaluations; do checks each
// answer.
func (s *sim) walkEvaluation() {
	s.t.Helper()
	file := `{"files":[{"file_name":"a.csv","file_size":2048}]}`
	data, metric, agent := s.dataset("a.csv", "500"), s.customMetric(`"scoring_prompt":"p"`), s.create("evaluated")
	s.do(200, "POST", agentsPath+"/"+agent+"/knowledge_bases/"+KnowledgeBaseA, ``)
	tc := s.testCase(data, `,"star_metric":{"name":"Correctness"}`)
	run := runsPath + "/" + s.evaluate(tc, agent)
	id := s.modelRun(data, `,"save_as_preset":true,"star_metric":{"name":"Correctness"}`)
	modelRun, preset := modelRunsPath+"/"+id, presetsPath+"/"+text(s.modelRunNow(id), "eval_preset_uuid")
	for _, request := range [][3]string{
		{"POST", datasetsPath + "/file_upload_presigned_urls", file},
		{"POST", evalPath + "/model_evaluation/datasets/file_upload_presigned_urls", file},
		{"GET", datasetsPath}, {"GET", datasetsPath + "/" + data + "/download_url"},
		{"GET", evalPath + "/evaluation_metrics"}, {"GET", evalPath + "/model_evaluation_metrics"},
		{"GET", casesPath}, {"GET", casesPath + "/" + tc}, {"GET", casesPath + "/" + tc + "/evaluation_runs"},
		{"GET", evalPath + "/workspaces/" + unknownID + "/evaluation_test_cases"},
		{"PUT", casesPath + "/" + tc, `{"metrics":{"metric_uuids":["` + MetricCorrectness + `","` + metric + `"]}}`},
		{"PUT", casesPath + "/" + tc, `{"metrics":["` + MetricCorrectness + `"]}`},
		{"PUT", customMetricsPath + "/" + metric, `{"description":"other"}`},
		{"DELETE", customMetricsPath + "/" + metric},
		{"GET", run}, {"GET", run + "/results"}, {"GET", run + "/results/1"},
		{"GET", presetsPath}, {"GET", preset}, {"DELETE", preset},
		{"GET", modelRunsPath}, {"GET", modelRun}, {"GET", modelRun + "/results/download_url"},
		{"PATCH", modelRun, `{"name":"other"}`}, {"DELETE", modelRun},
		{"DELETE", datasetsPath + "/" + s.dataset("b.csv", "1")},
	} {
		s.do(200, request[0], request[1], request[2])
	}
	// A run that takes no time has always ended before it could be cancelled.
	s.do(400, "PUT", modelRunsPath+"/"+s.modelRun(data, ``)+"/cancel", ``)
}

// TestEvaluationAnswersAreWhole tells which fields of their shapes answers do
// not have, and that they have all others.
func TestEvaluationAnswersAreWhole(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: 9 * time.Second})
	data, metric := s.dataset("a.csv", "500"), s.customMetric(`"scoring_prompt":"p"`)
	made := s.do(200, "POST", agentsPath, `{"name":"a","model_uuid":"`+ModelLlama+`","knowledge_base_uuid":["`+KnowledgeBaseA+`"],
		"workspace_uuid":"6a1f2c30-51d0-4e6b-8f00-00000000beef"}`)
	agent := text(made.body, "agent", "uuid")
	tc := s.testCase(data, `,"description":"d","workspace_uuid":"6a1f2c30-51d0-4e6b-8f00-00000000beef",
		"star_metric":{"name":"Correctness","success_threshold":50,"success_threshold_pct":50}`)
	runID := s.evaluate(tc, agent)
	modelRunID := s.modelRun(data, `,"save_as_preset":true,"metric_uuids":["`+metric+`"],"star_metric":{"metric_uuid":"`+metric+`"},
		"candidate_inference_config":{"max_tokens":9,"stop_token":"END","system_prompt":"p","temperature":0}`)
	now.advance(time.Minute)

	run, modelRun := s.runNow(runID), s.do(200, "GET", modelRunsPath+"/"+modelRunID, "").body
	prompt := objects(s.prompts(runID, "").body, "prompts")[0]
	span, summary := objects(prompt, "evaluation_trace_spans")[0], object(modelRun, "run", "result_summary")
	metrics, testCase := s.metrics("model_evaluation_metrics"), s.testCaseNow(tc, "")
	for name, answer := range map[string]struct {
		shape  string
		object map[string]any
		left   string
	}{
		"a dataset":             {"EvaluationDataset", s.datasets("")[0], ""},
		"a metric":              {"EvaluationMetric", metrics[0], "custom_eval_config"},
		"a custom metric":       {"EvaluationMetric", metrics[len(metrics)-1], ""},
		"its config":            {"CustomEvaluationConfig", object(metrics[len(metrics)-1], "custom_eval_config"), "deleted_at"},
		"a test case":           {"EvaluationTestCase", testCase, "archived_at"},
		"its star metric":       {"StarMetric", object(testCase, "star_metric"), ""},
		"a run":                 {"EvaluationRun", run, "error_description"},
		"a result":              {"EvaluationMetricResult", object(run, "star_metric_result"), "error_description string_value"},
		"a prompt":              {"EvaluationPrompt", prompt, ""},
		"a chunk":               {"EvaluationPromptChunk", objects(prompt, "prompt_chunks")[0], ""},
		"a span":                {"EvaluationTraceSpan", span, ""},
		"the retrieval in it":   {"TraceSpan", objects(span, "spans")[0], "agent llm tool workflow"},
		"the answer in it":      {"TraceSpan", objects(span, "spans")[1], "agent retriever tool workflow"},
		"a run of a model":      {"ModelEvaluationRun", object(modelRun, "run"), "error_description"},
		"its config of a model": {"CandidateInferenceConfig", object(modelRun, "run", "candidate_inference_config"), ""},
		"its results":           {"ModelEvaluationPromptResult", objects(modelRun, "results")[0], ""},
		"its summary":           {"ModelEvaluationResultSummary", summary, "per_model_summaries"},
		"that of a metric":      {"ModelEvaluationMetricSummary", objects(summary, "metric_summaries")[0], ""},
		"that of the star":      {"ModelEvaluationStarMetricSummary", object(summary, "star_metric_summary"), ""},
		"its prices":            {"ModelEvaluationPricing", object(summary, "pricing"), ""},
		"its performance":       {"ModelEvaluationPerformanceMetrics", object(summary, "performance_metrics"), ""},
		"a run in the list": {
			"ModelEvaluationRunListItem", objects(s.do(200, "GET", modelRunsPath, "").body, "runs")[0], "",
		},
		"a run after a change": {
			"ModelEvaluationRunSummary", object(s.do(200, "PATCH", modelRunsPath+"/"+modelRunID, "").body, "run"), "",
		},
		"a preset": {"ModelEvaluationPreset", objects(s.do(200, "GET", presetsPath, "").body, "presets")[0], ""},
	} {
		t.Run(name, func(t *testing.T) { equal(t, "left out", s.left(answer.shape, answer.object), answer.left) })
	}
}

// count is how many there are of some kind.
func (s *sim) count(kind string) string {
	s.t.Helper()
	return text(s.do(200, "GET", "/_sim/state", "").body, "counts", kind)
}

func TestStateCountsEvaluations(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	data, metric := s.dataset("a.csv", "1"), s.customMetric(`"scoring_prompt":"p"`)
	s.evaluate(s.testCase(data, ``), s.create("a"))
	s.modelRun(data, `,"save_as_preset":true`)
	s.modelRun(data, ``)
	for name, want := range map[string]string{
		"evaluation_datasets": "1", "evaluation_metrics": "11", "evaluation_test_cases": "1", "evaluation_runs": "1",
		"model_evaluation_presets": "1", "model_evaluation_runs": "2",
	} {
		equal(t, name, s.count(name), want)
	}
	s.do(200, "DELETE", customMetricsPath+"/"+metric, "")
	equal(t, "metrics left", s.count("evaluation_metrics"), "10")
	s.do(200, "POST", "/_sim/reset", "")
	equal(t, "runs after a reset", s.count("model_evaluation_runs"), "0")
}
