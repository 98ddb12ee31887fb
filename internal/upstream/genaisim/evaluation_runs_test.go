package genaisim

import (
	"strings"
	"testing"
	"time"
)

const runsPath = evalPath + "/evaluation_runs"

// evaluate runs a test case on one agent and returns the run's uuid.
func (s *sim) evaluate(testCase, agent string) string {
	s.t.Helper()
	s.do(200, "POST", runsPath, `{"test_case_uuid":"`+testCase+`","agent_uuids":["`+agent+`"],"run_name":"run"}`)
	return s.last().ResourceUUID
}

func (s *sim) runNow(id string) map[string]any {
	s.t.Helper()
	return object(s.do(200, "GET", runsPath+"/"+id, "").body, "evaluation_run")
}

func (s *sim) prompts(id, query string) reply {
	s.t.Helper()
	return s.do(200, "GET", runsPath+"/"+id+"/results"+query, "")
}

func TestEvaluationRunTakesItsTime(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: 9 * time.Second})
	tc := s.testCase(s.dataset("a.csv", "700"), `,"description":"d","star_metric":{"name":"Correctness","success_threshold_pct":0},
		"workspace_uuid":"6a1f2c30-51d0-4e6b-8f00-00000000beef"`)
	agent := s.create("a")
	id := s.evaluate(tc, agent)
	s.wantEffect("started 1 runs of test case " + tc)
	want := func(status, started, finished string, prompts int) {
		t.Helper()
		run := s.runNow(id)
		equal(t, "status", text(run, "status"), "EVALUATION_RUN_"+status)
		equal(t, "started", text(run, "started_at"), started)
		equal(t, "finished", text(run, "finished_at"), finished)
		equal(t, "passed", text(run, "pass_status") != "", prompts > 0)
		equal(t, "results", len(objects(run, "run_level_metric_results")) > 0, prompts > 0)
		equal(t, "prompts", len(objects(s.prompts(id, "").body, "prompts")), prompts)
	}

	want("QUEUED", "", "", 0)
	s.do(404, "GET", runsPath+"/"+id+"/results/1", "")
	now.advance(3 * time.Second)
	want("RUNNING_DATASET", "2026-06-01T12:00:03Z", "", 0)
	now.advance(3 * time.Second)
	want("EVALUATING_RESULTS", "2026-06-01T12:00:03Z", "", 0)
	now.advance(3 * time.Second)
	want("SUCCESSFUL", "2026-06-01T12:00:03Z", "2026-06-01T12:00:09Z", 7)

	run := s.runNow(id)
	for field, want := range map[string]string{
		"evaluation_run_uuid": id, "run_name": "run", "agent_uuid": agent, "agent_name": "a", "agent_deployment_name": "a",
		"agent_version_hash": text(s.agent(agent), "version_hash"), "agent_deleted": "false",
		"test_case_uuid": tc, "test_case_name": "case", "test_case_description": "d", "test_case_version": "1",
		"evaluation_test_case_workspace_uuid": "6a1f2c30-51d0-4e6b-8f00-00000000beef", "pass_status": "true",
		"created_by_user_id": OwnerID, "created_by_user_email": OwnerEmail, "queued_at": "2026-06-01T12:00:00Z",
	} {
		equal(t, field, text(run, field), want)
	}
	results := objects(run, "run_level_metric_results")
	equal(t, "metrics", column(results, "metric_name"), "Correctness Tone")
	equal(t, "star result", text(run, "star_metric_result", "number_value"), text(results[0], "number_value"))
	equal(t, "a value in words", text(results[1], "string_value") != "" && text(results[1], "number_value") == "", true)

	s.do(200, "DELETE", agentsPath+"/"+agent, "")
	equal(t, "agent deleted", text(s.runNow(id), "agent_deleted"), "true")
}

