package db_test

import (
	"os"
	"strings"
	"testing"
)

// TestReportsAreReadOnly looks at the views as somebody who has the role for them, and at all else.
func TestReportsAreReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `INSERT INTO audit_events (id, actor, team_id, action, outcome, origin, reason)
		SELECT gen_random_uuid(), 'ada', $1, 'UPDATE', 'SUCCEEDED', 'API', 'because' FROM generate_series(1, 3)`, w.red.Teams[0])
	w.exec(t, `INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, request_digest, request, sealed_request, lane, virtual_start)
		VALUES (gen_random_uuid(), 'default', $1, '', '', 'agent', 'k', '', 'the request', 'sealed', 2, 1)`, w.red.Teams[0])
	conn, err := w.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	as := func(sql string) (string, error) {
		var text *string
		err := conn.QueryRow(t.Context(), sql).Scan(&text)
		if text == nil {
			return "", err
		}
		return *text, err
	}
	if _, err := conn.Exec(t.Context(), "SET ROLE agentsvc_reporting"); err != nil {
		t.Fatal(err)
	}
	defer conn.Exec(t.Context(), "RESET ROLE")
	for _, view := range []string{"events", "operations", "vendor_calls", "resources", "agent_versions", "routes"} {
		text, err := as("SELECT coalesce(string_agg(v::text, ' '), '') FROM reporting." + view + " AS v")
		if err != nil {
			t.Errorf("%s: %v", view, err)
		}
		if strings.Contains(text, "the request") || strings.Contains(text, "sealed") {
			t.Errorf("%s shows %s", view, text)
		}
		for _, change := range []string{"DELETE FROM reporting." + view, "TRUNCATE reporting." + view} {
			if _, err := conn.Exec(t.Context(), change); err == nil {
				t.Errorf("%s works", change)
			}
		}
	}
	if n, err := as("SELECT count(*)::text FROM reporting.events WHERE team = 'red' AND day = (now() AT TIME ZONE 'UTC')::date"); err != nil || n != "3" {
		t.Errorf("%s events, %v", n, err)
	}
	for _, table := range []string{"audit_events", "operations", "service_tokens", "principals", "vendor_calls", "resources", "agent_versions"} {
		if _, err := as("SELECT count(*)::text FROM " + table); err == nil {
			t.Errorf("the role reads %s", table)
		}
	}
	for _, call := range []string{"SELECT reporting.grant_to_role()::text"} {
		if _, err := as(call); err == nil {
			t.Errorf("the role may %s", call)
		}
	}
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	queries := strings.Split(string(text), "-- report: ")[1:]
	if len(queries) < 3 {
		t.Fatalf("docs/operating.md has %d queries for reports", len(queries))
	}
	for _, query := range queries {
		_, sql, _ := strings.Cut(query, "\n")
		sql, _, _ = strings.Cut(sql, ";")
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestReportsAreDocumented(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bare := w.strings(t, `SELECT c.relname || coalesce('.' || a.attname, '') FROM pg_class c
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = 'reporting'::regnamespace AND c.relkind = 'v'
		AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)`)
	if len(bare) > 0 {
		t.Errorf("these have no comment: %v", bare)
	}
}
