package genaisim

import (
	"strings"
	"testing"
	"time"
)

const customMetricsPath = evalPath + "/custom_evaluation_metrics"

func (s *sim) metrics(list string) []map[string]any {
	s.t.Helper()
	return objects(s.do(200, "GET", evalPath+"/"+list, "").body, "metrics")
}

// customMetric makes a custom metric and returns its uuid.
func (s *sim) customMetric(config string) string {
	s.t.Helper()
	got := s.do(200, "POST", customMetricsPath, `{"metric_name":"Brevity","description":"d","config":{`+config+`}}`)
	return text(got.body, "metric", "metric_uuid")
}

func TestBuiltinMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	for list, want := range map[string]struct{ scope, first, last string }{
		"evaluation_metrics":       {scopeAgent, MetricCorrectness, MetricToxicity},
		"model_evaluation_metrics": {scopeModel, MetricModelCorrectness, MetricModelHarm},
	} {
		t.Run(list, func(t *testing.T) {
			metrics := s.metrics(list)
			equal(t, "first", text(metrics[0], "metric_uuid"), want.first)
			equal(t, "last", text(metrics[len(metrics)-1], "metric_uuid"), want.last)
			for _, m := range metrics {
				name := text(m, "metric_name")
				equal(t, "scope of "+name, text(m, "evaluation_scope"), want.scope)
				equal(t, "source of "+name, text(m, "source"), sourceBuiltin)
				for _, field := range []string{
					"description", "category", "metric_type", "metric_value_type", "metric_rank", "range_min", "range_max",
					"inverted", "is_metric_goal",
				} {
					if value := text(m, field); value == "" || strings.HasSuffix(value, "UNSPECIFIED") {
						t.Errorf("%s of %s is %q", field, name, value)
					}
				}
			}
		})
	}
	s.do(400, "PUT", customMetricsPath+"/"+MetricTone, `{"metric_name":"x"}`)
	s.do(400, "DELETE", customMetricsPath+"/"+MetricTone, "")
	equal(t, "metrics still there", len(s.metrics("evaluation_metrics")), 6)
}

func TestCustomMetrics(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	got := s.do(200, "POST", customMetricsPath, `{"metric_name":"Brevity","description":"d","config":{"scoring_prompt":"Is it short?"}}`)
	id := text(got.body, "metric", "metric_uuid")
	s.wantEffect("created custom metric " + id)
	for _, list := range []string{"evaluation_metrics", "model_evaluation_metrics"} {
		metrics := s.metrics(list)
		last := metrics[len(metrics)-1]
		equal(t, "last of "+list, text(last, "metric_uuid"), id)
		equal(t, "source", text(last, "source"), sourceCustom)
		equal(t, "prompt", text(last, "custom_eval_config", "scoring_prompt"), "Is it short?")
		equal(t, "ground truth", text(last, "custom_eval_config", "requires_ground_truth"), "false")
	}

	now.advance(time.Minute)
	path := customMetricsPath + "/" + id
	s.do(200, "PUT", path, `{"metric_uuid":"`+id+`","config":{"scoring_prompt":"Is it short?"}}`)
	s.wantEffect(NoEffect)
	got = s.do(200, "PUT", path, `{"metric_name":"Shortness","config":{"requires_ground_truth":true}}`)
	s.wantEffect("updated custom metric " + id)
	for field, want := range map[string]string{"metric_name": "Shortness", "description": "d"} {
		equal(t, field, text(got.body, "metric", field), want)
	}
	config := object(got.body, "metric", "custom_eval_config")
	for field, want := range map[string]string{
		"scoring_prompt": "Is it short?", "requires_ground_truth": "true",
		"created_at": "2026-06-01T12:00:00Z", "updated_at": "2026-06-01T12:01:00Z",
	} {
		equal(t, field, text(config, field), want)
	}

	equal(t, "answer to deleting", s.do(200, "DELETE", path, "").raw, "{}\n")
	s.wantEffect("deleted custom metric " + id)
	equal(t, "metrics left", len(s.metrics("model_evaluation_metrics")), 4)
	s.do(404, "DELETE", path, "")
	s.do(404, "PUT", path, `{"metric_name":"x"}`)
	s.do(404, "PUT", customMetricsPath+"/"+unknownID, `{"metric_name":"x"}`)
	s.do(400, "POST", customMetricsPath, `{"metric_name":"x"}`)
	s.do(400, "POST", customMetricsPath, `{"config":{"scoring_prompt":"x"}}`)
}

func TestMetricsInUseStay(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	data := s.dataset("a.csv", "1")
	metric := s.customMetric(`"scoring_prompt":"p"`)
	path := customMetricsPath + "/" + metric

	tc := s.testCase(data, `,"metrics":["`+metric+`"]`)
	s.do(409, "DELETE", path, "")
	s.do(200, "PUT", casesPath+"/"+tc, `{"metrics":["`+MetricTone+`"]}`)

	run := s.modelRunNow(s.modelRun(data, `,"metric_uuids":["`+metric+`"],"save_as_preset":true,"preset_name":"p"`))
	preset := text(run, "eval_preset_uuid")
	metrics := s.metrics("model_evaluation_metrics")
	associated := objects(metrics[len(metrics)-1], "associated_presets")
	equal(t, "associated presets", column(associated, "eval_preset_uuid")+" "+column(associated, "name"), preset+" p")
	s.do(409, "DELETE", path, "")
	s.do(200, "DELETE", presetsPath+"/"+preset, "")

	s.do(200, "DELETE", path, "")
	// What had it still shows it, but nothing new can have it.
	first := object(s.do(200, "GET", casesPath+"/"+tc+"?evaluation_test_case_version=1", "").body, "evaluation_test_case")
	shown := objects(first, "metrics")[0]
	equal(t, "metric of the old version", text(shown, "metric_name"), "Brevity")
	if text(shown, "custom_eval_config", "deleted_at") == "" {
		t.Error("the old version does not tell that the metric was deleted")
	}
	s.do(404, "PUT", casesPath+"/"+tc, `{"metrics":["`+metric+`"]}`)
}