func TestEvaluationPrompts(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	agent := s.create("a")
	s.do(200, "POST", agentsPath+"/"+agent+"/knowledge_bases/"+KnowledgeBaseA, ``)
	tc := s.testCase(s.dataset("a.csv", "2500"), `,"metrics":["`+MetricChunkUsage+`","`+MetricGroundTruth+`"]`)
	id := s.evaluate(tc, agent)

	page := s.prompts(id, "?page=2")
	equal(t, "run", text(page.body, "evaluation_run", "evaluation_run_uuid"), id)
	equal(t, "total", text(page.body, "meta", "total"), "25")
	prompts := objects(page.body, "prompts")
	equal(t, "prompts of the second page", column(prompts, "prompt_id"), "21 22 23 24 25")

	one := s.do(200, "GET", runsPath+"/"+id+"/results/22", "")
	equal(t, "the same by its id", text(one.body, "prompt", "trace_id"), text(prompts[1], "trace_id"))
	prompt := object(one.body, "prompt")
	for _, field := range []string{"input", "output", "ground_truth", "input_tokens", "output_tokens", "trace_id"} {
		if text(prompt, field) == "" {
			t.Errorf("%s is missing: %s", field, one.raw)
		}
	}
	if !strings.Contains(one.raw, `"input_tokens":"`) {
		t.Errorf("tokens are no strings: %s", one.raw)
	}
	equal(t, "chunks", column(objects(prompt, "prompt_chunks"), "index_uuid"), KnowledgeBaseA)
	equal(t, "results", column(objects(prompt, "prompt_level_metric_results"), "status"), resultCompleted+" "+resultCompleted)
	span := objects(prompt, "evaluation_trace_spans")[0]
	equal(t, "span", text(span, "type"), spanAgent)
	equal(t, "spans within", column(objects(span, "spans"), "type"), spanRetriever+" "+spanLLM)
	equal(t, "results of the span", column(objects(span, "span_level_metric_results"), "metric_uuid"), MetricChunkUsage)
	for _, wrong := range []string{"0", "26", "first", unknownID} {
		s.do(404, "GET", runsPath+"/"+id+"/results/"+wrong, "")
	}
	s.do(404, "GET", runsPath+"/"+unknownID+"/results", "")
	s.do(404, "GET", runsPath+"/"+unknownID+"/results/1", "")
	s.do(404, "GET", runsPath+"/"+unknownID, "")
}

