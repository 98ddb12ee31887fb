package audit_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// wholeEvent has a value in every column, so that a column that is added and not sealed
// is found: see the test below.
func wholeEvent() dbsql.AuditEvent {
	id := uuid.MustParse("01993b2e-0000-7000-8000-00000000abcd")
	return dbsql.AuditEvent{
		ID: id, RecordedAt: time.Date(2026, 11, 2, 5, 6, 7, 89_000, time.FixedZone("", 3600)),
		Actor: "ada@example.com", PrincipalID: &id, TeamID: &id, Action: "UPDATE", Method: "m", ResourceKind: "agent", ResourceUUID: &id,
		ResourceName: "a \"quoted\" \\ name\n", ParentKind: "workspace", ParentUUID: &id, ParentName: "é \u2028 <&>", Reason: "r",
		Outcome: "SUCCEEDED", Origin: "API", OperationID: &id, VendorRequestID: "v", RequestID: "q", ClientAddress: "192.0.2.1",
		UserAgent: "ua", ErrorReason: "NOT_FOUND", ErrorMessage: "e",
		Request: []byte(`{"a": 1}`), Before: []byte(`{"b": [1, 2]}`), After: []byte(`{"c": null}`),
		ActingService: new("console"),
	}
}

// The form is fixed for ever: what was sealed must be verified years later.
func TestTheCanonicalFormIsFixed(t *testing.T) {
	t.Parallel()
	const id = "01993b2e-0000-7000-8000-00000000abcd"
	want := strings.ReplaceAll(`{"id":"ID","recorded_at":"2026-11-02T04:06:07.000089Z","actor":"ada@example.com","principal_id":"ID","team_id":"ID",`+
		`"action":"UPDATE","method":"m","resource_kind":"agent","resource_uuid":"ID","resource_name":"a \"quoted\" \\ name\u000a",`+
		`"parent_kind":"workspace","parent_uuid":"ID","parent_name":"é `+"\u2028"+` <&>","reason":"r","outcome":"SUCCEEDED","origin":"API",`+
		`"operation_id":"ID","vendor_request_id":"v","request_id":"q","client_address":"192.0.2.1","user_agent":"ua",`+
		`"error_reason":"NOT_FOUND","error_message":"e","request":{"a": 1},"before":{"b": [1, 2]},"after":{"c": null}}`, "ID", id)
	older := wholeEvent()
	older.ActingService = nil // its column came later
	got := audit.AppendCanonical(nil, older)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if hash := audit.Leaf(got).String(); hash != "VFV6bq50Fr/sfzCqBNyC+fO0BdtC7R/yzHzwzLCCN0I=" {
		t.Errorf("the leaf is %s", hash)
	}
	if at, is := audit.CanonicalKey(got); at != "2026-11-02T04:06:07.000089Z" || is != id {
		t.Errorf("the key is %s %s", at, is)
	}
	if diff := cmp.Diff(strings.TrimSuffix(want, "}")+`,"acting_service":"console"}`, string(audit.AppendCanonical(nil, wholeEvent()))); diff != "" {
		t.Errorf("with what came later (-want +got):\n%s", diff)
	}
	var object map[string]any
	if err := json.Unmarshal(got, &object); err != nil || object["resource_name"] != wholeEvent().ResourceName {
		t.Errorf("as JSON it is %v, %v", object, err)
	}

	least := audit.AppendCanonical(nil, dbsql.AuditEvent{Action: "READ"})
	if want := `{"id":"00000000-0000-0000-0000-000000000000","recorded_at":"0001-01-01T00:00:00.000000Z","action":"READ"}`; string(least) != want {
		t.Errorf("what is absent shows: %s", least)
	}
}

// Every column is sealed: with any one of them changed, the form is another.
func TestTheCanonicalFormHasEveryColumn(t *testing.T) {
	t.Parallel()
	whole := audit.AppendCanonical(nil, wholeEvent())
	for i := range reflect.TypeFor[dbsql.AuditEvent]().NumField() {
		event := wholeEvent()
		field := reflect.ValueOf(&event).Elem().Field(i)
		if field.IsZero() {
			t.Errorf("the test's event has no %s", reflect.TypeFor[dbsql.AuditEvent]().Field(i).Name)
		}
		field.SetZero()
		if got := audit.AppendCanonical(nil, event); bytes.Equal(got, whole) {
			t.Errorf("%s is not in the canonical form", reflect.TypeFor[dbsql.AuditEvent]().Field(i).Name)
		}
	}
}

func BenchmarkCanonicalAndLeaf(b *testing.B) {
	event := wholeEvent()
	var line []byte
	for b.Loop() {
		line = audit.AppendCanonical(line[:0], event)
		audit.Leaf(line)
	}
	b.SetBytes(int64(len(line)))
}
