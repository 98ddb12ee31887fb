package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// exported is what came of an export.
type exported struct {
	data   bytes.Buffer
	end    *pb.AuditExportEnd
	tokens []string
	after  []int // how many bytes there were with each token
}

func (h *history) export(t *testing.T, caller identity.Caller, req *pb.ExportAuditEventsRequest) (*exported, error) {
	t.Helper()
	out := &exported{}
	return out, h.reader.Export(t.Context(), caller, req, func(piece *pb.ExportAuditEventsResponse) error {
		out.data.Write(piece.GetData())
		if piece.GetEnd() != nil {
			out.end = piece.GetEnd()
			return nil
		}
		out.tokens, out.after = append(out.tokens, piece.GetResumeToken()), append(out.after, out.data.Len())
		return nil
	})
}

// whole is an export that succeeds.
func (h *history) whole(t *testing.T, caller identity.Caller, req *pb.ExportAuditEventsRequest) string {
	t.Helper()
	out, err := h.export(t, caller, req)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(out.data.Bytes())
	if out.end.GetSha256() != hex.EncodeToString(sum[:]) {
		t.Errorf("the digest is %s, want %x", out.end.GetSha256(), sum)
	}
	return out.data.String()
}

// many inserts events of the two teams and of nobody, in one order and many at the same instant.
func (h *history) many(t *testing.T, n int) {
	t.Helper()
	if _, err := h.pool.Exec(t.Context(), `
INSERT INTO audit_events (id, recorded_at, actor, team_id, action, outcome, origin, reason)
SELECT gen_random_uuid(), now() - interval '2 hours' + make_interval(secs => n / 7),
       'actor-' || n, CASE n % 3 WHEN 0 THEN $1::uuid WHEN 1 THEN $2::uuid END, 'UPDATE', 'SUCCEEDED', 'API', 'secret of ' || n % 3
  FROM generate_series(1, $3) AS n`, h.red, h.blue, n); err != nil {
		t.Fatal(err)
	}
}

// events reads JSON Lines.
func events(t *testing.T, lines string) []map[string]any {
	t.Helper()
	all := []map[string]any{}
	for line := range strings.Lines(lines) {
		var one struct {
			Event map[string]any `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, one.Event)
	}
	return all
}

func TestExportsHaveWhatTheirCallersMaySee(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	const total = 2100 // several batches
	h.many(t, total)
	for name, tc := range map[string]struct {
		caller identity.Caller
		filter string
		want   int
	}{
		"an auditor":                {auditor(), `resource_kind != "audit_events"`, total},
		"a member of one team":      {member(h.red), "", total / 3},
		"a member of two":           {member(h.red, h.blue), "", total / 3 * 2},
		"a member of none":          {member(), "", 0},
		"who asks for another team": {member(h.red), `team = "blue"`, 0},
		"who asks for everything":   {member(h.red), `team = "blue" OR NOT team = "blue"`, total / 3},
		"who looks for its words":   {member(h.red), `words:"secret of 1" OR reason:"secret of 2"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			req := &pb.ExportAuditEventsRequest{Filter: tc.filter}
			got := events(t, h.whole(t, tc.caller, req))
			if len(got) != tc.want {
				t.Errorf("%d events, want %d", len(got), tc.want)
			}
			if !slices.IsSortedFunc(got, func(a, b map[string]any) int {
				return strings.Compare(fmt.Sprint(a["recorded_at"], a["id"]), fmt.Sprint(b["recorded_at"], b["id"]))
			}) {
				t.Error("the oldest are not first")
			}
			for _, format := range []pb.AuditExportFormat{pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_CSV, pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_OCSF} {
				req.Format = format
				lines := strings.Count(h.whole(t, tc.caller, req), "\n")
				if format == pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_CSV {
					lines--
				}
				if tc.caller.SeesAll() != (lines != tc.want) && lines != tc.want {
					t.Errorf("%s has %d lines, want %d", format, lines, tc.want)
				}
			}
		})
	}
}

