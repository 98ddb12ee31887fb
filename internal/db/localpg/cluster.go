package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser    = "postgres"
	stopPatience = 20 * time.Second // for an orderly shutdown, which writes a checkpoint
	killPatience = 10 * time.Second // for processes that were killed to be gone
	portPatience = 5 * time.Second  // for the port of a restarted server to be free again
	portAttempts = 10               // for finding a port that nobody takes before the server does

	// Ports below those that systems hand to outgoing connections, which might
	// otherwise sit on ours while the server restarts.
	lowestPort, highestPort = 15000, 32000
)

// cluster is a server made of programs on this machine: an [engine].
type cluster struct {
	home     *home
	bin      binaries
	as       account
	settings map[string]string
	log      *slog.Logger
	port     int
	proc     *process // nil when not running
}

var _ engine = (*cluster)(nil)

// openCluster makes the cluster if there is none and starts its server.
func openCluster(ctx context.Context, h *home, o Options, found []binaries) (*cluster, error) {
	if image, err := h.dockerImage(); err != nil {
		return nil, err
	} else if image != "" {
		return nil, h.inDocker()
	}
	as, err := serverAccount()
	if err != nil {
		return nil, err
	}
	if err := h.place(ctx, as, found[0], o.Log); err != nil {
		return nil, err
	}
	bin, err := choose(found, h.data)
	if err != nil {
		return nil, err
	}
	c := &cluster{home: h, bin: bin, as: as, settings: settings(o), log: o.Log}
	if err := stopOrphan(h.data); err != nil {
		return nil, err
	}
	if err := c.init(ctx); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		if c.port, err = freePort(ctx); err != nil {
			return nil, err
		}
		err = c.start(ctx)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, errPortTaken) || attempt == portAttempts {
			return nil, err
		}
	}
}

// place makes sure that the account can reach the cluster's directory.
func (h *home) place(ctx context.Context, as account, bin binaries, log *slog.Logger) error {
	// Asking the kernel, by running something there, beats reasoning about modes,
	// access lists and mounts.
	run := func(dir string) error {
		return as.command(ctx, dir, filepath.Join(bin.dir, "postgres"), "--version").Run()
	}
	if as.ourselves() || run(h.dir) == nil {
		return nil
	}
	if err := run("/"); err != nil {
		return fmt.Errorf("account %s cannot run the programs in %s: %w", as.name, bin.dir, err)
	}
	if err := h.relocate(); err != nil {
		return err
	}
	log.Warn("the server's account cannot reach the data directory, so the data is elsewhere",
		"account", as.name, "wanted", h.dir, "data", h.data)
	return nil
}

// settings are ours and then the caller's.
func settings(o Options) map[string]string {
	all := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"max_connections":         "300",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"lc_messages":             "C", // the port conflict is recognised by its message
		"logging_collector":       "off",
		"log_destination":         "stderr",
	}
	if !o.Fsync {
		all["fsync"] = "off"
		all["full_page_writes"] = "off"
	}
	maps.Copy(all, o.Settings)
	return all
}

// arguments turns settings into a server's command line, in a steady order.
func arguments(settings map[string]string) []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// init makes the cluster. It appears under its name when it is complete, so a
// run that is killed half way leaves nothing that looks like one.
func (c *cluster) init(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(c.home.data, "PG_VERSION")); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for a cluster: %w", err)
	}
	unfinished, secret := c.home.data+".new", c.home.data+".password"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("removing an unfinished cluster: %w", err)
	}
	defer os.Remove(secret)
	if err := errors.Join(
		os.Mkdir(unfinished, 0o700), c.as.give(unfinished),
		os.WriteFile(secret, []byte(c.home.password), 0o600), c.as.give(secret),
	); err != nil {
		return fmt.Errorf("preparing a cluster: %w", err)
	}
	locale := "C.UTF-8"
	if isDarwin {
		locale = "en_US.UTF-8" // older releases have no C.UTF-8
	}
	out, err := c.as.command(ctx, unfinished, filepath.Join(c.bin.dir, "initdb"), "--pgdata="+unfinished,
		"--username="+superuser, "--pwfile="+secret, "--auth=scram-sha-256", "--encoding=UTF8", "--locale="+locale,
		"--no-instructions", "--no-sync").CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("making a cluster: %w: %s", err, lastWords(out)), os.RemoveAll(unfinished))
	}
	if err := os.Rename(unfinished, c.home.data); err != nil {
		return fmt.Errorf("putting the new cluster in place: %w", err)
	}
	return nil
}

