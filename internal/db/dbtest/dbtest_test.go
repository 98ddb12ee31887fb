package dbtest_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// databaseOf says which database a pool is on.
func databaseOf(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var name string
	if err := pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatalf("asking for the database: %v", err)
	}
	return name
}

func TestNewIsMigrated(t *testing.T) {
	t.Parallel()
	version, err := migrate.Current(t.Context(), dbtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	if version != migrate.Latest() || version == 0 {
		t.Errorf("schema version = %d, want the latest, %d", version, migrate.Latest())
	}
}

func TestTwoDatabasesOfOneTestAreApart(t *testing.T) {
	t.Parallel()
	one, other := dbtest.New(t), dbtest.New(t)
	if _, err := one.Exec(t.Context(), "CREATE TABLE mine ()"); err != nil {
		t.Fatal(err)
	}
	var visible bool
	if err := other.QueryRow(t.Context(), "SELECT to_regclass('mine') IS NOT NULL").Scan(&visible); err != nil {
		t.Fatal(err)
	}
	if visible {
		t.Error("a table made in one database is in the other")
	}
}

func TestDatabaseIsDroppedAfterwards(t *testing.T) {
	t.Parallel()
	observer := dbtest.New(t)
	var name, url string
	t.Run("a test that passes", func(t *testing.T) {
		pool := dbtest.New(t)
		name, url = databaseOf(t, pool), pool.Config().ConnString()
	})
	var exists bool
	if err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		t.Fatal(err)
	}
	if exists {
		t.Errorf("database %s is still there", name)
	}
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		t.Error("its URL still works", conn.Close(t.Context()))
	}
}

func TestTwentyDatabasesAtOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	names := map[string]bool{}
	t.Run("group", func(t *testing.T) {
		for i := range 20 {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				name := databaseOf(t, dbtest.New(t))
				mu.Lock()
				defer mu.Unlock()
				names[name] = true
			})
		}
	})
	if len(names) != 20 {
		t.Errorf("20 tests had %d databases", len(names))
	}
}

func TestLongNamesDoNotCollide(t *testing.T) {
	t.Parallel()
	t.Run(strings.Repeat("the same beginning, ", 8), func(t *testing.T) {
		one, other := databaseOf(t, dbtest.New(t)), databaseOf(t, dbtest.New(t))
		if one == other || len(one) > 63 {
			t.Errorf("names %q and %q", one, other)
		}
	})
}

func TestServerSurvivesACrash(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := dbtest.Server(t)
	if err := migrate.Up(ctx, server.URL()); err != nil {
		t.Fatal(err)
	}
	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, server.URL())
	if err == nil {
		t.Fatal("a crashed server takes connections", conn.Close(ctx))
	}
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	conn, err = pgx.Connect(ctx, server.URL())
	if err != nil {
		t.Fatal(err)
	}
	version, err := migrate.Current(ctx, conn)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	if version != migrate.Latest() {
		t.Errorf("schema version after recovery = %d, want %d", version, migrate.Latest())
	}
}
