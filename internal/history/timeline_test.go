package history_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/resource"
)

// lived is an agent to which one thing of each kind happened.
func (b *bench) lived() (id, child string) {
	b.t.Helper()
	id, child = b.create("front"), b.create("child")
	b.pass(time.Minute)
	b.update(id, 0.1, "calmer")
	b.pass(time.Minute)
	b.route(id, child, "always", "help")
	change(b, &pb.UpdateAgentRouteRequest{ParentAgentUuid: id, ChildAgentUuid: child, IfCase: new("never"), Mutation: because("less help")}, &pb.UpdateAgentRouteResponse{})
	b.pass(time.Minute)
	change(b, &pb.UpdateAgentDeploymentVisibilityRequest{
		Uuid: id, Visibility: new(pb.AgentDeployment_VISIBILITY_PUBLIC), Mutation: because("open it"),
	}, &pb.UpdateAgentDeploymentVisibilityResponse{})
	change(b, &pb.CreateAgentApiKeyRequest{AgentUuid: id, Name: new("shop"), Mutation: because("the shop calls it")}, &pb.CreateAgentApiKeyResponse{})
	b.unroute(id, child, "no more help")
	b.pass(time.Minute)
	b.outside(&pb.UpdateAgentRequest{Uuid: id, Instruction: new("Be kind and brief.")})
	b.pass(time.Minute)
	return id, child
}

func (b *bench) history(req *pb.ListAgentHistoryRequest) []*pb.AgentHistoryEntry {
	b.t.Helper()
	var all []*pb.AgentHistoryEntry
	for {
		resp, err := b.ListAgentHistory(b.t.Context(), b.viewer, req)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, resp.GetEntries()...)
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			return all
		}
	}
}

func told(entries []*pb.AgentHistoryEntry) []string {
	var lines []string
	for _, e := range entries {
		who, _, _ := strings.Cut(e.GetBy().GetActor(), "@")
		lines = append(lines, strings.TrimPrefix(e.GetKind().String(), "KIND_")+" "+e.GetWhat()+" by "+who+" for "+e.GetBy().GetReason())
	}
	return lines
}

func TestEverythingIsInOneLineOfTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, child := b.lived()
	all := b.history(&pb.ListAgentHistoryRequest{Uuid: id, MaxStaleness: zero()})
	want := []string{
		"VERSION changed by owner for ",
		"ROUTE ended by oskar for no more help",
		"KEY created by oskar for the shop calls it",
		"DEPLOYMENT changed by oskar for open it",
		"ROUTE changed by oskar for less help",
		"ROUTE began by oskar for help",
		"VERSION changed by oskar for calmer",
		"LIFE created by oskar for needed",
		"VERSION first seen by oskar for needed",
	}
	got := told(all)
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%q is not told", line)
		}
	}
	if t.Failed() {
		t.Logf("told is\n%s", strings.Join(got, "\n"))
	}
	for i, e := range all {
		if i > 0 && e.GetTime().AsTime().After(all[i-1].GetTime().AsTime()) {
			t.Errorf("entry %d is newer than the one before", i)
		}
		if e.GetBy().GetOrigin() == pb.Deed_ORIGIN_API && e.GetBy().GetOperationId() == "" {
			t.Errorf("%v names no operation", e)
		}
	}
	// In pages of one it is the same.
	paged := b.history(&pb.ListAgentHistoryRequest{Uuid: id, PageSize: 1})
	if !slices.Equal(told(paged), got) {
		t.Errorf("in pages it is\n%s", strings.Join(told(paged), "\n"))
	}
	b.requireEntries(all, child)
}

