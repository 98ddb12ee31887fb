package localpg

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// helperVar holds the data directory for a copy of the test program that does
// nothing but run a server there, until somebody kills it.
const helperVar = "LOCALPG_HELPER"

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(helperVar); ok {
		helper(dir)
		return
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func helper(dir string) {
	begin := time.Now()
	s, err := Start(context.Background(), Options{DataDir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stdout, "%s|%s|%s\n", s.URL(), s.How(), time.Since(begin))
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent closes it
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is a running helper.
type child struct {
	cmd      *exec.Cmd
	stderr   bytes.Buffer
	url, how string
	took     time.Duration
	finish   func() // closes its stdin
}

// startChild runs a helper and returns once its server is ready.
func startChild(t *testing.T, dir string, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	c.cmd.Env = append(append(os.Environ(), helperVar+"="+dir), env...)
	c.cmd.Stderr = &c.stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.finish = func() { _ = in.Close() }
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	f := strings.Split(strings.TrimSpace(line), "|")
	if err != nil || len(f) != 3 {
		_ = c.cmd.Wait()
		t.Fatalf("the helper said %q, %q", line, c.stderr.String())
	}
	c.url, c.how = f[0], f[1]
	if c.took, err = time.ParseDuration(f[2]); err != nil {
		t.Fatal(err)
	}
	return c
}

// startServer starts a server from binaries that the test stops.
func startServer(t *testing.T, o Options) *Server {
	t.Helper()
	o.DisableDocker = true
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// dataDir is an empty directory that any account can reach, so that nothing is
// relocated.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localpg-test-") //nolint:usetesting // t.TempDir is for ourselves alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeHome(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// exec runs one statement on a connection of its own.
func execSQL(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// queryText returns the one value of a query, as text.
func queryText(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var text string
	if err := conn.QueryRow(t.Context(), "SELECT ("+sql+")::text").Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// refused checks that nobody answers at a URL.
func refused(t *testing.T, url string) {
	t.Helper()
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		t.Error("a server that should be down takes connections", conn.Close(t.Context()))
	}
}

// mainPID is the number of a server's main process.
func mainPID(t *testing.T, url string) int {
	t.Helper()
	pid, _, err := readPidFile(queryText(t, url, "current_setting('data_directory')"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// logBuffer is a logger and what was logged.
func logBuffer() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})), &b
}
