package genaisim

import (
	"strings"
	"testing"
	"time"
)

const modelRunsPath = evalPath + "/model_evaluation_runs"

// modelRun starts an evaluation of a model with a dataset and returns its uuid.
// What is given beside follows, and may say the metrics and the candidate anew.
func (s *sim) modelRun(data, more string) string {
	s.t.Helper()
	for field, usual := range map[string]string{
		"metric_uuids": `["` + MetricModelCorrectness + `","` + MetricModelHarm + `"]`, "candidate_model_uuid": `"` + ModelLlama + `"`,
		"name": `"run"`,
	} {
		if !strings.Contains(more, `,"`+field+`"`) {
			more += `,"` + field + `":` + usual
		}
	}
	got := s.do(200, "POST", modelRunsPath, `{"judge_model_uuid":"`+ModelGPT+`","dataset_uuid":"`+data+`"`+more+`}`)
	return text(got.body, "eval_run_uuid")
}

func (s *sim) modelRunNow(id string) map[string]any {
	s.t.Helper()
	return object(s.do(200, "GET", modelRunsPath+"/"+id, "").body, "run")
}

func TestModelRunTakesItsTime(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: 12 * time.Second})
	data := s.dataset("a.csv", "800")
	id := s.modelRun(data, `,"source":"api","star_metric":{"name":"Correctness","success_threshold_pct":70},
		"candidate_inference_config":{"max_tokens":100,"stop_token":"END","system_prompt":"Be brief.","temperature":0}`)
	s.wantEffect("started model evaluation run " + id)
	equal(t, "resource", s.last().ResourceUUID, id)
	want := func(status, progress string) {
		t.Helper()
		run := s.modelRunNow(id)
		equal(t, "status", text(run, "status"), "MODEL_EVALUATION_RUN_"+status)
		got := text(run, "progress", "candidate_rows_evaluated") + " " + text(run, "progress", "judge_rows_evaluated")
		equal(t, "progress", got+" of "+text(run, "progress", "total_rows"), progress+" of 8")
		done := status == "SUCCESSFUL"
		equal(t, "summary", object(run, "result_summary") != nil, done)
		equal(t, "results", len(objects(s.do(200, "GET", modelRunsPath+"/"+id, "").body, "results")) > 0, done)
		if !done {
			s.do(400, "GET", modelRunsPath+"/"+id+"/results/download_url", "")
		}
	}

	want("QUEUED", "0 0")
	now.advance(4 * time.Second)
	want("RUNNING_DATASET", "0 0")
	now.advance(2 * time.Second)
	want("RUNNING_DATASET", "4 0")
	now.advance(3 * time.Second)
	want("EVALUATING_RESULTS", "8 2")
	now.advance(3 * time.Second)
	want("SUCCESSFUL", "8 8")

	run := s.modelRunNow(id)
	for field, want := range map[string]string{
		"eval_run_uuid": id, "name": "run", "candidate_model_uuid": ModelLlama, "candidate_model_name": "llama3.3-70b-instruct",
		"candidate_model_source": candidateServerless, "judge_model_uuid": ModelGPT, "judge_model_name": "OpenAI GPT",
		"dataset_uuid": data, "dataset_name": "questions", "created_at": "2026-06-01T12:00:00Z",
		"started_at": "2026-06-01T12:00:04Z", "completed_at": "2026-06-01T12:00:12Z", "eval_preset_uuid": "",
	} {
		equal(t, field, text(run, field), want)
	}
	for field, want := range map[string]string{"max_tokens": "100", "stop_token": "END", "system_prompt": "Be brief.", "temperature": "0"} {
		equal(t, field, text(run, "candidate_inference_config", field), want)
	}
	equal(t, "metrics", column(objects(run, "metrics"), "metric_name"), "Correctness Harmfulness")
	url := s.do(200, "GET", modelRunsPath+"/"+id+"/results/download_url", "")
	equal(t, "expiry", text(url.body, "expires_at"), "2026-06-01T12:15:12Z")
	if !strings.Contains(text(url.body, "download_url"), id+".json.gz") {
		t.Errorf("the URL does not lead to the results: %s", url.raw)
	}
}

