package history_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
)

func TestAMomentBelongsToWhatItBegan(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("front")
	b.pass(time.Minute)
	b.update(id, 0.1, "calmer")
	resp, err := b.asOf(b.viewer, id, b.now())
	if err != nil {
		t.Fatal(err)
	}
	began := resp.GetStartTime().AsTime()
	if resp.GetAgent().GetTemperature() != 0.1 || resp.GetBy().GetReason() != "calmer" || resp.GetBy().GetOperationId() == "" || resp.GetEndTime() != nil {
		t.Errorf("now it is %v", resp)
	}
	at, err := b.asOf(b.viewer, id, began)
	if err != nil || at.GetAgent().GetTemperature() != 0.1 {
		t.Errorf("at the moment of the change it was %v (%v)", at, err)
	}
	before, err := b.asOf(b.viewer, id, began.Add(-time.Microsecond))
	if err != nil || before.GetAgent().GetTemperature() != 0.7 || !before.GetEndTime().AsTime().Equal(began) {
		t.Errorf("just before it was %v (%v)", before, err)
	}
	if before.GetVersionHash() == at.GetVersionHash() || before.GetVersionHash() == "" {
		t.Errorf("both are version %q", before.GetVersionHash())
	}
	// Two changes at one moment: the second is what was.
	if _, err := b.pool.Exec(t.Context(), "UPDATE agent_states SET valid_to = valid_from WHERE agent_uuid = $1 AND valid_to IS NOT NULL", id); err != nil {
		t.Fatal(err)
	}
	_, err = b.asOf(b.viewer, id, before.GetStartTime().AsTime())
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
}

func TestTheUnknownIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("front")
	first, err := b.asOf(b.viewer, id, b.now())
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.asOf(b.viewer, id, first.GetStartTime().AsTime().Add(-time.Microsecond))
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	if got := metadata(err)["earliest"]; got != first.GetStartTime().AsTime().Format(time.RFC3339Nano) {
		t.Errorf("the earliest that is known is told to be %q", got)
	}
	// What was made elsewhere between two looks is known from the vendor's versions.
	b.pass(time.Minute)
	b.outside(&pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.2)})
	b.pass(time.Minute)
	b.outside(&pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.3)})
	between := b.now().Add(-30 * time.Second)
	b.pass(time.Minute)
	b.catchUp(id)
	was, err := b.asOf(b.viewer, id, between)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"deployment", "model.uuid", "mcp_servers"} {
		if !slices.Contains(was.GetUnknownFields(), field) {
			t.Errorf("%s is not told to be unknown: %q", field, was.GetUnknownFields())
		}
	}
	if was.GetAgent().GetTemperature() != 0.2 || was.GetAgent().GetDeployment() != nil ||
		was.GetBy().GetOrigin() != pb.Deed_ORIGIN_UPSTREAM || was.GetBy().GetActor() != "owner@example.com" {
		t.Errorf("between the two it was %v", was)
	}
	is, err := b.asOf(b.viewer, id, b.now())
	if err != nil || len(is.GetUnknownFields()) != 0 || is.GetAgent().GetTemperature() != 0.3 {
		t.Errorf("now it is %v (%v)", is, err)
	}
	// After it was deleted its history stays.
	change(b, &pb.DeleteAgentRequest{Uuid: id}, &pb.DeleteAgentResponse{})
	_, err = b.asOf(b.viewer, id, b.now())
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	if metadata(err)["deleted"] == "" {
		t.Errorf("it is not told when it was deleted: %v", err)
	}
	if was, err := b.asOf(b.viewer, id, between); err != nil || was.GetAgent().GetTemperature() != 0.2 {
		t.Errorf("of the time before it is told %v (%v)", was, err)
	}
	_, err = b.asOf(b.viewer, uuid.NewString(), b.now())
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
}

