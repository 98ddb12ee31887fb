package localpg

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fakeBinaries makes a directory whose server program only tells a version.
func fakeBinaries(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "initdb"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s'\n", name, version)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBinariesAreFoundInOrder(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	old := fakeBinaries(t, filepath.Join(root, "14", "bin"), "14.9 (Debian 14.9-1)")
	fifteen := fakeBinaries(t, filepath.Join(root, "15", "bin"), "15.13")
	nine := fakeBinaries(t, filepath.Join(root, "9.6", "bin"), "9.6.24")
	eighteen := fakeBinaries(t, filepath.Join(root, "18", "bin"), "18beta1")
	clientOnly := filepath.Join(root, "client")
	links := filepath.Join(root, "links")
	if err := errors.Join(os.Mkdir(clientOnly, 0o700), os.Mkdir(links, 0o700),
		os.Symlink(filepath.Join(fifteen, "postgres"), filepath.Join(links, "postgres"))); err != nil {
		t.Fatal(err)
	}
	packaged := []string{filepath.Join(root, "*", "bin")}
	for name, tc := range map[string]struct {
		path     string
		patterns []string
		want     []binaries
	}{
		"nowhere":                      {},
		"the newest of packages first": {patterns: packaged, want: []binaries{{eighteen, 18}, {fifteen, 15}}},
		"but PATH before those": {
			path: clientOnly + ":" + fifteen, patterns: packaged,
			want: []binaries{{fifteen, 15}, {eighteen, 18}},
		},
		"a link in PATH":                {path: links, want: []binaries{{fifteen, 15}}},
		"too old":                       {path: old + ":" + nine},
		"a place that depends on where": {path: ".:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := findBinaries(t.Context(), tc.path, tc.patterns)
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("found %v, want %v", got, tc.want)
			}
		})
	}
}

func TestProgramsMustFitTheData(t *testing.T) {
	t.Parallel()
	found := []binaries{{"/eighteen", 18}, {"/sixteen", 16}}
	for name, tc := range map[string]struct {
		version string // of the cluster; empty if there is none
		want    string
		err     string
	}{
		"no data yet":           {want: "/eighteen"},
		"data of the newest":    {version: "18\n", want: "/eighteen"},
		"data of an older one":  {version: "16\n", want: "/sixteen"},
		"data of one we lack":   {version: "17\n", err: "made by Postgres 17"},
		"data of no known kind": {version: "?\n", err: "reading the version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			if tc.version != "" {
				if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(tc.version), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := choose(found, data)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want one that says %q", err, tc.err)
				}
				return
			}
			if err != nil || got.dir != tc.want {
				t.Errorf("chose %v, %v, want %s", got, err, tc.want)
			}
		})
	}
}

func TestAccountForRoot(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		passwd, want string
	}{
		"the first that is not root":     {"root:x:0:0::/:/x\ntoor:x:0:0::/:/x\nbin:x:2:2::/:/bin/false\nsys:x:3:3::/:/x\n", "bin"},
		"not one in root's group":        {"root:x:0:0::/:/bin/sh\noperator:x:11:0::/:/bin/sh\nftp:x:21:21::/:/x", "ftp"},
		"lines that are not accounts":    {"# accounts\n+::::::\n\nweb:x:80:80::/:/x\n", "web"},
		"nobody else":                    {"root:x:0:0::/:/bin/sh\n", ""},
		"a number that is none (or two)": {"a:x:-2:5::/:/x\nb:x:4294967296:5::/:/x\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := firstUnprivileged(tc.passwd)
			if got.name != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("account %q, error %v, want %q", got.name, err, tc.want)
			}
		})
	}
}

func TestTakenPortIsRecognised(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	c, ok := s.engine.(*cluster)
	if !ok {
		t.Fatalf("engine is a %T", s.engine)
	}
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	squatter, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.startOnce(t.Context()); !errors.Is(err, errPortTaken) {
		t.Errorf("error %v, want %v", err, errPortTaken)
	}
	freed := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() { freed <- squatter.Close() })
	if err := errors.Join(s.Restart(t.Context()), <-freed); err != nil {
		t.Errorf("restart on a port that is free a moment later: %v", err)
	}
}

// The result of looking for Docker is kept for the life of a process, so each
// case has a process of its own.
func TestDockerWithoutEngineCostsLittle(t *testing.T) {
	t.Parallel()
	hung := filepath.Join(t.TempDir(), "hung.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", hung) // takes connections, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, host := range map[string]string{
		"nobody listens":        "unix:///nonexistent/docker.sock",
		"the engine is hung":    "unix://" + hung,
		"the address is a hole": "tcp://192.0.2.1:2375", // reserved for documentation
		"not an address":        "nonsense",
	} {
		t.Run(name, func(t *testing.T) {
			child := startChild(t, "", "DOCKER_HOST="+host)
			child.finish()
			if err := child.cmd.Wait(); err != nil {
				t.Error(err)
			}
			if child.stderr.Len() > 0 {
				t.Errorf("it said: %s", child.stderr.String())
			}
			// The probe's second, and what a server takes to start on a busy machine.
			if limit := dockerProbe + 10*time.Second; child.took > limit {
				t.Errorf("started in %s, want at most %s", child.took, limit)
			}
			t.Logf("%s, started in %s", child.how, child.took)
		})
	}
}

func TestDataInDockerIsNotForgotten(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	if err := os.WriteFile(filepath.Join(dir, dockerMark), []byte(dockerImage+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), Options{DataDir: dir, DisableDocker: true})
	if err == nil {
		t.Fatal("a server started without the data", s.Stop())
	}
	if !strings.Contains(err.Error(), "Docker volume") {
		t.Errorf("error %q does not say where the data is", err)
	}
}
