package audit_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type history struct {
	pool      *pgxpool.Pool
	store     *db.Store
	reader    *audit.Reader
	red, blue uuid.UUID
}

func newHistory(t *testing.T) *history {
	t.Helper()
	pool := dbtest.New(t)
	h := &history{pool: pool, store: db.New(pool)}
	h.reader = audit.NewReader(h.store, listing.NewTokens([]byte(strings.Repeat("k", 32))))
	for name, id := range map[string]*uuid.UUID{"red": &h.red, "blue": &h.blue} {
		var err error
		if *id, err = h.store.UpsertTeam(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *history) record(t *testing.T, e audit.Event) {
	t.Helper()
	if e.Actor == "" {
		e.Actor = "somebody"
	}
	e.Action = max(e.Action, pb.Action_ACTION_READ)
	e.Outcome = max(e.Outcome, pb.AuditEvent_OUTCOME_ACCEPTED)
	e.Origin = max(e.Origin, pb.AuditEvent_ORIGIN_API)
	if err := audit.Record(t.Context(), h.store.Queries, e); err != nil {
		t.Fatal(err)
	}
}

func (h *history) list(t *testing.T, caller identity.Caller, filter string) []*pb.AuditEvent {
	t.Helper()
	resp, err := h.reader.List(t.Context(), caller, &pb.ListAuditEventsRequest{Filter: filter, PageSize: 1000})
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	if resp.GetNextPageToken() != "" {
		t.Fatal("there is another page")
	}
	return slices.DeleteFunc(resp.GetEvents(), ofReading)
}

// ofReading says that an event tells of somebody who read the history, as tests do all the time.
func ofReading(e *pb.AuditEvent) bool { return e.GetResource().GetKind() == "audit_events" }

func auditor() identity.Caller {
	return identity.Caller{Name: "auditor", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
}

func member(teams ...uuid.UUID) identity.Caller {
	c := identity.Caller{Name: "member"}
	for _, id := range teams {
		c.Teams = append(c.Teams, identity.Membership{TeamID: id, Role: pb.Role_ROLE_VIEWER})
	}
	return c
}

func actors(events []*pb.AuditEvent) []string {
	names := []string{}
	for _, e := range events {
		names = append(names, e.GetActor())
	}
	return names
}

func TestEventsAreShownWhole(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	agent, parent, operation := uuid.New(), uuid.New(), uuid.New()
	before, after, err := audit.Changed(
		&pb.Agent{Name: new("old"), Temperature: new(0.5), Region: new("tor1")},
		&pb.Agent{Name: new("new"), Region: new("tor1"), Tags: []string{"a"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	h.record(t, audit.Event{
		Team: &h.red, Action: pb.Action_ACTION_UPDATE, Method: "agentsvc.v1.AgentService.UpdateAgent",
		Resource: audit.Ref{Kind: "agent", UUID: &agent, Name: "new"}, Parent: audit.Ref{Kind: "workspace", UUID: &parent, Name: "shop"},
		Reason: "because", Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_UPSTREAM, Operation: &operation,
		VendorRequestID: "vendor-1", ErrorReason: pb.ErrorReason_ERROR_REASON_NOT_FOUND, ErrorMessage: "none",
		Request: &pb.UpdateAgentRequest{Uuid: agent.String()}, Before: before, After: after,
	}.By(identity.Caller{Name: "ada@example.com", RequestID: "r1", Address: "192.0.2.1", UserAgent: "curl"}))

	events := h.list(t, member(h.red), "")
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	got := events[0]
	if age := time.Since(got.GetTime().AsTime()); age < -time.Minute || age > time.Minute || uuid.Validate(got.GetId()) != nil {
		t.Errorf("event %s of %s", got.GetId(), got.GetTime().AsTime())
	}
	object := func(v map[string]any) *structpb.Struct {
		s, err := structpb.NewStruct(v)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := &pb.AuditEvent{
		Id: got.GetId(), Time: got.GetTime(), Actor: "ada@example.com", Team: "red", Action: pb.Action_ACTION_UPDATE,
		Method: "agentsvc.v1.AgentService.UpdateAgent", Resource: &pb.ResourceRef{Kind: "agent", Uuid: agent.String(), Name: "new"},
		Parent: &pb.ResourceRef{Kind: "workspace", Uuid: parent.String(), Name: "shop"}, Reason: "because",
		Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_UPSTREAM, OperationId: operation.String(),
		VendorRequestId: "vendor-1", RequestId: "r1", ClientAddress: "192.0.2.1", UserAgent: "curl",
		ErrorReason: pb.ErrorReason_ERROR_REASON_NOT_FOUND, ErrorMessage: "none",
		Request: object(map[string]any{"uuid": agent.String()}),
		Before:  object(map[string]any{"name": "old", "temperature": 0.5}),
		After:   object(map[string]any{"name": "new", "tags": []any{"a"}}),
		Changes: []*pb.FieldChange{
			{Path: "name", Before: structpb.NewStringValue("old"), After: structpb.NewStringValue("new")},
			{Path: "tags", After: structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{
				structpb.NewStringValue("a"),
			}})},
			{Path: "temperature", Before: structpb.NewNumberValue(0.5)},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestAnEventAboutNothing(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.record(t, audit.Event{Outcome: pb.AuditEvent_OUTCOME_DENIED, Action: pb.Action_ACTION_LIST})
	got := h.list(t, auditor(), "")[0]
	if got.GetTeam() != "" || got.GetResource() != nil || got.GetParent() != nil || got.GetRequest() != nil || got.GetBefore() != nil ||
		got.GetOperationId() != "" {
		t.Errorf("something is made up: %v", got)
	}
}

func TestAnEventWithAnUnreadableRequest(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.record(t, audit.Event{
		Outcome: pb.AuditEvent_OUTCOME_DENIED, Request: &pb.UpdateAgentRequest{UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"top__p"}}},
	})
	got := h.list(t, auditor(), "")
	if len(got) != 1 || !got[0].GetRequest().GetFields()["unreadable"].GetBoolValue() {
		t.Errorf("history: %v", got)
	}
}

func TestCallersSeeTheirTeamsOnly(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.record(t, audit.Event{Actor: "of red", Team: &h.red})
	h.record(t, audit.Event{Actor: "of blue", Team: &h.blue})
	h.record(t, audit.Event{Actor: "of nobody"})
	admin := identity.Caller{Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN}
	for name, tc := range map[string]struct {
		caller identity.Caller
		filter string
		want   []string
	}{
		"an auditor":                  {auditor(), "", []string{"of nobody", "of blue", "of red"}},
		"an administrator":            {admin, "", []string{"of nobody", "of blue", "of red"}},
		"a member of one team":        {member(h.red), "", []string{"of red"}},
		"a member of two":             {member(h.red, h.blue), "", []string{"of blue", "of red"}},
		"a member of none":            {member(), "", []string{}},
		"who asks for another team":   {member(h.red), `team = "blue"`, []string{}},
		"who asks for everything":     {member(h.red), `team = "blue" OR NOT team = "blue"`, []string{"of red"}},
		"who asks for no team":        {member(h.red), `team = ""`, []string{}},
		"an auditor asks for no team": {auditor(), `team = ""`, []string{"of nobody"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, actors(h.list(t, tc.caller, tc.filter))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	agent, other, operation := uuid.New(), uuid.New(), uuid.New()
	h.record(t, audit.Event{
		Actor: "one", Team: &h.red, Action: pb.Action_ACTION_CREATE, Method: "agentsvc.v1.AgentService.CreateAgent",
		Resource: audit.Ref{Kind: "agent", UUID: &agent}, Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED,
		Operation: &operation, Reason: "New Year",
	})
	h.record(t, audit.Event{
		Actor: "two", Team: &h.blue, Action: pb.Action_ACTION_DELETE, Method: "agentsvc.v1.AgentKeyService.DeleteAgentKey",
		Resource: audit.Ref{Kind: "agent_key", UUID: &other}, Parent: audit.Ref{Kind: "agent", UUID: &agent},
		Outcome: pb.AuditEvent_OUTCOME_FAILED, Origin: pb.AuditEvent_ORIGIN_SYSTEM,
		ErrorReason: pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED,
	})
	for filter, want := range map[string][]string{
		`time > "2020-01-01T00:00:00Z"`:                                   {"two", "one"},
		`time > "2020-01-01T00:00:00Z" AND time < "2020-01-02T00:00:00Z"`: {},
		`team = "red"`:                             {"one"},
		`actor = "one"`:                            {"one"},
		`action = "DELETE"`:                        {"two"},
		`action = ACTION_CREATE`:                   {"one"},
		`outcome = "SUCCEEDED"`:                    {"one"},
		`outcome != OUTCOME_SUCCEEDED`:             {"two"},
		`origin = "SYSTEM"`:                        {"two"},
		`resource_kind = "agent"`:                  {"one"},
		`resource_uuid = "` + agent.String() + `"`: {"one"},
		`parent_uuid = "` + agent.String() + `"`:   {"two"},
		`(resource_uuid = "` + agent.String() + `" OR parent_uuid = "` + agent.String() + `")`: {"two", "one"},
		`parent_uuid != "` + agent.String() + `"`:                                              {"one"},
		`operation_id = "` + operation.String() + `"`:                                          {"one"},
		`operation_id = ""`: {"two"},
		`method = "agentsvc.v1.AgentService.CreateAgent"`: {"one"},
		`method = "AgentService.CreateAgent"`:             {"one"},
		`method:"agentkey"`:                               {"two"},
		`reason:"year"`:                                   {"one"},
		`words:"year NEW"`:                                {"one"},
		`words:"ye"`:                                      {},
		`words:"new & ! ( year"`:                          {"one"},
		`NOT words:"year"`:                                {"two"},
		`principal_id = ""`:                               {"two", "one"},
		`resource_name = ""`:                              {"two", "one"},
		`parent_kind = "agent"`:                           {"two"},
		`request_id:*`:                                    {},
		`error_reason = "VENDOR_REFUSED"`:                 {"two"},
		`error_reason != ERROR_REASON_VENDOR_REFUSED`:     {"one"},
	} {
		t.Run(filter, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, actors(h.list(t, auditor(), filter))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(want, actors(h.list(t, member(h.red, h.blue), filter))); diff != "" {
				t.Errorf("for members: %s", diff)
			}
		})
	}
	for _, filter := range []string{`request = "x"`, `outcome = "x"`, `error_reason = "x"`, `time > now`, `actor = "a' OR 1=1 --`, `client_address = ""`, `words = "x"`} {
		_, err := h.reader.List(t.Context(), auditor(), &pb.ListAuditEventsRequest{Filter: filter})
		if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_INVALID_REQUEST {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

// TestPagesTogetherAreTheHistory has events of the same instant in two months, some
// of which land in the default partition.
func TestPagesTogetherAreTheHistory(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	const total = 90
	if _, err := h.pool.Exec(t.Context(), `
INSERT INTO audit_events (id, recorded_at, actor, team_id, action, outcome, origin)
SELECT gen_random_uuid(),
       CASE n % 4 WHEN 0 THEN timestamptz '2020-01-01 00:00:00.000001+00'
                  ELSE date_trunc('month', now()) + make_interval(secs => n % 4) END,
       'actor-' || n, CASE n % 3 WHEN 0 THEN $1::uuid WHEN 1 THEN $2::uuid END, 'UPDATE', 'SUCCEEDED', 'API'
  FROM generate_series(1, $3) AS n`, h.red, h.blue, total); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		caller identity.Caller
		filter string
		want   int
	}{
		"all":             {auditor(), "", total},
		"two teams":       {member(h.red, h.blue), "", total / 3 * 2},
		"one team":        {member(h.blue), "", total / 3},
		"with a filter":   {auditor(), `team = "red"`, total / 3},
		"of one instant":  {auditor(), `time < "2021-01-01T00:00:00Z"`, total / 4},
		"for one of them": {member(h.red), `time < "2021-01-01T00:00:00Z"`, 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := h.list(t, tc.caller, tc.filter)
			if len(want) != tc.want {
				t.Errorf("%d events, want %d", len(want), tc.want)
			}
			if !slices.IsSortedFunc(want, func(a, b *pb.AuditEvent) int {
				if c := b.GetTime().AsTime().Compare(a.GetTime().AsTime()); c != 0 {
					return c
				}
				return strings.Compare(b.GetId(), a.GetId())
			}) {
				t.Error("the newest are not first")
			}
			for _, size := range []int32{1, 7, 30, 89, 90} {
				var got []*pb.AuditEvent
				req := &pb.ListAuditEventsRequest{PageSize: size, Filter: tc.filter}
				for more := true; more; more = req.GetPageToken() != "" {
					resp, err := h.reader.List(t.Context(), tc.caller, req)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, slices.DeleteFunc(resp.GetEvents(), ofReading)...)
					req.PageToken = resp.GetNextPageToken()
				}
				if diff := cmp.Diff(actors(want), actors(got)); diff != "" {
					t.Errorf("pages of %d: %s", size, diff)
				}
			}
		})
	}
}

func TestTokensOfOtherRequestsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	for i := range 3 {
		h.record(t, audit.Event{Actor: strconv.Itoa(i), Team: &h.red})
	}
	first, err := h.reader.List(t.Context(), member(h.red), &pb.ListAuditEventsRequest{PageSize: 1})
	if err != nil || first.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", first, err)
	}
	for name, token := range map[string]string{
		"of another filter": first.GetNextPageToken(),
		"made up":           "AAAA",
		"of another key": listing.NewTokens([]byte("guessed")).Encode(
			listing.ScopeOf(&pb.ListAuditEventsRequest{Filter: "actor:*"}), "2099-01-01", uuid.NewString()),
	} {
		_, err := h.reader.List(t.Context(), member(h.red), &pb.ListAuditEventsRequest{Filter: "actor:*", PageToken: token})
		var f *fault.Error
		if !errors.As(err, &f) || len(f.Violations) != 1 || f.Violations[0].Field != "page_token" {
			t.Errorf("a token %s: %v", name, err)
		}
	}
	// Whoever holds a token still sees only what they may.
	resp, err := h.reader.List(t.Context(), member(h.blue), &pb.ListAuditEventsRequest{PageToken: first.GetNextPageToken()})
	if err != nil || len(resp.GetEvents()) != 0 {
		t.Errorf("a stranger with a token: %v, %v", resp, err)
	}
}