func TestModelRunResults(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.modelRun(s.dataset("a.csv", "6000"), ``)
	pages := func(query string) (reply, int) {
		got := s.do(200, "GET", modelRunsPath+"/"+id+query, "")
		return got, len(objects(got.body, "results"))
	}

	first, count := pages("")
	equal(t, "results of the first page", count, 50)
	equal(t, "total", text(first.body, "meta", "total"), "60")
	_, count = pages("?page=2")
	equal(t, "results of the second page", count, 10)
	_, count = pages("?per_page=25&page=3")
	equal(t, "results of a small page", count, 10)

	result := objects(first.body, "results")[0]
	for _, field := range []string{"input", "output", "ground_truth"} {
		if text(result, field) == "" {
			t.Errorf("%s is missing: %v", field, result)
		}
	}
	equal(t, "candidate", text(result, "candidate_model_uuid"), ModelLlama)
	scores := objects(result, "metric_results")
	equal(t, "metrics", column(scores, "metric_uuid"), MetricModelCorrectness+" "+MetricModelHarm)
	equal(t, "results", column(scores, "status"), resultCompleted+" "+resultCompleted)
	again, _ := pages("")
	equal(t, "the same again", again.raw, first.raw)
}

func TestModelRunSummary(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: 12 * time.Second})
	id := s.modelRun(s.dataset("a.jsonl", "2000"), `,"metric_uuids":["`+MetricModelHelpfulness+`","`+MetricModelGroundTruth+`"],
		"star_metric":{"name":"Helpfulness","success_threshold":1}`)
	now.advance(time.Minute)

	got := s.do(200, "GET", modelRunsPath+"/"+id, "")
	summary := object(got.body, "run", "result_summary")

	equal(t, "duration", text(summary, "total_duration_seconds"), "8")
	equal(t, "start and end", text(summary, "start_time")+text(summary, "end_time"), "2026-06-01T12:00:04Z2026-06-01T12:00:12Z")
	equal(t, "threshold", text(summary, "star_metric_summary", "threshold"), "1")
	metrics := objects(summary, "metric_summaries")
	equal(t, "passed", column(metrics, "pass_count"), "20 0")
	equal(t, "skipped", column(metrics, "skip_percent"), "0 100")
	equal(t, "tokens are strings", strings.Contains(got.raw, `"total_judge_tokens":"`), true)
	equal(t, "prompts priced", column(objects(summary, "pricing", "per_candidate_model_pricing"), "prompt_count"), "20")
	equal(t, "currency", text(summary, "pricing", "currency"), "USD")
	equal(t, "by model", object(summary, "per_model_summaries") == nil, true)
	var sum float64
	for _, result := range objects(got.body, "results") {
		sum += number(t, objects(result, "metric_results")[0], "number_value")
	}
	mean := 25 * (sum/20 - 1) // of values from 1 to 5, in percent
	if overall := number(t, summary, "overall_score_percent"); overall < mean-0.01 || overall > mean+0.01 {
		t.Errorf("the overall score is %v, the mean of all %v", overall, mean)
	}
}

