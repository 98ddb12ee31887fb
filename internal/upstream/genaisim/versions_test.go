package genaisim

import (
	"strings"
	"testing"
)

func TestEveryChangeMakesAVersion(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	id, child := s.create("a"), s.create("child")
	base := agentsPath + "/" + id
	s.do(200, "PUT", base, `{"name":"b"}`)
	s.do(200, "POST", base+"/knowledge_bases/"+KnowledgeBaseA, ``)
	s.do(200, "POST", base+"/guardrails", `{"guardrails":[{"guardrail_uuid":"`+GuardrailJailbreak+`","priority":3}]}`)
	s.do(200, "POST", base+"/functions", `{"function_name":"f","faas_name":"fn"}`)
	s.do(200, "POST", base+"/child_agents/"+child, `{"route_name":"r","if_case":"c"}`)

	versions := s.versions(id)

	equal(t, "triggers", column(versions, "trigger_action"),
		"add_agent_route add_function attach_guardrails attach_knowledge_bases update_agent create_agent")
	equal(t, "applied", column(versions, "currently_applied"), "true"+strings.Repeat(" false", 5))
	equal(t, "can roll back", column(versions, "can_rollback"), "true"+strings.Repeat(" true", 5))
	equal(t, "name of the model", text(versions[0], "model_name"), "Llama 3.3 Instruct (70B)")
	equal(t, "creator", text(versions[0], "created_by_email"), OwnerEmail)
	equal(t, "names", text(versions[4], "name")+" "+text(versions[5], "name"), "b a")
	equal(t, "hash of the agent", text(s.agent(id), "version_hash"), text(versions[0], "version_hash"))
	hashes := make(map[string]bool)
	for _, v := range versions {
		hash := text(v, "version_hash")
		hashes[hash] = true
		if len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "" {
			t.Errorf("hash %q is not 64 hexadecimal digits", hash)
		}
		if id := text(v, "id"); id == "" || strings.Trim(id, "0123456789") != "" {
			t.Errorf("id %q is not an integer", id)
		}
	}
	equal(t, "different hashes", len(hashes), 6)
	newest := versions[0]
	equal(t, "knowledge base", text(objects(newest, "attached_knowledgebases")[0], "name"), "product-manuals")
	equal(t, "guardrail", text(objects(newest, "attached_guardrails")[0], "priority"), "3")
	equal(t, "function", text(objects(newest, "attached_functions")[0], "faas_name"), "fn")
	equal(t, "child", text(objects(newest, "attached_child_agents")[0], "agent_name"), "child")
	equal(t, "attached at first", len(objects(versions[5], "attached_knowledgebases")), 0)
	page := s.do(200, "GET", base+"/versions?page=2&per_page=4", "")
	equal(t, "page of versions", column(objects(page.body, "agent_versions"), "trigger_action"), "update_agent create_agent")
}

