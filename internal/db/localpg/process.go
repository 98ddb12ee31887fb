package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const isDarwin = runtime.GOOS == "darwin"

// process is a server that we started.
type process struct {
	pid  int
	done chan struct{} // closed when the main process has ended
	err  error         // how it ended; read after done
}

// launch starts a server's main process.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The server is told to shut down when the thread that started it ends
		// (see dieWithParent). Threads come and go as the runtime likes, except one
		// that is locked to a goroutine; so this goroutine stays until the server
		// has gone, and its thread goes with it.
		runtime.LockOSThread()
		dieWithParent(cmd)
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// family lists the main process and its children. Stopping the main process
// first makes that list final: nobody else makes children.
func (p *process) family() ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	pids := []int{p.pid}
	for _, other := range all {
		if other.parent == p.pid {
			pids = append(pids, other.pid)
		}
	}
	return pids, nil
}

// freeze stops all processes of the server where they are.
func (p *process) freeze() error {
	if err := signal(syscall.SIGSTOP, p.pid); err != nil {
		return err
	}
	pids, err := p.family()
	if err != nil {
		return err
	}
	return signal(syscall.SIGSTOP, pids...)
}

// thaw is the reverse of freeze.
func (p *process) thaw() error {
	pids, err := p.family()
	if err != nil {
		return err
	}
	return signal(syscall.SIGCONT, pids...)
}

// kill ends all processes of the server at once and waits until they are gone:
// the next server refuses to start while one of them holds shared memory.
func (p *process) kill() error {
	if p.ended() {
		return nil
	}
	if err := p.freeze(); err != nil {
		return err
	}
	pids, err := p.family()
	if err != nil {
		return err
	}
	if err := signal(syscall.SIGKILL, pids...); err != nil {
		return err
	}
	<-p.done
	return awaitGone(pids)
}

// interrupt asks for a fast, orderly shutdown and gives it some time.
func (p *process) interrupt(patience time.Duration) error {
	if err := p.thaw(); err != nil { // in case it is frozen
		return err
	}
	if err := signal(syscall.SIGINT, p.pid); err != nil {
		return err
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-p.done:
		return nil
	case <-timeout.C:
		return errors.Join(fmt.Errorf("the server did not shut down within %s and was killed", patience), p.kill())
	}
}

// signal sends a signal to processes, some of which may have ended.
func signal(sig syscall.Signal, pids ...int) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("sending %s to process %d: %w", sig, pid, err))
		}
	}
	return errors.Join(errs...)
}

// awaitGone returns when none of the processes is left, but for entries that
// their parents have not collected yet: some containers have nobody who does.
func awaitGone(pids []int) error {
	timeout := time.NewTimer(killPatience)
	defer timeout.Stop()
	ok, err := await(timeout.C, func() (bool, error) {
		all, err := processes()
		if err != nil {
			return false, fmt.Errorf("listing processes: %w", err)
		}
		for _, pid := range pids {
			if other, ok := all[pid]; ok && !other.zombie {
				return false, nil
			}
		}
		return true, nil
	})
	if err == nil && !ok {
		err = fmt.Errorf("processes of the server are still there after %s", killPatience)
	}
	return err
}

// readPidFile reads what a running server says of itself in its data directory.
func readPidFile(data string) (pid int, ready bool, err error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, false, err
	}
	lines := strings.Split(string(b), "\n")
	if pid, err = strconv.Atoi(strings.TrimSpace(lines[0])); err != nil {
		return 0, false, fmt.Errorf("reading postmaster.pid: %w", err)
	}
	const statusLine = 7 // counting from 0: LOCK_FILE_LINE_PM_STATUS in Postgres' sources
	return pid, len(lines) > statusLine && strings.TrimSpace(lines[statusLine]) == "ready", nil
}

// stopOrphan stops the server that still runs on a data directory whose lock we
// hold: its owner is dead. If none runs, it removes the note that one does,
// because by now the number in it may be that of some other process, and the
// server would not start.
func stopOrphan(data string) error {
	pid, _, err := readPidFile(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && pid > 1 {
		all, err := processes()
		if err != nil {
			return fmt.Errorf("listing processes: %w", err)
		}
		if other, ok := all[pid]; ok && !other.zombie && other.serves(data) {
			return stopStranger(pid)
		}
	}
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the note of a dead server: %w", err)
	}
	return nil
}

// stopStranger stops a server that is not our child.
func stopStranger(pid int) error {
	p := &process{pid: pid}
	pids, err := p.family()
	if err == nil {
		err = errors.Join(p.thaw(), signal(syscall.SIGINT, pid))
	}
	if err == nil {
		err = awaitGone(pids)
	}
	if err == nil {
		return nil
	}
	// It is stuck. What it has committed will be recovered.
	return errors.Join(signal(syscall.SIGKILL, pids...), awaitGone(pids))
}

// running is a process as the operating system lists it.
type running struct {
	pid, parent int
	zombie      bool
	command     string // with its arguments, separated by spaces
}

// serves says whether the process is the main one of a server on data: its
// children inherit the command line but change it, and so does nobody else.
func (r running) serves(data string) bool {
	return strings.Contains(r.command, "/postgres -D "+data+" -p ")
}
