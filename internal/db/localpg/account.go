package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// account is who a server runs as. The zero value is ourselves.
type account struct {
	name     string
	uid, gid uint32 // never 0 unless the account is ourselves
}

// serverAccount is ourselves, or if we are root an account that is not:
// Postgres refuses to run as root.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			if a, err := toAccount(u.Username, u.Uid, u.Gid); err == nil {
				return a, nil
			}
		}
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return account{}, fmt.Errorf("looking for an account that is not root's: %w", err)
	}
	return firstUnprivileged(string(passwd))
}

// firstUnprivileged picks from the text of /etc/passwd. An account that is not
// listed there would not do: initdb looks up its own name.
func firstUnprivileged(passwd string) (account, error) {
	for line := range strings.Lines(passwd) {
		f := strings.Split(line, ":")
		if len(f) < 4 {
			continue
		}
		if a, err := toAccount(f[0], f[2], f[3]); err == nil {
			return a, nil
		}
	}
	return account{}, errors.New("there is no account but root's, which the server refuses: add one (adduser --system postgres)")
}

func toAccount(name, uid, gid string) (account, error) {
	u, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("account %s: %w", name, err)
	}
	g, err := strconv.ParseUint(gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("account %s: %w", name, err)
	}
	if u == 0 || g == 0 {
		return account{}, fmt.Errorf("account %s is root or in root's group", name)
	}
	return account{name: name, uid: uint32(u), gid: uint32(g)}, nil
}

func (a account) ourselves() bool { return a.name == "" }

// command prepares a program to run in dir as the account, apart from our
// terminal: a Ctrl-C there is for us to hear, so that the server stops last.
func (a account) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !a.ourselves() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	// PGDATA, PGPORT and the like are about some other server.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "PG") || strings.HasPrefix(kv, "LC_") || strings.HasPrefix(kv, "LANG")
	})
	return cmd
}

// give makes the account the owner of a path.
func (a account) give(path string) error {
	if a.ourselves() {
		return nil
	}
	if err := os.Lchown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("giving %s to account %s: %w", path, a.name, err)
	}
	return nil
}
