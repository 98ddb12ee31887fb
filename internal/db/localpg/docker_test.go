package localpg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// fakeEngine is a Docker engine that knows one container. What runs in it is a
// real server, made from binaries, behind the port that the container publishes.
type fakeEngine struct {
	t    *testing.T
	home string // of the server; it survives containers, as a volume does

	mu       sync.Mutex
	name     string // empty: there is no container
	request  createRequest
	server   *Server
	port     net.Listener
	running  bool
	paused   bool
	unknown  []string // requests it could not answer
	removals int
}

type createRequest struct {
	container.Config
	HostConfig container.HostConfig `json:"HostConfig"`
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Api-Version", "1.47")
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/v"); ok {
		_, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	what := r.Method + " " + parts[len(parts)-1]
	switch {
	case parts[0] == "_ping":
		_, _ = io.WriteString(w, "OK")
	case parts[0] == "info":
		_, _ = io.WriteString(w, `{"ID":"fake","OperatingSystem":"fake","ServerVersion":"27.0","OSType":"linux"}`)
	case parts[0] == "images":
		_, _ = io.WriteString(w, `{"Id":"sha256:1","Os":"linux","Architecture":"amd64"}`)
	case parts[0] == "networks":
		_, _ = io.WriteString(w, `[{"Name":"bridge","Id":"1","Driver":"bridge"}]`)
	case parts[0] == "volumes":
		http.Error(w, `{"message":"no such volume"}`, http.StatusNotFound)
	case parts[0] == "containers" && what == "POST create":
		e.name = r.URL.Query().Get("name")
		if err := json.NewDecoder(r.Body).Decode(&e.request); err != nil {
			e.t.Error(err)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"Id":"`+e.name+`"}`)
	case parts[0] == "containers" && (e.name == "" || !strings.HasPrefix(path, "/containers/"+e.name)):
		http.Error(w, `{"message":"no such container"}`, http.StatusNotFound)
	case parts[0] == "containers" && e.control(what):
		_, _ = io.WriteString(w, `{"StatusCode":0}`)
	case what == "GET json":
		_ = json.NewEncoder(w).Encode(map[string]any{ //nolint:errchkjson // of a kind that is
			"Id": e.name, "Name": "/" + e.name, "State": map[string]any{"Running": e.running, "Paused": e.paused},
			"Config": map[string]any{"Image": e.request.Image}, "HostConfig": map[string]any{},
			"NetworkSettings": map[string]any{"Ports": e.request.HostConfig.PortBindings},
		})
	default:
		e.unknown = append(e.unknown, r.Method+" "+path)
		http.Error(w, `{"message":"unknown"}`, http.StatusNotImplemented)
	}
}

// control does what a request asks to be done to the container.
func (e *fakeEngine) control(what string) bool {
	var err error
	switch what {
	case "POST start":
		err, e.running = e.start(), true
	case "POST stop", "POST kill":
		if !e.running {
			break
		}
		e.running = false
		if what == "POST kill" {
			err = e.server.Crash()
		}
		err = errors.Join(err, e.server.Stop(), e.port.Close())
	case "POST pause":
		err, e.paused = e.server.Freeze(), true
	case "POST unpause":
		err, e.paused = e.server.Thaw(), false
	case "POST wait": // which ends when nothing runs; ours never runs after a kill
	case "DELETE " + e.name:
		if e.running {
			err = errors.Join(e.server.Stop(), e.port.Close())
		}
		e.name, e.running, e.removals = "", false, e.removals+1
	default:
		return false
	}
	if err != nil {
		e.t.Error(what, err)
	}
	return true
}

// start runs a server with the password that the container was given.
func (e *fakeEngine) start() error {
	for _, kv := range e.request.Env {
		if password, ok := strings.CutPrefix(kv, "POSTGRES_PASSWORD="); ok {
			if err := os.WriteFile(filepath.Join(e.home, "password"), []byte(password), 0o600); err != nil {
				return err
			}
		}
	}
	var err error
	if e.server, err = Start(context.Background(), Options{DataDir: e.home, DisableDocker: true}); err != nil {
		return err
	}
	target, err := url.Parse(e.server.URL())
	if err != nil {
		return err
	}
	binding := e.request.HostConfig.PortBindings[network.MustParsePort("5432/tcp")][0]
	if e.port, err = net.Listen("tcp", net.JoinHostPort(binding.HostIP.String(), binding.HostPort)); err != nil {
		return err
	}
	go forward(e.port, target.Host)
	return nil
}

// forward connects whoever comes to a port with the target, until the port closes.
func forward(port net.Listener, target string) {
	for {
		in, err := port.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", target)
		if err != nil {
			_ = in.Close()
			continue
		}
		join := func(a, b net.Conn) {
			_, _ = io.Copy(a, b)
			_ = a.Close()
			_ = b.Close()
		}
		go join(in, out)
		go join(out, in)
	}
}

// It has the process's one look for Docker for itself: all others that share
// this process disable it. That is also why there is one test for everything.
func TestDocker(t *testing.T) {
	// The process looks once for where the engine is, so that stays the same.
	//nolint:usetesting // t.TempDir is another one when the test is repeated
	socket := filepath.Join(os.TempDir(), fmt.Sprintf("localpg-test-%d.sock", os.Getpid()))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	fake := &fakeEngine{t: t, home: dataDir(t)}
	engine := httptest.NewUnstartedServer(fake)
	engine.Listener = listener
	engine.Start()
	t.Cleanup(engine.Close)
	t.Setenv("DOCKER_HOST", "unix://"+socket)

	dir := dataDir(t)
	log, said := logBuffer()
	first, err := Start(t.Context(), Options{DataDir: dir, Log: log, Settings: map[string]string{"work_mem": "5MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Stop() })
	if first.How() != "docker "+dockerImage {
		t.Fatalf("How() = %q; the engine did not know %v; the log: %s", first.How(), fake.unknown, said)
	}
	for _, want := range []string{"work_mem=5MB", "fsync=off", "listen_addresses=*"} {
		if !slices.Contains(fake.request.Cmd, want) {
			t.Errorf("the server's command line %v lacks %s", fake.request.Cmd, want)
		}
	}
	if m := fake.request.HostConfig.Mounts; len(m) != 1 || m[0].Source != fake.name || m[0].Target != dockerData {
		t.Errorf("the data is in %v", m)
	}
	binding := fake.request.HostConfig.PortBindings[network.MustParsePort("5432/tcp")]
	if len(binding) != 1 || binding[0].HostIP.String() != "127.0.0.1" {
		t.Errorf("it is published at %v", binding)
	}

	execSQL(t, first.URL(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	before := first.URL()
	if err := first.Crash(); err != nil {
		t.Fatal(err)
	}
	refused(t, first.URL())
	if err := first.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := queryText(t, before, "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("after a crash: %q", got)
	}
	if err := errors.Join(first.Freeze(), first.Restart(t.Context())); err != nil {
		t.Errorf("restarting a frozen server: %v", err)
	}
	if err := errors.Join(first.Stop(), first.Stop()); err != nil {
		t.Fatal(err)
	}
	if fake.name != "" {
		t.Error("the container is still there")
	}

	fake.name = filepath.Base((&home{dir: dir}).relocated()) // a dead process left a container
	second, err := Start(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Stop() })
	if got := queryText(t, second.URL(), "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("in the next run: %q", got)
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	if fake.removals != 3 {
		t.Errorf("%d containers were removed, want 3: of both runs and of the dead process", fake.removals)
	}

	engine.Close()
	if s, err := Start(t.Context(), Options{DataDir: dir}); err == nil {
		t.Error("it started without its data", s.Stop())
	} else if !strings.Contains(err.Error(), "Docker volume") {
		t.Errorf("error %q does not say where the data is", err)
	}
	third, err := Start(t.Context(), Options{}) // with nothing to lose, another way will do
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(third.How(), "binaries ") {
		t.Errorf("How() = %q", third.How())
	}
	if err := third.Stop(); err != nil {
		t.Error(err)
	}
	if len(fake.unknown) > 0 {
		t.Errorf("requests the engine did not know: %v", fake.unknown)
	}
}
