package genaisim

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestCreateAgentKeepsWhatWasGiven(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})

	got := s.do(200, "POST", agentsPath, `{
		"name": "helper", "description": "helps", "instruction": "Help.", "model_uuid": "`+ModelGPT+`", "region": "nyc2",
		"project_id": "6a1f2c30-51d0-4e6b-8f00-00000000abcd", "tags": ["a", "b"], "knowledge_base_uuid": ["`+KnowledgeBaseA+`"],
		"mcp_servers": [{"server_label": "tools", "server_url": "https://mcp.example.com",
			"authorization": "Bearer m", "headers": {"X-A": "1"}}],
		"reasoning_effort": "low", "thinking_token_budget": 0, "web_search_enabled": true,
		"workspace_uuid": "6a1f2c30-51d0-4e6b-8f00-00000000beef", "open_ai_key_uuid": "6a1f2c30-51d0-4e6b-8f00-00000000cafe"}`)

	agent := object(got.body, "agent")
	for field, want := range map[string]string{
		"name": "helper", "description": "helps", "instruction": "Help.", "region": "nyc2", "user_id": OwnerID,
		"project_id": "6a1f2c30-51d0-4e6b-8f00-00000000abcd", "reasoning_effort": "low", "web_search_enabled": "true",
	} {
		equal(t, field, text(agent, field), want)
	}
	equal(t, "model", text(agent, "model", "uuid"), ModelGPT)
	equal(t, "workspace", text(agent, "workspace", "uuid"), "6a1f2c30-51d0-4e6b-8f00-00000000beef")
	equal(t, "OpenAI key", text(agent, "openai_api_key", "uuid"), "6a1f2c30-51d0-4e6b-8f00-00000000cafe")
	equal(t, "knowledge bases", column(objects(agent, "knowledge_bases"), "uuid"), KnowledgeBaseA)
	equal(t, "MCP header", text(objects(agent, "mcp_servers")[0], "headers", "X-A"), "1")
	if !strings.Contains(got.raw, `"tags":["a","b"]`) {
		t.Errorf("tags are missing: %s", got.raw)
	}
	equal(t, "hash length", len(text(agent, "version_hash")), 64)
	equal(t, "effect", s.last().Effect, "created agent "+text(agent, "uuid"))
	equal(t, "resource", s.last().ResourceUUID, text(agent, "uuid"))
}

func TestCreateAgentRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"no body":                   {``, 400},
		"no name":                   {`{"description":"x"}`, 400},
		"an empty name":             {`{"name":""}`, 400},
		"not JSON":                  {`{"name":`, 400},
		"two values":                {`{"name":"a"}{}`, 400},
		"a list":                    {`[1]`, 400},
		"an unknown model":          {`{"name":"a","model_uuid":"6a1f2c30-51d0-4e6b-8f00-0000000009ff"}`, 400},
		"a model for embeddings":    {`{"name":"a","model_uuid":"` + ModelEmbedding + `"}`, 400},
		"an unknown region":         {`{"name":"a","region":"mars1"}`, 400},
		"an unknown knowledge base": {`{"name":"a","knowledge_base_uuid":["6a1f2c30-51d0-4e6b-8f00-0000000009ff"]}`, 404},
		"a base that is not online": {`{"name":"a","knowledge_base_uuid":["` + KnowledgeBaseCreating + `"]}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.try("POST", agentsPath, tc.body)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "status", got.status, tc.status)
			if agents := s.do(200, "GET", agentsPath, ""); text(agents.body, "meta", "total") != "0" {
				t.Errorf("an agent was made: %s", agents.raw)
			}
		})
	}
}

func TestUpdateAgentMerges(t *testing.T) {
	t.Parallel()
	full := `{"name":"full","model_uuid":"` + ModelLlama + `","description":"d","instruction":"i","tags":["x"],
		"mcp_servers":[{"server_label":"l","server_url":"https://mcp.example.com"}]}`
	for name, tc := range map[string]struct {
		body string
		want map[string]string // by field; everything else stays
		raw  string            // what the answer must contain
		none bool              // no effect
	}{
		"zeros are given": {
			body: `{"temperature":0,"top_p":0,"k":0}`, want: map[string]string{"temperature": "0", "top_p": "0", "k": "0"},
		},
		"false is given": {
			body: `{"conversation_logs_enabled":false}`, want: map[string]string{"conversation_logs_enabled": "false"},
		},
		"nulls are not given":             {body: `{"name":null,"description":null,"tags":null,"temperature":null,"k":null}`, none: true},
		"empty texts are not given":       {body: `{"name":"","instruction":"","model_uuid":"","retrieval_method":""}`, none: true},
		"the unset enum is not given":     {body: `{"retrieval_method":"RETRIEVAL_METHOD_UNKNOWN"}`, none: true},
		"no body":                         {none: true},
		"an empty description clears":     {body: `{"description":""}`, want: map[string]string{"description": ""}},
		"an empty list clears tags":       {body: `{"tags":[]}`, raw: `"tags":[]`},
		"an empty list keeps MCP servers": {body: `{"mcp_servers":[]}`, none: true},
		"the flag clears MCP servers":     {body: `{"clear_mcp_servers":true}`, raw: `"mcp_servers":[]`},
		"allowed domains go to the chatbot": {
			body: `{"allowed_domains":["https://a.example.com"]}`, raw: `"allowed_domains":["https://a.example.com"]`,
		},
		"insights go to the logging": {
			body: `{"agent_log_insights_enabled":true}`, raw: `"insights_enabled":true,"insights_enabled_at"`,
		},
		"the id may stand in the body": {
			body: `{"uuid":"6a1f2c30-51d0-4e6b-8f00-000000000aaa","name":"n"}`, want: map[string]string{"name": "n"},
		},
		"the same again changes nothing": {body: full, none: true},
		"a retrieval method": {
			body: `{"retrieval_method":"RETRIEVAL_METHOD_REWRITE"}`,
			want: map[string]string{"retrieval_method": "RETRIEVAL_METHOD_REWRITE"},
		},
		"whole numbers in any notation": {body: `{"k":5.0,"max_tokens":1e2}`, want: map[string]string{"k": "5", "max_tokens": "100"}},
		"clearing and setting MCP servers": {
			body: `{"clear_mcp_servers":true,"mcp_servers":[{"server_label":"new"}]}`, raw: `"mcp_servers":[{"server_label":"new"}]`,
		},
		"an unset flag leaves the MCP servers": {body: `{"clear_mcp_servers":false}`, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			s := start(t, Config{Strict: true, Now: now.Now})
			before := object(s.do(200, "POST", agentsPath, full).body, "agent")
			id := text(before, "uuid")
			now.advance(time.Minute)

			got := s.do(200, "PUT", agentsPath+"/"+id, tc.body)

			after := object(got.body, "agent")
			if tc.none {
				s.wantEffect(NoEffect)
				equal(t, "version hash", text(after, "version_hash"), text(before, "version_hash"))
				equal(t, "updated_at", text(after, "updated_at"), text(before, "updated_at"))
				equal(t, "versions", len(s.versions(id)), 1)
				return
			}
			s.wantEffect("updated agent " + id)
			equal(t, "updated_at", text(after, "updated_at"), "2026-06-01T12:01:00Z")
			equal(t, "hash of the newest version", text(s.versions(id)[0], "version_hash"), text(after, "version_hash"))
			if text(after, "version_hash") == text(before, "version_hash") {
				t.Error("the version hash stayed the same")
			}
			for _, field := range []string{
				"name", "description", "instruction", "temperature", "top_p", "k", "max_tokens", "retrieval_method",
				"conversation_logs_enabled",
			} {
				want, changed := tc.want[field]
				if !changed {
					want = text(before, field)
				}
				equal(t, field, text(after, field), want)
			}
			if !strings.Contains(got.raw, tc.raw) {
				t.Errorf("%s is missing in %s", tc.raw, got.raw)
			}
		})
	}
}

func TestUpdateAgentRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	id := s.create("a")
	for name, body := range map[string]string{
		"too hot":          `{"temperature":1.5}`,
		"top_p below zero": `{"top_p":-0.1}`,
		"k below zero":     `{"k":-1}`,
		"an unknown model": `{"name":"changed","model_uuid":"6a1f2c30-51d0-4e6b-8f00-0000000009ff"}`,
	} {
		t.Run(name, func(t *testing.T) {
			before := text(s.agent(id), "version_hash")
			s.do(400, "PUT", agentsPath+"/"+id, body)
			s.wantEffect(NoEffect)
			equal(t, "version hash", text(s.agent(id), "version_hash"), before)
		})
	}
	s.do(404, "PUT", agentsPath+"/6a1f2c30-51d0-4e6b-8f00-0000000009ff", `{}`)
}

func TestDeletedAgentVanishes(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	parent, child := s.create("parent"), s.create("child")
	s.do(200, "POST", agentsPath+"/"+parent+"/child_agents/"+child, `{}`)
	hash := text(s.agent(parent), "version_hash")

	got := s.do(200, "DELETE", agentsPath+"/"+child, "")

	equal(t, "status", text(got.body, "agent", "deployment", "status"), statusDeleted)
	s.wantEffect("deleted agent " + child)
	s.do(404, "GET", agentsPath+"/"+child, "")
	s.do(404, "DELETE", agentsPath+"/"+child, "")
	s.wantEffect(NoEffect)
	equal(t, "agents listed", column(objects(s.do(200, "GET", agentsPath, "").body, "agents"), "uuid"), parent)
	equal(t, "children", len(objects(s.do(200, "GET", agentsPath+"/"+parent+"/child_agents", "").body, "children")), 0)
	equal(t, "parent's hash", text(s.agent(parent), "version_hash"), hash)
	equal(t, "deleted in the parent's version", text(objects(s.versions(parent)[0], "attached_child_agents")[0], "is_deleted"), "true")
}

func TestDeploymentTakesItsTime(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{DeployTime: 9 * time.Second, Now: now.Now})
	id := s.create("slow")
	deployed := func() string {
		return text(s.do(200, "GET", agentsPath+"?only_deployed=true", "").body, "meta", "total")
	}
	want := func(status, since, listed string) {
		t.Helper()
		deployment := object(s.agent(id), "deployment")
		equal(t, "status", text(deployment, "status"), status)
		equal(t, "since", text(deployment, "updated_at"), since)
		equal(t, "listed as deployed", deployed(), listed)
	}

	want(statusWaiting, "2026-06-01T12:00:00Z", "0")
	now.advance(3 * time.Second)
	want(statusDeploying, "2026-06-01T12:00:03Z", "0")
	equal(t, "URL while deploying", text(s.agent(id), "url"), "")
	now.advance(6 * time.Second)
	want(statusRunning, "2026-06-01T12:00:09Z", "1")
	if text(s.agent(id), "url") == "" {
		t.Error("a running agent has no URL")
	}
}

func TestVisibility(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	id := s.create("a")
	path := agentsPath + "/" + id + "/deployment_visibility"

	got := s.do(200, "PUT", path, `{"uuid":"`+id+`","visibility":"VISIBILITY_PUBLIC"}`)
	equal(t, "visibility", text(got.body, "agent", "deployment", "visibility"), "VISIBILITY_PUBLIC")
	equal(t, "trigger", text(s.versions(id)[0], "trigger_action"), "update_deployment_visibility")
	s.do(200, "PUT", path, `{"visibility":"VISIBILITY_PUBLIC"}`)
	s.wantEffect(NoEffect)
	equal(t, "versions", len(s.versions(id)), 2)
	for _, body := range []string{``, `{}`, `{"visibility":"VISIBILITY_UNKNOWN"}`, `{"visibility":"VISIBILITY_ODD"}`} {
		s.do(400, "PUT", path, body)
	}
	equal(t, "visibility", text(s.agent(id), "deployment", "visibility"), "VISIBILITY_PUBLIC")
}

func TestPagination(t *testing.T) {
	t.Parallel()
	s := start(t, Config{SeedAgents: 205})
	for name, tc := range map[string]struct {
		query                string
		items                int
		page, pages          string
		previous, next, last string // the page parameter of the links
	}{
		"the first page":        {"", 20, "1", "11", "", "2", "11"},
		"a page in the middle":  {"?page=2&per_page=100", 100, "2", "3", "1", "3", "3"},
		"the last page":         {"?page=3&per_page=100", 5, "3", "3", "2", "", "3"},
		"behind the last page":  {"?page=9&per_page=100", 0, "9", "3", "3", "", "3"},
		"at most 200 an answer": {"?per_page=1000", 200, "1", "2", "", "2", "2"},
		"nonsense":              {"?page=x&per_page=-5", 20, "1", "11", "", "2", "11"},
		"empty values":          {"?page=&per_page=", 20, "1", "11", "", "2", "11"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(200, "GET", agentsPath+tc.query, "")
			equal(t, "items", len(objects(got.body, "agents")), tc.items)
			equal(t, "total", text(got.body, "meta", "total"), "205")
			equal(t, "page", text(got.body, "meta", "page"), tc.page)
			equal(t, "pages", text(got.body, "meta", "pages"), tc.pages)
			for link, want := range map[string]string{"first": "1", "previous": tc.previous, "next": tc.next, "last": tc.last} {
				target := text(got.body, "links", "pages", link)
				if want == "" {
					equal(t, link, target, "")
					continue
				}
				if !strings.HasPrefix(target, s.url+agentsPath+"?") || !strings.Contains(target, "page="+want+"&") {
					t.Errorf("link %s is %q, want one to page %s", link, target, want)
				}
			}
		})
	}
}

func TestPagesMakeUpTheWhole(t *testing.T) {
	t.Parallel()
	s := start(t, Config{SeedAgents: 45, Seed: 3})
	seen := make(map[string]bool)
	next := s.url + agentsPath
	for next != "" {
		got := s.do(200, "GET", strings.TrimPrefix(next, s.url), "")
		for _, agent := range objects(got.body, "agents") {
			seen[text(agent, "uuid")] = true
		}
		next = text(got.body, "links", "pages", "next")
	}
	equal(t, "agents seen", len(seen), 45)
	equal(t, "requests needed", len(s.Requests()), 3)
}

func TestSeedsAreTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	read := func(seed uint64) string {
		s := start(t, Config{SeedAgents: 30, Seed: seed})
		list := objects(s.do(200, "GET", agentsPath+"?per_page=200", "").body, "agents")
		return column(list, "uuid") + column(list, "name") + column(list, "version_hash") + column(list, "created_at")
	}
	first := read(7)
	equal(t, "the account again", read(7), first)
	if read(8) == first {
		t.Error("another seed gives the same account")
	}
	// What is made later must differ, since clients may remember it.
	if a, b := start(t, Config{Seed: 7}).create("x"), start(t, Config{Seed: 7}).create("x"); a == b {
		t.Error("a new agent has the id of another")
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		token, header string
		status        int
	}{
		"any token":       {"", "Bearer anything", 200},
		"no header":       {"", "", 401},
		"no token":        {"", "Bearer ", 401},
		"another scheme":  {"", "Basic abc", 401},
		"the right token": {"secret", "Bearer secret", 200},
		"a wrong token":   {"secret", "Bearer other", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Token: tc.token, RatePerHour: 100})
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+agentsPath, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", tc.header)
			r.Header.Set("X-Request-Id", "mine")
			got, err := s.send(r)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "status", got.status, tc.status)
			equal(t, "request id", got.header.Get("X-Request-Id"), "mine")
			equal(t, "limit header", got.header.Get("ratelimit-limit"), "100")
			equal(t, "status logged", s.last().Status, tc.status)
			if tc.status == 401 {
				equal(t, "id", text(got.body, "id"), "unauthorized")
				equal(t, "remaining", got.header.Get("ratelimit-remaining"), "100")
			}
		})
	}
}
