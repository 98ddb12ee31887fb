package migrate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func poolOn(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// The service's role adds to the history and reads it. Everything else is refused before any
// trigger is asked.
func TestTheServicesRoleCannotTouchTheHistory(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	owner, app := poolOn(t, url), poolOn(t, dbtest.AsApp(url))
	store := db.New(app)
	const insert = "INSERT INTO audit_events (id, actor, action, outcome, origin) VALUES (gen_random_uuid(), 'a', 'UPDATE', 'ACCEPTED', 'API')"
	for _, allowed := range []string{
		insert, "SELECT count(*) FROM audit_events", "SELECT count(*) FROM audit_holds",
		"INSERT INTO audit_leaves SELECT 0, id, recorded_at, sha256('') FROM audit_events",
		"INSERT INTO audit_nodes VALUES (1, 0, sha256(''))", "INSERT INTO audit_checkpoints VALUES (1, sha256(''), 'note')",
		"INSERT INTO audit_sinks (name) VALUES ('a')", "UPDATE audit_sinks SET next_index = 1",
		"UPDATE teams SET weight = 2", "SELECT version_id FROM goose_db_version",
	} {
		if _, err := app.Exec(t.Context(), allowed); err != nil {
			t.Errorf("%s: %v", allowed, err)
		}
	}
	var partition string
	if err := owner.QueryRow(t.Context(), "SELECT tableoid::regclass::text FROM audit_events").Scan(&partition); err != nil {
		t.Fatal(err)
	}
	refused := []string{
		"SELECT audit_drop_month('2024-01-01')", "INSERT INTO audit_holds (name, reason) VALUES ('a', 'b')", "DELETE FROM audit_holds",
		"UPDATE audit_holds SET released_at = now()", "DELETE FROM audit_sinks", "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)",
		"ALTER TABLE audit_events DISABLE TRIGGER ALL", "DROP TABLE audit_events", "DROP TABLE " + partition, "DROP TRIGGER audit_events_append_only ON audit_events",
		"ALTER TABLE audit_events DETACH PARTITION " + partition, "SET session_replication_role = replica",
		"CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
		"INSERT INTO " + partition + " (id, actor, action, outcome, origin) VALUES (gen_random_uuid(), 'a', 'UPDATE', 'ACCEPTED', 'API')", "CREATE TABLE mine (a integer)",
	}
	for _, table := range []string{"audit_events", partition, "audit_events_default", "audit_leaves", "audit_nodes", "audit_checkpoints"} {
		column := map[string]string{"audit_leaves": "index", "audit_nodes": "n", "audit_checkpoints": "size"}[table]
		if column == "" {
			column = "actor"
		}
		refused = append(refused, "UPDATE "+table+" SET "+column+" = "+column, "DELETE FROM "+table, "TRUNCATE "+table, "SELECT 1 FROM "+table+" FOR UPDATE")
	}
	for _, sql := range refused {
		_, err := app.Exec(t.Context(), sql)
		pg, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || pg.Code != "42501" || strings.Contains(pg.Message, "append-only") {
			t.Errorf("%s: %v", sql, err)
		}
	}

	// It can have the coming months made, and they are as the others; whatever temporary
	// table it puts in the way.
	before, err := owner.Exec(t.Context(), "SELECT FROM pg_inherits WHERE inhparent = 'audit_events'::regclass")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Exec(t.Context(), "CREATE TEMPORARY TABLE audit_events (a integer)"); err != nil {
		t.Fatal(err)
	}
	if err := store.EnsureAuditPartitions(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	after, err := owner.Exec(t.Context(), "SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE inhparent = 'public.audit_events'::regclass AND c.relowner <> 'agentsvc_test_app'::regrole")
	if err != nil || after.RowsAffected() != before.RowsAffected()+6 {
		t.Errorf("%d partitions before, %d after, %v", before.RowsAffected(), after.RowsAffected(), err)
	}
}

func TestGrantsBindOnlyALesserRole(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	owner := poolOn(t, url)
	var me string
	if err := owner.QueryRow(t.Context(), "SELECT quote_ident(current_user)").Scan(&me); err != nil {
		t.Fatal(err)
	}
	if err := migrate.Grant(t.Context(), url, strings.Trim(me, `"`)); err == nil || !strings.Contains(err.Error(), "owns the history") {
		t.Errorf("the owner was granted: %v", err)
	}
	// A role that had more before has no more after it; twice is as once. Its name is quoted.
	const role = `agentsvc test "odd" role`
	if err := migrate.Grant(t.Context(), url, role); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, sql := range []string{`DROP OWNED BY "agentsvc test ""odd"" role"`, `DROP ROLE "agentsvc test ""odd"" role"`} {
			if _, err := owner.Exec(context.Background(), sql); err != nil {
				t.Logf("tidying up: %v", err)
			}
		}
	})
	if _, err := owner.Exec(t.Context(), `GRANT ALL ON ALL TABLES IN SCHEMA public TO "agentsvc test ""odd"" role"`); err != nil {
		t.Fatal(err)
	}
	if err := migrate.Grant(t.Context(), url, role); err != nil {
		t.Fatal(err)
	}
	var more int
	if err := owner.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relname LIKE 'audit_events%' AND relkind IN ('r', 'p')
		AND has_table_privilege('agentsvc test "odd" role', oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')`).Scan(&more); err != nil || more != 0 {
		t.Errorf("it may still change %d tables of the history, %v", more, err)
	}
}
