package localpg

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestDataStaysFromRunToRun(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := startServer(t, Options{DataDir: dir, Fsync: true})
	execSQL(t, first.URL(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := startServer(t, Options{DataDir: dir, Fsync: true})
	if got := queryText(t, second.URL(), "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("answer = %q", got)
	}
}

func TestDataDirectoryHasOneOwner(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	s := startServer(t, Options{DataDir: dir})
	second, err := Start(t.Context(), Options{DataDir: dir, DisableDocker: true})
	if err == nil {
		t.Fatal("two servers on one data directory", second.Stop())
	}
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("error %q is not ErrInUse or does not name the owner", err)
	}
	if got := queryText(t, s.URL(), "SELECT 1"); got != "1" {
		t.Error("the owner's server suffered")
	}
}

// A process that dies with no chance to stop its server gives up its lock, and
// the next one stops the server if the kernel has not.
func TestServerOfADeadOwnerIsReplaced(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := startServer(t, Options{DataDir: dir})
	execSQL(t, first.URL(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	orphan := mainPID(t, first.URL())
	if err := first.Freeze(); err != nil { // a stuck one at that
		t.Fatal(err)
	}
	c, ok := first.engine.(*cluster)
	if !ok {
		t.Fatalf("engine is a %T", first.engine)
	}
	if err := c.home.lock.Close(); err != nil { // as the kernel does for the dead
		t.Fatal(err)
	}

	second := startServer(t, Options{DataDir: dir})
	if got := queryText(t, second.URL(), "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("answer = %q", got)
	}
	if !c.proc.ended() || mainPID(t, second.URL()) == orphan {
		t.Errorf("the orphan, process %d, still runs", orphan)
	}
	c.home.lock, _ = os.Open(os.DevNull) // the cleanup closes it again
}

func TestServerDiesWithItsOwner(t *testing.T) {
	t.Parallel()
	if isDarwin {
		return // only Linux can do that; the test above covers what happens elsewhere
	}
	dir := dataDir(t)
	child := startChild(t, dir)
	if child.how == "url" || strings.HasPrefix(child.how, "docker") {
		child.finish()
		if err := child.cmd.Wait(); err != nil {
			t.Error(err)
		}
		return // the engine's, not a process of ours
	}
	execSQL(t, child.url, "CREATE TABLE kept AS SELECT 'yes' AS answer")
	pid := mainPID(t, child.url)
	if err := child.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.cmd.Wait() // killed, as it says
	if err := awaitGone([]int{pid}); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, Options{DataDir: dir})
	if got := queryText(t, s.URL(), "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("answer = %q", got)
	}
}

func TestNoteOfADeadServerIsIgnored(t *testing.T) {
	t.Parallel()
	for name, pid := range map[string]int{
		"its number is that of another process": os.Getpid(),
		"its number is nobody's":                1 << 22,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t)
			first := startServer(t, Options{DataDir: dir})
			note, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(first.Crash(), first.Stop()); err != nil {
				t.Fatal(err)
			}
			_, rest, _ := bytes.Cut(note, []byte("\n"))
			note = append([]byte(strconv.Itoa(pid)+"\n"), rest...)
			if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), note, 0o600); err != nil {
				t.Fatal(err)
			}
			startServer(t, Options{DataDir: dir})
		})
	}
}

func TestUnfinishedClusterIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	startServer(t, Options{DataDir: dir})
}

