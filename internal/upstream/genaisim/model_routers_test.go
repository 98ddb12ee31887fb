package genaisim

import (
	"testing"
	"time"
)

const routersPath = "/v2/gen-ai/models/routers"

func TestRouters(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})

	got := s.do(200, "POST", routersPath, `{"name":"r","description":"d","regions":["nyc2"],"fallback_models":["openai-gpt-5.4","kimi-k2.5"],
		"policies":[{"task_slug":"summarization","models":["kimi-k2.5"],"selection_policy":{"prefer":"cheapest"}},
			{"custom_task":{"name":"poems","description":"Writes them."},"models":["a","b"]}]}`)

	router := object(got.body, "model_router")
	id := text(router, "uuid")
	s.wantEffect("created model router " + id)
	equal(t, "resource", s.last().ResourceUUID, id)
	equal(t, "fields it has not", s.left("ModelRouter", router), "")
	policies := objects(router, "config", "policies")
	equal(t, "tasks", column(policies, "task_slug")+text(policies[1], "custom_task", "name"), "summarization poems")
	equal(t, "preference", column(policies, "selection_policy", "prefer"), "cheapest ")
	fallbacks, _ := at(router, "config", "fallback_models").([]any)
	equal(t, "fallback models", len(fallbacks), 2)
	s.do(200, "POST", routersPath, `{"name":"r","fallback_models":["m"]}`)
	page := s.do(200, "GET", routersPath+"?per_page=1", "")
	equal(t, "first page", column(objects(page.body, "model_routers"), "uuid")+" of "+text(page.body, "meta", "total"), id+" of 2")

	now.advance(time.Minute)
	s.do(200, "PUT", routersPath+"/"+id, `{"name":"r","policies":null}`)
	s.wantEffect(NoEffect)
	got = s.do(200, "PUT", routersPath+"/"+id, `{"uuid":"`+id+`","description":"","policies":[]}`)
	s.wantEffect("updated model router " + id)
	router = object(got.body, "model_router")
	equal(t, "merged", text(router, "name")+text(router, "description")+" "+text(router, "updated_at"), "r 2026-06-01T12:01:00Z")
	equal(t, "policies left", len(objects(router, "config", "policies")), 0)
	s.do(400, "PUT", routersPath+"/"+id, `{"fallback_models":[]}`)
	fallbacks, _ = at(s.do(200, "GET", routersPath+"/"+id, "").body, "model_router", "config", "fallback_models").([]any)
	equal(t, "fallback models still", len(fallbacks), 2)

	agent := text(s.do(200, "POST", agentsPath, `{"name":"a","model_router_uuid":"`+id+`"}`).body, "agent", "uuid")
	for what, shown := range map[string]map[string]any{
		"the agent": s.agent(agent), "the list": objects(s.do(200, "GET", agentsPath, "").body, "agents")[0],
	} {
		equal(t, "router in "+what, text(shown, "model_router", "name")+" "+text(shown, "model_router", "updated_at"), "r 2026-06-01T12:01:00Z")
	}
	equal(t, "answer", text(s.do(200, "DELETE", routersPath+"/"+id, "").body, "uuid"), id)
	s.wantEffect("deleted model router " + id)
	equal(t, "router of the agent", at(s.agent(agent), "model_router"), nil)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		s.do(404, method, routersPath+"/"+id, "")
	}
}

func TestRouterRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	const policy = `{"name":"r","fallback_models":["m"],"policies":[`
	for name, body := range map[string]string{
		"no body":                  ``,
		"no name":                  `{"fallback_models":["m"]}`,
		"no models":                `{"name":"r"}`,
		"no models in the policy":  `{"name":"r","policies":[{"task_slug":"summarization"}]}`,
		"an unknown region":        `{"name":"r","fallback_models":["m"],"regions":["mars1"]}`,
		"a policy for nothing":     policy + `{"models":["m"]}]}`,
		"a policy for two tasks":   policy + `{"models":["m"],"task_slug":"s","custom_task":{"name":"n"}}]}`,
		"a task without a name":    policy + `{"models":["m"],"custom_task":{"description":"d"}}]}`,
		"an unheard-of preference": policy + `{"models":["m"],"task_slug":"s","selection_policy":{"prefer":"best"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.do(400, "POST", routersPath, body)
			s.wantEffect(NoEffect)
		})
	}
	equal(t, "routers", text(s.do(200, "GET", routersPath, "").body, "meta", "total"), "0")
	router := object(s.do(200, "POST", routersPath, policy+`{"models":[],"task_slug":"s","selection_policy":{}}]}`).body, "model_router")
	equal(t, "preference of its own", column(objects(router, "config", "policies"), "selection_policy", "prefer"), "none")
}

func TestRouterPresets(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	presets := objects(s.do(200, "GET", routersPath+"/presets", "").body, "presets")
	equal(t, "presets", column(presets, "slug"), "balanced cost-saver low-latency")
	tasks := objects(s.do(200, "GET", routersPath+"/tasks/presets", "").body, "tasks")
	equal(t, "tasks", column(tasks, "task_slug"), "summarization translation code-generation reasoning classification")
	for _, preset := range presets {
		equal(t, "fields a preset has not", s.left("ModelRouterPreset", preset), "")
		equal(t, "tasks of a preset", column(objects(preset, "config", "policies"), "task_slug"), column(tasks, "task_slug"))
	}
	for _, task := range tasks {
		equal(t, "fields a task has not", s.left("ModelRouterTaskPreset", task), "")
		models, _ := task["models"].([]any)
		for _, name := range models {
			s.do(200, "GET", catalogPath+"/x?model_id="+name.(string), "") // there is such a model
		}
	}
	page := s.do(200, "GET", routersPath+"/presets?per_page=2&page=2", "")
	equal(t, "second page", column(objects(page.body, "presets"), "slug")+" of "+text(page.body, "meta", "total"), "low-latency of 3")
	page = s.do(200, "GET", routersPath+"/tasks/presets?per_page=4&page=2", "")
	equal(t, "second page", column(objects(page.body, "tasks"), "task_slug")+" of "+text(page.body, "meta", "pages"), "classification of 2")
}