func TestRollback(t *testing.T) {
	t.Parallel()
	// Each case starts with an agent with a knowledge base, a guardrail, a
	// function and a child, at version "old", then changes something.
	for name, tc := range map[string]struct {
		change func(s *sim, base, child, function string)
		status int
		effect string
	}{
		"after settings changed": {
			change: func(s *sim, base, _, _ string) {
				s.do(200, "PUT", base, `{"name":"new","description":"","temperature":0,"tags":[],"model_uuid":"`+ModelGPT+`"}`)
			}, status: 200, effect: "rolled back agent *",
		},
		"after all was detached": {
			change: func(s *sim, base, child, _ string) {
				s.do(200, "DELETE", base+"/knowledge_bases/"+KnowledgeBaseA, "")
				s.do(200, "DELETE", base+"/guardrails/"+GuardrailJailbreak, "")
				s.do(200, "DELETE", base+"/child_agents/"+child, "")
			}, status: 200, effect: "rolled back agent *",
		},
		"after a function changed": {
			change: func(s *sim, base, _, function string) {
				s.do(200, "PUT", base+"/functions/"+function, `{"function_name":"other"}`)
			}, status: 200, effect: "rolled back agent *",
		},
		"to what is applied": {change: func(*sim, string, string, string) {}, status: 200, effect: NoEffect},
		"to what only the visibility distinguishes": {
			change: func(s *sim, base, _, _ string) {
				s.do(200, "PUT", base+"/deployment_visibility", `{"visibility":"VISIBILITY_PUBLIC"}`)
			}, status: 200, effect: NoEffect,
		},
		"to what was attached anew": {
			change: func(s *sim, base, child, _ string) {
				s.do(200, "DELETE", base+"/child_agents/"+child, "")
				s.do(200, "POST", base+"/child_agents/"+child, `{"route_name":"r","if_case":"c"}`)
			}, status: 200, effect: NoEffect,
		},
		"after the function was deleted": {
			change: func(s *sim, base, _, function string) {
				s.do(200, "DELETE", base+"/functions/"+function, "")
			}, status: 400, effect: NoEffect,
		},
		"after the child was deleted": {
			change: func(s *sim, base, child, _ string) {
				s.do(200, "DELETE", agentsPath+"/"+child, "")
				s.do(200, "PUT", base, `{"name":"new"}`)
			}, status: 400, effect: NoEffect,
		},
		"after the knowledge base was deleted": {
			change: func(s *sim, base, _, _ string) {
				s.do(200, "DELETE", "/_sim/knowledge_bases/"+KnowledgeBaseA, "")
				s.do(200, "PUT", base, `{"name":"new"}`)
			}, status: 400, effect: NoEffect,
		},
		"after the guardrail was deleted": {
			change: func(s *sim, base, _, _ string) {
				s.do(200, "DELETE", "/_sim/guardrails/"+GuardrailJailbreak, "")
				s.do(200, "PUT", base, `{"name":"new"}`)
			}, status: 400, effect: NoEffect,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Strict: true})
			id, child := s.create("old"), s.create("child")
			base := agentsPath + "/" + id
			s.do(200, "PUT", base, `{"description":"old","tags":["old"]}`)
			s.do(200, "POST", base+"/knowledge_bases/"+KnowledgeBaseA, ``)
			s.do(200, "POST", base+"/guardrails", `{"guardrails":[{"guardrail_uuid":"`+GuardrailJailbreak+`"}]}`)
			s.do(200, "POST", base+"/functions", `{"function_name":"f"}`)
			function := s.last().ResourceUUID
			s.do(200, "POST", base+"/child_agents/"+child, `{"route_name":"r","if_case":"c"}`)
			old := s.agent(id)
			hash := text(old, "version_hash")
			tc.change(s, base, child, function)
			before, count := s.agent(id), len(s.versions(id))
			gone := 0
			for _, v := range s.versions(id) {
				if text(v, "version_hash") == hash && text(v, "can_rollback") == "false" {
					gone++
				}
			}
			equal(t, "marked as not to be restored", gone == 1, tc.status == 400)

			got := s.do(tc.status, "PUT", base+"/versions", `{"uuid":"`+id+`","version_hash":"`+hash+`"}`)

			s.wantEffect(tc.effect)
			after := s.agent(id)
			if tc.effect == NoEffect {
				equal(t, "versions", len(s.versions(id)), count)
				equal(t, "hash", text(after, "version_hash"), text(before, "version_hash"))
				if tc.status == 200 {
					equal(t, "hash answered", text(got.body, "version_hash"), text(before, "version_hash"))
				}
				return
			}
			newest := s.versions(id)[0]
			equal(t, "versions", len(s.versions(id)), count+1)
			equal(t, "trigger", text(newest, "trigger_action"), "rollback")
			equal(t, "hash answered", text(got.body, "version_hash"), text(newest, "version_hash"))
			equal(t, "user answered", text(got.body, "audit_header", "user_id"), OwnerID)
			if text(newest, "version_hash") == hash {
				t.Error("the rollback has the hash of the old version")
			}
			for _, field := range []string{"name", "description", "temperature"} {
				equal(t, field, text(after, field), text(old, field))
			}
			for _, list := range []string{"knowledge_bases", "guardrails", "functions", "child_agents"} {
				equal(t, list, column(objects(after, list), "name"), column(objects(old, list), "name"))
			}
			equal(t, "model", text(after, "model", "uuid"), text(old, "model", "uuid"))
			equal(t, "parents of the child", column(objects(s.agent(child), "parent_agents"), "uuid"), id)
		})
	}
}

func TestRollbackRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	id, other := s.create("a"), s.create("b")
	path := agentsPath + "/" + id + "/versions"
	s.do(400, "PUT", path, `{}`)
	s.do(404, "PUT", path, `{"version_hash":"`+strings.Repeat("0", 64)+`"}`)
	s.do(404, "PUT", path, `{"version_hash":"`+text(s.agent(other), "version_hash")+`"}`)
	s.do(404, "PUT", agentsPath+"/"+unknownID+"/versions", `{"version_hash":"x"}`)
	s.do(404, "GET", agentsPath+"/"+unknownID+"/versions", ``)
}