// A directory below root's own cannot be reached by the account that the server
// runs as. Who is not root has no such problem, and the data stays in place.
func TestDirectoryOutOfReach(t *testing.T) {
	t.Parallel()
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(private, "postgres")
	t.Cleanup(func() {
		if err := removeHome(dir); err != nil {
			t.Error(err)
		}
	})
	log, said := logBuffer()
	first := startServer(t, Options{DataDir: dir, Log: log})
	data := queryText(t, first.URL(), "current_setting('data_directory')")
	inPlace := strings.HasPrefix(data, private)
	if root := os.Geteuid() == 0; root == inPlace {
		t.Errorf("root: %t, data: %s", root, data)
	}
	if warned := strings.Contains(said.String(), "cannot reach"); warned == inPlace {
		t.Errorf("data: %s, log: %s", data, said)
	}
	execSQL(t, first.URL(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}

	second := startServer(t, Options{DataDir: dir})
	if got := queryText(t, second.URL(), "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("answer = %q", got)
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}

	if err := os.RemoveAll(dir); err != nil { // to start afresh
		t.Fatal(err)
	}
	third := startServer(t, Options{DataDir: dir})
	if got := queryText(t, third.URL(), "SELECT to_regclass('kept') IS NULL"); got != "true" {
		t.Error("the data of a deleted directory came back")
	}
}

func TestClusterWithoutItsPasswordIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	if err := startServer(t, Options{DataDir: dir}).Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "password")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first attempt makes nothing that looks like the password
		s, err := Start(t.Context(), Options{DataDir: dir, DisableDocker: true})
		if err == nil {
			t.Fatal("it started", s.Stop())
		}
		if !strings.Contains(err.Error(), "password is gone") {
			t.Errorf("error %q does not say that the password is gone", err)
		}
	}
}

func TestSecretsAreForTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	startServer(t, Options{DataDir: dir})
	for _, name := range []string{"password", "lock", "server.log", "data"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", name, info.Mode())
		}
	}
}

func TestDirectoryPreparedBySomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(path string) error{
		"others may write": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
		"a link":           func(path string) error { return os.Symlink("/tmp", path) },
		"a file":           func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "d")
			if err := prepare(path); err != nil {
				t.Fatal(err)
			}
			if err := ownDir(path); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func TestSweepRemovesWhatTheDeadLeft(t *testing.T) {
	t.Parallel()
	long, short := time.Now().Add(-2*keptFor), time.Now().Add(-2*settling)
	for name, tc := range map[string]struct {
		age          time.Time
		locked, kept bool
		want         bool // it stays
	}{
		"abandoned":              {age: short},
		"kept, and forgotten":    {age: long, kept: true},
		"kept":                   {age: short, kept: true, want: true},
		"in use":                 {age: long, locked: true, want: true},
		"perhaps not yet in use": {age: time.Now(), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			path := filepath.Join(parent, tempPrefix+"1")
			if err := os.MkdirAll(filepath.Join(path, "data"), 0o700); err != nil {
				t.Fatal(err)
			}
			if tc.kept {
				if err := (&home{dir: path, temporary: true}).markKept(); err != nil {
					t.Fatal(err)
				}
			}
			if tc.locked {
				lock, err := lockDir(path)
				if err != nil {
					t.Fatal(err)
				}
				defer lock.Close()
			}
			if err := os.Chtimes(path, tc.age, tc.age); err != nil {
				t.Fatal(err)
			}
			log, _ := logBuffer()

			sweep(t.Context(), parent, log)

			if _, err := os.Stat(path); (err == nil) != tc.want {
				t.Errorf("stays: %t, want %t", err == nil, tc.want)
			}
		})
	}
}

func TestKeptDataCanBeLookedAt(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	execSQL(t, s.URL(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	command := s.Keep()
	c, ok := s.engine.(*cluster)
	if !ok {
		t.Fatalf("engine is a %T", s.engine)
	}
	t.Cleanup(func() {
		if err := removeHome(c.home.dir); err != nil {
			t.Error(err)
		}
	})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	refused(t, s.URL())

	// Its output goes to a file, because a pipe would be held open by the server,
	// which su puts where no signal of ours to su reaches it.
	output := filepath.Join(t.TempDir(), "output")
	again := account{}.command(t.Context(), "/", "/bin/sh", "-c", command+" >"+output+" 2>&1")
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	up, _ := await(timeout.C, func() (bool, error) { return verify(t.Context(), s.URL()) == nil, nil })
	if !up {
		t.Errorf("`%s` does not run the server: %s", command, readFrom(output, 0))
	} else if got := queryText(t, s.URL(), "SELECT answer FROM kept"); got != "yes" {
		t.Errorf("answer = %q", got)
	}
	if err := stopOrphan(c.home.data); err != nil {
		t.Error(err)
	}
	_ = again.Wait() // ends with the server, by whatever code that has
}
