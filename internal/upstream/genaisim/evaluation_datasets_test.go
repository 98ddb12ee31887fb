package genaisim

import (
	"strings"
	"testing"
	"time"
)

const (
	evalPath     = "/v2/gen-ai"
	datasetsPath = evalPath + "/evaluation_datasets"
)

// dataset makes a dataset from a file and returns its uuid.
func (s *sim) dataset(file, size string) string {
	s.t.Helper()
	got := s.do(200, "POST", datasetsPath, `{"name":"questions","file_upload_dataset":
		{"original_file_name":"`+file+`","stored_object_key":"k","size_in_bytes":"`+size+`"}}`)
	return text(got.body, "evaluation_dataset_uuid")
}

func (s *sim) datasets(query string) []map[string]any {
	s.t.Helper()
	return objects(s.do(200, "GET", datasetsPath+query, "").body, "evaluation_datasets")
}

func TestDatasets(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	equal(t, "datasets at the start", len(s.datasets("")), 0)

	upload := s.do(200, "POST", datasetsPath+"/file_upload_presigned_urls", `{"files":[{"file_name":"q.csv","file_size":1200}]}`)
	key := text(objects(upload.body, "uploads")[0], "object_key")
	got := s.do(200, "POST", datasetsPath, `{"name":"q","dataset_type":"EVALUATION_DATASET_TYPE_MODEL",
		"file_upload_dataset":{"original_file_name":"q.csv","stored_object_key":"`+key+`","size_in_bytes":1200}}`)
	id := text(got.body, "evaluation_dataset_uuid")
	s.wantEffect("created evaluation dataset " + id)
	equal(t, "resource", s.last().ResourceUUID, id)
	other := s.dataset("other.jsonl", "3")

	list := s.datasets("")
	equal(t, "datasets", column(list, "dataset_uuid"), id+" "+other)
	for field, want := range map[string]string{
		"dataset_name": "q", "dataset_type": "EVALUATION_DATASET_TYPE_MODEL", "row_count": "12", "file_size": "1200",
		"has_ground_truth": "true", "created_at": "2026-06-01T12:00:00Z",
	} {
		equal(t, field, text(list[0], field), want)
	}
	equal(t, "type where none was given", text(list[1], "dataset_type"), datasetAgent)
	equal(t, "fewest rows", text(list[1], "row_count"), "5")
	equal(t, "ground truth of a file that is no table", text(list[1], "has_ground_truth"), "false")
	equal(t, "of a type", column(s.datasets("?dataset_type=EVALUATION_DATASET_TYPE_MODEL"), "dataset_uuid"), id)
	equal(t, "of any type", len(s.datasets("?dataset_type="+datasetUnset)), 2)
	equal(t, "of a type without any", len(s.datasets("?dataset_type=EVALUATION_DATASET_TYPE_ADK")), 0)

	url := s.do(200, "GET", datasetsPath+"/"+id+"/download_url", "")
	equal(t, "expiry", text(url.body, "expires_at"), "2026-06-01T12:15:00Z")
	if !strings.Contains(text(url.body, "download_url"), id) {
		t.Errorf("the URL does not lead to the dataset: %s", url.raw)
	}

	s.do(200, "DELETE", datasetsPath+"/"+id, "")
	s.wantEffect("deleted evaluation dataset " + id)
	equal(t, "datasets left", column(s.datasets(""), "dataset_uuid"), other)
	s.do(404, "DELETE", datasetsPath+"/"+id, "")
	s.do(404, "GET", datasetsPath+"/"+id+"/download_url", "")
}

func TestCreateDatasetRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	for name, body := range map[string]string{
		"nothing":         ``,
		"no name":         `{"file_upload_dataset":{"stored_object_key":"k"}}`,
		"no file":         `{"name":"d"}`,
		"no object key":   `{"name":"d","file_upload_dataset":{"original_file_name":"q.csv","size_in_bytes":5}}`,
		"a negative size": `{"name":"d","file_upload_dataset":{"stored_object_key":"k","size_in_bytes":-5}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.do(400, "POST", datasetsPath, body)
			s.wantEffect(NoEffect)
			equal(t, "datasets", len(s.datasets("")), 0)
		})
	}
}

func TestDatasetsInUseStay(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(s *sim, id string, now *clock) (free func()){
		"by a test case": func(s *sim, id string, _ *clock) func() {
			tc := s.testCase(id, ``)
			return func() { s.do(200, "PUT", casesPath+"/"+tc, `{"dataset_uuid":"`+s.dataset("b.csv", "1")+`"}`) }
		},
		"by a preset": func(s *sim, id string, now *clock) func() {
			run := s.modelRun(id, `,"preset_save_sections":["PRESET_SAVE_SECTION_DATASET"]`)
			preset := text(s.modelRunNow(run), "eval_preset_uuid")
			now.advance(time.Hour)
			return func() { s.do(200, "DELETE", presetsPath+"/"+preset, "") }
		},
		"by a run of a model": func(s *sim, id string, now *clock) func() {
			s.modelRun(id, ``)
			return func() { now.advance(time.Hour) }
		},
		"by a run of an agent": func(s *sim, id string, now *clock) func() {
			tc := s.testCase(id, ``)
			s.evaluate(tc, s.create("a"))
			s.do(200, "PUT", casesPath+"/"+tc, `{"dataset_uuid":"`+s.dataset("b.csv", "1")+`"}`)
			return func() { now.advance(time.Hour) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			s := start(t, Config{Strict: true, Now: now.Now, EvaluationTime: time.Hour})
			id := s.dataset("a.csv", "1")
			free := use(s, id, now)

			s.do(409, "DELETE", datasetsPath+"/"+id, "")
			s.wantEffect(NoEffect)
			free()
			s.do(200, "DELETE", datasetsPath+"/"+id, "")
		})
	}
}

func TestPresignedUploadsOfDatasets(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"for agents": datasetsPath + "/file_upload_presigned_urls",
		"for models": evalPath + "/model_evaluation/datasets/file_upload_presigned_urls",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			s := start(t, Config{Strict: true, Now: now.Now})
			got := s.do(200, "POST", path, `{"files":[{"file_name":"a.csv","file_size":"12"},{"file_name":"b.csv","file_size":2048}]}`)

			uploads := objects(got.body, "uploads")
			equal(t, "files", column(uploads, "original_file_name"), "a.csv b.csv")
			equal(t, "expiry", text(uploads[1], "expires_at"), "2026-06-01T12:15:00Z")
			if key := text(uploads[0], "object_key"); key == "" || key == text(uploads[1], "object_key") {
				t.Errorf("not a key for each file: %s", got.raw)
			}
			s.wantEffect("presigned 2 uploads, request " + text(got.body, "request_id"))
			s.do(400, "POST", path, `{"files":[]}`)
			s.do(400, "POST", path, ``)
			s.do(400, "POST", path, `{"files":[{"file_size":"12"}]}`)
		})
	}
}
