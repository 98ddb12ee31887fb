package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

func TestTeamImport(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `INSERT INTO teams (name) VALUES ('red'), ('blue');
		INSERT INTO resources (kind, uuid, name, team_id)
		SELECT 'agent', v.id::uuid, v.name, (SELECT id FROM teams WHERE name = v.team)
		  FROM (VALUES ('11111111-1111-4111-8111-111111111111', 'one', ''), ('22222222-2222-4222-8222-222222222222', 'two', 'red'),
		               ('33333333-3333-4333-8333-333333333333', 'three', 'blue')) AS v (id, name, team)`)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "owners.csv")
	imports := func(lines string, args ...string) (string, error) {
		t.Helper()
		if err := os.WriteFile(path, []byte("kind,uuid,team\n"+lines), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, complaints bytes.Buffer
		err := runTeam(t.Context(), append([]string{"import", path}, args...), func(string) string { return url }, &out, &complaints)
		return out.String(), err
	}
	owner := func() (name string) {
		t.Helper()
		err := conn.QueryRow(t.Context(), `SELECT coalesce(t.name, '') FROM resources r LEFT JOIN teams t ON t.id = r.team_id
			WHERE r.name = 'one'`).Scan(&name)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	const one, two = "agent,11111111-1111-4111-8111-111111111111,red\n", "agent,22222222-2222-4222-8222-222222222222,red\n"
	said, err := imports(one + two)
	if err != nil || !strings.Contains(said, "would be given") || !strings.Contains(said, "owned already") || owner() != "" {
		t.Errorf("a dry run: %v, owner %q\n%s", err, owner(), said)
	}
	if said, err = imports(one + "agent,x,red\n"); err == nil || !strings.Contains(err.Error(), "1 of 2 lines have problems") {
		t.Errorf("a dry run with a problem: %v\n%s", err, said)
	}
	said, err = imports(one+"agent,33333333-3333-4333-8333-333333333333,red\nagent,x,red\nagent,44444444-4444-4444-8444-444444444444,red\n"+
		"agent,22222222-2222-4222-8222-222222222222,green\n", "--apply")
	for _, problem := range []string{"belongs to another team", "the uuid is none", "not in our copy", "no such team"} {
		if !strings.Contains(said, problem) {
			t.Errorf("it is not told that something %s:\n%s", problem, said)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "4 of 5 lines have problems: nothing was changed") || owner() != "" {
		t.Errorf("with problems: %v, owner %q", err, owner())
	}
	if said, err = imports(one+two, "--apply", "--reason", "spring cleaning"); err != nil || owner() != "red" {
		t.Errorf("applied: %v, owner %q\n%s", err, owner(), said)
	}
	var events int
	err = conn.QueryRow(t.Context(), "SELECT count(*) FROM audit_events WHERE method = 'agentsvc team import' AND reason = 'spring cleaning'").Scan(&events)
	if err != nil || events != 1 {
		t.Errorf("the history has %d events, %v", events, err)
	}
}
