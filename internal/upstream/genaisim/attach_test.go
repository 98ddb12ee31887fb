package genaisim

import (
	"strings"
	"testing"
)

const unknownID = "6a1f2c30-51d0-4e6b-8f00-0000000009ff"

func TestKnowledgeBases(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.create("a")
	base := agentsPath + "/" + id + "/knowledge_bases"
	attached := func() string { return column(objects(s.agent(id), "knowledge_bases"), "uuid") }

	equal(t, "knowledge bases there are", len(objects(s.do(200, "GET", "/v2/gen-ai/knowledge_bases", "").body, "knowledge_bases")), 3)
	s.do(200, "POST", base, `{"agent_uuid":"`+id+`","knowledge_base_uuids":[
		"`+KnowledgeBaseA+`","`+KnowledgeBaseB+`","`+KnowledgeBaseA+`"]}`)
	s.wantEffect("attached knowledge bases to agent " + id)
	equal(t, "attached", attached(), KnowledgeBaseA+" "+KnowledgeBaseB)
	s.do(200, "POST", base+"/"+KnowledgeBaseB, ``)
	s.wantEffect(NoEffect)
	equal(t, "versions", len(s.versions(id)), 2)

	s.do(200, "DELETE", base+"/"+KnowledgeBaseA, "")
	s.wantEffect("detached knowledge base *")
	equal(t, "attached", attached(), KnowledgeBaseB)
	s.do(404, "DELETE", base+"/"+KnowledgeBaseA, "")
	// The vendor's example repeats the agent's id in the body, or what it takes for it.
	s.do(200, "POST", base+"/"+strings.ToUpper(KnowledgeBaseA), `{"agent_uuid":"`+KnowledgeBaseA+`"}`)
	equal(t, "attached", attached(), KnowledgeBaseB+" "+KnowledgeBaseA)

	s.do(404, "POST", base+"/"+unknownID, ``)
	s.do(400, "POST", base+"/"+KnowledgeBaseCreating, ``)
	s.do(400, "POST", base, `{}`)
	s.do(404, "POST", base, `{"knowledge_base_uuids":["`+KnowledgeBaseA+`","`+unknownID+`"]}`)
	s.do(404, "POST", agentsPath+"/"+unknownID+"/knowledge_bases/"+KnowledgeBaseA, ``)
	equal(t, "versions", len(s.versions(id)), 4)
}