// TestEachRouteChangeHasItsOwnVersion: of two before the agent was read again, each is of the
// version that it made.
func TestEachRouteChangeHasItsOwnVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	front, one, two := b.create("front"), b.create("one"), b.create("two")
	added := b.route(front, one, "the first asks", "for one").GetOperation().GetId()
	afterOne := b.now()
	also := b.route(front, two, "the second asks", "for two").GetOperation().GetId()
	if known, err := b.store.AgentTimeline(t.Context(), uuid.MustParse(front)); err != nil || known[len(known)-1].VersionHash != "" {
		t.Fatalf("before the vendor was asked: %v (%v)", known, err)
	}
	resp, err := b.ListAgentHistory(t.Context(), b.viewer, &pb.ListAgentHistoryRequest{
		Uuid: front, Kinds: []pb.AgentHistoryEntry_Kind{pb.AgentHistoryEntry_KIND_VERSION},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.GetEntries()) != 3 {
		t.Fatalf("there are %d versions: %v", len(resp.GetEntries()), resp)
	}
	for i, want := range []struct{ operation, reason string }{{also, "for two"}, {added, "for one"}} {
		entry := resp.GetEntries()[i]
		if entry.GetBy().GetOperationId() != want.operation || entry.GetBy().GetReason() != want.reason || len(entry.GetDiff().GetChanges()) != 1 {
			t.Errorf("version %d is told to be %v, want it by %s", i, entry, want.operation)
		}
	}
	was, err := b.asOf(b.viewer, front, afterOne)
	if err != nil || was.GetVersionHash() != resp.GetEntries()[1].GetVersionHash() || len(was.GetAgent().GetChildAgents()) != 1 {
		t.Errorf("between the two it was %v (%v)", was, err)
	}
}

// TestWhatOthersDidBeforeAChangeIsTheirs: a change of ours that leaves the agent as it is, and
// whose answer shows what others did long before, did not do it.
func TestWhatOthersDidBeforeAChangeIsTheirs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.create("front")
	b.pass(time.Minute)
	b.outside(&pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.2)})
	b.pass(time.Minute)
	b.update(id, 0.2, "to be sure")
	b.catchUp(id)
	was, err := b.asOf(b.viewer, id, b.now().Add(-30*time.Second))
	if err != nil || was.GetAgent().GetTemperature() != 0.2 || was.GetBy().GetOrigin() != pb.Deed_ORIGIN_UPSTREAM {
		t.Errorf("before our change it was %v (%v)", was, err)
	}
}

func metadata(err error) map[string]string {
	var e *fault.Error
	if !asFault(err, &e) {
		return nil
	}
	return e.Metadata
}

