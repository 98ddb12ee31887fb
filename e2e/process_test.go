package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait that has no bound of its own. It is for a slow machine
// with the race detector: whatever takes as long hangs.
const patience = 45 * time.Second

// await looks every few milliseconds until done says so; it fails the test when that
// takes too long.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	awaitEvery(t, 10*time.Millisecond, what, done)
}

// awaitEvery is [await] for a look that costs something.
func awaitEvery(t testing.TB, every time.Duration, what string, done func() bool) {
	t.Helper()
	awaitWithin(t, patience, every, what, done)
}

// awaitWithin is [awaitEvery] for what has a bound of its own.
func awaitWithin(t testing.TB, most, every time.Duration, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	timeout := time.NewTimer(most)
	defer timeout.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("waited %s in vain for this: %s", most, what)
		}
	}
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is the program under test, running.
type process struct {
	*output // standard output and error

	cmd   *exec.Cmd
	ended chan struct{} // closed once it has ended
}

// environment is what every process gets; nothing else of ours reaches it.
func environment(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}, more...)
}

// start runs the program. It is killed when the test ends, if it still runs then; a
// data race or panic that it wrote about fails the test.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{output: &output{}, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.WaitDelay = 5 * time.Second // for what it may have started itself
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting agentsvc %s: %v", args[0], err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		p.signal(t, syscall.SIGKILL)
		<-p.ended
		text := p.String()
		for _, sign := range []string{"DATA RACE", "\npanic: ", `"msg":"panic"`, "msg=panic", "fatal error: "} {
			if at := strings.Index(text, sign); at >= 0 {
				t.Errorf("agentsvc %s wrote of a bug: %s", args[0], text[at:min(len(text), at+4000)])
			}
		}
		if t.Failed() {
			t.Logf("the end of what agentsvc %s wrote:\n%s", args[0], text[max(0, len(text)-8000):])
		}
	})
	return p
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("sending %s: %v", s, err)
	}
}

// kill ends the process with no chance to tidy up, and returns when it is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	p.wait(t)
}

// wait returns the exit code once the process has ended; -1 if a signal ended it.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-p.ended:
	case <-timeout.C:
		t.Fatalf("the process has not ended after %s", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// running says whether it still does.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// run runs a command to its end, which must be a success, and returns its standard output.
func run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = env
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("agentsvc %s: %v\n%s", strings.Join(args, " "), err, problems.String())
	}
	return strings.TrimSpace(string(out))
}
