package genaisim

import (
	"slices"
	"strings"
	"testing"
)

func TestContractIsWhole(t *testing.T) {
	t.Parallel()
	con := loadContract()
	methods := make(map[string]int)
	for key, op := range con.operations {
		methods[op.method]++
		// Filling in the template must lead back to the operation, whatever
		// stands beside it in the tree.
		path := strings.NewReplacer("{", "x-", "}", "-x").Replace(op.template)
		found, values, _ := con.find(op.method, path)
		if found != op || len(values) != len(op.params) {
			t.Errorf("%s leads to %v with %v", key, found, values)
		}
	}
	for method, want := range map[string]int{"GET": 52, "POST": 26, "PUT": 20, "DELETE": 19, "PATCH": 2} {
		equal(t, method+" operations", methods[method], want)
	}
	for key := range New(Config{}).handlers {
		if con.operations[key] == nil {
			t.Errorf("the handler of %q is for no operation of the contract", key)
		}
	}
}

func TestPathsThatLeadNowhere(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	delete(s.handlers, "GET /v2/gen-ai/workspaces") // as if the simulator did not have it
	for request, status := range map[string]int{
		"GET /":                  404,
		"GET /v2/gen-ai/agents/": 404,
		"GET /v2/gen-ai/agent":   404,
		"GET /v2/gen-ai/agents/" + unknownID + "/x": 404,
		"PATCH /v2/gen-ai/agents":                   405,
		"DELETE /v2/gen-ai/models":                  405,
		"GET /v2/gen-ai/workspaces":                 501,
	} {
		method, path, _ := strings.Cut(request, " ")
		got, err := s.try(method, path, "")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, request, got.status, status)
		equal(t, "status logged", s.last().Status, status)
		equal(t, "operation logged", s.last().Operation != "", status == 501)
	}
}

