package genaisim

import (
	"strings"
	"testing"
	"time"
)

const (
	anthropicPath = "/v2/gen-ai/anthropic/keys"
	openAIPath    = "/v2/gen-ai/openai/keys"
)

// providerKey makes a key and returns its id.
func (s *sim) providerKey(path, name string) string {
	s.t.Helper()
	got := s.do(200, "POST", path, `{"api_key":"sk-hidden","name":"`+name+`"}`)
	return text(got.body, "api_key_info", "uuid")
}

func TestProviderKeys(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ path, shape, models string }{
		"Anthropic": {anthropicPath, "AnthropicApiKeyInfo", ""},
		"OpenAI":    {openAIPath, "OpenAiApiKeyInfo", ModelGPT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			s := start(t, Config{Strict: true, Now: now.Now})
			id := s.providerKey(tc.path, "one")
			s.wantEffect("created " + name + " key " + id)
			equal(t, "resource", s.last().ResourceUUID, id)
			s.providerKey(tc.path, "two")

			got := s.do(200, "GET", tc.path+"/"+id, "")
			key := object(got.body, "api_key_info")
			equal(t, "fields it has not", s.left(tc.shape, key), "deleted_at")
			equal(t, "models", column(objects(key, "models"), "uuid"), tc.models)
			equal(t, "created by", text(key, "created_by"), OwnerID)
			list := s.do(200, "GET", tc.path+"?per_page=1&page=2", "")
			equal(t, "second page", column(objects(list.body, "api_key_infos"), "name")+" of "+text(list.body, "meta", "total"), "two of 2")

			now.advance(time.Minute)
			for _, update := range []struct{ body, name, updated, effect string }{
				{`{}`, "one", "2026-06-01T12:00:00Z", NoEffect},
				{`{"name":"one","api_key":""}`, "one", "2026-06-01T12:00:00Z", NoEffect},
				{`{"name":"new","api_key_uuid":"` + id + `"}`, "new", "2026-06-01T12:01:00Z", "updated " + name + " key " + id},
				{`{"api_key":"sk-hidden-two"}`, "new", "2026-06-01T12:01:00Z", "updated " + name + " key " + id},
			} {
				key := object(s.do(200, "PUT", tc.path+"/"+id, update.body).body, "api_key_info")
				equal(t, "after "+update.body, text(key, "name")+" "+text(key, "updated_at"), update.name+" "+update.updated)
				s.wantEffect(update.effect)
			}

			key = object(s.do(200, "DELETE", tc.path+"/"+id, "").body, "api_key_info")
			s.wantEffect("deleted " + name + " key " + id)
			equal(t, "deleted", text(key, "name")+" "+text(key, "deleted_at"), "new 2026-06-01T12:01:00Z")
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				s.do(404, method, tc.path+"/"+id, "")
			}
			s.do(404, "GET", tc.path+"/"+id+"/agents", "")
			equal(t, "keys left", column(objects(s.do(200, "GET", tc.path, "").body, "api_key_infos"), "name"), "two")
		})
	}
}

func TestProviderKeyRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for name, body := range map[string]string{
		"no body": ``, "no key": `{"name":"a"}`, "an empty key": `{"name":"a","api_key":""}`, "no name": `{"api_key":"sk"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.do(400, "POST", anthropicPath, body)
			s.do(400, "POST", openAIPath, body)
		})
	}
	equal(t, "keys", text(s.do(200, "GET", openAIPath, "").body, "meta", "total"), "0")
	id := s.providerKey(anthropicPath, "a")
	s.do(404, "GET", openAIPath+"/"+id, "")
	s.do(404, "DELETE", openAIPath+"/"+id, "")
	equal(t, "keys of the other", text(s.do(200, "GET", anthropicPath, "").body, "meta", "total"), "1")
}

func TestProviderKeysAreNeverShown(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.providerKey(openAIPath, "a")
	agent := text(s.do(200, "POST", agentsPath, `{"name":"a","open_ai_key_uuid":"`+id+`"}`).body, "agent", "uuid")
	for _, request := range [][3]string{
		{"GET", openAIPath}, {"GET", openAIPath + "/" + id}, {"GET", openAIPath + "/" + id + "/agents"}, {"GET", agentsPath + "/" + agent},
		{"PUT", openAIPath + "/" + id, `{"api_key":"sk-hidden"}`}, {"DELETE", openAIPath + "/" + id},
	} {
		if got := s.do(200, request[0], request[1], request[2]); strings.Contains(got.raw, "sk-") || strings.Contains(got.raw, "hidden") {
			t.Errorf("%s %s shows a key: %s", request[0], request[1], got.raw)
		}
	}
}

func TestAgentsOfAProviderKey(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	id, other := s.providerKey(anthropicPath, "mine"), s.providerKey(openAIPath, "other")
	direct := s.create("direct")
	s.do(200, "PUT", agentsPath+"/"+direct, `{"anthropic_key_uuid":"`+id+`","open_ai_key_uuid":"`+other+`"}`)
	general := s.create("general")
	s.do(200, "PUT", agentsPath+"/"+general, `{"model_provider_key_uuid":"`+id+`"}`)
	s.do(200, "POST", agentsPath+"/"+general+"/child_agents/"+direct, `{}`)
	s.create("without")

	agent := s.agent(direct)
	equal(t, "its key", text(agent, "anthropic_api_key", "name"), "mine")
	equal(t, "its other key", text(agent, "openai_api_key", "name"), "other")
	key := object(s.agent(general), "model_provider_key")
	equal(t, "fields of the key for whatever provider", s.left("ModelProviderKeyInfo", key), "deleted_at")
	equal(t, "its provider", text(key, "provider")+" "+column(objects(key, "models"), "uuid"), providerAnthropic+" "+ModelClaude)

	got := s.do(200, "GET", anthropicPath+"/"+id+"/agents?per_page=1&page=2", "")
	equal(t, "agents", column(objects(got.body, "agents"), "uuid")+" of "+text(got.body, "meta", "total"), general+" of 2")
	equal(t, "routes of a whole agent", column(objects(objects(got.body, "agents")[0], "child_agents"), "uuid"), direct)
	equal(t, "agents of the other", column(objects(s.do(200, "GET", openAIPath+"/"+other+"/agents", "").body, "agents"), "uuid"), direct)

	before := len(s.versions(direct))
	now.advance(time.Minute)
	s.do(200, "DELETE", anthropicPath+"/"+id, "")
	agent = s.agent(direct)
	equal(t, "its key, deleted", text(agent, "anthropic_api_key", "uuid"), "")
	equal(t, "its other key, still there", text(agent, "openai_api_key", "uuid"), other)
	equal(t, "key for whatever provider, deleted", text(s.agent(general), "model_provider_key", "api_key_uuid"), "")
	equal(t, "updated", text(agent, "updated_at"), "2026-06-01T12:01:00Z")
	equal(t, "versions by that", len(s.versions(direct))-before, 0)
}

func TestDeletedReferencesDoNotComeBack(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	key := s.providerKey(anthropicPath, "k")
	router := text(s.do(200, "POST", routersPath, `{"name":"r","fallback_models":["m"]}`).body, "model_router", "uuid")
	id := s.create("a")
	s.do(200, "PUT", agentsPath+"/"+id, `{"anthropic_key_uuid":"`+key+`","model_router_uuid":"`+router+`","instruction":"With."}`)
	with := text(s.agent(id), "version_hash")
	s.do(200, "PUT", agentsPath+"/"+id, `{"instruction":"Without."}`)
	s.do(200, "DELETE", anthropicPath+"/"+key, "")
	s.do(200, "DELETE", routersPath+"/"+router, "")

	s.do(200, "PUT", agentsPath+"/"+id+"/versions", `{"version_hash":"`+with+`"}`)

	agent := s.agent(id)
	equal(t, "instruction", text(agent, "instruction"), "With.")
	equal(t, "key and router", text(agent, "anthropic_api_key", "uuid")+text(agent, "model_router", "uuid"), "")
	s.do(400, "PUT", agentsPath+"/"+id, `{"anthropic_key_uuid":"`+key+`"}`)
	s.do(400, "PUT", agentsPath+"/"+id, `{"model_provider_key_uuid":"`+key+`"}`)
	s.do(400, "POST", agentsPath, `{"name":"b","model_router_uuid":"`+router+`"}`)
}

func TestAgentsReferToWhatTheyLike(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.create("a")
	got := s.do(200, "PUT", agentsPath+"/"+id, `{"anthropic_key_uuid":"`+unknownID+`","model_router_uuid":"`+unknownID+`",
		"model_provider_key_uuid":"`+unknownID+`"}`)
	agent := object(got.body, "agent")
	equal(t, "unknown key", s.left("AnthropicApiKeyInfo", object(agent, "anthropic_api_key")), "created_at created_by deleted_at name updated_at")
	equal(t, "unknown router", text(agent, "model_router", "uuid"), unknownID)
	equal(t, "unknown key of whatever provider", text(agent, "model_provider_key", "api_key_uuid"), unknownID)

	key := s.providerKey(openAIPath, "k")
	s.do(400, "PUT", agentsPath+"/"+id, `{"anthropic_key_uuid":"`+key+`"}`)
	s.do(200, "PUT", agentsPath+"/"+id, `{"model_provider_key_uuid":"`+key+`"}`)
	equal(t, "key of the wrong provider", text(s.agent(id), "anthropic_api_key", "uuid"), unknownID)
}
