package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// arrival is a request as it arrived at the vendor.
type arrival struct {
	key    string // of the operation; "" if there is none
	params map[string]string
	query  url.Values
	body   []byte
	// object is the body as JSON, with numbers as they were written; nil if it is none.
	object map[string]any
	token  string
	// scripted says that the script had an answer.
	scripted bool
}

// page is which page of a list was asked for.
func (a arrival) page() int {
	page, err := strconv.Atoi(a.query.Get("page"))
	if err != nil {
		return 1
	}
	return page
}

// reply is what the vendor answers: a status and what becomes JSON. A status of 0 drops
// the connection.
type reply struct {
	status int
	body   any
}

// scripted is a vendor that answers what a test wants it to. Each request is first held
// against the contract by the strict simulator, whose answer nobody sees.
type scripted struct {
	url string

	c   *contract
	sim *genaisim.Server

	mu       sync.Mutex
	script   map[string]func(arrival) reply // by operation
	seen     []arrival
	problems []string
}

func newScripted(t *testing.T, c *contract) *scripted {
	t.Helper()
	s := &scripted{c: c, sim: genaisim.New(genaisim.Config{Strict: true})}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *scripted) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	a := arrival{query: r.URL.Query(), body: body, token: r.Header.Get("Authorization")}
	a.key, a.params = s.c.find(r.Method, r.URL.EscapedPath())
	if len(body) > 0 {
		reader := json.NewDecoder(bytes.NewReader(body))
		reader.UseNumber()
		_ = reader.Decode(&a.object) // what is no object shows as none
	}
	answer := s.take(r, a)
	if answer.status == 0 {
		panic(http.ErrAbortHandler) // the connection is dropped
	}
	text, err := json.Marshal(answer.body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.status)
	_, _ = w.Write(text)
}

// take notes a request and finds its answer.
func (s *scripted) take(r *http.Request, a arrival) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.validate(r, a)
	script := s.script[a.key]
	a.scripted = script != nil
	s.seen = append(s.seen, a)
	switch {
	case script != nil:
		return script(a)
	case r.Method == http.MethodGet && len(a.params) == 0:
		return reply{http.StatusOK, map[string]any{}} // there is nothing
	}
	return reply{http.StatusNotFound, map[string]any{"id": "not_found", "message": "there is no such thing"}}
}

// validate has the strict simulator look at the request.
func (s *scripted) validate(r *http.Request, a arrival) {
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(a.body))
	s.sim.ServeHTTP(httptest.NewRecorder(), again)
	logged := s.sim.Requests()
	last := logged[len(logged)-1]
	s.sim.Reset() // nothing that a request made is there for the next
	switch {
	case last.Operation == "" || a.key != last.Operation:
		s.problems = append(s.problems, fmt.Sprintf("%s %s is no operation of the vendor's", r.Method, r.URL))
	case last.Status == http.StatusNotImplemented:
		s.problems = append(s.problems, fmt.Sprintf("the simulator does not have %s", a.key))
	}
	for _, deviation := range last.Deviations {
		s.problems = append(s.problems, fmt.Sprintf("%s: the strict simulator: %s", a.key, deviation))
	}
}

// play sets what is answered from now on, and forgets what was seen.
func (s *scripted) play(script map[string]func(arrival) reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script, s.seen, s.problems = script, nil, nil
}

// played is what arrived since, and what was wrong with it.
func (s *scripted) played() (seen []arrival, problems []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen, s.problems
}

// always answers an operation with the same.
func always(status int, body any) func(arrival) reply {
	return func(arrival) reply { return reply{status, body} }
}

// startScripted is a world whose vendor is scripted, a service in it that has compared itself
// with the vendor and found nothing there, and an administrator's token.
func startScripted(t *testing.T, c *contract, env ...string) (w *world, v *scripted, s *service, admin string) {
	t.Helper()
	w, v = newWorld(t), newScripted(t, c)
	w.vendor = &vendor{Server: v.sim, url: v.url}
	admin = run(t, environment("DATABASE_URL="+w.database), "token", "create", "--name", "everything", "--platform", "admin")
	s = w.serve(t, env...)
	w.compared(t, c)
	return w, v, s, admin
}

// compared returns when the service has listed all that the vendor lists, for the first time.
func (w *world) compared(t *testing.T, c *contract) {
	t.Helper()
	lists := 0
	for key, op := range c.Operations {
		if path, get := strings.CutPrefix(key, "GET "); get && len(pathParameters(path)) == 0 && op.list() != "" {
			lists++
		}
	}
	// What it asks of its own accord is over by then: no lock is held any more.
	await(t, "the first comparison with the vendor is done", func() bool {
		return w.count(t, "SELECT count(*) FROM mirror_scopes") >= lists && w.count(t, `SELECT count(*) FROM pg_locks
			WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 0
	})
}
