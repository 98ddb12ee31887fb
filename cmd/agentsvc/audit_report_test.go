package main

import (
	"os"
	"strings"
	"testing"

	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

// TestAuditIsExportedAndReported reads the history as somebody with access to the database does.
func TestAuditIsExportedAndReported(t *testing.T) {
	t.Parallel()
	a := auditing{dir: t.TempDir(), env: map[string]string{"DATABASE_URL": dbtest.NewURL(t)}}
	var made strings.Builder
	env := func(name string) string { return a.env[name] }
	if err := run(t.Context(), []string{"token", "create", "--name", "bot", "--team", "payments", "--role", "viewer", "--create-team", "--reason", "=1+1"},
		env, &made, &made); err != nil {
		t.Fatal(err)
	}
	for format, want := range map[string]string{"csv": `,'=1+1,`, "jsonl": `{"event":{"id":"`, "ocsf": `"class_uid":6003`} {
		file := a.file(format)
		a.must(t, "export", "--format", format, "--team", "payments", "--since", "2020-01-01", "--out", file)
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, %s", format, err, text)
		}
	}
	if text := a.must(t, "export", "--filter", `team = ""`, "--until", "2020-01-01"); strings.Contains(text, "event") {
		t.Errorf("a filter that nothing passes exports %s", text)
	}
	a.must(t, "report", "--month", "2026-10", "--team", "payments", "--out", a.file("report.html"))
	if text, err := os.ReadFile(a.file("report.html")); err != nil || !strings.Contains(string(text), "Audit report 2026-10: team payments") {
		t.Errorf("%v, %s", err, text)
	}
	if text := a.must(t, "export", "--filter", "resource_kind = audit_events"); strings.Count(text, "ExportAuditEvents") < 8 || !strings.Contains(text, "SummarizeAuditEvents") {
		t.Errorf("the history tells of its readings: %s", text)
	}
	for _, args := range [][]string{{"export", "--format", "xml"}, {"export", "--since", "yesterday"}, {"report"}, {"report", "--month", "May"},
		{"report", "--month", "2026-10", "--team", "nosuch"}, {"export", "--team", "nosuch"}} {
		if _, err := a.run(t, args...); err == nil {
			t.Errorf("%v works", args)
		}
	}
}
