package ledger

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/verify"
	"github.com/agentsvc/agentsvc/internal/db"
)

// cheat runs SQL as a superuser whom no trigger stops.
func (b *book) cheat(t *testing.T, sql string) {
	t.Helper()
	b.exec(t, "SET session_replication_role = replica; "+strings.ReplaceAll(sql, "EVENT(", "(SELECT event_id FROM audit_leaves WHERE index = ")+
		"; SET session_replication_role = DEFAULT")
}

func (b *book) checked(t *testing.T, outside []evidence.Checkpoint) *CheckReport {
	t.Helper()
	report, err := Check(t.Context(), b.store, outside, b.keys)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// Whoever owns the database can change it. What they change is found and named, by the
// database alone as far as they left its log as it was, and by a checkpoint kept elsewhere
// in any case.
func TestEveryCheatWithTheDatabaseIsFound(t *testing.T) {
	t.Parallel()
	const cutTen = "DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_leaves WHERE index >= 590); DELETE FROM audit_leaves WHERE index >= 590"
	for name, tc := range map[string]struct {
		sql    string
		kind   verify.Kind
		place  int64
		unseen bool // by the database alone
	}{
		"nothing":          {"SELECT 1", "", 0, false},
		"changed":          {"UPDATE audit_events SET actor = 'eve' WHERE id = EVENT(300)", verify.Changed, 300, false},
		"its JSON changed": {"UPDATE audit_events SET request = '{\"n\": 0}' WHERE id = EVENT(300)", verify.Changed, 300, false},
		"removed":          {"DELETE FROM audit_events WHERE id = EVENT(300)", verify.Missing, 300, false},
		"removed, and a month told of that was not dropped": {
			"DELETE FROM audit_events WHERE id = EVENT(300); INSERT INTO audit_events (id, actor, action, outcome, origin, resource_kind, resource_name) " +
				"VALUES (gen_random_uuid(), 'agentsvc', 'DELETE', 'SUCCEEDED', 'SYSTEM', 'audit_month', '2099-12')", verify.Missing, 300, false,
		},
		"removed with its leaf": {
			"DELETE FROM audit_events WHERE id = EVENT(300); DELETE FROM audit_leaves WHERE index = 300", verify.Missing, 300, false,
		},
		"two swapped": {"UPDATE audit_events e SET (reason, request) = (SELECT reason, request FROM audit_events o " +
			"WHERE o.id = CASE e.id WHEN EVENT(300) THEN EVENT(400) ELSE EVENT(300) END) WHERE id IN (EVENT(300), EVENT(400))", verify.Changed, 300, false},
		// The rows agree with their leaves; the root does not, and the stored nodes narrow it down.
		"two leaves swapped": {"UPDATE audit_leaves SET index = 1000 WHERE index = 300; UPDATE audit_leaves SET index = 300 WHERE index = 400; " +
			"UPDATE audit_leaves SET index = 400 WHERE index = 1000", verify.Changed, 256, false},
		"inserted": {"INSERT INTO audit_events (recorded_at, id, actor, action, outcome, origin) " +
			"SELECT recorded_at - interval '3 days', gen_random_uuid(), 'eve', 'UPDATE', 'SUCCEEDED', 'API' FROM audit_events LIMIT 1", verify.Added, -1, false},
		"the same id twice": {"INSERT INTO audit_events (recorded_at, id, actor, action, outcome, origin) " +
			"SELECT recorded_at - interval '3 days', id, 'eve', 'UPDATE', 'SUCCEEDED', 'API' FROM audit_events LIMIT 1", verify.Added, -1, false},
		"the last ten cut off":                    {cutTen, verify.Cut, 590, false},
		"the last ten cut off and the checkpoint": {cutTen + "; DELETE FROM audit_checkpoints WHERE size = 600", verify.Cut, 590, true},
		"all gone":       {"DELETE FROM audit_events; DELETE FROM audit_leaves; DELETE FROM audit_nodes; DELETE FROM audit_checkpoints", verify.Cut, 0, true},
		"a node changed": {"UPDATE audit_nodes SET hash = sha256('') WHERE n = 1", verify.Changed, 256, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			b.write(t, 600)
			b.pass(t)
			outside := []evidence.Checkpoint{b.latest(t)}
			b.cheat(t, tc.sql)

			alone, with := b.checked(t, nil), b.checked(t, outside)
			if tc.kind == "" {
				if !alone.OK() || !with.OK() || alone.Checked != 600 || alone.Size != 600 || alone.Waiting != 0 {
					t.Errorf("found %v, %v", alone.Problems, with.Problems)
				}
				return
			}
			if first := with.FirstBad(); with.OK() || first.Kind != tc.kind || first.Index != tc.place {
				t.Errorf("with a checkpoint from elsewhere: %v", with.Problems)
			}
			if alone.OK() != tc.unseen {
				t.Errorf("by the database alone: %v", alone.Problems)
			}
			if p := with.FirstBad(); tc.kind == verify.Changed && tc.place == 300 && p.ID == "" {
				t.Errorf("the event is not named: %v", p)
			}
		})
	}
}