func TestRouterIsSummedUpByModel(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.modelRun(s.dataset("a.csv", "9000"), `,"candidate_model_source":"`+candidateRouter+`","candidate_model_uuid":"`+unknownID+`",
		"candidate_model_name":"router:mine"`)

	got := s.do(200, "GET", modelRunsPath+"/"+id+"?per_page=200", "")
	answered := make(map[string]int)
	for _, result := range objects(got.body, "results") {
		answered[text(result, "candidate_model_name")]++
	}
	equal(t, "candidate", text(got.body, "run", "candidate_model_name"), "router:mine")
	models := objects(got.body, "run", "result_summary", "per_model_summaries", "summaries")
	equal(t, "models summed up", len(models), len(answered))
	if len(models) < 2 {
		t.Errorf("the router chose only %v", answered)
	}
	for _, m := range models {
		name := text(m, "model_name")
		equal(t, "prompts of "+name, int(number(t, m, "prompt_count")), answered[name])
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	data := s.dataset("a.csv", "9000")
	got := s.do(200, "POST", routersPath, `{"name":"mine","fallback_models":["openai-gpt"],
		"policies":[{"task_slug":"summarization","models":["anthropic-claude-sonnet","elsewhere"]}]}`)
	router := text(got.body, "model_router", "uuid")
	imported := text(s.do(200, "POST", evalPath+"/custom_models/import", `{"name":"own","source_type":"SOURCE_TYPE_HUGGINGFACE",
		"source_ref":{"repo_id":"o/m","access_type":"ACCESS_TYPE_PUBLIC"},"accept_terms_and_conditions":true}`).body, "model", "uuid")
	for name, tc := range map[string]struct{ source, uuid, name, want string }{
		"a model by its id":              {candidateServerless, ModelClaude, "", ModelClaude + " anthropic-claude-sonnet"},
		"a model by its name":            {candidateServerless, "", "openai-gpt", ModelGPT + " openai-gpt"},
		"a router by its id":             {candidateRouter, router, "", router + " mine"},
		"a router by a name of its own":  {candidateRouter, router, "router:mine", router + " router:mine"},
		"a model that was imported":      {candidateDedicated, imported, "", imported + " own"},
		"a deployment nobody knows":      {candidateDedicated, unknownID, "", unknownID + " "},
		"a deployment by its name alone": {candidateDedicated, "", "slug", " slug"},
	} {
		t.Run(name, func(t *testing.T) {
			run := s.modelRunNow(s.modelRun(data, `,"candidate_model_source":"`+tc.source+`","candidate_model_uuid":"`+tc.uuid+`",
				"candidate_model_name":"`+tc.name+`"`))
			equal(t, "candidate", text(run, "candidate_model_uuid")+" "+text(run, "candidate_model_name"), tc.want)
			equal(t, "source", text(run, "candidate_model_source"), tc.source)
			models := column(objects(run, "result_summary", "per_model_summaries", "summaries"), "model_name")
			if tc.source == candidateRouter && models != "openai-gpt anthropic-claude-sonnet" && models != "anthropic-claude-sonnet openai-gpt" {
				t.Errorf("the router chose from %q", models)
			}
		})
	}
	s.do(200, "DELETE", routersPath+"/"+router, "")
	for _, candidate := range []string{
		`"candidate_model_name":"slug"`, `"candidate_model_uuid":"` + router + `","candidate_model_source":"` + candidateRouter + `"`,
	} {
		s.do(400, "POST", modelRunsPath, `{"name":"n","judge_model_uuid":"`+ModelGPT+`","dataset_uuid":"`+data+`",
			"metric_uuids":["`+MetricModelHarm+`"],`+candidate+`}`)
	}
}

func TestCancelModelRun(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: 9 * time.Second})
	data := s.dataset("a.csv", "900")
	id, queued := s.modelRun(data, ``), s.modelRun(data, ``)
	s.do(200, "PUT", modelRunsPath+"/"+queued+"/cancel", ``)
	now.advance(4 * time.Second)

	got := s.do(200, "PUT", modelRunsPath+"/"+id+"/cancel", `{"eval_run_uuid":"`+id+`"}`)

	s.wantEffect("cancelled model evaluation run " + id)
	equal(t, "answer", text(got.body, "run", "status"), "MODEL_EVALUATION_RUN_CANCELLING")
	s.do(200, "PUT", modelRunsPath+"/"+id+"/cancel", ``)
	s.wantEffect(NoEffect)
	equal(t, "deleting it meanwhile", text(s.do(200, "DELETE", modelRunsPath+"/"+id, "").body, "status"), deletionFailed)
	now.advance(time.Hour)
	run := s.modelRunNow(id)
	equal(t, "status", text(run, "status"), "MODEL_EVALUATION_RUN_CANCELLED")
	equal(t, "progress", text(run, "progress", "candidate_rows_evaluated")+" "+text(run, "progress", "judge_rows_evaluated"), "3 0")
	equal(t, "started", text(run, "started_at"), "2026-06-01T12:00:03Z")
	equal(t, "completed", text(run, "completed_at"), "2026-06-01T12:00:04Z")
	equal(t, "started before it was", text(s.modelRunNow(queued), "started_at"), "")
	s.do(400, "PUT", modelRunsPath+"/"+id+"/cancel", ``)
	s.do(400, "GET", modelRunsPath+"/"+id+"/results/download_url", "")

	finished := s.modelRun(data, ``)
	now.advance(9 * time.Second)
	s.do(400, "PUT", modelRunsPath+"/"+finished+"/cancel", ``)
	s.do(404, "PUT", modelRunsPath+"/"+unknownID+"/cancel", ``)
	equal(t, "status of the finished", text(s.modelRunNow(finished), "status"), "MODEL_EVALUATION_RUN_SUCCESSFUL")
}

