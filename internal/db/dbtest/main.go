package dbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/agentsvc/agentsvc/internal/db/localpg"
)

// shared is the server of this test process. It is global because tests have
// nothing in common that could carry it.
//
//nolint:gochecknoglobals // see above
var shared process

// process starts a server when the first test asks for one.
type process struct {
	mu      sync.Mutex
	managed bool // Main runs, so somebody will stop the server
	server  *server
	err     error // why there is no server; there will be none for later tests either
}

// server is where databases are made.
type server struct {
	pg       *localpg.Server
	admin    *pgxpool.Pool // on the database that no test uses
	template string

	mu   sync.Mutex
	kept string // how to look at databases of failed tests, once there are any
}

// Main runs a package's tests, stops the server that they used, and ends the
// process. If all tests passed, it then looks for goroutines that they left
// behind, and fails if there are any but those excepted.
func Main(m *testing.M, except ...goleak.Option) {
	shared.mu.Lock()
	shared.managed = true
	shared.mu.Unlock()
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintf(os.Stderr, "dbtest: %v\n", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(except...); err != nil {
			fmt.Fprintf(os.Stderr, "dbtest: the tests passed but left goroutines behind: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

func (p *process) get(t testing.TB) *server {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.managed {
		t.Fatal("dbtest: this package needs `func TestMain(m *testing.M) { dbtest.Main(m) }`, which stops the server")
	}
	if p.server == nil && p.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), startPatience)
		defer cancel()
		p.server, p.err = open(ctx)
	}
	if p.err != nil {
		t.Fatalf("dbtest: %v", p.err)
	}
	return p.server
}

func open(ctx context.Context) (_ *server, err error) {
	pg, err := localpg.Start(ctx, localpg.Options{URL: fromEnvironment()})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, pg.Stop())
		}
	}()
	name, err := template(ctx, pg.URL())
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(pg.URL())
	if err != nil {
		return nil, fmt.Errorf("reading the server's URL: %w", err)
	}
	config.MaxConns = 4 // more databases at once would only wait for each other's disk writes
	admin, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, fmt.Errorf("opening a pool to make databases with: %w", err)
	}
	return &server{pg: pg, admin: admin, template: name}, nil
}

// stop stops the server, if one was started.
func (p *process) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	s := p.server
	p.server = nil
	s.admin.Close()
	if err := s.pg.Stop(); err != nil {
		return err
	}
	if s.kept != "" {
		fmt.Fprintf(os.Stderr, "dbtest: databases of failed tests are kept for some hours; to run their server again: %s\n", s.kept)
	}
	return nil
}

func (s *server) clone(ctx context.Context, name string) error {
	_, err := s.admin.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{s.template}.Sanitize())
	return err
}

func (s *server) drop(ctx context.Context, name string) error {
	_, err := s.admin.Exec(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	return err
}

// keep leaves a failed test's database for a look. A server of our own has to
// stop with the process, but its data stays.
func (s *server) keep(t testing.TB, name, url string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == "" {
		s.kept = s.pg.Keep()
	}
	t.Logf("dbtest: the test failed, so its database %s is kept: %s", name, url)
}
