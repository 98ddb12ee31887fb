package config_test

import (
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/config"
)

func read(t *testing.T, env map[string]string, args ...string) (config.Config, error) {
	t.Helper()
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return config.Read(args, func(name string) string { return env[name] }, flags)
}

func complete() map[string]string {
	return map[string]string{
		"DATABASE_URL": "postgres://db/agentsvc", "DIGITALOCEAN_TOKEN": "secret-token", "AGENTSVC_SEAL_KEYS_FILE": "/etc/agentsvc/keys",
	}
}

func TestWhatIsNotSetHasItsDefault(t *testing.T) {
	t.Parallel()
	got, err := read(t, complete())
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	if got.Listen != want.Listen || got.PerMinute != 250 || got.PerHour != 5000 || got.UpstreamURL != want.UpstreamURL || got.SyncEvery != time.Minute {
		t.Errorf("got %+v", got)
	}
}

func TestEnvironmentThenFlags(t *testing.T) {
	t.Parallel()
	env := complete()
	env["AGENTSVC_LISTEN"] = ":1"
	env["AGENTSVC_RATE_PER_MINUTE"] = "7"
	env["AGENTSVC_CORS_ORIGINS"] = "https://a.example, https://b.example"
	got, err := read(t, env, "--listen", ":2")
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != ":2" || got.PerMinute != 7 || len(got.CORSOrigins) != 2 || got.CORSOrigins[1] != "https://b.example" {
		t.Errorf("got %+v", got)
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := read(t, map[string]string{
		"DIGITALOCEAN_TOKEN": "secret-token", "DIGITALOCEAN_TOKEN_FILE": "/file", "AGENTSVC_RATE_PER_MINUTE": "many",
		"AGENTSVC_SYNC_EVERY": "soon", "AGENTSVC_WORKERS": "-1", "AGENTSVC_TLS_CERT_FILE": "/cert", "AGENTSVC_LOG_LEVEL": "loud",
		"AGENTSVC_UPSTREAM_URL": "::", "AGENTSVC_DATABASE_CONNS": "1", "AGENTSVC_LEASE": "1ms",
		"AGENTSVC_RATE_MINUTE_WINDOW": "1ms", "AGENTSVC_RATE_GUARD": "0s",
		"AGENTSVC_AUDIT_CHECKPOINT_EVERY": "1ms", "AGENTSVC_AUDIT_CHECKPOINT_FILE": "/file", "AGENTSVC_AUDIT_STDOUT": "perhaps",
		"AGENTSVC_AUDIT_WEBHOOK_URL": "ftp://secret-token",
	}, "extra")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{
		"DATABASE_URL", "DIGITALOCEAN_TOKEN_FILE", "AGENTSVC_SEAL_KEYS_FILE", "AGENTSVC_RATE_PER_MINUTE", "AGENTSVC_SYNC_EVERY",
		"AGENTSVC_WORKERS", "AGENTSVC_TLS_KEY_FILE", "AGENTSVC_LOG_LEVEL", "AGENTSVC_UPSTREAM_URL", "AGENTSVC_DATABASE_CONNS", "AGENTSVC_LEASE",
		"AGENTSVC_RATE_MINUTE_WINDOW", "AGENTSVC_RATE_GUARD", "extra",
		"AGENTSVC_AUDIT_CHECKPOINT_EVERY", "AGENTSVC_AUDIT_KEY_FILE", "AGENTSVC_AUDIT_STDOUT", "AGENTSVC_AUDIT_WEBHOOK_SECRET_FILE",
		"AGENTSVC_AUDIT_WEBHOOK_URL is not",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not told", name)
		}
	}
	if strings.Contains(err.Error(), "secret-token") {
		t.Error("the token is in the error")
	}
}

// However many exports there are and whatever the work for accounts holds, two connections are left.
func TestAPoolHasRoomForCallers(t *testing.T) {
	t.Parallel()
	for accounts, want := range map[int]int{1: 8, 2: 13, 3: 18, 5: 28, 20: 88} {
		if got := config.ConnsFor(accounts); got != want {
			t.Errorf("%d accounts take %d connections, want %d", accounts, got, want)
		}
		for conns := config.ConnsFor(accounts); conns < 200; conns++ {
			exports := config.Config{DatabaseConns: conns}.Exports()
			if left := conns - 4*accounts - exports; left < 2 || exports < 2 || exports > 6 {
				t.Errorf("with %d connections and %d accounts, %d exports leave %d", conns, accounts, exports, left)
			}
		}
	}
	env := complete()
	env["AGENTSVC_DATABASE_CONNS"] = "7"
	if _, err := read(t, env); err == nil || !strings.Contains(err.Error(), "AGENTSVC_DATABASE_CONNS must be at least 8") {
		t.Errorf("a pool that is too small for one account: %v", err)
	}
}

func TestTokenFileIsReadAgainWhenReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	now := time.Now()
	write("first\n", now)
	accounts, err := config.Config{TokenFile: path}.Accounts(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || len(accounts) != 1 || accounts[0].Name != budget.DefaultAccount {
		t.Fatalf("got %v, %v", accounts, err)
	}
	token := accounts[0].Token
	if got := token(); got != "first" {
		t.Fatalf("got %q", got)
	}
	write("second\n", now.Add(time.Second))
	if got := token(); got != "second" {
		t.Errorf("after the file was replaced: %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := token(); got != "second" {
			t.Errorf("after the file was lost: %q", got)
		}
	}
	if n := strings.Count(log.String(), "token is kept"); n != 1 || strings.Contains(log.String(), "second") {
		t.Errorf("the log says %q", log.String())
	}
	if _, err := (config.Config{TokenFile: path}).Accounts(slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a start without the file was accepted")
	}
}

