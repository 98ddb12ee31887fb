package genaisim

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func number(t *testing.T, value any, path ...string) float64 {
	t.Helper()
	n, ok := at(value, path...).(json.Number)
	if !ok {
		t.Fatalf("%v is %v, not a number", path, at(value, path...))
	}
	f, err := n.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestListModelRuns(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: 9 * time.Second})
	data := s.dataset("a.csv", "1")
	// By the time of the lists: one succeeded, one cancelled, one running, one queued.
	first := s.modelRun(data, `,"name":"alpha","save_as_preset":true`)
	preset := text(s.modelRunNow(first), "eval_preset_uuid")
	second := s.modelRun(data, `,"name":"beta","candidate_model_uuid":"`+ModelClaude+`"`)
	s.do(200, "PUT", modelRunsPath+"/"+second+"/cancel", ``)
	now.advance(9 * time.Second)
	s.modelRun(data, `,"name":"gamma","eval_preset_uuid":"`+preset+`"`)
	now.advance(3 * time.Second)
	s.modelRun(data, `,"name":"delta","candidate_model_source":"`+candidateDedicated+`","candidate_model_name":"own"`)

	for query, want := range map[string]string{
		"":                                       "alpha beta gamma delta",
		"?per_page=2&page=2":                     "gamma delta",
		"?eval_preset_uuid=" + preset:            "alpha gamma",
		"?eval_preset_uuid=" + unknownID:         "",
		"?status=MODEL_EVALUATION_RUN_CANCELLED": "beta",
		"?status=MODEL_EVALUATION_RUN_STATUS_UNSPECIFIED":                                   "alpha beta gamma delta",
		"?statuses=MODEL_EVALUATION_RUN_QUEUED,MODEL_EVALUATION_RUN_SUCCESSFUL":             "alpha delta",
		"?statuses=MODEL_EVALUATION_RUN_QUEUED&statuses=MODEL_EVALUATION_RUN_SUCCESSFUL":    "alpha delta",
		"?statuses=MODEL_EVALUATION_RUN_QUEUED&status=MODEL_EVALUATION_RUN_RUNNING_DATASET": "gamma delta",
		"?statuses=MODEL_EVALUATION_RUN_FAILED":                                             "",
		"?search=MMA":                                                                       "gamma",
		"?search=claude":                                                                    "beta",
		"?search=questions":                                                                 "alpha beta gamma delta",
		"?search=nothing":                                                                   "",
		"?candidate_types=" + candidateDedicated:                                            "delta",
		"?candidate_types[]=" + candidateServerless:                                         "alpha beta gamma",
		"?candidate_types=" + candidateRouter:                                               "",
		"?sort_direction=desc":                                                              "delta gamma beta alpha",
		"?sort_by=created_at&sort_direction=asc":                                            "alpha beta gamma delta",
		"?sort_by=status":                                                                   "delta gamma beta alpha",
		"?sort_by=MODEL_EVALUATION_RUN_SORT_FIELD_STATUS&sort_direction=SORT_DIRECTION_DESC":                  "alpha beta gamma delta",
		"?sort_by=MODEL_EVALUATION_RUN_SORT_FIELD_CREATED_AT&sort_direction=SORT_DIRECTION_DESC":              "delta gamma beta alpha",
		"?sort_by=MODEL_EVALUATION_RUN_SORT_FIELD_UNSPECIFIED&sort_direction=":                                "alpha beta gamma delta",
		"?search=a&eval_preset_uuid=" + preset + "&status=MODEL_EVALUATION_RUN_SUCCESSFUL&sort_direction=asc": "alpha",
	} {
		t.Run(query, func(t *testing.T) {
			got := s.do(200, "GET", modelRunsPath+query, "")
			equal(t, "runs", column(objects(got.body, "runs"), "name"), want)
			types, _ := at(got.body, "available_candidate_types").([]any)
			statuses, _ := at(got.body, "available_statuses").([]any)
			equal(t, "what there is to filter by", len(types)*100+len(statuses), 308)
		})
	}
	s.do(400, "GET", modelRunsPath+"?sort_by=colour", "")
	s.do(400, "GET", modelRunsPath+"?sort_direction=up", "")
	item := objects(s.do(200, "GET", modelRunsPath, "").body, "runs")[0]
	for field, want := range map[string]string{
		"eval_run_uuid": first, "status": "MODEL_EVALUATION_RUN_SUCCESSFUL", "candidate_model_source": candidateServerless,
		"candidate_model_uuid": ModelLlama, "candidate_model_name": "llama3.3-70b-instruct", "judge_model_uuid": ModelGPT,
		"judge_model_name": "OpenAI GPT", "dataset_uuid": data, "dataset_name": "questions", "created_at": "2026-06-01T12:00:00Z",
	} {
		equal(t, field, text(item, field), want)
	}
	equal(t, "progress", text(item, "progress", "judge_rows_evaluated"), "5")
}

const presetsPath = evalPath + "/model_evaluation_presets"

