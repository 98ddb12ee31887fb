package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// minVersion is the oldest major version that the service supports.
const minVersion = 15

// ErrNotOwned is returned when asked to stop, crash or freeze a server that
// somebody else runs: one that was given by URL.
var ErrNotOwned = errors.New("the server was given by URL and is not ours to control")

// ErrInUse is returned by Start when another live process owns the data
// directory.
var ErrInUse = errors.New("the data directory is in use")

// errUnavailable is wrapped by the reasons why a way to get a server does not
// exist on this machine, so that the next way may be tried.
var errUnavailable = errors.New("not available")

// Options say which server is wanted. The zero value is a temporary one with
// fast and loose disk writes.
type Options struct {
	// URL of a server that runs already. When set, nothing is started, all
	// other options but Log are ignored, and Stop leaves the server alone.
	URL string

	// DataDir keeps the data from one run to the next. It is created if it does
	// not exist; a relative path is taken from the working directory. Empty
	// means a temporary directory, removed by Stop.
	DataDir string

	// Log receives where the server comes from and what is unusual about it.
	// Nil means nowhere.
	Log *slog.Logger

	// Fsync makes commits wait for the disk. Benchmarks want it. Tests which
	// kill the server do not need it: see the package comment.
	Fsync bool

	// Settings are server settings (those of postgresql.conf) that are added to
	// ours or take their place.
	Settings map[string]string

	// DisableDocker goes straight to server binaries.
	DisableDocker bool
}

// engine is a server that we own, in whatever way it runs. Its methods are
// called one at a time.
//
//nolint:interfacebloat // what can be done to a server; two ways to run one, and no fakes
type engine interface {
	// url is the connection string; it stays the same over restarts.
	url() string
	// start runs the server and returns once it accepts connections. It is
	// called on an engine that is not running.
	start(ctx context.Context) error
	// stop ends the server in order. A frozen server is thawed for that; one that
	// is not running is no error.
	stop() error
	// crash kills all processes of the server with no chance to tidy up.
	crash() error
	// freeze and thaw stop and continue all processes of the server.
	freeze() error
	thaw() error
	// discard ends the server for good and frees what the engine holds. Temporary
	// data is removed, which makes a quick end good enough, unless keep.
	discard(keep bool) error
	// inspect is a shell command that runs the stopped server again by hand, or
	// empty if there is none.
	inspect() string
}

// Server is a Postgres that can be used now. Its methods may be called
// concurrently.
type Server struct {
	how string
	log *slog.Logger
	raw string // the URL, if somebody else runs the server

	mu     sync.Mutex
	engine engine // nil if somebody else runs the server
	keep   bool
	closed bool
}

// source is one way to get a server.
type source struct {
	name string
	open func(ctx context.Context, h *home, o Options) (how string, e engine, err error)
}

// Start finds or starts a server and returns once it accepts connections.
// ctx bounds the start, not the life of the server: that ends with Stop.
//
// The error of a machine that has no Postgres says how to get one.
func Start(ctx context.Context, o Options) (*Server, error) {
	sources := []source{{"server binaries", openBinaries}, {"download", openDownload}}
	if !o.DisableDocker {
		sources = append([]source{{"Docker", openDocker}}, sources...)
	}
	return start(ctx, o, sources)
}

func start(ctx context.Context, o Options, sources []source) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.URL != "" {
		if err := verify(ctx, o.URL); err != nil {
			return nil, fmt.Errorf("using the Postgres given by URL: %w", err)
		}
		return &Server{how: "url", log: o.Log, raw: o.URL}, nil
	}

	h, err := openHome(ctx, o.DataDir, o.Log)
	if err != nil {
		return nil, err
	}
	var reasons []error
	for _, src := range sources {
		how, e, err := src.open(ctx, h, o)
		if err == nil {
			o.Log.Info("Postgres is running", "how", how, "data", h.where())
			return &Server{how: how, log: o.Log, engine: e}, nil
		}
		reasons = append(reasons, fmt.Errorf("%s: %w", src.name, err))
		if !errors.Is(err, errUnavailable) {
			break // it is there but does not work: say so rather than hide it
		}
		o.Log.Debug("a way to get Postgres is not available", "way", src.name, "reason", err)
	}
	why := errors.Join(reasons...)
	if closeErr := h.close(true); closeErr != nil {
		why = errors.Join(why, closeErr)
	}
	if !errors.Is(reasons[len(reasons)-1], errUnavailable) {
		return nil, fmt.Errorf("starting Postgres: %w", why)
	}
	return nil, fmt.Errorf("no Postgres %d or newer: install one (apt-get install postgresql, or brew install postgresql), "+
		"or start Docker, or give the URL of a running one (tests read it from TEST_DATABASE_URL): %w", minVersion, why)
}

// URL is the connection string to the database "postgres" for a user who may do
// everything, or whatever URL the caller of Start gave. It contains a password.
func (s *Server) URL() string {
	if s.engine == nil {
		return s.raw
	}
	return s.engine.url()
}

// How says where the server comes from: "url", "docker <image>",
// "binaries <directory>" or "embedded <directory>".
func (s *Server) How() string { return s.how }

// Stop ends the server and removes temporary data. It does nothing to a server
// given by URL, and nothing the second time.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil || s.closed {
		return nil
	}
	s.closed = true
	if err := s.engine.discard(s.keep); err != nil {
		return fmt.Errorf("stopping Postgres: %w", err)
	}
	return nil
}

// Keep makes Stop leave temporary data where it is, for a look at what a failed
// test left behind. It returns a shell command that runs the stopped server on
// that data again, or an empty string if the data cannot be kept. Kept data is
// removed by a Start some hours later.
func (s *Server) Keep() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return ""
	}
	s.keep = true
	return s.engine.inspect()
}

// Crash kills every process of the server with no chance to tidy up, and returns
// when they are gone. What was committed before is there after [Server.Restart].
func (s *Server) Crash() error { return s.control("crashing", engine.crash) }

// Freeze makes the server stop answering while its sockets stay open, as a
// machine that hangs would. [Server.Thaw] ends that, and so do Crash, Restart
// and Stop. Register the thaw before the freeze, or a failing test will hang.
func (s *Server) Freeze() error { return s.control("freezing", engine.freeze) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.control("thawing", engine.thaw) }

// Restart stops the server, if it is running, and starts it again with the same
// data and the same URL. It returns once the server accepts connections; after a
// crash that includes recovery.
func (s *Server) Restart(ctx context.Context) error {
	return s.control("restarting", func(e engine) error {
		if err := e.stop(); err != nil {
			return err
		}
		return e.start(ctx)
	})
}

func (s *Server) control(doing string, act func(engine) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return fmt.Errorf("%s Postgres: %w", doing, ErrNotOwned)
	}
	if s.closed {
		return fmt.Errorf("%s Postgres: it has been stopped for good", doing)
	}
	if err := act(s.engine); err != nil {
		return fmt.Errorf("%s Postgres: %w", doing, err)
	}
	return nil
}

// await calls done every few milliseconds until it returns true or an error, or
// quit is ready, in which case it returns false. It is for things that have no
// way of telling us, like another program's files and processes that are not our
// children.
func await[T any](quit <-chan T, done func() (bool, error)) (bool, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return ok, err
		}
		select {
		case <-quit:
			return false, nil
		case <-tick.C:
		}
	}
}