func TestAFileForEachFurtherAccount(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	write := func(name, token string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("emea", "token-b\n")
	write("apac", "token-c")
	write("..data", "what a mount leaves")
	cfg := config.Config{Token: "token-a", AccountsDir: dir}
	accounts, err := cfg.Accounts(log)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range accounts {
		got = append(got, a.Name+"="+a.Token())
	}
	if want := []string{"default=token-a", "apac=token-c", "emea=token-b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	later := time.Now().Add(time.Minute)
	write("emea", "token-d")
	if err := os.Chtimes(filepath.Join(dir, "emea"), later, later); err != nil {
		t.Fatal(err)
	}
	if got := accounts[2].Token(); got != "token-d" {
		t.Errorf("after the file was replaced: %q", got)
	}

	write("Not A Name", "token-e")
	write("default", "token-f")
	write("twin", "token-c")
	write("empty", "")
	_, err = cfg.Accounts(log)
	for _, told := range []string{`"Not A Name"`, `"default"`, `"apac" and "twin"`, `"empty"`} {
		if err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("%s is not told: %v", told, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "token-c") {
		t.Errorf("a token is in the error: %v", err)
	}
}

// issuersFile is a file that AGENTSVC_OIDC_FILE names.
func issuersFile(t *testing.T, text string) config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "issuers.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := complete()
	env["AGENTSVC_OIDC_FILE"] = path
	cfg, err := read(t, env)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestIssuersOfAFile(t *testing.T) {
	t.Parallel()
	got, err := issuersFile(t, `{"issuers": [
		{"issuer": "https://login.example.com", "audience": "agentsvc", "grants": [
			{"group": "payments-ops", "team": "payments", "role": "operator"},
			{"group": "audit", "platform_role": "AUDITOR"}]},
		{"issuer": "http://127.0.0.1:9000", "audience": "dev", "groups_claim": "realm_access.roles", "trust_email": true}]}`).Issuers()
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Issuer{
		{URL: "https://login.example.com", Audience: "agentsvc", GroupsClaim: "groups", Grants: []config.Grant{
			{Group: "payments-ops", Team: "payments", Role: pb.Role_ROLE_OPERATOR},
			{Group: "audit", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR},
		}},
		{URL: "http://127.0.0.1:9000", Audience: "dev", GroupsClaim: "realm_access.roles", TrustEmail: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("issuers (-want +got):\n%s", diff)
	}
}

func TestOneIssuerOfTheEnvironment(t *testing.T) {
	t.Parallel()
	env := complete()
	env["AGENTSVC_OIDC_ISSUER"], env["AGENTSVC_OIDC_AUDIENCE"] = "https://login.example.com", "agentsvc"
	cfg, err := read(t, env)
	if err != nil {
		t.Fatal(err)
	}
	got, err := cfg.Issuers()
	if err != nil || len(got) != 1 || got[0].URL != "https://login.example.com" || got[0].Audience != "agentsvc" || got[0].GroupsClaim != "groups" {
		t.Errorf("%+v, %v", got, err)
	}
	env["AGENTSVC_OIDC_FILE"], env["AGENTSVC_OIDC_AUDIENCE"], env["AGENTSVC_TLS_CLIENT_CA_FILE"] = "/file", "", "/ca"
	_, err = read(t, env)
	for _, says := range []string{"AGENTSVC_OIDC_AUDIENCE go together", "choose one", "AGENTSVC_TLS_CLIENT_CA_FILE takes"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v says nothing of %q", err, says)
		}
	}
	if got, err := (config.Config{}).Issuers(); err != nil || got != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func TestIssuersThatAreWrongAreToldWhole(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		says []string
	}{
		"all at once": {
			`{"issuers": [
				{"issuer": "http://login.example.com", "audience": "", "grants": [{"group": "", "team": "payments"}, {"group": "a"}, {"group": "b", "role": "owner"}]},
				{"issuer": "login", "audience": "x", "grants": [{"group": "c", "team": "t", "role": "owner", "platform_role": "admin"}, {"group": "d", "team": "t", "role": "boss"}]},
				{"issuer": "http://login.example.com", "audience": "y"}]}`,
			[]string{
				"must be https", "no audience", "a grant has no group", `group "": a team and a role`, `group "a": a grant is either`,
				`group "b": a team and a role`, `issuer "login": is not a URL`, `group "c": a grant is either`, `no role "boss"`, "there twice",
			},
		},
		"a misspelt field":   {`{"issuers": [{"issuer": "https://a", "audience": "a", "grant": []}]}`, []string{`unknown field "grant"`}},
		"no JSON":            {`issuers:`, []string{"AGENTSVC_OIDC_FILE"}},
		"something after it": {`{"issuers": [{"issuer": "https://a", "audience": "a"}]} {}`, []string{"something follows"}},
		"no issuers":         {`{}`, []string{"names no issuers"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := issuersFile(t, tc.text).Issuers()
			for _, says := range tc.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("error %v\nsays nothing of %q", err, says)
				}
			}
		})
	}
	if _, err := (config.Config{OIDCFile: "/nosuch/file"}).Issuers(); err == nil {
		t.Error("a file that is not there is passed over")
	}
}
