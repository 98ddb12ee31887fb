package genaisim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// controlPrefix begins the paths of the control API.
const controlPrefix = "/_sim/"

// console is who makes changes by the control API.
func console() actor { return actor{ConsoleID, ConsoleEmail} }

// controlAPI serves what the vendor does not have: a look at the request log,
// faults, a reset, and changes made behind the back of all clients. Its calls
// need no token, count against no limit, are not in the request log and meet
// no faults.
func (s *Server) controlAPI() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(*http.Request) (any, *apiError)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, fail := h(r)
			status := http.StatusOK
			if fail != nil {
				answer, status = fail, fail.status
			}
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(status)
			_, _ = w.Write(encode(answer)) // the client may be gone; there is nobody to tell
		})
	}
	mux.HandleFunc("GET /_sim/requests", s.serveRequests)
	handle("GET /_sim/state", s.describeState)
	handle("GET /_sim/faults", s.describeFaults)
	handle("PUT /_sim/faults", s.putFaults)
	handle("DELETE /_sim/faults", s.clearFaults)
	handle("POST /_sim/reset", s.reset)
	handle("POST /_sim/agents", s.consoleCreate)
	handle("POST /_sim/agents/{uuid}", s.consoleUpdate)
	handle("DELETE /_sim/agents/{uuid}", s.consoleDelete)
	handle("DELETE /_sim/knowledge_bases/{uuid}", s.removeKnowledgeBase)
	handle("DELETE /_sim/guardrails/{uuid}", s.removeGuardrail)
	handle("/_sim/", func(*http.Request) (any, *apiError) { return nil, plainError(http.StatusNotFound) })
	return mux
}