func TestStrictRefusesAndOthersNote(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, path, body string // %s is the uuid of an agent
		loose              int    // the status without Strict
		names              string // what the message names
	}{
		"an unknown body field": {"PUT", agentsPath + "/%s", `{"colour":"red"}`, 200, `"colour"`},
		"an unknown field deep inside": {
			"PUT", agentsPath + "/%s", `{"mcp_servers":[{"server_label":"a"},{"port":1}]}`, 200, `"mcp_servers[1].port"`,
		},
		"a field of another operation": {"POST", agentsPath, `{"name":"x","k":3}`, 200, `"k"`},
		"a number as a string":         {"PUT", agentsPath + "/%s", `{"k":"5"}`, 200, `"k"`},
		"a fraction for an integer":    {"PUT", agentsPath + "/%s", `{"k":5.5}`, 200, `"k"`},
		"a string for a number":        {"PUT", agentsPath + "/%s", `{"temperature":"0.5"}`, 200, `"temperature"`},
		"a number for a string":        {"PUT", agentsPath + "/%s", `{"name":7}`, 200, `"name"`},
		"a string for a boolean":       {"PUT", agentsPath + "/%s", `{"provide_citations":"true"}`, 200, `"provide_citations"`},
		"a string for a list":          {"PUT", agentsPath + "/%s", `{"tags":"a,b"}`, 200, `"tags"`},
		"an object for a list":         {"PUT", agentsPath + "/%s", `{"tags":{}}`, 200, `"tags"`},
		"a number in a list of texts":  {"PUT", agentsPath + "/%s", `{"tags":["a",1]}`, 200, `"tags[1]"`},
		"a list for an object": {
			"POST", agentsPath + "/%s/functions", `{"function_name":"f","input_schema":[]}`, 200, `"input_schema"`,
		},
		"an unknown enum value":        {"PUT", agentsPath + "/%s", `{"retrieval_method":"GUESS"}`, 200, `"retrieval_method"`},
		"a malformed uuid in the body": {"PUT", agentsPath + "/%s", `{"model_uuid":"x"}`, 400, `"model_uuid"`},
		"a malformed uuid in a list": {
			"POST", agentsPath + "/%s/knowledge_bases", `{"knowledge_base_uuids":["x"]}`, 404, `"knowledge_base_uuids[0]"`,
		},
		"a malformed uuid in the path": {"GET", agentsPath + "/not-a-uuid", ``, 404, `"uuid"`},
		"a list for a body":            {"PUT", agentsPath + "/%s", `[]`, 400, "the body"},
		"a body where there is none":   {"DELETE", agentsPath + "/%s", `{"force":true}`, 200, `"force"`},
		"an unknown parameter":         {"GET", agentsPath + "?limit=3", ``, 200, `"limit"`},
		"a parameter of a wrong type":  {"GET", agentsPath + "?page=two", ``, 200, `"page"`},
		"a boolean of a wrong type":    {"GET", agentsPath + "?only_deployed=maybe", ``, 200, `"only_deployed"`},
		"an unknown enum in a list":    {"GET", "/v2/gen-ai/models?usecases=MODEL_USECASE_AGENT,NONE", ``, 200, `"usecases"`},
		"a malformed time":             {"GET", agentsPath + "/%s/usage?start=yesterday", ``, 200, `"start"`},
		"brackets on what is no list":  {"GET", agentsPath + "?page[]=1", ``, 200, `"page[]"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			strict, loose := start(t, Config{Strict: true}), start(t, Config{})
			path := strings.ReplaceAll(tc.path, "%s", strict.create("a"))

			got := strict.do(422, tc.method, path, tc.body)

			equal(t, "id", text(got.body, "id"), "unprocessable_entity")
			if !strings.Contains(text(got.body, "message"), tc.names) {
				t.Errorf("the message does not name %s: %s", tc.names, got.raw)
			}
			strict.wantEffect(NoEffect)
			path = strings.ReplaceAll(tc.path, "%s", loose.create("a"))
			loose.do(tc.loose, tc.method, path, tc.body)
			for _, s := range []*sim{strict, loose} {
				if noted := strings.Join(s.last().Deviations, "; "); !strings.Contains(noted, tc.names) {
					t.Errorf("the log does not note %s: %q", tc.names, noted)
				}
			}
		})
	}
}

func TestLooseConvertsWhatIsPlain(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	id := s.create("a")
	got := s.do(200, "PUT", agentsPath+"/"+id, `{"k":"5","temperature":"0.25","provide_citations":"true","tags":"a,b","name":7,
		"max_tokens":5.5,"top_p":true,"instruction":[],"retrieval_method":"GUESS","unknown":1}`)
	agent := object(got.body, "agent")
	for field, want := range map[string]string{
		"k": "5", "temperature": "0.25", "provide_citations": "true", "name": "7",
		"max_tokens": "512", "top_p": "0.9", "instruction": "", "retrieval_method": retrievalNone,
	} {
		equal(t, field, text(agent, field), want)
	}
	if !strings.Contains(got.raw, `"tags":["a","b"]`) {
		t.Errorf("tags are not split: %s", got.raw)
	}
	// What an operation does not take it does not do, even if another would.
	agent = object(s.do(200, "POST", agentsPath, `{"name":"b","k":3}`).body, "agent")
	equal(t, "k of a new agent", text(agent, "k"), "10")
}

func TestStrictTakesWhatClientsSend(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	id := s.create("a")
	key := text(s.do(200, "POST", agentsPath+"/"+id+"/api_keys", `{"name":"k"}`).body, "api_key_info", "uuid")
	for name, request := range map[string][3]string{
		"path ids in a body without documented fields": {
			"PUT", agentsPath + "/" + id + "/api_keys/" + key + "/regenerate", `{"agent_uuid":"` + id + `","api_key_uuid":"` + key + `"}`,
		},
		"an empty object":            {"GET", agentsPath, `{}`},
		"a null body":                {"PUT", agentsPath + "/" + id, `null`},
		"an empty string for a body": {"PUT", agentsPath + "/" + id, `""`},
		"blanks for a body":          {"PUT", agentsPath + "/" + id, "  \n"},
		"nulls and empty strings": {
			"PUT", agentsPath + "/" + id, `{"k":null,"temperature":"","tags":null,"model_uuid":"","mcp_servers":[{"headers":null}]}`,
		},
		"another id in the body": {"PUT", agentsPath + "/" + id, `{"uuid":"` + unknownID + `"}`},
		"an id twice": {
			"POST", agentsPath + "/" + id + "/knowledge_bases/" + KnowledgeBaseA,
			`{"agent_uuid":"` + id + `","agent_uuid":"` + KnowledgeBaseA + `"}`,
		},
		"newer fields":                   {"PUT", agentsPath + "/" + id, `{"web_search_enabled":true,"web_fetch_enabled":false}`},
		"upper-case ids":                 {"GET", agentsPath + "/" + strings.ToUpper(id), ``},
		"booleans as numbers in queries": {"GET", agentsPath + "?only_deployed=1", ``},
	} {
		t.Run(name, func(t *testing.T) {
			s.do(200, request[0], request[1], request[2])
			if noted := s.last().Deviations; len(noted) > 0 {
				t.Errorf("the log notes %v", noted)
			}
		})
	}
}

// TestEveryOperationAnswersAsTheContractSays walks through all operations; do
// checks each answer.
func TestEveryOperationAnswersAsTheContractSays(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true, SeedAgents: 20})
	id, child := s.create("a"), s.create("child")
	base := agentsPath + "/" + id
	s.do(200, "POST", base+"/functions", `{"function_name":"f"}`)
	function := s.last().ResourceUUID
	s.do(200, "POST", base+"/api_keys", `{"name":"k"}`)
	key := s.last().ResourceUUID
	hash := text(s.agent(id), "version_hash")
	for _, request := range [][3]string{
		{
			"PUT", base, `{"description":"d","model_provider_key_uuid":"` + unknownID + `",
			"anthropic_key_uuid":"` + unknownID + `","model_router_uuid":"` + unknownID + `"}`,
		},
		{"PUT", base + "/functions/" + function, `{"description":"d"}`},
		{"POST", base + "/guardrails", `{"guardrails":[{"guardrail_uuid":"` + GuardrailJailbreak + `"}]}`},
		{"POST", base + "/knowledge_bases", `{"knowledge_base_uuids":["` + KnowledgeBaseA + `"]}`},
		{"POST", base + "/knowledge_bases/" + KnowledgeBaseB, ``},
		{"POST", base + "/child_agents/" + child, `{}`},
		{"PUT", base + "/child_agents/" + child, `{"if_case":"c"}`},
		{"PUT", base + "/deployment_visibility", `{"visibility":"VISIBILITY_PUBLIC"}`},
		{"GET", base, ``}, {"GET", agentsPath + "/" + child, ``}, {"GET", agentsPath, ``},
		{"GET", base + "/child_agents", ``}, {"GET", base + "/versions", ``}, {"GET", base + "/usage", ``}, {"GET", base + "/api_keys", ``},
		{"PUT", base + "/api_keys/" + key, `{"name":"l"}`},
		{"PUT", base + "/api_keys/" + key + "/regenerate", ``},
		{"PUT", base + "/versions", `{"version_hash":"` + hash + `"}`},
		{"GET", "/v2/gen-ai/knowledge_bases", ``}, {"GET", "/v2/gen-ai/models", ``}, {"GET", "/v2/gen-ai/regions", ``},
		{"POST", base + "/guardrails", `{"guardrails":[{"guardrail_uuid":"` + GuardrailJailbreak + `"}]}`},
		{"DELETE", base + "/guardrails/" + GuardrailJailbreak, ``},
		{"POST", base + "/knowledge_bases/" + KnowledgeBaseB, ``},
		{"DELETE", base + "/knowledge_bases/" + KnowledgeBaseB, ``},
		{"DELETE", base + "/functions/" + function, ``},
		{"POST", base + "/child_agents/" + child, `{}`},
		{"DELETE", base + "/child_agents/" + child, ``},
		{"DELETE", base + "/api_keys/" + key, ``},
		{"DELETE", base, ``},
	} {
		s.do(200, request[0], request[1], request[2])
	}
	s.walkKnowledge()
	s.walkPlatform()
	s.walkEvaluation()
	var walked []string
	for _, entry := range s.Requests() {
		walked = append(walked, entry.Operation)
		if len(entry.Deviations) > 0 {
			t.Errorf("%s %s departs: %v", entry.Method, entry.Path, entry.Deviations)
		}
	}
	equal(t, "operations simulated", len(s.handlers), 119)
	for key := range s.handlers {
		if !slices.Contains(walked, key) {
			t.Errorf("%s was not walked through", key)
		}
	}
}
