package config_test

import (
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	token, err := config.Config{TokenFile: path}.TokenSource(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || token() != "first" {
		t.Fatalf("got %v", err)
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
	if _, err := (config.Config{TokenFile: path}).TokenSource(slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a start without the file was accepted")
	}
}