// requireEntries looks at what the entries of a lived agent say.
func (b *bench) requireEntries(all []*pb.AgentHistoryEntry, child string) {
	b.t.Helper()
	for _, e := range all {
		switch line := told([]*pb.AgentHistoryEntry{e})[0]; line {
		case "VERSION changed by owner for ":
			if e.GetBy().GetOrigin() != pb.Deed_ORIGIN_UPSTREAM || len(e.GetDiff().GetChanges()) != 1 || e.GetDiff().GetChanges()[0].GetKind() != pb.AgentChange_KIND_TEXT {
				b.t.Errorf("what was made elsewhere is told as %v", e)
			}
		case "VERSION changed by oskar for calmer":
			c := e.GetDiff().GetChanges()
			if len(c) != 1 || c[0].GetPath() != "temperature" || c[0].GetBefore().GetNumberValue() != 0.7 || c[0].GetAfter().GetNumberValue() != 0.1 {
				b.t.Errorf("the version differs by %v", c)
			}
		case "ROUTE changed by oskar for less help":
			if e.GetRoute().GetIfCase() != "never" || e.GetRouteBefore().GetIfCase() != "always" || e.GetRoute().GetTarget().GetUuid() != child {
				b.t.Errorf("the route is told to have changed from %v to %v", e.GetRouteBefore(), e.GetRoute())
			}
		case "KEY created by oskar for the shop calls it":
			if e.GetResource().GetName() != "shop" || strings.Contains(e.String(), "secret_key:\"") {
				b.t.Errorf("the key is told as %v", e)
			}
		case "DEPLOYMENT changed by oskar for open it":
			if c := e.GetChanges(); len(c) == 0 || c[0].GetPath() != "deployment.visibility" {
				b.t.Errorf("the deployment is told to have changed by %v", c)
			}
		}
	}
}

func TestHistoryIsFilteredByKindAndTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.lived()
	routes := b.history(&pb.ListAgentHistoryRequest{Uuid: id, Kinds: []pb.AgentHistoryEntry_Kind{pb.AgentHistoryEntry_KIND_ROUTE}})
	if len(routes) != 3 {
		t.Fatalf("there are %d entries of routes: %q", len(routes), told(routes))
	}
	middle := routes[1].GetTime()
	from := b.history(&pb.ListAgentHistoryRequest{Uuid: id, StartTime: middle, Kinds: []pb.AgentHistoryEntry_Kind{pb.AgentHistoryEntry_KIND_ROUTE}})
	until := b.history(&pb.ListAgentHistoryRequest{Uuid: id, EndTime: middle, Kinds: []pb.AgentHistoryEntry_Kind{pb.AgentHistoryEntry_KIND_ROUTE}})
	if len(from) != 2 || len(until) != 1 {
		t.Errorf("from the second on there are %d, before it %d", len(from), len(until))
	}
	_, err := b.ListAgentHistory(t.Context(), b.viewer, &pb.ListAgentHistoryRequest{Uuid: id, PageToken: "x"})
	requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, err)
}

func TestWhoOwnsAnAgentIsInItsHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, _ := b.outside(&pb.CreateAgentRequest{Name: new("found")}).(*pb.CreateAgentResponse)
	id := made.GetAgent().GetUuid()
	admin := identity.Caller{Name: "root@platform.example", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN}
	if err := b.copied.List(t.Context(), admin, &pb.ListAgentsRequest{MaxStaleness: zero()}, &pb.ListAgentsResponse{}); err != nil {
		t.Fatal(err)
	}
	claimer := resource.NewClaimer(b.store, b.copied)
	if _, err := claimer.Claim(t.Context(), admin, &pb.ClaimResourceRequest{Kind: "agent", Uuid: id, Team: "payments", Reason: "theirs"}); err != nil {
		t.Fatal(err)
	}
	entries := b.history(&pb.ListAgentHistoryRequest{Uuid: id, Kinds: []pb.AgentHistoryEntry_Kind{pb.AgentHistoryEntry_KIND_OWNERSHIP}})
	if got := told(entries); !slices.Equal(got, []string{"OWNERSHIP changed by root for theirs"}) {
		t.Errorf("told is %q", got)
	}
}