func TestPresets(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	data := s.dataset("a.csv", "1")
	id := s.modelRun(data, `,"save_as_preset":true,"preset_name":"mine","star_metric":{"name":"Harmfulness"},
		"candidate_inference_config":{"system_prompt":"Be brief.","temperature":0.5}`)
	run := s.modelRunNow(id)
	preset := text(run, "eval_preset_uuid")
	equal(t, "preset of the run", text(run, "eval_preset_name"), "mine")

	shown := object(s.do(200, "GET", presetsPath+"/"+preset, "").body, "preset")
	for field, want := range map[string]string{
		"eval_preset_uuid": preset, "name": "mine", "dataset_uuid": data, "dataset_name": "questions",
		"judge_model_uuid": ModelGPT, "judge_model_name": "OpenAI GPT",
	} {
		equal(t, field, text(shown, field), want)
	}
	equal(t, "metrics", column(objects(shown, "metrics"), "metric_name"), "Correctness Harmfulness")
	equal(t, "star metric", text(shown, "star_metric", "name"), "Harmfulness")
	equal(t, "listed", column(objects(s.do(200, "GET", presetsPath, "").body, "presets"), "eval_preset_uuid"), preset)

	// All of a run can come from a preset, and what is given beside wins.
	s.do(200, "POST", modelRunsPath, `{"name":"again","eval_preset_uuid":"`+preset+`","save_as_preset":true,
		"candidate_inference_config":{"temperature":0}}`)
	again := s.modelRunNow(s.last().ResourceUUID)
	for _, field := range []string{"candidate_model_uuid", "judge_model_uuid", "dataset_uuid", "eval_preset_uuid", "eval_preset_name"} {
		equal(t, field, text(again, field), text(run, field))
	}
	equal(t, "system prompt", text(again, "candidate_inference_config", "system_prompt"), "Be brief.")
	equal(t, "temperature", text(again, "candidate_inference_config", "temperature"), "0")
	equal(t, "star metric again", text(again, "star_metric", "name"), "Harmfulness")
	s.do(400, "POST", modelRunsPath, `{"name":"b","eval_preset_uuid":"`+preset+`","metric_uuids":["`+MetricModelCorrectness+`"]}`)
	equal(t, "presets", len(objects(s.do(200, "GET", presetsPath, "").body, "presets")), 1)

	equal(t, "answer to deleting", s.do(200, "DELETE", presetsPath+"/"+preset, "").raw, "{}\n")
	s.wantEffect("deleted evaluation preset " + preset)
	s.do(404, "GET", presetsPath+"/"+preset, "")
	s.do(404, "DELETE", presetsPath+"/"+preset, "")
	equal(t, "preset of the run", text(s.modelRunNow(id), "eval_preset_name"), "mine")
}

func TestPresetsKeepWhatWasWanted(t *testing.T) {
	t.Parallel()
	const prefix = "PRESET_SAVE_SECTION_"
	for name, tc := range map[string]struct {
		save    string
		saved   string // sections; empty if no preset is wanted
		missing string // what a run from the preset needs beside it
	}{
		"nothing":                        {``, "", ""},
		"a flag that is not set":         {`,"save_as_preset":false,"preset_name":"p"`, "", ""},
		"nothing in particular":          {`,"preset_save_sections":["` + prefix + `UNSPECIFIED"]`, "", ""},
		"all by the deprecated flag":     {`,"save_as_preset":true`, "CANDIDATE METRICS JUDGE DATASET SYSTEM_PROMPT", ``},
		"the judge and the metrics":      {sections("JUDGE", "METRICS"), "METRICS JUDGE", `,"candidate_model_uuid":"` + ModelClaude + `","dataset_uuid":"DATA"`},
		"sections rather than the flag":  {sections("JUDGE", "METRICS", "DATASET") + `,"save_as_preset":true`, "METRICS JUDGE DATASET", `,"candidate_model_uuid":"` + ModelClaude + `"`},
		"the system prompt and the rest": {sections("SYSTEM_PROMPT"), "SYSTEM_PROMPT", `,"candidate_model_uuid":"` + ModelClaude + `","judge_model_uuid":"` + ModelGPT + `","metric_uuids":["` + MetricModelHarm + `"],"dataset_uuid":"DATA"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Strict: true})
			data := s.dataset("a.csv", "1")
			run := s.modelRunNow(s.modelRun(data, tc.save+`,"candidate_inference_config":{"system_prompt":"Be brief.","max_tokens":9}`))

			presets := objects(s.do(200, "GET", presetsPath, "").body, "presets")
			if tc.saved == "" {
				equal(t, "presets", len(presets), 0)
				equal(t, "preset of the run", text(run, "eval_preset_uuid"), "")
				return
			}
			raw, _ := json.Marshal(at(presets[0], "saved_sections"))
			equal(t, "saved", string(raw), `["`+prefix+strings.ReplaceAll(tc.saved, " ", `","`+prefix)+`"]`)
			equal(t, "name where none was given", text(presets[0], "name"), "run")
			equal(t, "judge shown", text(presets[0], "judge_model_uuid") != "", strings.Contains(tc.saved, "JUDGE"))
			equal(t, "dataset shown", text(presets[0], "dataset_uuid") != "", strings.Contains(tc.saved, "DATASET"))
			equal(t, "metrics shown", len(objects(presets[0], "metrics")) > 0, strings.Contains(tc.saved, "METRICS"))

			from := `{"name":"n","eval_preset_uuid":"` + text(presets[0], "eval_preset_uuid") + `"`
			if tc.missing != "" {
				s.do(400, "POST", modelRunsPath, from+`}`)
			}
			s.do(200, "POST", modelRunsPath, from+strings.ReplaceAll(tc.missing, "DATA", data)+`}`)
			config := object(s.modelRunNow(s.last().ResourceUUID), "candidate_inference_config")
			equal(t, "system prompt kept", text(config, "system_prompt") != "", strings.Contains(tc.saved, "SYSTEM_PROMPT"))
			equal(t, "tokens kept", text(config, "max_tokens") != "", strings.Contains(tc.saved, "CANDIDATE"))
		})
	}
}

// sections is a field that has some parts of a run saved.
func sections(names ...string) string {
	return `,"preset_save_sections":["PRESET_SAVE_SECTION_` + strings.Join(names, `","PRESET_SAVE_SECTION_`) + `"]`
}
