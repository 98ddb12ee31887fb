package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/report"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestAReportTellsWhatATeamDid(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	reader := audit.NewReader(store, listing.NewTokens([]byte(strings.Repeat("k", 32))))
	auditor := identity.Caller{Name: "auditor", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
	agent := uuid.New()
	const evil = `<script>alert(1)</script><img src="http://evil.example/x">"'`
	for _, team := range []string{"payments", "search"} {
		id, err := store.UpsertTeam(t.Context(), team)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), `
INSERT INTO audit_events (id, recorded_at, actor, team_id, action, method, resource_kind, resource_uuid, resource_name, outcome, origin, reason, after)
SELECT gen_random_uuid(), timestamptz '2026-10-01 00:00:00+00' + make_interval(days => n % 31), $2 || '-' || n % 3 || $4, $1,
       (ARRAY['UPDATE', 'CREATE', 'REVEAL'])[1 + n % 3], 'agentsvc.v1.AgentRouteService.UpdateAgentRoute', 'agent', $3, 'front' || $4,
       (ARRAY['SUCCEEDED', 'DENIED', 'SUCCEEDED'])[1 + n % 3], 'API', 'reason of ' || $2 || $4, jsonb_build_object('if_case', $4::text)
  FROM generate_series(0, 92) AS n`, id, team, agent, evil); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), `INSERT INTO vendor_calls (account, number, granted_at, purpose, team_id)
			VALUES ('default', (SELECT coalesce(max(number), 0) + 1 FROM vendor_calls), '2026-10-31 23:59:59Z', 'CHANGE', $1)`, id); err != nil {
			t.Fatal(err)
		}
	}
	var page strings.Builder
	if err := report.Write(t.Context(), reader, auditor, report.Spec{Month: "2026-10", Team: "payments"}, &page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, want := range []string{
		"2026-10-01 00:00:00 until 2026-11-01 00:00:00", "UTC", "93, of which 31 are changes that were made", "31 were denied; 31 times a secret was handed out",
		"payments-0&lt;script&gt;", "reason of payments&lt;script&gt;", "AgentRouteService.UpdateAgentRoute", agent.String(), "team = &#34;payments&#34;",
		"<title>2026-10-31: 3 events</title>", "@media print", "if_case: &lt;script&gt;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(text, "search") {
		t.Error("the report of one team tells of another")
	}
	// Nothing runs, and nothing is fetched: what looks like it is text.
	if found := regexp.MustCompile(`(?i)<(script|img|link|iframe|object|embed|base|form)\b|\son\w+=|\b(src|href|url)\s*[=(]["']?\w|@import`).FindString(
		regexp.MustCompile(`&[#\w]+;[^<]*`).ReplaceAllString(text, "")); found != "" {
		t.Errorf("the report has %q", found)
	}
	reads := xml.NewDecoder(strings.NewReader(text))
	reads.Strict, reads.AutoClose, reads.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := reads.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("its elements do not fit: %v", err)
		}
	}
	var all strings.Builder
	if err := report.Write(t.Context(), reader, auditor, report.Spec{Month: "2026-10"}, &all); err != nil || !strings.Contains(all.String(), "By team") {
		t.Errorf("the report of all: %v", err)
	}
	member := identity.Caller{Name: "nobody"}
	var none strings.Builder
	if err := report.Write(t.Context(), reader, member, report.Spec{Month: "2026-10"}, &none); err != nil || strings.Contains(none.String(), "payments") ||
		strings.Contains(none.String(), "search") {
		t.Errorf("the report for somebody of no team: %v", err)
	}
	for _, month := range []string{"", "2026-13", "October", "2026-10-01"} {
		err := report.Write(t.Context(), reader, auditor, report.Spec{Month: month}, io.Discard)
		if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_INVALID_REQUEST {
			t.Errorf("a report of %q: %v", month, err)
		}
	}
}
