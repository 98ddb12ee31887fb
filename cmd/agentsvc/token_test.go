package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// token runs `agentsvc token` on the database at url.
func token(t *testing.T, url string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, complaints bytes.Buffer
	env := map[string]string{"DATABASE_URL": url}
	err = runToken(t.Context(), args, func(name string) string { return env[name] }, &out, &complaints)
	return out.String(), complaints.String(), err
}

func TestTokenFromCreateToRevoke(t *testing.T) {
	t.Parallel()
	url := dbtest.AsApp(dbtest.NewURL(t)) // the service's role is enough
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	authenticator := identity.NewAuthenticator(db.New(pool))

	stdout, stderr, err := token(t, url, "create", "--name", "bot", "--team", "payments", "--role", "operator",
		"--platform", "auditor", "--expires", "30d", "--create-team", "--reason", "nightly job")
	if err != nil {
		t.Fatal(err, stderr)
	}
	secret := strings.TrimSpace(stdout)
	id := strings.Split(secret, "_")[1]
	caller, err := authenticator.Authenticate(t.Context(), identity.Credentials{Token: secret})
	if err != nil || caller.Name != "bot" || !caller.SeesAll() || len(caller.Teams) != 1 || caller.Teams[0].Team != "payments" {
		t.Fatalf("the token speaks for %+v, %v", caller, err)
	}
	if strings.Contains(stderr, secret) || !strings.Contains(stderr, id) {
		t.Errorf("said %q, want the id and not the secret", stderr)
	}
	if stdout, _, err = token(t, url, "list"); err != nil || !strings.Contains(stdout, id) || strings.Contains(stdout, secret) {
		t.Errorf("list: %v\n%s", err, stdout)
	}
	if _, _, err = token(t, url, "revoke", id, "--reason", "leaked"); err != nil {
		t.Fatal(err)
	}
	if _, err = authenticator.Authenticate(t.Context(), identity.Credentials{Token: secret}); err == nil {
		t.Error("a revoked token works")
	}

	type event struct{ Team, Action, Name, Reason, Outcome string }
	rows, err := pool.Query(t.Context(), `SELECT coalesce(t.name, ''), action, resource_name, reason, outcome
		FROM audit_events e LEFT JOIN teams t ON t.id = e.team_id ORDER BY e.recorded_at`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	if err != nil {
		t.Fatal(err)
	}
	want := []event{{"payments", "CREATE", "bot/" + id, "nightly job", "SUCCEEDED"}, {"", "DELETE", id, "leaked", "SUCCEEDED"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestTokenMistakes(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"no command":       {nil, "certificate, create, list, revoke"},
		"unknown command":  {[]string{"make"}, `no "make"`},
		"unknown team":     {[]string{"create", "--name", "bot", "--team", "nosuch", "--role", "owner"}, `no team "nosuch"`},
		"unknown role":     {[]string{"create", "--name", "bot", "--team", "platform", "--role", "boss"}, `--role "boss"`},
		"unknown platform": {[]string{"create", "--name", "bot", "--platform", "unspecified"}, `--platform "unspecified"`},
		"bad lifetime":     {[]string{"create", "--name", "bot", "--platform", "admin", "--expires", "soon"}, "--expires"},
		"too long":         {[]string{"create", "--name", "bot", "--platform", "admin", "--expires", "367d"}, "--expires"},
		"far too long":     {[]string{"create", "--name", "bot", "--platform", "admin", "--expires", "10000h"}, "lifetime"},
		"leftovers":        {[]string{"create", "--name", "bot", "admin"}, `"admin"`},
		"revoking nothing": {[]string{"revoke"}, "token's id"},
		"revoking unknown": {[]string{"revoke", "nosuchtoken1"}, "no token"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, _, err := token(t, url, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.says) || stdout != "" {
				t.Errorf("said %q, error %v, want one about %q", stdout, err, tc.says)
			}
		})
	}
	if _, _, err := token(t, ""); err == nil {
		t.Error("no database is needed")
	}
}

func TestParseLifetime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "720h": 720 * time.Hour, "366d": identity.MaxLifetime, "90m": 90 * time.Minute,
		"0d": 0, "-1d": 0, "": 0, "d": 0, "-5h": 0, "99999999999999999999d": 0,
	} {
		if got, err := parseLifetime(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
}