func TestRunOnSeveralAgents(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	tc := s.testCase(s.dataset("a.csv", "1"), ``)
	a, b := s.create("a"), s.create("b")
	for name, want := range map[string]struct{ body, agents string }{
		"by ids":                  {`"agent_uuids":["` + b + `","` + a + `"]`, b + " " + a},
		"by names of deployments": {`"agent_deployment_names":["b"]`, b},
		"by both, each once":      {`"agent_uuids":["` + a + `"],"agent_deployment_names":["a","b"]`, a + " " + b},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(200, "POST", runsPath, `{"test_case_uuid":"`+tc+`",`+want.body+`}`)
			ids, _ := at(got.body, "evaluation_run_uuids").([]any)
			runs := make([]map[string]any, 0, len(ids))
			for _, id := range ids {
				runs = append(runs, s.runNow(id.(string)))
			}
			equal(t, "agents", column(runs, "agent_uuid"), want.agents)
			equal(t, "name where none was given", text(runs[0], "run_name"), "case")
		})
	}
	for name, tc := range map[string]struct {
		status int
		body   string
	}{
		"nothing":               {400, ``},
		"no test case":          {400, `{"agent_uuids":["` + a + `"]}`},
		"an unknown test case":  {404, `{"test_case_uuid":"` + unknownID + `","agent_uuids":["` + a + `"]}`},
		"no agent":              {400, `{"test_case_uuid":"` + tc + `"}`},
		"one agent is unknown":  {404, `{"test_case_uuid":"` + tc + `","agent_uuids":["` + a + `","` + unknownID + `"]}`},
		"an unknown deployment": {404, `{"test_case_uuid":"` + tc + `","agent_deployment_names":["c"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.count("evaluation_runs")
			s.do(tc.status, "POST", runsPath, tc.body)
			s.wantEffect(NoEffect)
			equal(t, "runs", s.count("evaluation_runs"), before)
		})
	}
}

func TestRunsKeepWhatTheyBeganWith(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	agent := s.create("a")
	metric := s.customMetric(`"scoring_prompt":"p"`)
	tc := s.testCase(s.dataset("a.csv", "1"), `,"metrics":["`+metric+`"],"star_metric":{"metric_uuid":"`+metric+`"}`)
	id := s.evaluate(tc, agent)
	before := s.do(200, "GET", runsPath+"/"+id, "").raw

	s.do(200, "PUT", agentsPath+"/"+agent, `{"name":"b"}`)
	s.do(200, "PUT", customMetricsPath+"/"+metric, `{"metric_name":"other","config":{"requires_ground_truth":true}}`)
	s.do(200, "PUT", casesPath+"/"+tc, `{"name":"other","star_metric":{"metric_uuid":"`+metric+`","success_threshold_pct":1}}`)

	equal(t, "the run", s.do(200, "GET", runsPath+"/"+id, "").raw, before)
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ metric, star, want string }{
		"everything is enough":       {MetricInstructions, `"success_threshold_pct":0`, "true"},
		"nothing is enough":          {MetricInstructions, `"success_threshold_pct":100`, "false"},
		"the least value":            {MetricInstructions, `"success_threshold":1`, "true"},
		"the greatest value":         {MetricInstructions, `"success_threshold":5`, "false"},
		"the lower, the better":      {MetricToxicity, `"success_threshold":1`, "true"},
		"none at all":                {MetricToxicity, `"success_threshold":0`, "false"},
		"a value before a per cent":  {MetricInstructions, `"success_threshold":1,"success_threshold_pct":100`, "true"},
		"without what it is held to": {MetricGroundTruth, `"success_threshold_pct":0`, "false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Strict: true})
			id := s.testCase(s.dataset("a.jsonl", "1"),
				`,"metrics":["`+tc.metric+`"],"star_metric":{"metric_uuid":"`+tc.metric+`",`+tc.star+`}`)
			run := s.runNow(s.evaluate(id, s.create("a")))
			equal(t, "passed", text(run, "pass_status"), tc.want)
			if tc.metric == MetricGroundTruth {
				equal(t, "status of the star", text(run, "star_metric_result", "status"), resultSkipped)
				equal(t, "value of the star", text(run, "star_metric_result", "number_value"), "")
			}
		})
	}
}

func TestBrokenDatasetFailsEvaluations(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: 9 * time.Second})
	data := s.dataset("questions.invalid", "1")
	run, modelRun := s.evaluate(s.testCase(data, ``), s.create("a")), s.modelRun(data, ``)
	now.advance(5 * time.Second)
	equal(t, "while it is read", text(s.runNow(run), "status"), "EVALUATION_RUN_RUNNING_DATASET")
	now.advance(time.Second)

	got, model := s.runNow(run), s.modelRunNow(modelRun)

	equal(t, "status", text(got, "status"), "EVALUATION_RUN_FAILED")
	equal(t, "status of the model's", text(model, "status"), "MODEL_EVALUATION_RUN_FAILED")
	equal(t, "finished", text(got, "finished_at")+text(model, "completed_at"), "2026-06-01T12:00:06Z2026-06-01T12:00:06Z")
	equal(t, "rows answered", text(model, "progress", "candidate_rows_evaluated"), "0")
	for _, run := range []map[string]any{got, model} {
		if !strings.Contains(text(run, "error_description"), "questions.invalid") {
			t.Errorf("the error does not name the file: %v", run)
		}
	}
	equal(t, "prompts", len(objects(s.prompts(run, "").body, "prompts")), 0)
}
