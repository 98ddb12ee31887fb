package dbtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// failingTest is a test that fails without failing the one it is part of.
type failingTest struct {
	testing.TB
	said    string
	cleanup []func()
}

func (*failingTest) Failed() bool              { return true }
func (f *failingTest) Cleanup(fn func())       { f.cleanup = append(f.cleanup, fn) }
func (f *failingTest) Logf(s string, a ...any) { f.said += fmt.Sprintf(s, a...) }

func (f *failingTest) end() {
	for _, fn := range slices.Backward(f.cleanup) {
		fn()
	}
}

var dataPath = regexp.MustCompile(`-D (\S+)/data `)

func TestDatabaseIsKeptWhenTheTestFailed(t *testing.T) {
	t.Parallel()
	process := process{managed: true} // whose data nobody else minds being kept
	failing := &failingTest{TB: t}
	url := process.newURL(failing)
	failing.end()

	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("the database is gone: %v", err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(failing.said, url) {
		t.Errorf("the test's log %q does not hold the URL %s", failing.said, url)
	}
	if err := process.server.drop(t.Context(), conn.Config().Database); err != nil { // the server may be a lasting one
		t.Error(err)
	}
	kept := process.server.kept
	if err := process.stop(); err != nil {
		t.Error(err)
	}
	if found := dataPath.FindStringSubmatch(kept); found != nil { // else it is not our server
		if _, err := os.Stat(filepath.Join(found[1], "data", "PG_VERSION")); err != nil {
			t.Errorf("the server's data is gone: %v", err)
		}
		if err := os.RemoveAll(found[1]); err != nil {
			t.Error(err)
		}
	}
}

func TestUnmanagedPackageIsToldWhatItNeeds(t *testing.T) {
	t.Parallel()
	stopped := &fatalTest{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		new(process).newURL(stopped)
	}()
	<-done
	if !strings.Contains(stopped.said, "dbtest.Main(m)") {
		t.Errorf("it was told %q", stopped.said)
	}
}

// fatalTest is a test that ends its goroutine at the first fatal problem.
type fatalTest struct {
	testing.TB
	said string
}

func (f *fatalTest) Fatal(a ...any) {
	f.said = fmt.Sprint(a...)
	runtime.Goexit()
}

func BenchmarkClone(b *testing.B) {
	s := shared.get(b)
	var names []string
	for b.Loop() {
		names = append(names, databaseName(b.Name()))
		if err := s.clone(b.Context(), names[len(names)-1]); err != nil {
			b.Fatal(err)
		}
	}
	for _, name := range names {
		if err := s.drop(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCloneAndDrop(b *testing.B) {
	s := shared.get(b)
	for b.Loop() {
		name := databaseName(b.Name())
		if err := s.clone(b.Context(), name); err != nil {
			b.Fatal(err)
		}
		if err := s.drop(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
}
