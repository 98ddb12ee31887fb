package audit_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/identity"
)

func TestSpreadsheetsCalculateNothing(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	reasons := []string{
		`=HYPERLINK("http://evil.example","x")`, "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", `with "quotes", commas` + "\r\nand lines", "plain", "ünï", "",
	}
	for _, reason := range reasons {
		h.record(t, audit.Event{Actor: "=1", Team: &h.red, Reason: reason, Outcome: pb.AuditEvent_OUTCOME_DENIED, UserAgent: "-x"})
	}
	text := h.whole(t, member(h.red), &pb.ExportAuditEventsRequest{Format: pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_CSV})
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(reasons)+1 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows[1:] {
		for j, cell := range row {
			if strings.IndexAny(cell, "=+-@\t\r\n＝") == 0 {
				t.Errorf("column %s begins like a formula: %q", rows[0][j], cell)
			}
		}
		// encoding/csv reads \r\n within a cell as \n.
		want := strings.ReplaceAll(reasons[i], "\r\n", "\n")
		if got := row[slices.Index(rows[0], "reason")]; strings.TrimPrefix(got, "'") != want {
			t.Errorf("the reason is %q, want %q", got, want)
		}
	}
}

// TestEventsFitTheOpenSchema holds every sort of event against what API Activity requires.
func TestEventsFitTheOpenSchema(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	id := uuid.New()
	for action := pb.Action_ACTION_LIST; action <= pb.Action_ACTION_DELETE; action++ {
		for outcome := pb.AuditEvent_OUTCOME_ACCEPTED; outcome <= pb.AuditEvent_OUTCOME_DENIED; outcome++ {
			e := audit.Event{
				Team: &h.red, Action: action, Outcome: outcome, Method: "agentsvc.v1.AgentService.UpdateAgent", Operation: &id, Reason: "because",
				Resource: audit.Ref{Kind: "agent", UUID: &id, Name: "a"}, Request: &pb.UpdateAgentRequest{Uuid: id.String()},
			}.By(identity.Caller{Name: "ada@example.com", PrincipalID: id, RequestID: "r1", Address: "192.0.2.1", UserAgent: "curl"})
			if action == pb.Action_ACTION_DELETE {
				e = audit.Event{Team: &h.red, Action: action, Outcome: outcome, Origin: pb.AuditEvent_ORIGIN_UPSTREAM} // as little as there can be
			}
			h.record(t, e)
		}
	}
	text := h.whole(t, member(h.red), &pb.ExportAuditEventsRequest{Format: pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_OCSF})
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		checkOCSF(t, e)
		seen[fmt.Sprint(e["activity_id"], " ", e["status_id"])] = true
	}
	for _, want := range []string{"1 1", "2 1", "3 1", "4 1", "99 1", "3 2", "3 99"} {
		if !seen[want] {
			t.Errorf("no event has the activity and status %s: %v", want, seen)
		}
	}
}

// checkOCSF checks what version 1.3.0 of the schema requires of the class and of the objects in it.
func checkOCSF(t *testing.T, e map[string]any) {
	t.Helper()
	number := func(name string) int {
		n, ok := e[name].(float64)
		if !ok {
			t.Errorf("%s is %v", name, e[name])
		}
		return int(n)
	}
	if number("class_uid") != 6003 || number("category_uid") != 6 || number("type_uid") != 600300+number("activity_id") {
		t.Errorf("the class is %v", e)
	}
	if !slices.Contains([]int{0, 1, 2, 3, 4, 99}, number("activity_id")) || !slices.Contains([]int{0, 1, 2, 3, 4, 5, 6, 99}, number("severity_id")) ||
		!slices.Contains([]int{0, 1, 2, 99}, number("status_id")) || number("time") < 1_600_000_000_000 {
		t.Errorf("the numbers are %v", e)
	}
	for _, path := range []string{"actor.user.name", "api.operation", "metadata.version", "metadata.uid", "metadata.product.name", "metadata.product.vendor_name"} {
		if s, _ := at(e, path).(string); s == "" {
			t.Errorf("%s is %v", path, at(e, path))
		}
	}
	ip, _ := at(e, "src_endpoint.ip").(string)
	name, _ := at(e, "src_endpoint.svc_name").(string)
	if ip == "" && name == "" {
		t.Errorf("src_endpoint has neither an address nor a name: %v", e)
	}
	for _, r := range asList(e["resources"]) {
		if r["uid"] == nil && r["name"] == nil {
			t.Errorf("a resource has neither a uid nor a name: %v", r)
		}
	}
}

func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

func asList(v any) []map[string]any {
	var all []map[string]any
	items, _ := v.([]any)
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			all = append(all, object)
		}
	}
	return all
}