func (c *cluster) url() string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, c.home.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}
	return u.String()
}

// start runs the server on c.port. After a restart that port may still be held
// for a moment, so it is tried for a while.
func (c *cluster) start(ctx context.Context) error {
	restart := c.proc != nil
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the server was not ready within a minute"))
	defer cancel()
	again := time.Now().Add(portPatience)
	for {
		err := c.startOnce(ctx)
		if err == nil || !restart || !errors.Is(err, errPortTaken) || time.Now().After(again) {
			return err
		}
	}
}

var (
	errPortTaken  = errors.New("the port is taken")
	errNotRunning = errors.New("the server is not running")
)

func (c *cluster) startOnce(ctx context.Context) error {
	logPath := filepath.Join(c.home.dir, "server.log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer logFile.Close()
	begin, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("finding the end of the server's log: %w", err)
	}

	args := append([]string{"-D", c.home.data, "-p", strconv.Itoa(c.port)}, arguments(c.settings)...)
	// Not ctx: that is about starting, and the server outlives it.
	cmd := c.as.command(context.WithoutCancel(ctx), c.home.data, filepath.Join(c.bin.dir, "postgres"), args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	proc, err := launch(cmd)
	if err != nil {
		return fmt.Errorf("running the server: %w", err)
	}
	ok, err := await(ctx.Done(), func() (bool, error) {
		select {
		case <-proc.done:
			return false, fmt.Errorf("the server ended: %w", proc.err)
		default:
		}
		pid, ready, _ := readPidFile(c.home.data) // not there yet, or not whole
		return ready && pid == proc.pid, nil
	})
	if err == nil && !ok {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = verify(ctx, c.url())
	}
	if err != nil {
		_ = proc.kill() // it is of no use; what is wrong is in err
		said := readFrom(logPath, begin)
		if bytes.Contains(said, []byte("could not bind")) {
			err = fmt.Errorf("%w: %w", errPortTaken, err)
		}
		return fmt.Errorf("%w\n%s", err, lastWords(said))
	}
	c.proc = proc
	return nil
}

func (c *cluster) stop() error {
	if c.proc == nil || c.proc.ended() {
		return nil
	}
	return c.proc.interrupt(stopPatience)
}

func (c *cluster) crash() error {
	if c.proc == nil || c.proc.ended() {
		return nil
	}
	return c.proc.kill()
}

func (c *cluster) freeze() error {
	if c.proc == nil || c.proc.ended() {
		return errNotRunning
	}
	return c.proc.freeze()
}

func (c *cluster) thaw() error {
	if c.proc == nil || c.proc.ended() {
		return nil
	}
	return c.proc.thaw()
}

func (c *cluster) discard(keep bool) error {
	end := c.stop
	if c.home.temporary && !keep {
		end = c.crash
	}
	return errors.Join(end(), c.home.close(!keep))
}

// inspect marks temporary data as kept and says how to look at it.
func (c *cluster) inspect() string {
	if err := c.home.markKept(); err != nil {
		c.log.Warn("data of a failed test may be removed", "error", err)
	}
	run := fmt.Sprintf("%s -D %s -p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=",
		filepath.Join(c.bin.dir, "postgres"), c.home.data, c.port)
	if !c.as.ourselves() {
		run = fmt.Sprintf("su -s /bin/sh %s -c '%s'", c.as.name, run)
	}
	return run
}

// freePort returns a port that nobody listens on now.
func freePort(ctx context.Context) (int, error) {
	var err error
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort) //nolint:gosec // not a secret
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("looking for a free port: %w", err)
}

// verify connects and checks that the server is new enough.
func verify(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return fmt.Errorf("asking for the version: %w", err)
	}
	if version < minVersion*10_000 {
		return fmt.Errorf("Postgres %d is too old: %d or newer is needed", version/10_000, minVersion) //nolint:staticcheck // a name
	}
	return nil
}

// readFrom returns what a file holds from an offset on, as far as it can be read.
func readFrom(path string, offset int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, _ := io.ReadAll(io.NewSectionReader(f, offset, 1<<20))
	return b
}

// lastWords is the end of a program's output, where it says why it gave up.
func lastWords(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
