package migrate

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentsvc/agentsvc/internal/db/localpg"
	"github.com/agentsvc/agentsvc/migrations"
)

// newDatabase starts a server and connects to it. It cannot come from dbtest,
// which is built on this package.
func newDatabase(t *testing.T) (string, *pgx.Conn) {
	t.Helper()
	s, err := localpg.Start(t.Context(), localpg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return s.URL(), conn
}

func file(up, down string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + up + "\n-- +goose Down\n" + down + "\n")}
}

func TestUpAndDown(t *testing.T) {
	t.Parallel()
	url, conn := newDatabase(t)
	ctx := t.Context()
	files := fstest.MapFS{
		"00001_a.sql": file("CREATE TABLE a ();", "DROP TABLE a;"),
		"00002_b.sql": file("CREATE TABLE b ();", "DROP TABLE b;"),
	}
	at := func(want int64) {
		t.Helper()
		got, err := Current(ctx, conn)
		if err != nil || got != want {
			t.Errorf("version %d, %v, want %d", got, err, want)
		}
	}
	at(0) // a database that knows nothing of migrations

	if err := up(ctx, url, files); err != nil {
		t.Fatal(err)
	}
	at(2)
	if err := up(ctx, url, files); err != nil {
		t.Errorf("with nothing to do: %v", err)
	}
	if err := down(ctx, url, files); err != nil {
		t.Fatal(err)
	}
	at(1)

	all, err := status(ctx, url, files)
	if err != nil || len(all) != 2 {
		t.Fatalf("status %v, %v", all, err)
	}
	first, second := all[0], all[1]
	if first.Version != 1 || first.Name != "00001_a.sql" || !first.Applied || time.Since(first.AppliedAt).Abs() > time.Hour {
		t.Errorf("the first is %+v", first)
	}
	if second.Version != 2 || second.Applied || !second.AppliedAt.IsZero() {
		t.Errorf("the second is %+v", second)
	}

	for range 2 { // the second time there is nothing to take back
		if err := down(ctx, url, files); err != nil {
			t.Fatal(err)
		}
		at(0)
	}

	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if version, err := Current(ctx, tx); err != nil || version != 0 {
		t.Errorf("in a transaction: version %d, %v", version, err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Errorf("asking for the version spoilt a transaction: %v", err)
	}
}

func TestFailedMigrationLeavesThoseBeforeIt(t *testing.T) {
	t.Parallel()
	url, conn := newDatabase(t)
	err := up(t.Context(), url, fstest.MapFS{
		"00001_a.sql": file("CREATE TABLE a ();", "DROP TABLE a;"),
		"00002_b.sql": file("CREATE TABLE b (); CREATE TABLE a ();", ""),
	})
	if err == nil || !strings.Contains(err.Error(), "00002_b.sql") {
		t.Errorf("error %v does not name the file", err)
	}
	version, err := Current(t.Context(), conn)
	if err != nil || version != 1 {
		t.Errorf("version %d, %v, want 1", version, err)
	}
	var half bool
	if err := conn.QueryRow(t.Context(), "SELECT to_regclass('b') IS NOT NULL").Scan(&half); err != nil || half {
		t.Errorf("half of the second one is there: %t, %v", half, err)
	}
}

func TestReplicasMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url, conn := newDatabase(t)
	// Applying it twice would fail, and it lasts long enough for all to meet.
	files := fstest.MapFS{"00001_a.sql": file("CREATE TABLE a (); SELECT pg_sleep(0.5);", "DROP TABLE a;")}
	var wg sync.WaitGroup
	errs := make(chan error, 5)
	for range cap(errs) {
		wg.Go(func() { errs <- up(t.Context(), url, files) })
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	if err := errors.Join(all...); err != nil {
		t.Error(err)
	}
	if version, err := Current(t.Context(), conn); err != nil || version != 1 {
		t.Errorf("version %d, %v, want 1", version, err)
	}
}

// The real migrations go up, all the way down, and up again.
func TestEmbeddedMigrations(t *testing.T) {
	t.Parallel()
	url, conn := newDatabase(t)
	ctx := t.Context()
	if err := Up(ctx, url); err != nil {
		t.Fatal(err)
	}
	all, err := Status(ctx, url)
	if err != nil || len(all) == 0 || all[len(all)-1].Version != Latest() {
		t.Fatalf("status %v, %v, want the last to be %d", all, err, Latest())
	}
	for _, m := range all {
		if !m.Applied {
			t.Errorf("%s is not applied", m.Name)
		}
		if err := Down(ctx, url); err != nil {
			t.Fatal(err)
		}
	}
	if version, err := Current(ctx, conn); err != nil || version != 0 {
		t.Errorf("version %d, %v, want 0", version, err)
	}
	if err := Up(ctx, url); err != nil {
		t.Errorf("going up again: %v", err)
	}
}

func TestFingerprintKnowsNamesAndContents(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, files := range map[string]fstest.MapFS{
		"two files":        {"1_a.sql": file("A", ""), "2_b.sql": file("B", "")},
		"another content":  {"1_a.sql": file("A", ""), "2_b.sql": file("C", "")},
		"another name":     {"1_a.sql": file("A", ""), "3_b.sql": file("B", "")},
		"contents swapped": {"1_a.sql": file("B", ""), "2_b.sql": file("A", "")},
		"one file":         {"1_a.sql": file("A", "")},
		"no files":         {},
	} {
		hash, err := fingerprint(files)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[hash]; ok {
			t.Errorf("%q and %q look the same", name, other)
		}
		seen[hash] = name
	}
	one, err := Fingerprint()
	other, err2 := fingerprint(migrations.FS)
	if err := errors.Join(err, err2); err != nil || one != other {
		t.Errorf("fingerprints %s and %s of the same files, %v", one, other, err)
	}
}

func TestBadURLs(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"not one": "postgres://%", "nobody there": "postgres://127.0.0.1:1/x"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := Up(t.Context(), url); err == nil || !strings.Contains(err.Error(), "migrating the database") {
				t.Errorf("error %v", err)
			}
		})
	}
}
