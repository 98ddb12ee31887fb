// Package dbtest gives every test function that touches Postgres a database of
// its own, with the schema in place.
//
// A package that uses it has one line more:
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
//
// and then, in any test:
//
//	pool := dbtest.New(t)
//
// The first such test of a package starts a server (see package localpg; with
// TEST_DATABASE_URL set, that one is used, and packages share it), migrates a
// template database, and every test gets a clone of it. A clone is dropped when
// its test has passed, and kept for a look when it has failed.
//
// A machine without Postgres fails these tests; they are never skipped.
package dbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/localpg"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
)

const (
	startPatience = 5 * time.Minute  // for a server, which may have to be downloaded
	clonePatience = 2 * time.Minute  // for a database, with other tests making theirs
	closePatience = 10 * time.Second // for a test to give its connections back
	poolSize      = 10               // connections a test's pool may open
)

// New returns a pool on a migrated database of this test's own. When the test
// ends, the pool is closed, which fails the test if it still uses a connection,
// and the database is dropped, or kept and its URL logged if the test failed.
//
// Subtests may share it. A test that wants Postgres itself to fail uses [Server].
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := db.Open(context.Background(), NewURL(t), func(c *pgxpool.Config) { c.MaxConns = poolSize })
	if err != nil {
		t.Fatalf("dbtest: opening a pool: %v", err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// closePool closes a pool, for which it must have all its connections back.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	timeout := time.NewTimer(closePatience)
	defer timeout.Stop()
	select {
	case <-closed:
	case <-timeout.C:
		t.Errorf("dbtest: %d connections are still in use %s after the test: something does not end, or does not release one",
			pool.Stat().AcquiredConns(), closePatience)
	}
}

// NewURL is [New] without the pool: for tests that start a process, or want
// pools of their own. Connections that are still open when the test ends are cut.
func NewURL(t testing.TB) string {
	t.Helper()
	return shared.newURL(t)
}

func (p *process) newURL(t testing.TB) string {
	t.Helper()
	s := p.get(t)
	name := databaseName(t.Name())
	ctx, cancel := context.WithTimeout(context.Background(), clonePatience)
	defer cancel()
	if err := s.clone(ctx, name); err != nil {
		t.Fatalf("dbtest: making a database: %v", err)
	}
	url := onDatabase(s.pg.URL(), name)
	t.Cleanup(func() {
		if t.Failed() {
			s.keep(t, name, url)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), clonePatience)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			t.Errorf("dbtest: dropping the database of a test that passed: %v", err)
		}
	})
	return url
}

// Server starts a server of this test's own, to be crashed, frozen and restarted.
// It has no schema yet: migrate.Up(ctx, server.URL()) makes it. It is never that
// of TEST_DATABASE_URL, and it waits for the disk as one in production does.
func Server(t testing.TB) *localpg.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	s, err := localpg.Start(ctx, localpg.Options{Fsync: true})
	if err != nil {
		t.Fatalf("dbtest: starting a server: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			if command := s.Keep(); command != "" {
				t.Logf("dbtest: the server's data is kept for some hours; to look at it: %s", command)
			}
		}
		if err := s.Stop(); err != nil {
			t.Errorf("dbtest: stopping the server: %v", err)
		}
	})
	return s
}

// AppRole is the role that the service has in tests, with its rights in every test's database.
const AppRole = "agentsvc_test_app"

// AsApp is the URL of a database of [NewURL] for the service: as a role that owns nothing,
// as in production.
func AsApp(database string) string {
	u, err := url.Parse(database)
	if err != nil || u.Scheme == "" {
		return database + " role=" + AppRole // in keyword form
	}
	query := u.Query()
	query.Set("role", AppRole)
	u.RawQuery = query.Encode()
	return u.String()
}

var unsafeInNames = regexp.MustCompile(`[^a-z0-9]+`)

// databaseName says whose a database is. Postgres cuts names off at 63 bytes.
func databaseName(test string) string {
	name := strings.Trim(unsafeInNames.ReplaceAllString(strings.ToLower(test), "_"), "_")
	return fmt.Sprintf("agentsvc_test_%s_%s", name[:min(len(name), 35)], strings.ToLower(rand.Text()[:8]))
}

// onDatabase is a server's URL with another database.
func onDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		// In keyword form the last word counts.
		return server + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}

// template makes sure that there is a migrated database to clone and returns its
// name, which is that of the schema it holds. Other test processes may be doing
// the same on the same server.
func template(ctx context.Context, server string) (string, error) {
	hash, err := migrate.Fingerprint()
	if err != nil {
		return "", err
	}
	name := "agentsvc_template_" + hash[:16]
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(ctx)
	key := fnv.New64a()
	_, _ = key.Write([]byte(name)) // never fails
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(key.Sum64())); err != nil {
		return "", fmt.Errorf("locking the template database: %w", err)
	}
	// It counts only once it is marked as a template, which is done last.
	var done bool
	const isDone = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)"
	if err := conn.QueryRow(ctx, isDone, name).Scan(&done); err != nil {
		return "", fmt.Errorf("looking for the template database: %w", err)
	}
	if done {
		return name, nil
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)"); err != nil {
		return "", fmt.Errorf("dropping an unfinished template database: %w", err)
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+quoted); err != nil {
		return "", fmt.Errorf("creating the template database: %w", err)
	}
	if err := migrate.Up(ctx, onDatabase(server, name)); err != nil {
		return "", err
	}
	if err := migrate.Grant(ctx, onDatabase(server, name), AppRole); err != nil {
		return "", err
	}
	// Nobody may connect, because nobody can clone while somebody is connected.
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+quoted+" IS_TEMPLATE true ALLOW_CONNECTIONS false"); err != nil {
		return "", fmt.Errorf("finishing the template database: %w", err)
	}
	return name, nil
}

// fromEnvironment is the URL of the server to test on, or empty.
func fromEnvironment() string { return os.Getenv("TEST_DATABASE_URL") }