// serveRequests writes the request log as JSON Lines, from the entry after the
// one that "since" names.
func (s *Server) serveRequests(w http.ResponseWriter, r *http.Request) {
	since, err := strconv.Atoi(r.URL.Query().Get("since"))
	if err != nil && r.URL.Query().Has("since") {
		http.Error(w, "since must be the seq of an entry", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, entry := range s.requestsSince(since) {
		if err := enc.Encode(entry); err != nil {
			return // the client is gone
		}
	}
}

type stateView struct {
	Time           time.Time        `json:"time"`
	Counts         map[string]int   `json:"counts"`
	Agents         []stateAgentView `json:"agents"`
	KnowledgeBases []string         `json:"knowledge_bases"`
	Guardrails     []string         `json:"guardrails"`
	Models         []string         `json:"models"`
}

type stateAgentView struct {
	UUID           string   `json:"uuid"`
	Name           string   `json:"name"`
	Status         string   `json:"status"`
	VersionHash    string   `json:"version_hash"`
	Versions       int      `json:"versions"`
	Tags           []string `json:"tags"`
	APIKeys        []string `json:"api_keys"`
	Functions      []string `json:"functions"`
	Guardrails     []string `json:"guardrails"`
	KnowledgeBases []string `json:"knowledge_bases"`
	Children       []string `json:"children"`
	Parents        []string `json:"parents"`
}

func (s *Server) describeState(*http.Request) (any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, now := s.state, s.cfg.Now()
	view := stateView{
		Time: now, Agents: make([]stateAgentView, 0, len(st.order)),
		KnowledgeBases: mapped(st.knowledgeBases, func(kb *knowledgeBase) string { return kb.uuid }),
		Guardrails:     mapped(st.guardrails, func(g *guardrail) string { return g.uuid }),
		Models:         mapped(st.models, func(m *model) string { return m.uuid }),
	}
	view.Counts = map[string]int{
		"agents": len(st.order), "knowledge_bases": len(st.knowledgeBases), "guardrails": len(st.guardrails),
		"models": len(st.models), "requests": len(s.log),
	}
	for _, a := range st.order {
		status, _ := st.deploymentOf(a, now)
		view.Agents = append(view.Agents, stateAgentView{
			UUID: a.uuid, Name: a.name, Status: status, VersionHash: a.applied().hash, Versions: len(a.versions), Tags: notNil(a.tags),
			APIKeys: mapped(a.keys, (*apiKey).id), Functions: mapped(a.functions, function.key),
			Guardrails: mapped(a.guardrails, attachedGuardrail.key), KnowledgeBases: mapped(a.knowledgeBases, attachedKnowledgeBase.key),
			Children: mapped(a.children, route.key), Parents: notNil(st.parents[a.uuid]),
		})
		view.Counts["versions"] += len(a.versions)
		view.Counts["api_keys"] += len(a.keys)
		view.Counts["functions"] += len(a.functions)
		view.Counts["routes"] += len(a.children)
	}
	st.countKnowledge(view.Counts, now)
	st.countEvaluation(view.Counts)
	st.platform.count(view.Counts)
	for i := range s.log {
		if s.log[i].Effect != NoEffect {
			view.Counts["effects"]++
		}
	}
	return view, nil
}

func (s *Server) describeFaults(*http.Request) (any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return mapped(s.faults, func(f *activeFault) activeFault { return *f }), nil
}

func (s *Server) putFaults(r *http.Request) (any, *apiError) {
	var rules []Fault
	dec := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rules); err != nil {
		return nil, badRequest("the body must be a list of faults: %v", err)
	}
	if err := s.SetFaults(rules); err != nil {
		return nil, badRequest("%v", err)
	}
	return s.describeFaults(r)
}

func (s *Server) clearFaults(r *http.Request) (any, *apiError) {
	if err := s.SetFaults(nil); err != nil {
		return nil, badRequest("%v", err)
	}
	return s.describeFaults(r)
}

func (s *Server) reset(r *http.Request) (any, *apiError) {
	s.Reset()
	return s.describeState(r)
}

// consoleCreate makes an agent as someone would in the vendor's console.
func (s *Server) consoleCreate(r *http.Request) (any, *apiError) {
	given, fail := s.consoleFields(r, "POST /v2/gen-ai/agents")
	if fail != nil {
		return nil, fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	a, fail := s.state.create(given, console(), now)
	if fail != nil {
		return nil, fail
	}
	return agentAnswer{s.state.whole(a, now)}, nil
}

// consoleUpdate changes an agent as someone would in the vendor's console. It
// takes the fields of an update, and visibility.
func (s *Server) consoleUpdate(r *http.Request) (any, *apiError) {
	given, fail := s.consoleFields(r, "PUT /v2/gen-ai/agents/{uuid}", "PUT /v2/gen-ai/agents/{uuid}/deployment_visibility")
	if fail != nil {
		return nil, fail
	}
	return s.onAgent(r, func(st *state, a *agent, now time.Time) (any, *apiError) {
		if _, fail := st.update(a, given, console(), now); fail != nil {
			return nil, fail
		}
		if wanted, ok := given.text("visibility"); ok {
			st.show(a, wanted, console(), now)
		}
		return agentAnswer{st.whole(a, now)}, nil
	})
}

// consoleDelete deletes an agent as someone would in the vendor's console.
func (s *Server) consoleDelete(r *http.Request) (any, *apiError) {
	return s.onAgent(r, func(st *state, a *agent, now time.Time) (any, *apiError) {
		answer := agentAnswer{st.whole(a, now)}
		answer.Agent.Deployment.Status = statusDeleted
		st.remove(a, now)
		return answer, nil
	})
}

// removeKnowledgeBase deletes a knowledge base as someone would in the vendor's
// console.
func (s *Server) removeKnowledgeBase(r *http.Request) (any, *apiError) {
	return s.removeFromAll(r, (*state).removeKnowledgeBase)
}

// removeGuardrail does to a guardrail what removeKnowledgeBase does to a
// knowledge base.
func (s *Server) removeGuardrail(r *http.Request) (any, *apiError) {
	return s.removeFromAll(r, func(st *state, id string, now time.Time) bool {
		before := len(st.guardrails)
		st.guardrails = without(st.guardrails, st.guardrail(id))
		for _, a := range st.order {
			if i := indexOf(a.guardrails, id, attachedGuardrail.key); i >= 0 {
				a.guardrails, a.updatedAt = removeAt(a.guardrails, i), now
			}
		}
		return len(st.guardrails) < before
	})
}

func (s *Server) removeFromAll(r *http.Request, remove func(*state, string, time.Time) bool) (any, *apiError) {
	id := strings.ToLower(r.PathValue("uuid"))
	s.mu.Lock()
	removed := remove(s.state, id, s.cfg.Now())
	s.mu.Unlock()
	if !removed {
		return nil, notFound("The resource", id)
	}
	return struct{}{}, nil
}

func (s *Server) onAgent(r *http.Request, do func(*state, *agent, time.Time) (any, *apiError)) (any, *apiError) {
	id := strings.ToLower(r.PathValue("uuid"))
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.state.agents[id]
	if a == nil {
		return nil, notFound("The agent", id)
	}
	return do(s.state, a, s.cfg.Now())
}

// consoleFields reads a body that may have the fields of some operations, and
// no others.
func (s *Server) consoleFields(r *http.Request, keys ...string) (fields, *apiError) {
	object, err := readObject(r.Body)
	if err != nil {
		return nil, badRequest("%v", err)
	}
	allowed := &schema{kind: kindObject, fields: make(map[string]*schema)}
	for _, key := range keys {
		maps.Copy(allowed.fields, s.contract.operations[key].body.fields)
	}
	if wrong := allowed.check("", object, nil); len(wrong) > 0 {
		return nil, badRequest("%s", strings.Join(wrong, "; "))
	}
	return object, nil
}

func readObject(r io.Reader) (map[string]any, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody))
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	value, err := decodeJSON(bytes.TrimSpace(body))
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("the body must be a JSON object")
	}
	return object, nil
}
