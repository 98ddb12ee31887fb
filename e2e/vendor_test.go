package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// agentsPath is where the vendor has its agents.
const agentsPath = "/v2/gen-ai/agents"

// vendor is the simulated vendor, in this process: it outlives every process that
// the tests kill.
type vendor struct {
	*genaisim.Server

	url string

	mu sync.Mutex
	// secrets are those that left last, by the uuid of their key.
	secrets map[string]string
}

func newVendor(t *testing.T, cfg genaisim.Config) *vendor {
	t.Helper()
	cfg.Strict = true
	v := &vendor{Server: genaisim.New(cfg), secrets: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

// serve notes the secrets that are handed out: the simulator keeps none.
func (v *vendor) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || !strings.Contains(r.URL.Path, "/api_keys") {
		v.ServeHTTP(w, r)
		return
	}
	seen := &seeing{ResponseWriter: w}
	v.ServeHTTP(seen, r) // a dropped connection panics through here, and nothing is noted
	var answer struct {
		Key struct {
			UUID   string `json:"uuid"`
			Secret string `json:"secret_key"`
		} `json:"api_key_info"`
	}
	if json.Unmarshal(seen.body.Bytes(), &answer) == nil && answer.Key.Secret != "" {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.secrets[answer.Key.UUID] = answer.Key.Secret
	}
}

type seeing struct {
	http.ResponseWriter

	body bytes.Buffer
}

func (s *seeing) Write(p []byte) (int, error) {
	s.body.Write(p)
	return s.ResponseWriter.Write(p)
}

// secret is the one that a key was given last.
func (v *vendor) secret(key string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.secrets[key]
}

// fail sets the faults in place of those before.
func (v *vendor) fail(t *testing.T, faults ...genaisim.Fault) {
	t.Helper()
	if err := v.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
}

// effects are the effects of the requests that match, in their order; match nil: all.
func (v *vendor) effects(match func(genaisim.Request) bool) []string {
	var effects []string
	for _, r := range v.Requests() {
		if r.Effect != genaisim.NoEffect && (match == nil || match(r)) {
			effects = append(effects, r.Effect)
		}
	}
	return effects
}

// count is how many requests match.
func (v *vendor) count(match func(genaisim.Request) bool) int {
	n := 0
	for _, r := range v.Requests() {
		if match(r) {
			n++
		}
	}
	return n
}

// sent matches the requests of a method for one path.
func sent(method, path string) func(genaisim.Request) bool {
	return func(r genaisim.Request) bool { return r.Method == method && r.Path == path }
}

// changing matches everything but reads.
func changing(r genaisim.Request) bool { return r.Method != http.MethodGet }

// inConsole changes an agent behind our back.
func (w *world) inConsole(t *testing.T, method, agent, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.vendor.url+"/_sim/agents/"+agent, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newTransport(t, false).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s in the vendor's console answers %s", method, resp.Status)
	}
}
