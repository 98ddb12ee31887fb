package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/audit/sink"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

// auditing runs `agentsvc audit` with a folder for its files.
type auditing struct {
	dir string
	env map[string]string
}

func (a auditing) file(name string) string { return filepath.Join(a.dir, name) }

func (a auditing) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, complaints bytes.Buffer
	err := runAudit(t.Context(), args, func(name string) string { return a.env[name] }, &out, &complaints)
	return out.String(), err
}

func (a auditing) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := a.run(t, args...)
	if err != nil {
		t.Fatalf("audit %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func TestAuditFromKeyToVerification(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	a := auditing{dir: t.TempDir(), env: map[string]string{"DATABASE_URL": url}}
	key := strings.TrimSpace(a.must(t, "keygen", "--name", "audit.example.com", "--out", a.file("key")))
	if _, err := a.run(t, "keygen", "--name", "audit.example.com", "--out", a.file("key")); err == nil {
		t.Error("a key was written over")
	}
	a.env["AGENTSVC_AUDIT_KEY_FILE"] = a.file("key")
	for range 3 {
		if _, _, err := token(t, url, "create", "--name", "bot", "--team", "payments", "--role", "operator", "--create-team"); err != nil {
			t.Fatal(err)
		}
	}
	if out := a.must(t, "seal"); out != "sealed 3 events\n" {
		t.Errorf("seal says %q", out)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	row, err := db.New(pool).LatestCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"checkpoint": row.Note, "key.pub": key} {
		if err := os.WriteFile(a.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	export := a.must(t, "export")
	lines := strings.SplitAfter(export, "\n")
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write([]byte(export))
	zip.Close()
	for name, text := range map[string]string{
		"export.jsonl": export, "export.gz": packed.String(), "changed.jsonl": strings.Replace(export, `"action":"CREATE"`, `"action":"DELETE"`, 1),
		"part.jsonl": lines[1],
	} {
		if err := os.WriteFile(a.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.must(t, "leaves", "--out", a.file("leaves"))

	delete(a.env, "DATABASE_URL") // what follows is offline
	base := []string{"--checkpoint", a.file("checkpoint"), "--key", a.file("key.pub")}
	for name, tc := range map[string]struct {
		args []string
		says string
		ok   bool
	}{
		"an export":             {append([]string{"verify", a.file("export.jsonl")}, base...), "ok: 3 events of the export are what audit.example.com signed for 3 events", true},
		"the file last, gzip":   {append(append([]string{"verify"}, base...), a.file("export.gz")), "ok: 3 events", true},
		"changed":               {append([]string{"verify", a.file("changed.jsonl")}, base...), "BAD: changed: place 0: the events do not make", false},
		"changed, with leaves":  {append([]string{"verify", a.file("changed.jsonl"), "--leaves", a.file("leaves")}, base...), "BAD: changed: line 1, place 0, event ", false},
		"a part":                {append([]string{"verify", a.file("part.jsonl"), "--filtered", "--leaves", a.file("leaves")}, base...), "ok: 1 events", true},
		"a part taken as whole": {append([]string{"verify", a.file("part.jsonl"), "--leaves", a.file("leaves")}, base...), "BAD: missing: place 0", false},
	} {
		out, err := a.run(t, tc.args...)
		if !strings.HasPrefix(out, tc.says) || (err == nil) != tc.ok {
			t.Errorf("%s: %v, it says %q, want %q", name, err, out, tc.says)
		}
	}
	// Leaves beside the checkpoints are found by themselves.
	if err := os.Rename(a.file("leaves"), a.file("checkpoint")+sink.LeavesSuffix); err != nil {
		t.Fatal(err)
	}
	if out, _ := a.run(t, append([]string{"verify", a.file("changed.jsonl")}, base...)...); !strings.HasPrefix(out, "BAD: changed: line 1, place 0, event ") {
		t.Errorf("with leaves beside the checkpoint: %s", out)
	}
}

func TestAuditMistakes(t *testing.T) {
	t.Parallel()
	a := auditing{dir: t.TempDir(), env: map[string]string{"DATABASE_URL": dbtest.NewURL(t)}}
	a.must(t, "keygen", "--name", "audit.example.com", "--out", a.file("key"))
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"no command":             {nil, "say what to do"},
		"an unknown one":         {[]string{"sign"}, `no "sign"`},
		"keygen without a name":  {[]string{"keygen", "--out", a.file("x")}, "--name"},
		"keygen with a bad name": {[]string{"keygen", "--name", "a b", "--out", a.file("x")}, "making a key"},
		"verify without a file":  {[]string{"verify", "--key", "k", "--checkpoint", "c"}, "the file of the export"},
		"verify with two files":  {[]string{"verify", "a", "b"}, `"b"`},
		"verify with a bad key":  {[]string{"verify", "a", "--key", "nonsense", "--checkpoint", "c"}, "not a verifier key"},
		"check without a key":    {[]string{"check", "--checkpoint", a.file("key")}, "--key"},
		"retain without months":  {[]string{"retain"}, "at least one month"},
		"hold without a word":    {[]string{"hold"}, "set, release or list"},
		"an unknown hold":        {[]string{"hold", "move", "a"}, `no "move"`},
		"a hold without reason":  {[]string{"hold", "set", "a"}, "reason"},
		"a hold without form":    {[]string{"hold", "set", "a b", "--reason", "why"}, "audit_holds_name_form"},
	} {
		if out, err := a.run(t, tc.args...); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
	delete(a.env, "DATABASE_URL")
	if _, err := a.run(t, "check"); err == nil || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("no database: %v", err)
	}
}

func TestHoldsAreListed(t *testing.T) {
	t.Parallel()
	a := auditing{env: map[string]string{"DATABASE_URL": dbtest.NewURL(t)}}
	a.must(t, "hold", "set", "case-17", "--reason", "a court asks")
	a.must(t, "hold", "set", "case-18", "--team", "platform", "--reason", "so does another")
	a.must(t, "hold", "release", "case-17", "--reason", "settled")
	out := a.must(t, "hold", "list")
	for _, want := range []string{"case-17", "all", "case-18", "platform", "a court asks"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out := a.must(t, "retain", "--months", "24", "--dry-run"); out != "no month is that old\n" {
		t.Errorf("retain says %q", out)
	}
}