// TestExportsAreResumedToTheSameEvents breaks an export off at every place, has events written and committed in
// between, the older ones among them too, and goes on.
func TestExportsAreResumedToTheSameEvents(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.many(t, 1800)
	// One that is being written while the export begins, with a time before it.
	late, err := h.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback(context.WithoutCancel(t.Context()))
	const insert = `INSERT INTO audit_events (id, recorded_at, actor, team_id, action, outcome, origin)
		VALUES (gen_random_uuid(), clock_timestamp(), $2, $1, 'UPDATE', 'SUCCEEDED', 'API')`
	if _, err := late.Exec(t.Context(), insert, h.red, "late"); err != nil {
		t.Fatal(err)
	}
	h.record(t, audit.Event{Actor: "in time", Team: &h.red})
	req := &pb.ExportAuditEventsRequest{Format: pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_CSV}
	whole, err := h.export(t, member(h.red), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Exec(t.Context(), insert, h.red, "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Exec(t.Context(), "VACUUM (FREEZE) audit_events"); err != nil {
		t.Fatal(err)
	}
	if text := whole.data.String(); !strings.Contains(text, "in time") || strings.Contains(text, "late") {
		t.Errorf("the export ends with %s", text[max(0, len(text)-400):])
	}
	if len(whole.tokens) < 3 {
		t.Fatalf("%d pieces", len(whole.tokens))
	}
	for i, token := range whole.tokens {
		req.ResumeToken = token
		rest, err := h.export(t, member(h.red), req)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole.data.String()[whole.after[i]:], rest.data.String()); diff != "" {
			t.Errorf("after piece %d: %s", i, diff)
		}
		if rest.end.GetSha256() != whole.end.GetSha256() || rest.end.GetRows() != whole.end.GetRows() ||
			!rest.end.GetSnapshotTime().AsTime().Equal(whole.end.GetSnapshotTime().AsTime()) {
			t.Errorf("after piece %d the end is %v, want %v", i, rest.end, whole.end)
		}
	}
	if text := h.whole(t, member(h.red), &pb.ExportAuditEventsRequest{}); !strings.Contains(text, "late") || !strings.Contains(text, "new") {
		t.Error("an export from the beginning lacks what is new")
	}
}

