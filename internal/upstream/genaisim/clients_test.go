package genaisim

import "testing"

func TestWhatTheVendorsClientsSendBeyondTheContract(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	agent, kb := s.create("a"), KnowledgeBaseA
	for name, tc := range map[string]struct{ path, body string }{
		"the Go client's update of a knowledge base": {
			"/v2/gen-ai/knowledge_bases/" + kb,
			`{"database_id":"","embedding_model_uuid":"` + ModelLlama + `","name":"","project_id":"","tags":null,"uuid":"` + kb + `"}`,
		},
		"the Go client's region of an agent": {agentsPath + "/" + agent, `{"region":"nyc1"}`},
		"the generated client's own id":      {agentsPath + "/" + agent, `{"body_uuid":"` + agent + `"}`},
		"the same, and another's":            {"/v2/gen-ai/knowledge_bases/" + kb, `{"body_uuid":"` + unknownID + `"}`},
	} {
		before := s.do(200, "GET", tc.path, "").raw
		s.do(200, "PUT", tc.path, tc.body)
		s.wantEffect(NoEffect)
		equal(t, "deviations by "+name, len(s.last().Deviations), 0)
		equal(t, "after "+name+" it", s.do(200, "GET", tc.path, "").raw, before)
	}
	for name, tc := range map[string]struct{ method, path, body string }{
		"a wrong type":                   {"PUT", "/v2/gen-ai/knowledge_bases/" + kb, `{"embedding_model_uuid":7}`},
		"another operation's field":      {"PUT", "/v2/gen-ai/knowledge_bases/" + kb, `{"region":"tor1"}`},
		"a body_ that no client sends":   {"PUT", agentsPath + "/" + agent, `{"body_agent_uuid":"` + agent + `"}`},
		"a body_ where there is no id":   {"POST", agentsPath, `{"body_uuid":"` + agent + `"}`},
		"a body_ that is not documented": {"DELETE", agentsPath + "/" + agent, `{"body_uuid":"` + agent + `"}`},
	} {
		got := s.do(422, tc.method, tc.path, tc.body)
		equal(t, name+": deviations", len(s.last().Deviations), 1)
		equal(t, name+": id", text(got.body, "id"), "unprocessable_entity")
	}
}
