package genaisim

import (
	"strings"
	"testing"
)

const catalogPath = "/v2/gen-ai/models/catalog"

func TestCatalog(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	got := s.do(200, "GET", catalogPath, "")
	if _, ok := got.body["links"]; ok {
		t.Errorf("the catalogue has links: %s", got.raw)
	}
	all := strings.Join([]string{ModelLlama, ModelClaude, ModelGPT, ModelDeepSeek, ModelEmbedding, ModelEmbeddingSmall}, " ")
	equal(t, "public models", column(objects(got.body, "data"), "id"), all)
	page := s.do(200, "GET", catalogPath+"?page=2&limit=4", "")
	equal(t, "second page", column(objects(page.body, "data"), "id"), ModelEmbedding+" "+ModelEmbeddingSmall)
	equal(t, "its meta", text(page.body, "meta", "page")+text(page.body, "meta", "pages")+text(page.body, "meta", "total"), "226")
	equal(t, "behind the last page", len(objects(s.do(200, "GET", catalogPath+"?page=9", "").body, "data")), 0)
	s.do(422, "GET", catalogPath+"?per_page=4", "")

	for name, tc := range map[string]struct{ id, entry, card string }{
		"open weights": {ModelLlama, "", ""},
		"closed": {
			ModelClaude, "hugging_face_id parameter_count", "hugging_face_id parameter_count",
		},
		"embedding": {ModelEmbedding, "max_output_tokens", "max_output_tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			entry := objects(got.body, "data")[strings.Index(all, tc.id)/(len(tc.id)+1)]
			equal(t, "fields the entry has not", s.left("ModelCatalogEntry", entry), tc.entry)
			card := object(s.do(200, "GET", catalogPath+"/"+tc.id, "").body, "data")
			equal(t, "fields the card has not", s.left("ModelCatalogCard", card), tc.card)
			for _, field := range []string{"id", "model_id", "name", "creator", "context_window"} {
				equal(t, field, text(card, field), text(entry, field))
			}
			byName := object(s.do(200, "GET", catalogPath+"/whatever?model_id="+text(card, "model_id"), "").body, "data")
			equal(t, "found by its name", text(byName, "id"), tc.id)
		})
	}
	for _, path := range []string{"/" + unknownID, "/" + ModelInternal, "/llama3.3-70b-instruct", "/" + ModelLlama + "?model_id=none"} {
		s.do(404, "GET", catalogPath+path, "")
	}
}

func TestModelsTellAllThatTheyHave(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	// Foundation models have no download and are based on no other.
	const never = "parent_uuid url"
	models := objects(s.do(200, "GET", "/v2/gen-ai/models", "").body, "models")
	equal(t, "fields a model for agents has not", s.left("ModelListItem", models[0]), "kb_default_chunk_size kb_max_chunk_size kb_min_chunk_size "+never)
	equal(t, "fields a model for knowledge bases has not", s.left("ModelListItem", models[4]), never)
	equal(t, "settings", column(objects(models[2], "settings"), "name"), "temperature top_p max_tokens reasoning_effort")
	equal(t, "least temperature", text(objects(models[2], "settings")[0], "min"), "0")
	equal(t, "an unset use case", len(objects(s.do(200, "GET", "/v2/gen-ai/models?usecases=MODEL_USECASE_UNKNOWN", "").body, "models")), len(models))

	model := object(s.agent(s.create("a")), "model")
	equal(t, "fields the model of an agent has not", s.left("Model", model),
		"kb_default_chunk_size kb_max_chunk_size kb_min_chunk_size metadata "+never)
	equal(t, "what calls name it", text(model, "inference_name")+" "+text(model, "inference_version"), "llama3.3-70b-instruct 3.3.0")

	regions := objects(s.do(200, "GET", "/v2/gen-ai/regions", "").body, "regions")
	equal(t, "fields a region has not", s.left("Region", regions[0]), "")
}
