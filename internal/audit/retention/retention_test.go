package retention_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/audit/retention"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type book struct {
	pool   *pgxpool.Pool
	store  *db.Store
	sealer *ledger.Sealer
}

// newBook is a history of three old months, of ten events each: of no team, and of red.
func newBook(t *testing.T) *book {
	t.Helper()
	b := &book{pool: dbtest.New(t)}
	b.store = db.New(b.pool)
	private, _, err := evidence.NewKey("log.example.com")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	signers, err := evidence.LoadSigners(path)
	if err != nil {
		t.Fatal(err)
	}
	b.sealer = ledger.NewSealer(ledger.Config{Store: b.store, Log: slog.New(slog.DiscardHandler), Signers: signers})
	red, err := b.store.UpsertTeam(t.Context(), "red")
	if err != nil {
		t.Fatal(err)
	}
	for i, team := range []any{nil, red, nil} {
		month := time.Date(2024, time.Month(i+1), 1, 0, 0, 0, 0, time.UTC)
		b.exec(t, "CREATE TABLE audit_events_"+month.Format("2006_01")+" PARTITION OF audit_events FOR VALUES FROM ('"+
			month.Format(time.RFC3339)+"') TO ('"+month.AddDate(0, 1, 0).Format(time.RFC3339)+"')")
		b.exec(t, `INSERT INTO audit_events (recorded_at, id, team_id, actor, action, outcome, origin)
			SELECT $1::timestamptz + make_interval(days => n), gen_random_uuid(), $2::uuid, 'a', 'UPDATE', 'ACCEPTED', 'API' FROM generate_series(1, 10) AS n`,
			month, team)
	}
	return b
}

func (b *book) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (b *book) seal(t *testing.T) {
	t.Helper()
	if _, err := b.sealer.All(t.Context()); err != nil {
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

const old = "SELECT count(*) FROM audit_events WHERE recorded_at < '2025-01-01'"

func TestOldMonthsAreDroppedAndTheLogStillHolds(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.seal(t)
	found, err := retention.Droppable(t.Context(), b.store.Queries, 12)
	if err != nil || len(found) != 3 || found[0] != (retention.Month{Name: "2024-01", Events: 10, First: 0, Last: 9}) {
		t.Fatalf("to drop: %+v, %v", found, err)
	}
	dropped, err := retention.Retain(t.Context(), b.store, 12, "two years")
	if err != nil || len(dropped) != 3 {
		t.Fatalf("dropped %+v, %v", dropped, err)
	}
	if n := b.count(t, old); n != 0 {
		t.Errorf("%d old events are left", n)
	}
	told := `SELECT count(*) FROM audit_events WHERE resource_kind = 'audit_month' AND resource_name = '2024-03' AND action = 'DELETE'
		AND reason = 'two years' AND request = '{"events": 10, "first_index": 20, "last_index": 29}'`
	if n := b.count(t, told); n != 1 {
		t.Errorf("%d events tell of March", n)
	}
	b.seal(t)
	report, err := ledger.Check(t.Context(), b.store, nil, nil)
	if err != nil || !report.OK() || report.Dropped != 30 || report.Checked != 3 {
		t.Errorf("the check says %+v, %v", report, err)
	}
	if again, err := retention.Retain(t.Context(), b.store, 12, ""); err != nil || len(again) != 0 {
		t.Errorf("dropped again: %v, %v", again, err)
	}

	// A month that is dropped without a word is found.
	b.exec(t, "DROP TABLE "+"audit_events_"+time.Now().UTC().Format("2006_01"))
	if report, err := ledger.Check(t.Context(), b.store, nil, nil); err != nil || report.OK() {
		t.Errorf("the month that was dropped in silence is not missed: %+v, %v", report, err)
	}
}

// Whatever stands against one month keeps them all.
func TestWhatMayNotBeDropped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, after func(t *testing.T, b *book)
		says          string
	}{
		"not sealed": {
			func(*testing.T, *book) {}, func(t *testing.T, b *book) { t.Helper(); b.seal(t) }, "no signed checkpoint",
		},
		"a hold on everything": {
			func(t *testing.T, b *book) { t.Helper(); b.seal(t); b.hold(t, "case-17", "") },
			func(t *testing.T, b *book) { t.Helper(); b.release(t, "case-17") }, "case-17",
		},
		"a hold on a team": {
			func(t *testing.T, b *book) { t.Helper(); b.seal(t); b.hold(t, "case-18", "red") },
			func(t *testing.T, b *book) { t.Helper(); b.release(t, "case-18") }, "case-18 covers 2024-02",
		},
		"a sink that is behind": {
			func(t *testing.T, b *book) {
				t.Helper()
				b.seal(t)
				b.exec(t, "INSERT INTO audit_sinks (name, next_index) VALUES ('webhook', 9)")
			},
			func(t *testing.T, b *book) { t.Helper(); b.exec(t, "UPDATE audit_sinks SET next_index = 30") }, `"webhook"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			tc.before(t, b)
			if _, err := retention.Retain(t.Context(), b.store, 12, ""); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("it says %v", err)
			}
			if n := b.count(t, old); n != 30 {
				t.Fatalf("%d old events are left", n)
			}
			if n := b.count(t, "SELECT count(*) FROM audit_events WHERE resource_kind = 'audit_month'"); n != 0 {
				t.Error("the history tells of what was not done")
			}
			tc.after(t, b)
			if _, err := retention.Retain(t.Context(), b.store, 12, ""); err != nil || b.count(t, old) != 0 {
				t.Errorf("then: %v", err)
			}
		})
	}
}

func (b *book) hold(t *testing.T, name, team string) {
	t.Helper()
	if err := retention.Hold(t.Context(), b.store, name, team, "a court asks"); err != nil {
		t.Fatal(err)
	}
}

func (b *book) release(t *testing.T, name string) {
	t.Helper()
	if err := retention.Release(t.Context(), b.store, name, "it is over"); err != nil {
		t.Fatal(err)
	}
}

func TestHoldsAreInTheHistory(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	if _, err := b.store.UpsertTeam(t.Context(), "blue"); err != nil {
		t.Fatal(err)
	}
	b.hold(t, "case-1", "blue") // covers no month that would be dropped
	b.seal(t)
	if _, err := retention.Retain(t.Context(), b.store, 12, ""); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"a second one of the name": retention.Hold(t.Context(), b.store, "case-1", "", "why"),
		"an unknown team":          retention.Hold(t.Context(), b.store, "case-2", "nosuch", "why"),
		"no reason":                retention.Hold(t.Context(), b.store, "case-2", "", ""),
		"an unknown one":           retention.Release(t.Context(), b.store, "case-9", "why"),
	} {
		if err == nil {
			t.Errorf("accepted: %s", what)
		}
	}
	b.release(t, "case-1")
	if err := retention.Release(t.Context(), b.store, "case-1", "again"); err == nil {
		t.Error("released twice")
	}
	told := `SELECT count(*) FROM audit_events e JOIN teams t ON t.id = e.team_id WHERE resource_kind = 'audit_hold' AND resource_name = 'case-1' AND t.name = 'blue'
		AND (action, reason) IN (('CREATE', 'a court asks'), ('DELETE', 'it is over'))`
	if n := b.count(t, told); n != 2 || b.count(t, "SELECT count(*) FROM audit_events WHERE resource_kind = 'audit_hold'") != 2 {
		t.Errorf("%d events tell of the hold", n)
	}
	if _, err := retention.Droppable(t.Context(), b.store.Queries, 0); err == nil {
		t.Error("all months may be dropped")
	}
}
