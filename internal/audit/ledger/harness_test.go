package ledger

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// book is a history that is sealed.
type book struct {
	pool    *pgxpool.Pool
	store   *db.Store
	signers *evidence.Signers
	keys    note.Verifiers
	log     *strings.Builder // what the sealer logged
	sealer  *Sealer
}

func newBook(t *testing.T) *book {
	t.Helper()
	b := &book{pool: dbtest.New(t), log: &strings.Builder{}}
	b.store = db.New(b.pool)
	private, public, err := evidence.NewKey("log.example.com")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "audit.key")
	if err := os.WriteFile(path, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	if b.signers, err = evidence.LoadSigners(path); err != nil {
		t.Fatal(err)
	}
	if b.keys, err = evidence.Verifiers(public); err != nil {
		t.Fatal(err)
	}
	b.sealer = b.another(b.store)
	return b
}

// another is another replica's sealer.
func (b *book) another(store *db.Store) *Sealer {
	return NewSealer(Config{Store: store, Log: slog.New(slog.NewTextHandler(b.log, nil)), Signers: b.signers})
}

// write adds events of no team, which differ.
func (b *book) write(t *testing.T, n int) {
	t.Helper()
	b.exec(t, `INSERT INTO audit_events (id, actor, action, outcome, origin, reason, request)
		SELECT gen_random_uuid(), 'somebody', 'UPDATE', 'ACCEPTED', 'API', 'number ' || n, jsonb_build_object('n', n)
		  FROM generate_series(1, $1::integer) AS n`, n)
}

func (b *book) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (b *book) pass(t *testing.T) {
	t.Helper()
	if err := b.sealer.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (b *book) count(t *testing.T, sql string) int {
	t.Helper()
	var n int
	if err := b.pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// latest is the newest checkpoint, verified.
func (b *book) latest(t *testing.T) evidence.Checkpoint {
	t.Helper()
	row, err := b.store.LatestCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := evidence.Open(row.Note, b.keys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sealedInOrder fails the test unless every event has one place, without gaps, and the
// checkpoint is what comes of hashing the events anew.
func (b *book) sealedInOrder(t *testing.T) {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `SELECT l.index, e.* FROM audit_leaves l JOIN audit_events e ON (e.recorded_at, e.id) = (l.recorded_at, l.event_id) ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	type placed struct {
		Index int64
		dbsql.AuditEvent
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[placed])
	if err != nil {
		t.Fatal(err)
	}
	var tree evidence.Range
	for i, one := range all {
		if one.Index != int64(i) {
			t.Fatalf("place %d is not taken", i)
		}
		tree.Add(audit.Leaf(audit.AppendCanonical(nil, one.AuditEvent)))
	}
	if events, leaves := b.count(t, "SELECT count(*) FROM audit_events"), b.count(t, "SELECT count(*) FROM audit_leaves"); events != len(all) || leaves != len(all) {
		t.Fatalf("%d events, %d places, %d of them of an event", events, leaves, len(all))
	}
	if c := b.latest(t); c.Size != tree.Size() || c.Root != tree.Root() {
		t.Fatalf("the checkpoint is of %d events with root %s, want %d with %s", c.Size, c.Root, tree.Size(), tree.Root())
	}
}

func (b *book) leaf(t *testing.T, index int64) (leaf tlog.Hash, event uuid.UUID) {
	t.Helper()
	rows, err := b.store.Leaves(t.Context(), dbsql.LeavesParams{First: index, Beyond: index + 1})
	if err != nil || len(rows) != 1 {
		t.Fatal(len(rows), err)
	}
	return tlog.Hash(rows[0].Hash), rows[0].EventID
}

// tx is a transaction that stays open until it is told to commit.
func (b *book) tx(t *testing.T) pgx.Tx {
	t.Helper()
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}
