package localpg

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	tempPrefix = "agentsvc-postgres-" // of temporary homes in the temporary directory
	keptFor    = 3 * time.Hour        // how long data that was kept on purpose is left alone
	settling   = time.Minute          // a home younger than this may not have been locked yet
)

// home is the directory of one server: its password, its lock, its log, and the
// cluster, unless that had to be put elsewhere.
type home struct {
	dir       string // absolute; ours
	data      string // the cluster; belongs to the account that the server runs as
	temporary bool
	password  string
	fresh     bool // the password was made just now, so a cluster that exists cannot know it
	lock      *os.File
	log       *slog.Logger
}

// openHome creates and locks the home at dir, or a temporary one if dir is empty.
func openHome(ctx context.Context, dir string, log *slog.Logger) (*home, error) {
	h := &home{temporary: dir == "", log: log}
	var err error
	if h.temporary {
		sweep(ctx, os.TempDir(), log)
		h.dir, err = os.MkdirTemp("", tempPrefix)
	} else if h.dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(h.dir, 0o711)
	}
	if err == nil {
		// Others may pass through, because the server may run as another account,
		// but the password and the cluster are for their owners alone.
		err = os.Chmod(h.dir, 0o711) //nolint:gosec // passing through is all that 0711 allows
	}
	if err != nil {
		return nil, fmt.Errorf("creating a directory for Postgres: %w", err)
	}
	if h.lock, err = lockDir(h.dir); err != nil {
		return nil, err
	}
	h.data = filepath.Join(h.dir, "data")
	if err := h.loadPassword(); err != nil {
		return nil, errors.Join(err, h.close(false))
	}
	return h, nil
}

// lockDir takes the lock of a home, which the kernel gives back when the process
// ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the Postgres data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(path)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s belongs to process %s, which is still running", ErrInUse, dir, strings.TrimSpace(string(owner)))
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	// The number is for people and for the message above; the lock is what counts.
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("writing %s: %w", path, err), f.Close())
		}
	}
	return f, nil
}

func (h *home) loadPassword() error {
	path := filepath.Join(h.dir, "password")
	b, err := os.ReadFile(path)
	if err == nil && len(b) > 0 {
		h.password = string(b)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the Postgres password: %w", err)
	}
	if _, err := os.Stat(filepath.Join(h.data, "PG_VERSION")); err == nil {
		return fmt.Errorf("there is a cluster in %s but its password is gone: remove %s to start afresh", h.data, h.dir)
	}
	h.fresh = true
	h.password = strings.ToLower(rand.Text())
	if err := os.WriteFile(path, []byte(h.password), 0o600); err != nil {
		return fmt.Errorf("keeping the Postgres password: %w", err)
	}
	return nil
}

// where describes the home in logs.
func (h *home) where() string {
	if h.temporary {
		return "temporary"
	}
	return h.data
}

// relocated is where the cluster goes when the server's account cannot reach the
// home. The name follows from the home's, so that the next run finds it again.
func (h *home) relocated() string {
	sum := sha256.Sum256([]byte(h.dir))
	return filepath.Join("/var/tmp", "agentsvc-"+hex.EncodeToString(sum[:6]))
}

// hasCluster says whether server binaries have made a cluster for this home.
func (h *home) hasCluster() bool {
	for _, dir := range []string{h.dir, h.relocated()} {
		if _, err := os.Stat(filepath.Join(dir, "data", "PG_VERSION")); err == nil {
			return !h.fresh
		}
	}
	return false
}

// relocate puts the cluster where every account can reach it.
func (h *home) relocate() error {
	dir := h.relocated()
	if err := ownDir(dir); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if h.fresh {
		// The home is new, so a cluster here is what is left of an earlier home at
		// the same path that was deleted.
		if err := os.RemoveAll(data); err != nil {
			return fmt.Errorf("removing the cluster of a deleted data directory: %w", err)
		}
	}
	h.data = data
	return nil
}

// ownDir creates a directory in a place where anybody may create one, and refuses
// one that somebody else prepared for us.
func ownDir(dir string) error {
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("creating a directory that the server's account can reach: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s exists and is not a directory of ours alone: remove it", dir)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the server's account passes through
		return fmt.Errorf("opening the way to %s: %w", dir, err)
	}
	return nil
}

// close gives the home up, and if it is temporary and remove is set, removes it.
func (h *home) close(remove bool) error {
	var err error
	if h.temporary && remove {
		err = removeHome(h.dir)
	}
	// Last, so that nobody sweeps a home that we are still removing.
	return errors.Join(err, h.lock.Close())
}

func removeHome(dir string) error {
	h := &home{dir: dir}
	err := os.RemoveAll(dir)
	if ours := h.relocated(); err == nil {
		err = os.RemoveAll(ours)
	}
	if err != nil {
		return fmt.Errorf("removing temporary Postgres data: %w", err)
	}
	return nil
}

// sweep removes the temporary homes of processes that died before they could.
// Nothing depends on it, so what it cannot do is only logged.
func sweep(ctx context.Context, dir string, log *slog.Logger) {
	homes, _ := filepath.Glob(filepath.Join(dir, tempPrefix+"*")) // the pattern is right
	for _, path := range homes {
		if err := sweepOne(ctx, path); err != nil && !errors.Is(err, ErrInUse) {
			log.Debug("an abandoned Postgres directory stays", "path", path, "reason", err)
		}
	}
}

func sweepOne(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() {
		return errors.New("not ours")
	}
	age := time.Since(info.ModTime())
	if _, err := os.Stat(filepath.Join(path, keptMark)); err == nil && age < keptFor {
		return errors.New("kept on purpose")
	}
	if age < settling {
		return errors.New("too young")
	}
	lock, err := lockDir(path)
	if err != nil {
		return err
	}
	defer lock.Close()
	h := &home{dir: path}
	for _, data := range []string{filepath.Join(path, "data"), filepath.Join(h.relocated(), "data")} {
		if err := stopOrphan(data); err != nil {
			return err
		}
	}
	if err := h.removeContainer(ctx); err != nil {
		return err
	}
	return removeHome(path)
}

// keptMark is the name of an empty file that says a temporary home was left on
// purpose.
const keptMark = "kept"

// markKept protects a temporary home from being swept for some hours.
func (h *home) markKept() error {
	if !h.temporary {
		return nil
	}
	if err := os.WriteFile(filepath.Join(h.dir, keptMark), nil, 0o600); err != nil {
		return fmt.Errorf("marking Postgres data as kept: %w", err)
	}
	return nil
}
