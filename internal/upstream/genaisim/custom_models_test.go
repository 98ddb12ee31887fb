package genaisim

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const customPath = "/v2/gen-ai/custom_models"

// importBody is an import of a repository, with more fields if any.
func importBody(repository, more string) string {
	return `{"name":"m","source_type":"SOURCE_TYPE_HUGGINGFACE","accept_terms_and_conditions":true,
		"source_ref":{"repo_id":"` + repository + `","access_type":"ACCESS_TYPE_PUBLIC"}` + more + `}`
}

func (s *sim) custom(id string) map[string]any {
	s.t.Helper()
	return object(s.do(200, "GET", customPath+"/"+id, "").body, "model")
}

func TestImportTakesItsTime(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, ImportTime: time.Minute})

	got := s.do(200, "POST", customPath+"/import", importBody("Qwen/Qwen3-1.7B", `,"description":"d","tags":{"tags":["base","new"]},
		"preferred_gpu_region":"nyc3","accept_hf_token_storage":false`))

	id := text(got.body, "model", "uuid")
	s.wantEffect("imported custom model " + id)
	equal(t, "resource", s.last().ResourceUUID, id)
	equal(t, "error", text(got.body, "error"), "")
	equal(t, "steps", column(objects(got.body, "validation_steps"), "name"), "quota source_exists source_access")
	equal(t, "passed", column(objects(got.body, "validation_steps"), "passed"), "true true true") //nolint:dupword // one for each step
	job := object(got.body, "import_job")
	equal(t, "fields the job has not", s.left("CustomModelImportJob", job), "completed_at error_message error_step")
	equal(t, "job", text(job, "status")+" "+text(job, "bytes_done")+" "+text(job, "files_done"), "in_progress 0 0")
	const found = "architecture config_json context_length cost_estimate_per_month error_message file_count total_size_bytes"
	model := s.custom(id)
	equal(t, "fields it has not at first", s.left("CustomModel", model), found)
	equal(t, "status at first", text(model, "status"), customImporting)
	equal(t, "commit", len(text(model, "source_ref", "commit_sha")), 40)
	equal(t, "region", text(model, "storage_region"), "nyc3")

	refused := s.do(200, "DELETE", customPath+"/"+id, "")
	s.wantEffect(NoEffect)
	equal(t, "deletion at first", text(refused.body, "status"), customUndeleted)
	if text(refused.body, "error") == "" {
		t.Error("a refused deletion does not say why")
	}

	now.advance(time.Minute)
	model = s.custom(id)
	equal(t, "fields it has not at last", s.left("CustomModel", model), "error_message")
	equal(t, "status at last", text(model, "status")+" "+text(model, "updated_at"), customReady+" 2026-06-01T12:01:00Z")
	equal(t, "size", text(model, "total_size_bytes"), text(job, "bytes_total"))
	equal(t, "files", text(model, "file_count"), text(job, "files_total"))
	deleted := s.do(200, "DELETE", customPath+"/"+id, "")
	s.wantEffect("deleted custom model " + id)
	equal(t, "deletion at last", text(deleted.body, "status")+text(deleted.body, "error"), customDeleted)
	s.do(404, "GET", customPath+"/"+id, "")
	s.do(404, "DELETE", customPath+"/"+id, "")
	s.do(404, "PATCH", customPath+"/"+id+"/metadata", `{}`)
}

func TestImportAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	got := s.do(200, "POST", customPath+"/import", importBody("a/b", ""))
	equal(t, "model", text(got.body, "model", "status"), customReady)
	job := object(got.body, "import_job")
	equal(t, "job", text(job, "status")+" "+text(job, "bytes_done"), "completed "+text(job, "bytes_total"))
	equal(t, "fields the job has not", s.left("CustomModelImportJob", job), "error_message error_step")

	got = s.do(200, "POST", customPath+"/import", importBody("broken/b", ""))
	equal(t, "broken model", text(got.body, "model", "status")+text(got.body, "error"), customFailed)
	equal(t, "its job", text(got.body, "import_job", "status")+" "+text(got.body, "import_job", "error_step"), "failed download")
	equal(t, "why", text(got.body, "model", "error_message"), text(got.body, "import_job", "error_message"))
	s.do(200, "DELETE", customPath+"/"+text(got.body, "model", "uuid"), "")
	s.wantEffect("deleted custom model *")

	bucket := s.do(200, "POST", customPath+"/import", `{"name":"s","source_type":"SOURCE_TYPE_SPACES_BUCKET","accept_terms_and_conditions":true,
		"source_ref":{"bucket":"models","prefix":"x/","region":"nyc3"}}`)
	ref := object(bucket.body, "model", "source_ref")
	equal(t, "bucket", text(ref, "bucket")+text(ref, "prefix")+text(ref, "region")+text(ref, "commit_sha"), "modelsx/nyc3")
}

func TestImportRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	const accepted = `"accept_terms_and_conditions":true`
	for name, body := range map[string]string{
		"no body":                  ``,
		"terms not accepted":       strings.Replace(importBody("a/b", ""), accepted, `"accept_terms_and_conditions":false`, 1),
		"terms not spoken of":      strings.Replace(importBody("a/b", ""), accepted+",", ``, 1),
		"no name":                  strings.Replace(importBody("a/b", ""), `"m"`, `""`, 1),
		"no source type":           strings.Replace(importBody("a/b", ""), "HUGGINGFACE", "UNSPECIFIED", 1),
		"no source":                `{"name":"m","source_type":"SOURCE_TYPE_SDK_UPLOAD",` + accepted + `}`,
		"no repository":            importBody("", ""),
		"half a repository":        importBody("gpt2", ""),
		"no bucket":                strings.Replace(importBody("a/b", ""), "HUGGINGFACE", "SPACES_BUCKET", 1),
		"an owner without a model": importBody("a/", ""),
	} {
		t.Run(name, func(t *testing.T) {
			s.do(400, "POST", customPath+"/import", body)
			s.wantEffect(NoEffect)
		})
	}
	for name, tc := range map[string]struct{ body, steps, passed string }{
		"a missing repository":    {importBody("missing/model", ""), "quota source_exists", "true false"},
		"a private one, no token": {strings.Replace(importBody("a/b", ""), "PUBLIC", "PRIVATE", 1), "quota source_exists source_access", "true true false"}, //nolint:dupword // one for each step
		"a missing bucket": {
			`{"name":"m","source_type":"SOURCE_TYPE_SPACES_BUCKET",` + accepted + `,"source_ref":{"bucket":"missing"}}`, "quota source_exists", "true false",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(200, "POST", customPath+"/import", tc.body)
			s.wantEffect(NoEffect)
			equal(t, "steps", column(objects(got.body, "validation_steps"), "name"), tc.steps)
			steps := objects(got.body, "validation_steps")
			equal(t, "passed", column(steps, "passed"), tc.passed)
			equal(t, "error of the last", text(steps[len(steps)-1], "error"), text(got.body, "error"))
			if text(got.body, "error") == "" || got.body["model"] != nil || got.body["import_job"] != nil {
				t.Errorf("not a refusal: %s", got.raw)
			}
		})
	}
	equal(t, "models", text(s.do(200, "GET", customPath, "").body, "meta", "total"), "0")
	for range maxCustomModels {
		s.do(200, "POST", customPath+"/import", importBody("a/b", ""))
	}
	got := s.do(200, "POST", customPath+"/import", importBody("a/b", ""))
	equal(t, "one too many", column(objects(got.body, "validation_steps"), "passed"), "false")
	equal(t, "models", text(s.do(200, "GET", customPath, "").body, "meta", "total"), strconv.Itoa(maxCustomModels))
}

func TestTokensOfImportsAreNeverShown(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	body := strings.Replace(importBody("a/b", ""), `PUBLIC"`, `GATED","hf_token":"hf_hidden"`, 1)
	got := s.do(200, "POST", customPath+"/import", body)
	id := text(got.body, "model", "uuid")
	for _, answer := range []reply{
		got, s.do(200, "GET", customPath, ""), s.do(200, "GET", customPath+"/"+id, ""), s.do(200, "PATCH", customPath+"/"+id+"/metadata", `{}`),
	} {
		if strings.Contains(answer.raw, "hidden") || strings.Contains(answer.raw, "hf_token") {
			t.Errorf("an answer shows the token: %s", answer.raw)
		}
	}
	equal(t, "access", text(s.custom(id), "source_ref", "access_type"), "ACCESS_TYPE_GATED")
}

func TestListCustomModels(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, ImportTime: time.Minute})
	for _, repository := range []string{"a/b", "broken/c", "a/d"} {
		s.do(200, "POST", customPath+"/import", strings.Replace(importBody(repository, ""), `"m"`, `"`+repository+`"`, 1))
	}
	now.advance(time.Minute)
	s.do(200, "POST", customPath+"/import", importBody("a/e", ""))
	for query, want := range map[string]string{
		"": "a/b broken/c a/d m", "?status=STATUS_UNSPECIFIED": "a/b broken/c a/d m", "?status=STATUS_READY": "a/b a/d",
		"?status=STATUS_IMPORTING": "m", "?status=STATUS_FAILED": "broken/c", "?status=STATUS_DELETED": "",
		"?status=STATUS_READY&per_page=1&page=2": "a/d",
	} {
		got := s.do(200, "GET", customPath+query, "")
		equal(t, "models"+query, column(objects(got.body, "models"), "name"), want)
		equal(t, "threshold"+query, text(got.body, "max_threshold"), strconv.Itoa(maxCustomModels))
	}
}

func TestUpdateCustomModel(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	id := text(s.do(200, "POST", customPath+"/import", importBody("a/b", `,"description":"d","tags":{"tags":["t"]}`)).body, "model", "uuid")
	path := customPath + "/" + id + "/metadata"
	now.advance(time.Minute)
	for _, same := range []string{`{}`, `{"name":"m","tags":{"tags":["t"]}}`, `{"name":"","parameters":null}`} {
		s.do(200, "PATCH", path, same)
		s.wantEffect(NoEffect)
	}
	s.do(400, "PATCH", path, `{"parameters":-1}`)
	got := s.do(200, "PATCH", path, `{"uuid":"`+id+`","name":"n","parameters":"1700000000","license":"mit","input_modalities":["text","image"],
		"output_modalities":["audio"],"tags":{"tags":[]}}`)
	s.wantEffect("updated custom model " + id)
	for _, model := range []map[string]any{object(got.body, "model"), s.custom(id)} {
		equal(t, "merged", text(model, "name")+" "+text(model, "description")+" "+text(model, "license"), "n d mit")
		equal(t, "parameters", text(model, "parameters"), "1700000000")
		equal(t, "updated", text(model, "updated_at"), "2026-06-01T12:01:00Z")
		equal(t, "modalities", fmt.Sprint(model["input_modalities"], model["output_modalities"]), "[text image] [audio]")
		equal(t, "tags", fmt.Sprint(at(model, "tags", "tags")), "[]")
	}
	s.do(200, "PATCH", path, `{"parameters":7,"description":"","license":""}`)
	equal(t, "as a number", text(s.custom(id), "parameters")+text(s.custom(id), "description")+text(s.custom(id), "license"), "7")
}
