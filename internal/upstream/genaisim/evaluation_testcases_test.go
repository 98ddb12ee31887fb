package genaisim

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

const casesPath = evalPath + "/evaluation_test_cases"

// testCase makes a test case with a dataset and returns its uuid. What is given
// beside follows, and may say everything but the name and the dataset anew.
func (s *sim) testCase(data, more string) string {
	s.t.Helper()
	if !strings.Contains(more, `"metrics"`) {
		more += `,"metrics":["` + MetricCorrectness + `","` + MetricTone + `"]`
	}
	return text(s.do(200, "POST", casesPath, `{"name":"case","dataset_uuid":"`+data+`"`+more+`}`).body, "test_case_uuid")
}

func (s *sim) testCaseNow(id, query string) map[string]any {
	s.t.Helper()
	return object(s.do(200, "GET", casesPath+"/"+id+query, "").body, "evaluation_test_case")
}

func TestTestCases(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	data := s.dataset("a.csv", "600")
	got := s.do(200, "POST", casesPath, `{"name":"case","description":"d","dataset_uuid":"`+data+`",
		"metrics":["`+MetricCorrectness+`","`+MetricToxicity+`","`+MetricCorrectness+`"],
		"star_metric":{"metric_uuid":"`+MetricToxicity+`","name":"anything","success_threshold":0.4},
		"workspace_uuid":"6a1f2c30-51d0-4e6b-8f00-00000000beef"}`)
	id := text(got.body, "test_case_uuid")
	s.wantEffect("created test case " + id)
	equal(t, "resource", s.last().ResourceUUID, id)

	tc := s.testCaseNow(id, "")
	for field, want := range map[string]string{
		"test_case_uuid": id, "name": "case", "description": "d", "version": "1", "dataset_uuid": data, "dataset_name": "questions",
		"total_runs": "0", "latest_version_number_of_runs": "0", "created_at": "2026-06-01T12:00:00Z",
		"created_by_user_id": OwnerID, "created_by_user_email": OwnerEmail, "updated_at": "2026-06-01T12:00:00Z",
		"updated_by_user_id": OwnerID, "updated_by_user_email": OwnerEmail,
	} {
		equal(t, field, text(tc, field), want)
	}
	equal(t, "rows", text(tc, "dataset", "row_count"), "6")
	equal(t, "metrics", column(objects(tc, "metrics"), "metric_name"), "Correctness Toxicity")
	equal(t, "star metric", text(tc, "star_metric", "name")+" "+text(tc, "star_metric", "success_threshold"), "Toxicity 0.4")

	other := s.testCase(data, ``)
	equal(t, "listed", column(objects(s.do(200, "GET", casesPath, "").body, "evaluation_test_cases"), "test_case_uuid"), id+" "+other)
	inWorkspace := func(workspace string) string {
		path := evalPath + "/workspaces/" + workspace + "/evaluation_test_cases"
		return column(objects(s.do(200, "GET", path, "").body, "evaluation_test_cases"), "test_case_uuid")
	}
	equal(t, "in the workspace", inWorkspace("6a1f2c30-51d0-4e6b-8f00-00000000beef"), id)
	equal(t, "in another", inWorkspace(unknownID), "")
	s.do(404, "GET", casesPath+"/"+unknownID, "")
}

func TestTestCasesOfWorkspaces(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	data := s.dataset("a.csv", "1")
	s.do(200, "POST", evalPath+"/workspaces", `{"name":"mine"}`)
	workspace := s.last().ResourceUUID
	path := evalPath + "/workspaces/" + workspace
	byName := s.testCase(data, `,"agent_workspace_name":"mine"`)
	byID := s.testCase(data, `,"workspace_uuid":"`+strings.ToUpper(workspace)+`"`)
	s.testCase(data, ``)

	listed := objects(s.do(200, "GET", path+"/evaluation_test_cases", "").body, "evaluation_test_cases")
	equal(t, "listed", column(listed, "test_case_uuid"), byName+" "+byID)
	shown := objects(s.do(200, "GET", path, "").body, "workspace", "evaluation_test_cases")
	equal(t, "shown with the workspace", column(shown, "test_case_uuid"), byName+" "+byID)

	s.do(200, "DELETE", path, "")
	s.do(404, "GET", path+"/evaluation_test_cases", "")
	s.do(400, "POST", casesPath, `{"name":"n","dataset_uuid":"`+data+`","metrics":["`+MetricTone+`"],"workspace_uuid":"`+workspace+`"}`)
	equal(t, "test case after that", text(s.testCaseNow(byID, ""), "name"), "case")
}

