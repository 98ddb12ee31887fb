package genaisim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const agentsPath = "/v2/gen-ai/agents"

// clock is a settable clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// sim is a simulator behind a real HTTP server, with a client for it.
type sim struct {
	*Server
	t      *testing.T
	url    string
	client *http.Client
}

func start(t *testing.T, cfg Config) *sim {
	t.Helper()
	s := New(cfg)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	// Without kept-alive connections the client never repeats a request by itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return &sim{Server: s, t: t, url: server.URL, client: client}
}

// reply is an answer, decoded.
type reply struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

// try sends a request and returns what came back, or the error of a
// connection that broke.
func (s *sim) try(method, path, body string) (reply, error) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer test")
	return s.send(r)
}

func (s *sim) send(r *http.Request) (reply, error) {
	s.t.Helper()
	resp, err := s.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	got := reply{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	_ = dec.Decode(&got.body) // a fault may have sent anything
	return got, nil
}

// do sends a request, wants the status, and checks that the answer is as the
// contract says.
func (s *sim) do(status int, method, path, body string) reply {
	s.t.Helper()
	got, err := s.try(method, path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if got.status != status {
		s.t.Fatalf("%s %s: status %d, want %d; body %s", method, path, got.status, status, got.raw)
	}
	if strings.HasPrefix(path, controlPrefix) {
		return got
	}
	if got.header.Get("X-Request-Id") == "" {
		s.t.Errorf("%s %s: no X-Request-Id", method, path)
	}
	if status != http.StatusOK {
		if text(got.body, "id") == "" || text(got.body, "message") == "" || text(got.body, "request_id") != got.header.Get("X-Request-Id") {
			s.t.Errorf("%s %s: not an error body: %s", method, path, got.raw)
		}
		return got
	}
	plain, _, _ := strings.Cut(path, "?")
	op, _, _ := s.contract.find(method, plain)
	if wrong := op.answer.check("", got.body, nil); len(wrong) > 0 {
		s.t.Errorf("%s %s: the answer departs from the contract: %s", method, path, strings.Join(wrong, "; "))
	}
	return got
}

// create makes an agent of the given name and returns its uuid.
func (s *sim) create(name string) string {
	s.t.Helper()
	got := s.do(200, "POST", agentsPath, `{"name":"`+name+`","model_uuid":"`+ModelLlama+`"}`)
	return text(got.body, "agent", "uuid")
}

func (s *sim) agent(id string) map[string]any {
	s.t.Helper()
	return object(s.do(200, "GET", agentsPath+"/"+id, "").body, "agent")
}

func (s *sim) versions(id string) []map[string]any {
	s.t.Helper()
	return objects(s.do(200, "GET", agentsPath+"/"+id+"/versions?per_page=200", "").body, "agent_versions")
}

// last is the newest entry of the request log.
func (s *sim) last() Request {
	s.t.Helper()
	log := s.Requests()
	if len(log) == 0 {
		s.t.Fatal("the request log is empty")
	}
	return log[len(log)-1]
}

// wantEffect checks the effect of the last request; a trailing * stands for
// any text.
func (s *sim) wantEffect(want string) {
	s.t.Helper()
	got := s.last().Effect
	if prefix, ok := strings.CutSuffix(want, "*"); ok && strings.HasPrefix(got, prefix) {
		return
	}
	if got != want {
		s.t.Errorf("effect %q, want %q", got, want)
	}
}

func at(value any, path ...string) any {
	for _, name := range path {
		inner, _ := value.(map[string]any)
		value = inner[name]
	}
	return value
}

func text(value any, path ...string) string {
	switch v := at(value, path...).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

func object(value any, path ...string) map[string]any {
	o, _ := at(value, path...).(map[string]any)
	return o
}

func objects(value any, path ...string) []map[string]any {
	list, _ := at(value, path...).([]any)
	found := make([]map[string]any, 0, len(list))
	for _, element := range list {
		o, _ := element.(map[string]any)
		found = append(found, o)
	}
	return found
}

// column is one text field of each object in a list.
func column(list []map[string]any, path ...string) string {
	texts := make([]string, 0, len(list))
	for _, o := range list {
		texts = append(texts, text(o, path...))
	}
	return strings.Join(texts, " ")
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