func TestDeleteModelRun(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: 9 * time.Second})
	id := s.modelRun(s.dataset("a.csv", "1"), ``)

	got := s.do(200, "DELETE", modelRunsPath+"/"+id, "")
	s.wantEffect(NoEffect)
	equal(t, "status before the end", text(got.body, "status"), deletionFailed)
	equal(t, "an error before the end", text(got.body, "error") != "", true)
	now.advance(9 * time.Second)
	got = s.do(200, "DELETE", modelRunsPath+"/"+id, "")
	s.wantEffect("deleted model evaluation run " + id)
	equal(t, "status", text(got.body, "status"), deletionDone)
	equal(t, "error", text(got.body, "error"), "")
	s.do(404, "GET", modelRunsPath+"/"+id, "")
	s.do(404, "DELETE", modelRunsPath+"/"+id, "")
}

func TestRenameModelRun(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.modelRun(s.dataset("a.csv", "1"), ``)

	got := s.do(200, "PATCH", modelRunsPath+"/"+id, `{"eval_run_uuid":"`+id+`","name":"new"}`)
	s.wantEffect("renamed model evaluation run " + id)
	equal(t, "answer", text(got.body, "run", "name"), "new")
	equal(t, "name", text(s.modelRunNow(id), "name"), "new")
	for _, body := range []string{`{"name":"new"}`, `{"name":""}`, ``} {
		s.do(200, "PATCH", modelRunsPath+"/"+id, body)
		s.wantEffect(NoEffect)
	}
	s.do(404, "PATCH", modelRunsPath+"/"+unknownID, `{"name":"new"}`)
}

func TestCreateModelRunRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	data := s.dataset("a.csv", "1")
	whole := map[string]string{
		"name": `"n"`, "candidate_model_uuid": `"` + ModelLlama + `"`, "judge_model_uuid": `"` + ModelGPT + `"`,
		"dataset_uuid": `"` + data + `"`, "metric_uuids": `["` + MetricModelHarm + `"]`,
	}
	for name, tc := range map[string]struct {
		status       int
		field, value string // in place of that of a whole request
	}{
		"no name":                {400, "name", `""`},
		"no candidate":           {400, "candidate_model_uuid", `null`},
		"no judge":               {400, "judge_model_uuid", `null`},
		"no dataset":             {400, "dataset_uuid", `null`},
		"no metrics":             {400, "metric_uuids", `[]`},
		"an unknown candidate":   {400, "candidate_model_uuid", `"` + unknownID + `"`},
		"an embedding candidate": {400, "candidate_model_uuid", `"` + ModelEmbedding + `"`},
		"an unknown judge":       {400, "judge_model_uuid", `"` + unknownID + `"`},
		"an embedding judge":     {400, "judge_model_uuid", `"` + ModelEmbedding + `"`},
		"an unknown dataset":     {404, "dataset_uuid", `"` + unknownID + `"`},
		"an unknown metric":      {404, "metric_uuids", `["` + unknownID + `"]`},
		"a metric of agents":     {404, "metric_uuids", `["` + MetricTone + `"]`},
		"an unknown preset":      {404, "eval_preset_uuid", `"` + unknownID + `"`},
		"a star from elsewhere":  {400, "star_metric", `{"metric_uuid":"` + MetricModelCorrectness + `"}`},
		"no tokens":              {400, "candidate_inference_config", `{"max_tokens":0}`},
		"too hot":                {400, "candidate_inference_config", `{"temperature":2.5}`},
		"an unknown source":      {422, "candidate_model_source", `"CANDIDATE_MODEL_SOURCE_DREAM"`},
	} {
		t.Run(name, func(t *testing.T) {
			var body []string
			for field, value := range whole {
				if field != tc.field {
					body = append(body, `"`+field+`":`+value)
				}
			}
			s.do(tc.status, "POST", modelRunsPath, `{`+strings.Join(append(body, `"`+tc.field+`":`+tc.value), ",")+`}`)
			s.wantEffect(NoEffect)
			equal(t, "runs", s.count("model_evaluation_runs"), "0")
		})
	}
	s.do(404, "GET", modelRunsPath+"/"+unknownID, "")
	s.do(404, "GET", modelRunsPath+"/"+unknownID+"/results/download_url", "")
}