func TestVersionsAreComparedByHashLabelAndNumber(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, first, second := b.versions("front")
	change(b, &pb.UpdateAgentRequest{Uuid: id, Instruction: new("Be kind and brief."), Tags: []string{"x", "y"}}, &pb.UpdateAgentResponse{})
	b.mustPut(b.operator, id, "prod", first)
	b.catchUp(id)
	byNumber := &pb.VersionRef{}
	version, err := b.DiffAgentVersions(t.Context(), b.viewer, &pb.DiffAgentVersionsRequest{Uuid: id, Before: byHash(second)})
	if err != nil {
		t.Fatal(err)
	}
	byNumber.Version = &pb.VersionRef_Number{Number: version.GetAfter().GetNumber()}
	resp, err := b.DiffAgentVersions(t.Context(), b.viewer, &pb.DiffAgentVersionsRequest{Uuid: id, Before: byLabel("prod"), After: byNumber})
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]*pb.AgentChange{}
	for _, c := range resp.GetDiff().GetChanges() {
		changes[c.GetPath()] = c
	}
	if len(changes) != 3 || changes["temperature"].GetAfter().GetNumberValue() != 0.1 {
		t.Errorf("they differ by %v", changes)
	}
	tags := changes["tags"]
	if tags.GetKind() != pb.AgentChange_KIND_SET || len(tags.GetAdded()) != 2 || len(tags.GetRemoved()) != 1 {
		t.Errorf("the tags differ by %v", tags)
	}
	var words strings.Builder
	for _, w := range changes["instruction"].GetWords() {
		words.WriteString(strings.TrimPrefix(w.GetKind().String(), "KIND_") + "(" + w.GetText() + ")")
	}
	if words.String() != "KEPT(Be )REMOVED(kind.)ADDED(kind and brief.)" {
		t.Errorf("the words differ by %s", words.String())
	}
	if !slices.Equal(resp.GetBefore().GetLabels(), []string{"prod"}) || resp.GetBefore().GetVersionHash() != first || resp.GetBefore().GetBy().GetActor() != b.operator.Name {
		t.Errorf("the first version is told to be %v", resp.GetBefore())
	}
	for _, ref := range []*pb.VersionRef{byHash("nonesuch"), byLabel("nonesuch"), {Version: &pb.VersionRef_Number{Number: 7}}} {
		_, err := b.DiffAgentVersions(t.Context(), b.viewer, &pb.DiffAgentVersionsRequest{Uuid: id, Before: ref})
		requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	}
}

func TestAPreflightTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, child := b.create("front"), b.create("child")
	b.route(id, child, "always", "help")
	b.look(id)
	var routed string
	if err := b.pool.QueryRow(t.Context(), "SELECT version_hash FROM resources WHERE uuid = $1", id).Scan(&routed); err != nil {
		t.Fatal(err)
	}
	b.unroute(id, child, "no more")
	fine, err := b.PreflightRollback(t.Context(), b.viewer, &pb.PreflightRollbackRequest{Uuid: id, Version: byHash(routed), MaxStaleness: zero()})
	if err != nil || !fine.GetCanRollback() || len(fine.GetMissing()) != 0 || len(fine.GetDiff().GetChanges()) != 1 || fine.GetAdvice() != "" {
		t.Errorf("while all is there it is told %v (%v)", fine, err)
	}
	change(b, &pb.DeleteAgentRequest{Uuid: child}, &pb.DeleteAgentResponse{})
	mark := len(b.sim.Requests())
	resp, err := b.PreflightRollback(t.Context(), b.viewer, &pb.PreflightRollbackRequest{Uuid: id, Version: byHash(routed), MaxStaleness: zero()})
	if err != nil {
		t.Fatal(err)
	}
	if m := resp.GetMissing(); len(m) != 1 || m[0].GetKind() != "agent" || m[0].GetUuid() != child || m[0].GetName() != "child" || !m[0].GetBlocks() {
		t.Errorf("what is missing is told to be %v", m)
	}
	if resp.CanRollback == nil || resp.GetCanRollback() || !strings.Contains(resp.GetAdvice(), "refuse") {
		t.Errorf("it is told that %v: %s", resp.CanRollback, resp.GetAdvice())
	}
	for _, r := range b.sim.Requests()[mark:] {
		if r.Method != http.MethodGet {
			t.Errorf("it asked the vendor to %s %s", r.Method, r.Path)
		}
	}
	// And the vendor does refuse it.
	_, err = b.rollback(&pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: &routed})
	requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, err)
}