// A row changed together with its leaf and all nodes: the signed root tells.
func TestARewrittenLogIsFoundAndNothingMoreIsSigned(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.write(t, 400)
	b.pass(t)
	outside := b.latest(t)
	b.cheat(t, "UPDATE audit_events SET actor = 'eve' WHERE id = EVENT(300); DELETE FROM audit_leaves; DELETE FROM audit_nodes")
	b.sealer.cfg.Signers = nil
	if n, err := b.sealer.All(t.Context()); err != nil || n != 400 {
		t.Fatal(n, err)
	}
	if report := b.checked(t, nil); report.OK() || report.FirstBad().Kind != verify.Changed {
		t.Errorf("the database's own checkpoint does not tell: %v", report.Problems)
	}
	// The one who signs notices too, whether it is the process of before or a new one.
	for _, s := range []*Sealer{b.sealer, b.another(b.store)} {
		s.cfg.Signers = b.signers
		b.write(t, 1)
		if err := s.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "CHANGED") {
			t.Errorf("signing: %v", err)
		}
	}
	// With the database's checkpoint gone only the process of before and who kept one know.
	b.cheat(t, "DELETE FROM audit_checkpoints")
	if err := b.sealer.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "CHANGED") {
		t.Errorf("signing in the process of before: %v", err)
	}
	if report := b.checked(t, []evidence.Checkpoint{outside}); report.OK() {
		t.Error("the checkpoint kept elsewhere does not tell")
	}
}

func TestACutTailIsNoticedWhenSigning(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.write(t, 30)
	b.pass(t)
	b.cheat(t, "DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_leaves WHERE index >= 20); DELETE FROM audit_leaves WHERE index >= 20")
	if err := b.sealer.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "CUT") {
		t.Errorf("the checkpoint is there: %v", err)
	}
	b.cheat(t, "DELETE FROM audit_checkpoints")
	b.write(t, 50) // grown over it
	if err := b.sealer.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "CHANGED") {
		t.Errorf("the checkpoint is gone: %v", err)
	}
}

// Neither the owner nor a superuser changes what is sealed by an ordinary statement.
func TestTheLogRefusesChanges(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.write(t, 300)
	b.pass(t)
	var partition string
	if err := b.pool.QueryRow(t.Context(), "SELECT tableoid::regclass::text FROM audit_events LIMIT 1").Scan(&partition); err != nil {
		t.Fatal(err)
	}
	b.exec(t, "SELECT audit_ensure_partitions(6)") // those to come refuse as well
	tables := []string{"audit_events", partition, "audit_events_default", "audit_leaves", "audit_nodes", "audit_checkpoints"}
	var future string
	if err := b.pool.QueryRow(t.Context(), "SELECT max(c.relname) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'audit_events'::regclass AND c.relname ~ '\\d$'").Scan(&future); err != nil {
		t.Fatal(err)
	}
	tables = append(tables, future)
	// A row trigger needs a row.
	b.exec(t, "INSERT INTO audit_events (recorded_at, id, actor, action, outcome, origin) VALUES ('1999-01-01', gen_random_uuid(), 'a', 'UPDATE', 'ACCEPTED', 'API')")
	b.exec(t, "INSERT INTO audit_events (recorded_at, id, actor, action, outcome, origin) VALUES (to_date(right('"+future+"', 7), 'YYYY_MM') + 1, gen_random_uuid(), 'a', 'UPDATE', 'ACCEPTED', 'API')")
	column := map[string]string{"audit_leaves": "event_id", "audit_nodes": "hash", "audit_checkpoints": "note"}
	for _, table := range tables {
		set := column[table]
		if set == "" {
			set = "actor"
		}
		for _, sql := range []string{"UPDATE " + table + " SET " + set + " = " + set, "DELETE FROM " + table, "TRUNCATE " + table} {
			_, err := b.pool.Exec(t.Context(), sql)
			if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || !strings.Contains(pg.Message, "append-only") {
				t.Errorf("%s: %v", sql, err)
			}
		}
	}
}

func TestACheckSeesPastManyReplicas(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.write(t, 2500)
	other := b.another(db.New(b.pool))
	for range 3 {
		b.pass(t)
		if err := other.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.write(t, 10)
	}
	report := b.checked(t, nil)
	if !report.OK() || report.Checked != 2520 || report.Waiting != 10 || report.Checkpoint.Size != 2520 {
		t.Errorf("%+v", report)
	}
}