func TestOthersHistoryIsHidden(t *testing.T) {
	t.Parallel()
	b := setup(t)
	front, child := b.create("front"), b.create("child")
	b.route(front, child, "always", "help")
	// The child is another team's by now.
	if _, err := b.pool.Exec(t.Context(), "UPDATE resources SET team_id = $1 WHERE uuid = $2", b.other.ActingTeam.ID, child); err != nil {
		t.Fatal(err)
	}
	was, err := b.asOf(b.viewer, front, b.now())
	if err != nil {
		t.Fatal(err)
	}
	if got := was.GetAgent().GetChildAgents(); len(got) != 1 || got[0].GetName() != "" || got[0].GetIfCase() != "always" || got[0].GetUuid() != child {
		t.Errorf("the child of another team is shown as %v", got)
	}
	graph := b.graph(b.viewer, front, pb.GetRouteGraphRequest_DIRECTION_CHILDREN)
	if n := graph.GetNodes()[1]; n.GetState() != pb.RouteNode_STATE_HIDDEN || n.GetAgent().GetName() != "" || n.GetTeam() != "" || n.GetVersionHash() != "" {
		t.Errorf("the child of another team is in the graph as %v", n)
	}
	up := b.graph(b.other, child, pb.GetRouteGraphRequest_DIRECTION_PARENTS)
	if e := up.GetEdges()[0]; e.GetIfCase() != "" || e.GetRouteName() != "" || e.GetOperationId() != "" || e.GetStartTime() != nil {
		t.Errorf("the route of another team is in the graph as %v", e)
	}
	routes, err := b.ListRouteHistory(t.Context(), b.other, &pb.ListRouteHistoryRequest{TargetUuid: child})
	if err != nil || len(routes.GetRoutes()) != 0 {
		t.Errorf("another team's routes are listed: %v (%v)", routes, err)
	}
	routes, err = b.ListRouteHistory(t.Context(), b.viewer, &pb.ListRouteHistoryRequest{TargetUuid: child})
	if err != nil || len(routes.GetRoutes()) != 1 || routes.GetRoutes()[0].GetTarget().GetName() != "" || routes.GetRoutes()[0].GetOpened().GetReason() != "help" {
		t.Errorf("our own routes are listed as %v (%v)", routes, err)
	}
	routes, err = b.ListRouteHistory(t.Context(), b.auditor, &pb.ListRouteHistoryRequest{AgentUuid: front})
	if err != nil || len(routes.GetRoutes()) != 1 || routes.GetRoutes()[0].GetTarget().GetName() != "child" {
		t.Errorf("the auditor is shown %v (%v)", routes, err)
	}
	// Another team deletes what is theirs: that ends our route, and who did it is theirs.
	if err := b.engine.Change(t.Context(), b.other, &pb.DeleteAgentRequest{Uuid: child, Force: true, Mutation: because("their reason")}, &pb.DeleteAgentResponse{}); err != nil {
		t.Fatal(err)
	}
	routes, err = b.ListRouteHistory(t.Context(), b.viewer, &pb.ListRouteHistoryRequest{AgentUuid: front})
	if err != nil || len(routes.GetRoutes()) != 1 {
		t.Fatalf("our routes are listed as %v (%v)", routes, err)
	}
	if closed := routes.GetRoutes()[0].GetClosed(); closed.GetActor() != "" || closed.GetReason() != "" || closed.GetOperationId() != "" || closed.GetOrigin() != pb.Deed_ORIGIN_API {
		t.Errorf("who ended the route is told: %v", closed)
	}
}

func TestRoutesArePagedAndFiltered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	front, one, two := b.create("front"), b.create("one"), b.create("two")
	b.route(front, one, "always", "one")
	b.pass(time.Minute)
	early := b.now()
	b.route(front, two, "always", "two")
	b.pass(time.Minute)
	b.unroute(front, one, "enough")
	var seen []string
	token := ""
	for {
		resp, err := b.ListRouteHistory(t.Context(), b.viewer, &pb.ListRouteHistoryRequest{AgentUuid: front, PageSize: 1, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, route := range resp.GetRoutes() {
			seen = append(seen, route.GetTarget().GetName()+" since "+route.GetOpened().GetReason()+", "+route.GetClosed().GetReason())
		}
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
	}
	if want := []string{"two since two, ", "one since one, enough"}; !slices.Equal(seen, want) {
		t.Errorf("the pages have %q, want %q", seen, want)
	}
	for name, tc := range map[string]struct {
		req  *pb.ListRouteHistoryRequest
		want int
	}{
		"by child":              {&pb.ListRouteHistoryRequest{TargetUuid: one}, 1},
		"by kind":               {&pb.ListRouteHistoryRequest{AgentUuid: front, Kinds: []pb.RouteInterval_Kind{pb.RouteInterval_KIND_FUNCTION}}, 0},
		"those that hold after": {&pb.ListRouteHistoryRequest{AgentUuid: front, StartTime: timestamppb.New(b.now())}, 1},
		"those that began then": {&pb.ListRouteHistoryRequest{AgentUuid: front, EndTime: timestamppb.New(early)}, 1},
	} {
		resp, err := b.ListRouteHistory(t.Context(), b.viewer, tc.req)
		if err != nil || len(resp.GetRoutes()) != tc.want {
			t.Errorf("%s: %v (%v), want %d", name, resp, err, tc.want)
		}
	}
	_, err := b.ListRouteHistory(t.Context(), b.viewer, &pb.ListRouteHistoryRequest{AgentUuid: one, PageSize: 1, PageToken: "x"})
	requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, err)
}
