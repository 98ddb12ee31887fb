package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// dev is "agentsvc dev": all in one process, with demo teams and agents.
type dev struct {
	service

	simulator string
}

var devAddresses = regexp.MustCompile(`(?s)service +(http://\S+) .*simulator +(http://\S+) `)

// startDev starts it and returns once it is ready. database is a server's URL; empty:
// it finds one by itself.
func startDev(t *testing.T, database string, args ...string) *dev {
	t.Helper()
	env := environment()
	if database != "" {
		env = environment("DATABASE_URL=" + database)
	}
	d := &dev{service: service{process: start(t, env, append([]string{
		"dev", "--listen", "127.0.0.1:0", "--sim-listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--deploy-seconds", "1",
	}, args...)...)}}
	await(t, "agentsvc dev is ready", func() bool {
		if !d.running() {
			t.Fatal("agentsvc dev has ended")
		}
		return strings.Contains(d.String(), "\nready\n")
	})
	found := devAddresses.FindStringSubmatch(d.String())
	if found == nil {
		t.Fatalf("agentsvc dev says that it is ready, but not where:\n%s", d)
	}
	d.url, d.simulator = found[1], found[2]
	return d
}

// requests is the log of its simulator.
func (d *dev) requests(t *testing.T) []genaisim.Request {
	t.Helper()
	_, body := get(t, d.simulator+"/_sim/requests")
	var all []genaisim.Request
	for decoder := json.NewDecoder(strings.NewReader(body)); ; {
		var r genaisim.Request
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("reading the log of the simulator: %v", err)
		}
		all = append(all, r)
	}
}

// get is the answer to a plain request.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newTransport(t, false).RoundTrip(r)
	if err != nil {
		t.Fatalf("asking for %s: %v", url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading %s: %v", url, err)
	}
	return resp.StatusCode, string(text)
}

// TestDevNeedsNothing starts the first look as its reader would, with no database
// given and the real limits of the vendor, and stops it as Ctrl-C does.
func TestDevNeedsNothing(t *testing.T) {
	d := startDev(t, "")
	for page, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/nowhere": 404} {
		if status, body := get(t, d.url+page); status != want {
			t.Errorf("%s answers %d: %s", page, status, body)
		}
	}
	t.Logf("ready after %d requests to its simulator", len(d.requests(t)))
	d.signal(t, syscall.SIGINT)
	if code := d.wait(t); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// devOn starts it on a server of this test's own, whose URL it returns as well.
func devOn(t *testing.T, args ...string) (d *dev, server string) {
	t.Helper()
	server = dbtest.Server(t).URL()
	return startDev(t, server, args...), server
}