func TestTestCaseVersions(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	data := s.dataset("a.csv", "1")
	id := s.testCase(data, `,"star_metric":{"name":"Correctness","success_threshold_pct":80}`)
	path := casesPath + "/" + id
	agent := s.create("a")
	s.evaluate(id, agent)

	for version, change := range []struct{ body, field, want string }{
		{`{"test_case_uuid":"` + id + `","name":"new"}`, "name", "new"},
		{`{"description":"why"}`, "description", "why"},
		{`{"metrics":{"metric_uuids":["` + MetricCorrectness + `","` + MetricToxicity + `"]}}`, "", "Correctness Toxicity"},
		{`{"metrics":["` + MetricCorrectness + `"]}`, "", "Correctness"},
		{`{"dataset_uuid":"` + s.dataset("b.csv", "1") + `"}`, "dataset_name", "questions"},
	} {
		now.advance(time.Minute)
		got := s.do(200, "PUT", path, change.body)
		equal(t, "version", text(got.body, "version"), strconv.Itoa(version+2))
		equal(t, "current version", text(s.testCaseNow(id, ""), "version"), strconv.Itoa(version+2))
		equal(t, "test case", text(got.body, "test_case_uuid"), id)
		if change.field == "" {
			equal(t, "metrics", column(objects(s.testCaseNow(id, ""), "metrics"), "metric_name"), change.want)
		} else {
			equal(t, change.field, text(s.testCaseNow(id, ""), change.field), change.want)
		}
		s.do(200, "PUT", path, change.body)
		s.wantEffect(NoEffect)
	}
	s.evaluate(id, agent)
	s.evaluate(id, agent)

	first, last := s.testCaseNow(id, "?evaluation_test_case_version=1"), s.testCaseNow(id, "")
	equal(t, "first", text(first, "name")+" "+column(objects(first, "metrics"), "metric_name"), "case Correctness Tone")
	equal(t, "first dataset", text(first, "dataset_uuid"), data)
	equal(t, "first made", text(first, "updated_at"), "2026-06-01T12:00:00Z")
	equal(t, "last made", text(last, "updated_at"), "2026-06-01T12:05:00Z")
	equal(t, "created", text(last, "created_at"), "2026-06-01T12:00:00Z")
	equal(t, "runs", text(last, "total_runs")+" "+text(last, "latest_version_number_of_runs"), "3 2")
	equal(t, "star metric kept", text(last, "star_metric", "success_threshold_pct"), "80")
	s.do(404, "GET", path+"?evaluation_test_case_version=7", "")

	runs := func(query string) int {
		return len(objects(s.do(200, "GET", path+"/evaluation_runs"+query, "").body, "evaluation_runs"))
	}
	equal(t, "all runs", runs(""), 3)
	equal(t, "runs of the first version", runs("?evaluation_test_case_version=1"), 1)
	equal(t, "runs of one in between", runs("?evaluation_test_case_version=2"), 0)
	s.do(404, "GET", path+"/evaluation_runs?evaluation_test_case_version=7", "")
	s.do(404, "GET", casesPath+"/"+unknownID+"/evaluation_runs", "")
}

func TestTestCaseRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	data := s.dataset("a.csv", "1")
	id := s.testCase(data, ``)
	whole := func(more string) string {
		return `{"name":"n","dataset_uuid":"` + data + `","metrics":["` + MetricInstructions + `"]` + more + `}`
	}
	for name, tc := range map[string]struct {
		status             int
		method, path, body string
	}{
		"no name":            {400, "POST", casesPath, `{"dataset_uuid":"` + data + `","metrics":["` + MetricTone + `"]}`},
		"no dataset":         {400, "POST", casesPath, `{"name":"n","metrics":["` + MetricTone + `"]}`},
		"no metrics":         {400, "POST", casesPath, `{"name":"n","dataset_uuid":"` + data + `","metrics":[]}`},
		"an unknown dataset": {404, "POST", casesPath, `{"name":"n","dataset_uuid":"` + unknownID + `","metrics":["` + MetricTone + `"]}`},
		"an unknown metric":  {404, "POST", casesPath, `{"name":"n","dataset_uuid":"` + data + `","metrics":["` + unknownID + `"]}`},
		"a metric of models": {404, "POST", casesPath, `{"name":"n","dataset_uuid":"` + data + `","metrics":["` + MetricModelHarm + `"]}`},
		"a star that is no metric of it": {
			400, "POST", casesPath, whole(`,"star_metric":{"metric_uuid":"` + MetricTone + `"}`),
		},
		"a star without a name":   {400, "POST", casesPath, whole(`,"star_metric":{"success_threshold_pct":5}`)},
		"more than everything":    {400, "POST", casesPath, whole(`,"star_metric":{"name":"Instruction following","success_threshold_pct":101}`)},
		"a threshold off scale":   {400, "POST", casesPath, whole(`,"star_metric":{"name":"Instruction following","success_threshold":5.5}`)},
		"a workspace nobody has":  {404, "POST", casesPath, whole(`,"agent_workspace_name":"nobody's"`)},
		"a change of nothing":     {404, "PUT", casesPath + "/" + unknownID, `{"name":"n"}`},
		"a change to no dataset":  {404, "PUT", casesPath + "/" + id, `{"name":"n","dataset_uuid":"` + unknownID + `"}`},
		"a change to no metric":   {404, "PUT", casesPath + "/" + id, `{"name":"n","metrics":{"metric_uuids":["` + unknownID + `"]}}`},
		"a change to a bad star":  {400, "PUT", casesPath + "/" + id, `{"name":"n","star_metric":{"name":"Toxicity"}}`},
		"metrics of a wrong form": {422, "PUT", casesPath + "/" + id, `{"metrics":"` + MetricTone + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s.do(tc.status, tc.method, tc.path, tc.body)
			s.wantEffect(NoEffect)
			equal(t, "test cases", len(objects(s.do(200, "GET", casesPath, "").body, "evaluation_test_cases")), 1)
			equal(t, "version", text(s.testCaseNow(id, ""), "version"), "1")
		})
	}
}

func TestLooseEvaluationsRefuseWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	data := s.dataset("a.csv", "1")
	for path, body := range map[string]string{
		casesPath: `"metrics":["` + MetricTone + `"],"star_metric":{"name":"Tone","success_threshold":"NaN"}`,
		modelRunsPath: `"metric_uuids":["` + MetricModelHarm + `"],"candidate_model_uuid":"` + ModelLlama + `",
			"judge_model_uuid":"` + ModelGPT + `","candidate_inference_config":{"temperature":"NaN"}`,
	} {
		s.do(400, "POST", path, `{"name":"n","dataset_uuid":"`+data+`",`+body+`}`)
	}
	// What is no object counts as not given.
	s.do(200, "POST", casesPath, `{"name":"n","dataset_uuid":"`+data+`","metrics":"`+MetricTone+`","star_metric":"Tone"}`)
	equal(t, "star metric", object(s.testCaseNow(s.last().ResourceUUID, ""), "star_metric") == nil, true)
}

func TestStarMetricStaysAmongTheMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.testCase(s.dataset("a.csv", "1"), `,"star_metric":{"name":"Correctness"}`)

	s.do(400, "PUT", casesPath+"/"+id, `{"metrics":["`+MetricTone+`"]}`)
	s.do(200, "PUT", casesPath+"/"+id, `{"metrics":["`+MetricTone+`"],"star_metric":{"metric_uuid":"`+MetricTone+`"}}`)

	equal(t, "star metric", text(s.testCaseNow(id, ""), "star_metric", "metric_uuid"), MetricTone)
}
