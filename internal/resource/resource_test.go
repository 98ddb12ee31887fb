package resource_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/resource"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type ownership struct {
	pool      *pgxpool.Pool
	reader    *resource.Reader
	claimer   *resource.Claimer
	history   *audit.Reader
	red, blue uuid.UUID
}

// kinds are a copy that has all agents, and of other kinds what it came across.
type kinds struct{}

func (kinds) Knows(_ context.Context, _ identity.Caller, kind string) (bool, error) {
	return kind == "agent", nil
}

func (kinds) Ownable(kind string) error {
	if kind == "model" {
		return fault.Invalid("kind", "nobody can own one")
	}
	return nil
}

func newOwnership(t *testing.T) *ownership {
	t.Helper()
	pool := dbtest.New(t)
	store, tokens := db.New(pool), listing.NewTokens([]byte(strings.Repeat("k", 32)))
	o := &ownership{
		pool: pool, reader: resource.NewReader(store, tokens), claimer: resource.NewClaimer(store, kinds{}), history: audit.NewReader(store, tokens),
	}
	for name, id := range map[string]*uuid.UUID{"red": &o.red, "blue": &o.blue} {
		var err error
		if *id, err = store.UpsertTeam(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func (o *ownership) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := o.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (o *ownership) agent(t *testing.T, name string, team *uuid.UUID) string {
	t.Helper()
	id := uuid.NewString()
	o.exec(t, "INSERT INTO resources (kind, uuid, name, team_id) VALUES ('agent', $1, $2, $3)", id, name, team)
	return id
}

func admin() identity.Caller {
	return identity.Caller{Name: "admin@example.com", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN, RequestID: "r1"}
}

func member(teams ...uuid.UUID) identity.Caller {
	c := identity.Caller{Name: "member"}
	for _, id := range teams {
		c.Teams = append(c.Teams, identity.Membership{TeamID: id, Role: pb.Role_ROLE_VIEWER})
	}
	return c
}

// events are those of a resource, the newest first.
func (o *ownership) events(t *testing.T, id string) []*pb.AuditEvent {
	t.Helper()
	resp, err := o.history.List(t.Context(), admin(), &pb.ListAuditEventsRequest{Filter: fmt.Sprintf("resource_uuid = %q", id)})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetEvents()
}

func TestResourcesAreShownWhole(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	id := uuid.NewString()
	o.exec(t, `
INSERT INTO resources (kind, uuid, team_id, name, status, region, tags, version_hash, upstream_created_at, upstream_updated_at,
       summary_synced_at, body_synced_at)
VALUES ('agent', $1, $2, 'a', 'STATUS_RUNNING', 'tor1', '{x,y}', 'v1', '2026-01-01Z', '2026-01-02Z', '2026-01-04Z', '2026-01-03Z')`,
		id, o.red)
	resp, err := o.reader.List(t.Context(), member(o.red), &pb.ListResourcesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	day := func(d int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC))
	}
	want := &pb.ListResourcesResponse{TotalSize: 1, Resources: []*pb.Resource{{
		Kind: "agent", Account: "default", Uuid: id, Name: "a", Team: "red", Status: "STATUS_RUNNING", Region: "tor1", Tags: []string{"x", "y"},
		VersionHash: "v1",
		CreatedAt:   day(1), UpdatedAt: day(2), SyncedAt: day(4),
	}}}
	if diff := cmp.Diff(want, resp, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestListShowsWhatMayBeSeen(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	o.agent(t, "of red", &o.red)
	o.agent(t, "of blue", &o.blue)
	o.agent(t, "of nobody", nil)
	o.exec(t, "INSERT INTO resources (kind, uuid, name, team_id) VALUES ('workspace', gen_random_uuid(), 'space', $1)", o.red)
	o.exec(t, "INSERT INTO resources (kind, uuid, name, team_id, deleted_at) VALUES ('agent', gen_random_uuid(), 'gone', $1, now())", o.red)
	auditor := identity.Caller{Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
	for name, tc := range map[string]struct {
		caller identity.Caller
		filter string
		want   []string
	}{
		"an administrator":           {admin(), "", []string{"of blue", "of nobody", "of red", "space"}},
		"an auditor":                 {auditor, "", []string{"of blue", "of nobody", "of red", "space"}},
		"a member":                   {member(o.red), "", []string{"of red", "space"}},
		"a member of two":            {member(o.red, o.blue), "", []string{"of blue", "of red", "space"}},
		"a member of none":           {member(), "", []string{}},
		"what nobody has":            {admin(), `kind = "agent" AND team = ""`, []string{"of nobody"}},
		"a member, what nobody has":  {member(o.red), `team = ""`, []string{}},
		"a member, what others have": {member(o.red), `team = "blue" OR name:"of"`, []string{"of red"}},
		"another kind":               {member(o.red), `kind != "agent"`, []string{"space"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := map[string]bool{}
			req := &pb.ListResourcesRequest{Filter: tc.filter, PageSize: 1}
			for more := true; more; more = req.GetPageToken() != "" {
				resp, err := o.reader.List(t.Context(), tc.caller, req)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range resp.GetResources() {
					if got[r.GetName()] {
						t.Errorf("%s is there twice", r.GetName())
					}
					got[r.GetName()] = true
				}
				if int(resp.GetTotalSize()) != len(tc.want) {
					t.Errorf("total_size %d, want %d", resp.GetTotalSize(), len(tc.want))
				}
				req.PageToken = resp.GetNextPageToken()
			}
			want := map[string]bool{}
			for _, name := range tc.want {
				want[name] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	id := o.agent(t, "stray", nil)
	req := &pb.ClaimResourceRequest{Kind: "agent", Uuid: id, Team: "red", Reason: "ours"}
	for range 3 { // again and again changes nothing
		resp, err := o.claimer.Claim(t.Context(), admin(), req)
		if err != nil {
			t.Fatal(err)
		}
		want := &pb.Resource{Kind: "agent", Account: "default", Uuid: id, Name: "stray", Team: "red"}
		if diff := cmp.Diff(want, resp.GetResource(), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	}
	events := o.events(t, id)
	if len(events) != 1 {
		t.Fatalf("%d events, want 1", len(events))
	}
	got := events[0]
	if got.GetTeam() != "red" || got.GetActor() != "admin@example.com" || got.GetReason() != "ours" || got.GetRequestId() != "r1" ||
		got.GetMethod() != "agentsvc.v1.ResourceService.ClaimResource" || got.GetAction() != pb.Action_ACTION_UPDATE ||
		got.GetOutcome() != pb.AuditEvent_OUTCOME_SUCCEEDED || got.GetOrigin() != pb.AuditEvent_ORIGIN_API ||
		got.GetResource().GetName() != "stray" {
		t.Errorf("the history says %v", got)
	}
	changes := got.GetChanges()
	if len(changes) != 1 || changes[0].GetPath() != "team" || changes[0].GetBefore().GetStringValue() != "" ||
		changes[0].GetAfter().GetStringValue() != "red" {
		t.Errorf("changes %v", changes)
	}
}

func TestClaimOfWhatIsNotMirrored(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	id := uuid.NewString()
	resp, err := o.claimer.Claim(t.Context(), admin(), &pb.ClaimResourceRequest{Kind: "workspace", Uuid: id, Team: "blue"})
	if err != nil || resp.GetResource().GetTeam() != "blue" {
		t.Fatalf("%v, %v", resp, err)
	}
	if n := len(o.events(t, id)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	list, err := o.reader.List(t.Context(), member(o.blue), &pb.ListResourcesRequest{Filter: `kind = "workspace"`})
	if err != nil || list.GetTotalSize() != 1 {
		t.Errorf("the team does not see it: %v, %v", list, err)
	}
}

func TestClaimsThatAreRefused(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	owned, deleted := o.agent(t, "owned", &o.blue), o.agent(t, "deleted", nil)
	o.exec(t, "UPDATE resources SET deleted_at = now() WHERE uuid = $1", deleted)
	unknown := uuid.NewString()
	for name, tc := range map[string]struct {
		kind, uuid, team string
		want             pb.ErrorReason
		says             string
	}{
		"another team's":       {"agent", owned, "red", pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED, `belongs to team "blue"`},
		"deleted":              {"agent", deleted, "red", pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED, "is deleted"},
		"an unknown agent":     {"agent", unknown, "red", pb.ErrorReason_ERROR_REASON_NOT_FOUND, unknown},
		"an unknown team":      {"agent", owned, "green", pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, `no team "green"`},
		"an unknown team, new": {"workspace", unknown, "green", pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, `no team "green"`},
		"not a uuid":           {"agent", "x", "red", pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, "uuid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := o.claimer.Claim(t.Context(), admin(), &pb.ClaimResourceRequest{Kind: tc.kind, Uuid: tc.uuid, Team: tc.team})
			var f *fault.Error
			if !errors.As(err, &f) || f.Reason != tc.want || !strings.Contains(f.Public, tc.says) {
				t.Errorf("%v, want %s with %q", err, tc.want, tc.says)
			}
		})
	}
	t.Run("afterwards", func(t *testing.T) {
		for _, id := range []string{owned, deleted, unknown} {
			if n := len(o.events(t, id)); n != 0 {
				t.Errorf("%d events of what was refused", n)
			}
		}
	})
}

// TestClaimsAtOnce has two teams and each of them twice claim the same things, which
// nobody knew before: one team gets each, and history says so once.
func TestClaimsAtOnce(t *testing.T) {
	t.Parallel()
	o := newOwnership(t)
	for range 10 {
		id := uuid.NewString()
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = o.claimer.Claim(t.Context(), admin(), &pb.ClaimResourceRequest{
					Kind: "knowledge_base", Uuid: id, Team: []string{"red", "blue"}[i%2],
				})
			})
		}
		wg.Wait()
		taken := map[bool]int{}
		for _, err := range errs {
			if err != nil && fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
				t.Fatal(err)
			}
			taken[err == nil]++
		}
		if taken[true] != 2 || (errs[0] == nil) != (errs[2] == nil) {
			t.Errorf("claims ended with %v", errs)
		}
		if n := len(o.events(t, id)); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	}
}