func TestResumeTokensAreForWhomAndWhatTheyWereMade(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.many(t, 1200)
	paula := member(h.red)
	paula.PrincipalID = uuid.New()
	colleague := member(h.red)
	colleague.PrincipalID = uuid.New()
	whole, err := h.export(t, paula, &pb.ExportAuditEventsRequest{Filter: "actor:*"})
	if err != nil {
		t.Fatal(err)
	}
	token := whole.tokens[0]
	for name, tc := range map[string]struct {
		caller identity.Caller
		req    *pb.ExportAuditEventsRequest
	}{
		"another caller":          {colleague, &pb.ExportAuditEventsRequest{Filter: "actor:*", ResumeToken: token}},
		"another filter":          {paula, &pb.ExportAuditEventsRequest{ResumeToken: token}},
		"another format":          {paula, &pb.ExportAuditEventsRequest{Filter: "actor:*", Format: 2, ResumeToken: token}},
		"a token that was forged": {paula, &pb.ExportAuditEventsRequest{Filter: "actor:*", ResumeToken: token[:40] + "AAAA" + token[44:]}},
		"a token of nothing":      {paula, &pb.ExportAuditEventsRequest{Filter: "actor:*", ResumeToken: "AAAA"}},
	} {
		out, err := h.export(t, tc.caller, tc.req)
		var f *fault.Error
		if !errors.As(err, &f) || len(f.Violations) != 1 || f.Violations[0].Field != "resume_token" || out.data.Len() > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Whoever has left the team sees nothing more of it.
	paula.Teams = member(h.blue).Teams
	rest, err := h.export(t, paula, &pb.ExportAuditEventsRequest{Filter: "actor:*", ResumeToken: token})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events(t, rest.data.String()) {
		if e["team_id"] == h.red.String() {
			t.Fatalf("an event of a team that was left: %v", e)
		}
	}
}

// TestExportsAreInTheHistory looks for what tells of an export, with what came of it.
func TestExportsAreInTheHistory(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.many(t, 1200)
	h.whole(t, member(h.red), &pb.ExportAuditEventsRequest{Filter: "actor:*"})
	broken := errors.New("the client has gone")
	err := h.reader.Export(t.Context(), member(h.blue), &pb.ExportAuditEventsRequest{}, func(*pb.ExportAuditEventsResponse) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("the export ends with %v", err)
	}
	ctx, lose := context.WithCancelCause(t.Context())
	err = h.reader.Export(ctx, member(h.blue), &pb.ExportAuditEventsRequest{}, func(*pb.ExportAuditEventsResponse) error {
		lose(fault.New(pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED, "the role was taken away"))
		return ctx.Err()
	})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED {
		t.Errorf("the export of who may not see it any more ends with %v", err)
	}
	resp, err := h.reader.List(t.Context(), auditor(), &pb.ListAuditEventsRequest{Filter: `resource_kind = "audit_events"`})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range slices.Backward(resp.GetEvents()) {
		got = append(got, fmt.Sprint(e.GetOutcome(), " ", e.GetMethod(), " ", e.GetRequest().AsMap()["filter"], " ", e.GetAfter().AsMap()["rows"],
			strings.TrimPrefix(e.GetErrorReason().String(), "ERROR_REASON")))
	}
	const method = " agentsvc.v1.AuditService.ExportAuditEvents "
	want := []string{
		"OUTCOME_ACCEPTED" + method + "actor:* <nil>_UNSPECIFIED", "OUTCOME_SUCCEEDED" + method + "<nil> 400_UNSPECIFIED",
		"OUTCOME_ACCEPTED" + method + "<nil> <nil>_UNSPECIFIED", "OUTCOME_FAILED" + method + "<nil> 0_INTERNAL",
		"OUTCOME_ACCEPTED" + method + "<nil> <nil>_UNSPECIFIED", "OUTCOME_FAILED" + method + "<nil> 0_PERMISSION_DENIED",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestReadingDoesNotFloodTheHistory reads the same again and again, and then a lot of different things.
func TestReadingDoesNotFloodTheHistory(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.many(t, 200)
	count := func() int {
		var n int
		if err := h.pool.QueryRow(t.Context(), "SELECT count(*) FROM audit_events WHERE resource_kind = 'audit_events'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	req := &pb.ListAuditEventsRequest{PageSize: 10}
	for more := true; more; more = req.GetPageToken() != "" {
		resp, err := h.reader.List(t.Context(), auditor(), req)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(resp.GetEvents(), ofReading) {
			t.Error("a page tells of its own reading")
		}
		req.PageToken = resp.GetNextPageToken()
	}
	if n := count(); n != 1 {
		t.Errorf("%d events tell of the pages of one list, want 1", n)
	}
	for i := range 100 {
		if _, err := h.reader.List(t.Context(), auditor(), &pb.ListAuditEventsRequest{Filter: fmt.Sprintf("actor = \"%d\"", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != 31 {
		t.Errorf("%d events tell of 101 lists, want 31", n)
	}
	h.list(t, member(h.red), "") // somebody else
	if n := count(); n != 32 {
		t.Errorf("%d events, want 32", n)
	}
}

// TestExportsDoNotCrowdOthersOut has one caller take all they can.
func TestExportsDoNotCrowdOthersOut(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.many(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 2)
	begun := make(chan struct{}, 2)
	for range 2 {
		go func() {
			done <- h.reader.Export(ctx, member(h.red), &pb.ExportAuditEventsRequest{}, func(*pb.ExportAuditEventsResponse) error {
				begun <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})
		}()
	}
	for range 2 {
		select {
		case <-begun:
		case err := <-done:
			t.Fatal(err)
		}
	}
	if _, err := h.export(t, member(h.red), &pb.ExportAuditEventsRequest{}); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
		t.Errorf("a third export: %v", err)
	}
	other := member(h.blue)
	other.Name = "somebody else"
	h.whole(t, other, &pb.ExportAuditEventsRequest{})
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("an export ends with %v", err)
		}
	}
	h.whole(t, member(h.red), &pb.ExportAuditEventsRequest{})
}

// TestNobodyHoldsASnapshotByTakingNothing stops taking an export, and goes on once its snapshot is gone.
func TestNobodyHoldsASnapshotByTakingNothing(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.many(t, 9000) // more pieces than are read ahead
	h.reader.SetStall(50 * time.Millisecond)
	begun, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	var token string
	go func() {
		done <- h.reader.Export(t.Context(), member(h.red), &pb.ExportAuditEventsRequest{}, func(piece *pb.ExportAuditEventsResponse) error {
			if token == "" {
				token = piece.GetResumeToken()
				close(begun)
				<-goOn
			}
			return nil
		})
	}()
	select {
	case <-begun:
	case err := <-done:
		t.Fatal(err)
	}
	for held := 1; held > 0; {
		if err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'`).Scan(&held); err != nil {
			t.Fatal(err)
		}
	}
	close(goOn)
	if err := <-done; fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED {
		t.Errorf("the export ends with %v", err)
	}
	h.reader.SetStall(time.Minute)
	rest, err := h.export(t, member(h.red), &pb.ExportAuditEventsRequest{ResumeToken: token})
	if err != nil || rest.end.GetRows() != 3000 {
		t.Errorf("resumed to %v, %v", rest.end, err)
	}
}
