package operation_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/operation"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// ledger is a database with operations that nobody performs.
type ledger struct {
	pool      *pgxpool.Pool
	lister    *operation.Lister
	red, blue uuid.UUID
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	pool := dbtest.New(t)
	store := db.New(pool)
	l := &ledger{pool: pool, lister: operation.NewLister(store, listing.NewTokens([]byte(strings.Repeat("k", 32))))}
	for name, id := range map[string]*uuid.UUID{"red": &l.red, "blue": &l.blue} {
		var err error
		if *id, err = store.UpsertTeam(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// add writes operations of a team, with what else their columns hold.
func (l *ledger) add(t *testing.T, team uuid.UUID, columns map[string]any) uuid.UUID {
	t.Helper()
	id := uuid.New()
	all := map[string]any{
		"id": id, "account": "default", "team_id": team, "actor": "somebody", "method": "agentsvc.v1.AgentService.CreateAgent",
		"resource_kind": "agent", "order_key": id.String(), "request_digest": []byte{1}, "request": []byte{}, "lane": 2, "virtual_start": 0,
		"sealed_request": []byte("sealed"),
	}
	maps.Copy(all, columns)
	var names, places []string
	var args []any
	for name, value := range all {
		args = append(args, value)
		names, places = append(names, name), append(places, fmt.Sprintf("$%d", len(args)))
	}
	if _, err := l.pool.Exec(t.Context(),
		"INSERT INTO operations ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(places, ", ")+")", args...); err != nil {
		t.Fatal(err)
	}
	return id
}

// names lists operations page by page, as the names of what they are about.
func (l *ledger) names(t *testing.T, caller identity.Caller, req *pb.ListOperationsRequest) []string {
	t.Helper()
	names := []string{}
	for {
		resp, err := l.lister.List(t.Context(), caller, req)
		if err != nil {
			t.Fatalf("%v: %v", req, err)
		}
		for _, op := range resp.GetOperations() {
			names = append(names, op.GetResource().GetName())
		}
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			return names
		}
	}
}

func auditor() identity.Caller {
	return identity.Caller{Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
}

func member(teams ...uuid.UUID) identity.Caller {
	c := identity.Caller{Name: "member"}
	for _, id := range teams {
		c.Teams = append(c.Teams, identity.Membership{TeamID: id, Role: pb.Role_ROLE_VIEWER})
	}
	return c
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOperationsAreListedWithoutWhatMayBeLarge(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	agent, parent := uuid.New(), uuid.New()
	request, response := &pb.UpdateAgentRequest{Name: new("a")}, &pb.UpdateAgentResponse{Agent: &pb.Agent{Name: new("a")}}
	failure := fault.NotFound("agent", agent.String()).Status()
	method := "agentsvc.v1.AgentService.UpdateAgent"
	done := l.add(t, l.red, map[string]any{
		"method": method, "resource_uuid": agent, "resource_name": "a", "parent_kind": "workspace", "parent_uuid": parent,
		"expected_version": "v7", "actor": "ada@example.com", "reason": "because",
		"idempotency_key": "key", "lane": 3, "state": "SUCCEEDED", "attempts": 2, "vendor_request_id": "v1", "sealed_request": nil,
		"request": marshal(t, request), "response": marshal(t, response), "sealed_response": []byte("secret"),
		"created_at": at(1), "started_at": at(2), "sent_at": at(3), "finished_at": at(4),
	})
	failed := l.add(t, l.red, map[string]any{
		"state": "FAILED", "error": marshal(t, failure), "finished_at": at(5), "sealed_request": nil, "created_at": at(1),
	})
	gone := l.add(t, l.red, map[string]any{"method": "agentsvc.v1.AgentService.Forgotten", "created_at": at(1)})

	resp, err := l.lister.List(t.Context(), member(l.red), &pb.ListOperationsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := []*pb.Operation{
		{
			Id: gone.String(), State: pb.Operation_STATE_QUEUED, Method: "agentsvc.v1.AgentService.Forgotten", Team: "red", Account: "default",
			Resource: &pb.ResourceRef{Kind: "agent"}, RequestedBy: "somebody", Lane: pb.MutationOptions_LANE_NORMAL,
			CreateTime: timestamppb.New(at(1)),
		},
		{
			Id: failed.String(), State: pb.Operation_STATE_FAILED, Method: "agentsvc.v1.AgentService.CreateAgent", Team: "red", Account: "default",
			Resource: &pb.ResourceRef{Kind: "agent"}, RequestedBy: "somebody", Lane: pb.MutationOptions_LANE_NORMAL,
			CreateTime: timestamppb.New(at(1)), FinishTime: timestamppb.New(at(5)), Error: failure,
		},
		{
			Id: done.String(), State: pb.Operation_STATE_SUCCEEDED, Method: method, Team: "red", Account: "default",
			Resource: &pb.ResourceRef{Kind: "agent", Uuid: agent.String(), Name: "a"}, RequestedBy: "ada@example.com", Reason: "because",
			IdempotencyKey: "key", Lane: pb.MutationOptions_LANE_BULK,
			CreateTime: timestamppb.New(at(1)),
			StartTime:  timestamppb.New(at(2)), SentTime: timestamppb.New(at(3)), FinishTime: timestamppb.New(at(4)),
			Attempts: 2, VendorRequestId: "v1", ExpectedVersion: "v7",
			Parent: &pb.ResourceRef{Kind: "workspace", Uuid: parent.String()},
		},
	}
	got := resp.GetOperations()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestListOfOperations(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	agent := uuid.New()
	now := time.Now()
	l.add(t, l.red, map[string]any{"resource_name": "1", "resource_uuid": agent, "created_at": now.Add(-time.Hour)})
	l.add(t, l.blue, map[string]any{"resource_name": "2", "actor": "ada@example.com", "resource_kind": "workspace"})
	l.add(t, l.red, map[string]any{"resource_name": "3", "state": "CANCELLED", "finished_at": now, "sealed_request": nil})
	l.add(t, l.blue, map[string]any{"resource_name": "4", "method": "agentsvc.v1.AgentService.DeleteAgent", "resource_uuid": agent})
	l.add(t, l.red, map[string]any{"resource_name": "5", "state": "RUNNING", "lease": uuid.New(), "lease_expires_at": now})
	for name, tc := range map[string]struct {
		caller identity.Caller
		filter string
		want   string
	}{
		"an auditor":            {auditor(), ``, "54321"},
		"a member":              {member(l.red), ``, "531"},
		"a member of two":       {member(l.blue, l.red), ``, "54321"},
		"a member of none":      {member(), ``, ""},
		"state":                 {auditor(), `state = "QUEUED"`, "421"},
		"state with its prefix": {auditor(), `NOT state = STATE_QUEUED`, "53"},
		"method":                {auditor(), `method = "AgentService.DeleteAgent"`, "4"},
		"part of the method":    {auditor(), `method:"create"`, "5321"},
		"team":                  {auditor(), `team = "blue"`, "42"},
		"another's team":        {member(l.red), `team = "blue"`, ""},
		"who asked":             {auditor(), `requested_by = "ada@example.com"`, "2"},
		"kind":                  {auditor(), `resource_kind = "workspace"`, "2"},
		"resource":              {auditor(), `resource_uuid = "` + agent.String() + `"`, "41"},
		"resource, for a team":  {member(l.red), `resource_uuid = "` + agent.String() + `"`, "1"},
		"no resource yet":       {auditor(), `resource_uuid = ""`, "532"},
		"created":               {auditor(), fmt.Sprintf(`create_time < %q`, now.Add(-time.Minute).Format(time.RFC3339)), "1"},
		"ended":                 {auditor(), `finish_time:*`, "3"},
		"not ended long ago":    {auditor(), `NOT finish_time < "2026-01-01T00:00:00Z"`, "54321"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int32{1, 2, 3, 0} {
				got := strings.Join(l.names(t, tc.caller, &pb.ListOperationsRequest{Filter: tc.filter, PageSize: size}), "")
				if got != tc.want {
					t.Errorf("pages of %d show %q, want %q", size, got, tc.want)
				}
			}
		})
	}
	for name, req := range map[string]*pb.ListOperationsRequest{
		"unknown field":    {Filter: `sealed_request = "x"`},
		"unknown state":    {Filter: `state = "DONE"`},
		"not a uuid":       {Filter: `resource_uuid = "' OR 1=1 --"`},
		"a made up token":  {PageToken: "AQ"},
		"too many at once": {PageSize: 1001},
	} {
		if _, err := l.lister.List(t.Context(), auditor(), req); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_INVALID_REQUEST {
			t.Errorf("%s: %v", name, err)
		}
	}
}
