package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	showAgent  = "GET /v2/gen-ai/agents/{uuid}"
	showRoutes = "GET /v2/gen-ai/agents/{uuid}/child_agents"
	addRoute   = "POST /v2/gen-ai/agents/{parent_agent_uuid}/child_agents/{child_agent_uuid}"
)

// routes scripts agents for ListAgentRoutes, which the service puts together from the
// agent and those that it routes to, because it knows these better than the vendor's list
// of routes. It answers what that list would have said.
func (w *walk) routes(t *testing.T, agent string, script map[string]func(arrival) reply) map[string]any {
	t.Helper()
	op := w.c.Operations[showAgent]
	shown := map[string]map[string]any{}
	parent := w.answers.answer(op)["agent"].(map[string]any)
	parent["uuid"] = agent
	shown[agent] = parent
	var children, routes []any
	for range 2 {
		child := w.answers.answer(op)["agent"].(map[string]any)
		id := child["uuid"].(string)
		shown[id] = child
		w.know(t, "agent", id, "payments")
		// What is the route's own is told with the parent.
		route := map[string]any{"uuid": id, "name": child["name"]}
		told := plainJSON(child).(map[string]any)
		for _, name := range []string{"if_case", "route_name", "route_uuid", "route_created_at", "route_created_by"} {
			route[name] = w.answers.another("Agent", name)
			told[name] = route[name]
		}
		// Where the child's own routes lead is for a list of its own.
		without(told, "child_agents", "parent_agents")
		children, routes = append(children, told), append(routes, route)
	}
	parent["child_agents"] = routes
	delete(script, showRoutes)
	script[showAgent] = func(a arrival) reply {
		if shown[a.params["uuid"]] == nil {
			return reply{http.StatusNotFound, map[string]any{"id": "not_found", "message": "there is no such agent"}}
		}
		return reply{http.StatusOK, map[string]any{"agent": shown[a.params["uuid"]]}}
	}
	return map[string]any{"children": children}
}

// another is one more value of a shape's field.
func (a *answerer) another(shape, field string) any {
	value, _ := a.value(shape, field, a.c.Shapes[shape][field], nil)
	return value
}

// lostRoute loses the reply to a route that was added. The service then looks for the
// route where the vendor lists it, which is the only time that it asks for that list.
func (w *walk) lostRoute(t *testing.T, byOperation map[string]*methods.Method) {
	t.Helper()
	m := byOperation[addRoute]
	w.filler.t = t
	req := w.filler.request(m, true)
	w.forget(t)
	w.seed(t, m, req)
	sent := theirs(t, req)
	ours{reason: "told to nobody"}.set(m, req)
	parent, child := methods.String(req, "parent_agent_uuid"), methods.String(req, "child_agent_uuid")
	answer := w.answers.answer(w.c.Operations[showRoutes])
	found := answer["children"].([]any)[1].(map[string]any)
	found["uuid"], found["route_name"], found["if_case"] = child, methods.String(req, "route_name"), methods.String(req, "if_case")
	w.vendor.play(map[string]func(arrival) reply{
		addRoute:   always(0, nil),
		showRoutes: always(http.StatusOK, answer),
	})
	resp, _, failure := w.caller.call(t, m, req)
	if failure != nil {
		t.Fatalf("%s", failure)
	}
	if got, ok := resp.(*pb.AddAgentRouteResponse); !ok || got.GetParentAgentUuid() != parent || got.GetChildAgentUuid() != child {
		t.Errorf("the answer is %v", resp)
	}
	w.arrivals(t, m, w.c.Operations[addRoute], sent)
	looked := 0
	seen, _ := w.vendor.played()
	for _, a := range seen {
		if a.key == showRoutes {
			looked++
			compared := comparison{c: w.c}
			compared.request(byOperation[showRoutes], w.c.Operations[showRoutes], map[string]any{"uuid": parent}, a)
			for _, problem := range compared.problems {
				t.Errorf("arrived: %s", problem)
			}
			compared.counted(a.key, w.requests)
		}
	}
	if looked != 1 {
		t.Errorf("the route was looked for %d times", looked)
	}
	if !t.Failed() {
		w.covered[showRoutes] = true
	}
}

// refusals lets the vendor refuse with a status of success: some operations have a field
// for it, which callers are not shown but as an error.
func (w *walk) refusals(t *testing.T, byOperation map[string]*methods.Method) {
	t.Helper()
	for key, op := range w.c.Operations {
		if op.Answer["error"] == "" {
			continue
		}
		answers := []map[string]any{{"error": "it is in use"}}
		for field, value := range w.answers.failures(op) {
			answers = append(answers, map[string]any{field: value}, map[string]any{field: value, "error": "it is in use"})
		}
		for _, answer := range answers {
			w.refusal(t, byOperation[key], answer)
		}
		w.responses[key+" answer.error"]++
	}
}

func (w *walk) refusal(t *testing.T, m *methods.Method, answer map[string]any) {
	t.Helper()
	w.filler.t = t
	req := w.filler.request(m, true)
	w.forget(t)
	w.seed(t, m, req)
	ours{team: "payments"}.set(m, req)
	w.vendor.play(withParts(m, req, map[string]func(arrival) reply{m.Verb + " " + m.Path: always(http.StatusOK, answer)}))
	_, _, failure := w.caller.call(t, m, req)
	if failure == nil || failure.Code != "failed_precondition" || !strings.HasPrefix(failure.Message, "the vendor refused the request: ") ||
		answer["error"] != nil && !strings.HasSuffix(failure.Message, ": it is in use") {
		t.Errorf("%s answered %v: %s", m.Name, answer, failure)
	}
}