func TestGuardrails(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.create("a")
	base := agentsPath + "/" + id + "/guardrails"
	attached := func() string {
		list := objects(s.agent(id), "guardrails")
		return column(list, "name") + "/" + column(list, "priority")
	}

	s.do(200, "POST", base, `{"guardrails":[
		{"guardrail_uuid":"`+GuardrailJailbreak+`","priority":5},{"guardrail_uuid":"`+GuardrailSensitiveData+`"}]}`)
	equal(t, "attached", attached(), "Jailbreak Sensitive Data/5 2")
	s.do(200, "POST", base, `{"guardrails":[{"guardrail_uuid":"`+GuardrailJailbreak+`"}]}`)
	s.wantEffect(NoEffect)
	s.do(200, "POST", base, `{"guardrails":[{"guardrail_uuid":"`+GuardrailJailbreak+`","priority":0}]}`)
	s.wantEffect("attached guardrails to agent " + id)
	equal(t, "attached", attached(), "Jailbreak Sensitive Data/0 2")
	s.do(200, "DELETE", base+"/"+GuardrailJailbreak, "")
	equal(t, "attached", attached(), "Sensitive Data/2")

	s.do(404, "DELETE", base+"/"+GuardrailJailbreak, "")
	s.do(400, "POST", base, `{"guardrails":[]}`)
	s.do(404, "POST", base, `{"guardrails":[{"guardrail_uuid":"`+GuardrailContentModeration+`"},{"guardrail_uuid":"`+unknownID+`"}]}`)
	equal(t, "attached", attached(), "Sensitive Data/2")
	equal(t, "versions", len(s.versions(id)), 4)
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.create("a")
	base := agentsPath + "/" + id + "/functions"

	got := s.do(200, "POST", base, `{"agent_uuid":"`+id+`","function_name":"zip","description":"finds it",
		"faas_name":"zip-fn","faas_namespace":"ns",
		"input_schema":{"city":{"type":"string","required":true}},"output_schema":{"zip_code":{"type":"number"}}}`)
	first := objects(got.body, "agent", "functions")[0]
	equal(t, "resource", s.last().ResourceUUID, text(first, "uuid"))
	equal(t, "free-form input", text(first, "input_schema", "city", "required"), "true")
	s.do(409, "POST", base, `{"function_name":"zip"}`)
	s.do(400, "POST", base, `{}`)
	second := objects(s.do(200, "POST", base, `{"function_name":"map"}`).body, "agent", "functions")[1]
	s.do(409, "PUT", base+"/"+text(second, "uuid"), `{"function_name":"zip"}`)

	s.do(200, "PUT", base+"/"+text(first, "uuid"), `{"function_uuid":"`+unknownID+`","function_name":"zip"}`)
	s.wantEffect(NoEffect)
	got = s.do(200, "PUT", base+"/"+text(first, "uuid"), `{"function_name":"post code","description":""}`)
	changed := objects(got.body, "agent", "functions")[0]
	equal(t, "name", text(changed, "name"), "post code")
	equal(t, "description", text(changed, "description"), "finds it")
	equal(t, "free-form output", text(changed, "output_schema", "zip_code", "type"), "number")

	s.do(200, "DELETE", base+"/"+text(first, "uuid"), "")
	equal(t, "functions left", column(objects(s.agent(id), "functions"), "name"), "map")
	s.do(404, "DELETE", base+"/"+text(first, "uuid"), "")
	s.do(404, "PUT", base+"/"+text(first, "uuid"), `{}`)
	equal(t, "versions", len(s.versions(id)), 5)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	parent, child := s.create("parent"), s.create("child")
	path := agentsPath + "/" + parent + "/child_agents/" + child

	got := s.do(200, "POST", path, `{"parent_agent_uuid":"`+parent+`","child_agent_uuid":"`+child+`",
		"route_name":"to-child","if_case":"always"}`)
	equal(t, "child answered", text(got.body, "child_agent_uuid"), child)
	equal(t, "parent answered", text(got.body, "parent_agent_uuid"), parent)
	conflict := s.do(409, "POST", path, `{"route_name":"again"}`)
	equal(t, "id", text(conflict.body, "id"), "conflict")

	children := objects(s.do(200, "GET", agentsPath+"/"+parent+"/child_agents", "").body, "children")
	equal(t, "children", column(children, "uuid"), child)
	equal(t, "routes", column(children, "route_name")+" "+column(children, "if_case"), "to-child always")
	equal(t, "children of the parent", column(objects(s.agent(parent), "child_agents"), "route_uuid"), text(children[0], "route_uuid"))
	equal(t, "parents of the child", column(objects(s.agent(child), "parent_agents"), "uuid"), parent)
	equal(t, "versions of the child", len(s.versions(child)), 1)

	got = s.do(200, "PUT", path, `{"uuid":"`+text(children[0], "route_uuid")+`","if_case":"never"}`)
	equal(t, "route updated", text(got.body, "uuid"), text(children[0], "route_uuid"))
	route := objects(s.agent(parent), "child_agents")[0]
	equal(t, "route", text(route, "route_name")+" "+text(route, "if_case"), "to-child never")
	s.do(200, "PUT", path, `{"if_case":"never"}`)
	s.wantEffect(NoEffect)

	// In a circle, but not to itself.
	s.do(200, "POST", agentsPath+"/"+child+"/child_agents/"+parent, ``)
	s.do(400, "POST", agentsPath+"/"+parent+"/child_agents/"+parent, `{}`)
	s.do(404, "POST", agentsPath+"/"+parent+"/child_agents/"+unknownID, `{}`)
	s.do(404, "POST", agentsPath+"/"+unknownID+"/child_agents/"+child, `{}`)

	s.do(200, "DELETE", path, "")
	s.wantEffect("deleted route from agent " + parent + " to agent " + child)
	s.do(404, "DELETE", path, "")
	s.do(404, "PUT", path, `{}`)
	equal(t, "parents of the child", len(objects(s.agent(child), "parent_agents")), 0)
	equal(t, "parents of the parent", column(objects(s.agent(parent), "parent_agents"), "uuid"), child)
	equal(t, "versions", len(s.versions(parent)), 4)
}

func TestKeysShowTheirSecretOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.create("a")
	base := agentsPath + "/" + id + "/api_keys"

	created := object(s.do(200, "POST", base, `{"agent_uuid":"`+id+`","name":"prod"}`).body, "api_key_info")
	key, secret := text(created, "uuid"), text(created, "secret_key")
	if secret == "" {
		t.Fatal("a new key has no secret")
	}
	s.wantEffect("created api key " + key + " of agent " + id)
	s.do(400, "POST", base, `{}`)
	renamed := object(s.do(200, "PUT", base+"/"+key, `{"name":"live"}`).body, "api_key_info")
	equal(t, "name", text(renamed, "name"), "live")
	equal(t, "secret after renaming", text(renamed, "secret_key"), "")
	s.do(200, "PUT", base+"/"+key, `{"name":"live"}`)
	s.wantEffect(NoEffect)
	again := object(s.do(200, "PUT", base+"/"+key+"/regenerate", ``).body, "api_key_info")
	equal(t, "id after regenerating", text(again, "uuid"), key)
	if fresh := text(again, "secret_key"); fresh == "" || fresh == secret {
		t.Errorf("regenerated secret %q, before %q", fresh, secret)
	}

	for _, path := range []string{base, agentsPath + "/" + id} {
		if got := s.do(200, "GET", path, ""); strings.Contains(got.raw, "secret_key") || !strings.Contains(got.raw, key) {
			t.Errorf("GET %s shows a secret, or not the key: %s", path, got.raw)
		}
	}
	deleted := object(s.do(200, "DELETE", base+"/"+key, "").body, "api_key_info")
	if text(deleted, "deleted_at") == "" || text(deleted, "secret_key") != "" {
		t.Errorf("deleted key is %v", deleted)
	}
	for _, request := range [][2]string{{"DELETE", ""}, {"PUT", ""}, {"PUT", "/regenerate"}} {
		s.do(404, request[0], base+"/"+key+request[1], "")
	}
	equal(t, "keys left", text(s.do(200, "GET", base, "").body, "meta", "total"), "0")
	equal(t, "versions", len(s.versions(id)), 1)
}

func TestModelsAndRegions(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	const forAgents = ModelLlama + " " + ModelClaude + " " + ModelGPT + " " + ModelDeepSeek
	const embedding = ModelEmbedding + " " + ModelEmbeddingSmall
	for name, tc := range map[string]struct{ query, want string }{
		"all": {
			"", forAgents + " " + embedding + " " + ModelInternal,
		},
		"public, for agents": {
			"?usecases=MODEL_USECASE_AGENT&public_only=true", forAgents,
		},
		"two use cases, joined": {
			"?usecases=MODEL_USECASE_REASONING,MODEL_USECASE_KNOWLEDGEBASE", ModelClaude + " " + ModelDeepSeek + " " + embedding,
		},
		"two use cases": {
			"?usecases=MODEL_USECASE_REASONING&usecases=MODEL_USECASE_KNOWLEDGEBASE", ModelClaude + " " + ModelDeepSeek + " " + embedding,
		},
		"with brackets": {"?usecases[]=MODEL_USECASE_KNOWLEDGEBASE", ModelEmbedding + " " + ModelEmbeddingSmall},
		"a page":        {"?page=2&per_page=3", ModelDeepSeek + " " + ModelEmbedding + " " + ModelEmbeddingSmall},
		"none given":    {"?usecases=&public_only=&per_page=1", ModelLlama},
	} {
		t.Run(name, func(t *testing.T) {
			equal(t, "models", column(objects(s.do(200, "GET", "/v2/gen-ai/models"+tc.query, "").body, "models"), "uuid"), tc.want)
		})
	}
	for query, want := range map[string]string{
		"": "tor1 nyc2 ams3", "?serves_batch=false": "tor1 nyc2 ams3",
		"?serves_inference=true": "tor1 nyc2", "?serves_batch=true&serves_inference=true": "tor1",
	} {
		equal(t, "regions"+query, column(objects(s.do(200, "GET", "/v2/gen-ai/regions"+query, "").body, "regions"), "region"), want)
	}
}

func TestUsageGrowsWithTime(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Now: now.Now})
	id := s.create("a")
	tokens := func(query string) string {
		got := s.do(200, "GET", agentsPath+"/"+id+"/usage"+query, "")
		equal(t, "resource", text(got.body, "usage", "resource_uuid"), id)
		return text(objects(got.body, "usage", "measurements")[0], "tokens")
	}
	equal(t, "tokens at first", tokens(""), "0")
	now.advance(10 * 60 * 60 * 1e9)
	ten := tokens("")
	if ten == "0" {
		t.Error("no tokens after ten hours")
	}
	equal(t, "tokens asked again", tokens("?start=2026-06-01T12:00:00Z&stop=2026-06-01T22:00:00Z"), ten)
	equal(t, "tokens before it was made", tokens("?start=2026-05-01&stop=2026-06-01"), "0")
	s.do(400, "GET", agentsPath+"/"+id+"/usage?start=2026-06-02&stop=2026-06-01", "")
	s.do(200, "PUT", agentsPath+"/"+id, `{"agent_log_insights_enabled":true}`)
	got := s.do(200, "GET", agentsPath+"/"+id+"/usage", "")
	equal(t, "insight measurements", len(objects(got.body, "log_insights_usage", "measurements")), 1)
}
