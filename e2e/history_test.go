package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestWhoChangedWhatAndWhatWasBefore lives an agent's life with changes of settings and routes,
// one that is made elsewhere, a rollback by a label and its undoing, and asks for its history.
func TestWhoChangedWhatAndWhatWasBefore(t *testing.T) {
	d, _ := devOn(t)
	ctx, c := t.Context(), d.as(t, "dev-payments-owner")
	because := func(reason string) *pb.MutationOptions { return &pb.MutationOptions{Reason: reason} }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	created, err := c.agents.CreateAgent(ctx, agentRequest("payments-history", because("history needs a beginning")))
	must(err)
	id, first := created.GetAgent().GetUuid(), created.GetAgent().GetVersionHash()
	child, err := c.agents.CreateAgent(ctx, agentRequest("payments-child", because("somebody to hand over to")))
	must(err)
	colder, err := c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.1), Mutation: because("colder")})
	must(err)
	_, err = c.agents.SetAgentVersionLabel(ctx, &pb.SetAgentVersionLabelRequest{
		Uuid: id, Label: "prod", Version: &pb.VersionRef{Version: &pb.VersionRef_Hash{Hash: first}}, Protected: new(true), Reason: "known to work",
	})
	must(err)
	_, err = c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{Uuid: id, Instruction: new("Be brief, and kind."), Mutation: because("brief")})
	must(err)
	route := &pb.AddAgentRouteRequest{
		ParentAgentUuid: id, ChildAgentUuid: child.GetAgent().GetUuid(), RouteName: new("help"), IfCase: new("they ask"), Mutation: because("help is near"),
	}
	_, err = c.routes.AddAgentRoute(ctx, route)
	must(err)
	before, err := c.routes.UpdateAgentRoute(ctx, &pb.UpdateAgentRouteRequest{
		ParentAgentUuid: id, ChildAgentUuid: child.GetAgent().GetUuid(), IfCase: new("they insist"), Mutation: because("too much help"),
	})
	must(err)
	beforeRollback := before.GetOperation().GetFinishTime()
	inDevConsole(t, d, id, `{"temperature": 0.9}`)
	_, err = c.agents.GetAgent(ctx, &pb.GetAgentRequest{Uuid: id, MaxStaleness: now()})
	must(err)
	back, err := c.agents.RollbackAgentVersion(ctx, &pb.RollbackAgentVersionRequest{Uuid: id, VersionLabel: "prod", Mutation: because("it burnt")})
	must(err)
	if got := settingsOf(t, c, id); got != "0.7 0" {
		t.Errorf("after the rollback it is %s", got)
	}
	undone, err := c.agents.RollbackAgentVersion(ctx, &pb.RollbackAgentVersionRequest{
		Uuid: id, UndoOperationId: back.GetOperation().GetId(), Mutation: because("it did not"),
	})
	must(err)
	if got := settingsOf(t, c, id); got != "0.9 1" {
		t.Errorf("after the rollback was undone it is %s", got)
	}
	_, err = c.agents.RollbackAgentVersion(ctx, &pb.RollbackAgentVersionRequest{Uuid: id, UndoOperationId: back.GetOperation().GetId()})
	wantCode(t, err, connect.CodeFailedPrecondition)
	for name, req := range map[string]*pb.RollbackAgentVersionRequest{
		"nothing": {Uuid: id}, "two": {Uuid: id, VersionHash: &first, VersionLabel: "prod"},
	} {
		if _, err := c.agents.RollbackAgentVersion(ctx, req); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("a rollback that names %s is answered %v", name, err)
		}
	}

	was, err := c.audit.GetAgentAsOf(ctx, &pb.GetAgentAsOfRequest{Uuid: id, Time: beforeRollback})
	must(err)
	if children := was.GetAgent().GetChildAgents(); len(children) != 1 || children[0].GetIfCase() != "they insist" || was.GetAgent().GetTemperature() != 0.1 {
		t.Errorf("before the rollback it was %v", was)
	}
	graph, err := c.audit.GetRouteGraph(ctx, &pb.GetRouteGraphRequest{RootUuid: id, AsOf: beforeRollback})
	must(err)
	if len(graph.GetNodes()) != 2 || graph.GetEdges()[0].GetIfCase() != "they insist" {
		t.Errorf("before the rollback the graph was %v", graph)
	}
	diff, err := c.audit.DiffAgentVersions(ctx, &pb.DiffAgentVersionsRequest{
		Uuid: id, Before: &pb.VersionRef{Version: &pb.VersionRef_Label{Label: "prod"}},
		After: &pb.VersionRef{Version: &pb.VersionRef_Hash{Hash: colder.GetAgent().GetVersionHash()}},
	})
	must(err)
	if changes := diff.GetDiff().GetChanges(); len(changes) != 1 || changes[0].GetPath() != "temperature" {
		t.Errorf("the two versions differ by %v", changes)
	}
	wantTold(t, c, id, []string{
		"VERSION " + paula + ": it did not", "VERSION " + paula + ": it burnt", "VERSION " + genaisim.ConsoleEmail + ": ",
		"VERSION " + paula + ": too much help", "VERSION " + paula + ": help is near", "VERSION " + paula + ": brief", "VERSION " + paula + ": colder",
		"ROUTE " + paula + ": help is near", "ROUTE " + paula + ": too much help", "ROUTE " + paula + ": it burnt", "ROUTE " + paula + ": it did not",
		"LABEL " + paula + ": known to work", "LIFE " + paula + ": history needs a beginning",
	})
	if undone.GetOperation().GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("the undoing is %v", undone.GetOperation())
	}

	// Others: a viewer reads, another team does not, and only owners move what is protected.
	_, err = d.as(t, "dev-payments-viewer").audit.GetAgentAsOf(ctx, &pb.GetAgentAsOfRequest{Uuid: id, Time: beforeRollback})
	must(err)
	_, err = d.as(t, "dev-search-owner").audit.ListAgentHistory(ctx, &pb.ListAgentHistoryRequest{Uuid: id})
	wantCode(t, err, connect.CodeNotFound)
	_, err = c.agents.DeleteAgent(ctx, &pb.DeleteAgentRequest{Uuid: id, Force: true, Mutation: because("the end")})
	must(err)
	_, err = d.as(t, "dev-auditor").audit.GetAgentAsOf(ctx, &pb.GetAgentAsOfRequest{Uuid: id, Time: beforeRollback})
	must(err)
	_, err = d.as(t, "dev-search-owner").audit.GetAgentAsOf(ctx, &pb.GetAgentAsOfRequest{Uuid: id, Time: beforeRollback})
	wantCode(t, err, connect.CodeNotFound)
	_, err = c.audit.GetAgentAsOf(ctx, &pb.GetAgentAsOfRequest{Uuid: id, Time: timestamppb.New(created.GetOperation().GetCreateTime().AsTime())})
	wantCode(t, err, connect.CodeNotFound)
}

// settingsOf is an agent's temperature, and how many others it routes to.
func settingsOf(t *testing.T, c *client, id string) string {
	t.Helper()
	got, err := c.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id})
	if err != nil {
		t.Fatal(err)
	}
	return asJSON(got.GetAgent().GetTemperature()) + " " + asJSON(len(got.GetAgent().GetChildAgents()))
}

// wantTold looks for entries in an agent's history, each by its kind, person and reason.
func wantTold(t *testing.T, c *client, id string, want []string) {
	t.Helper()
	history, err := c.audit.ListAgentHistory(t.Context(), &pb.ListAgentHistoryRequest{Uuid: id, PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int{}
	var lines []string
	for _, e := range history.GetEntries() {
		line := strings.TrimPrefix(e.GetKind().String(), "KIND_") + " " + e.GetBy().GetActor() + ": " + e.GetBy().GetReason()
		told[line]++
		lines = append(lines, line)
	}
	for _, line := range want {
		if told[line] == 0 {
			t.Errorf("%q is not in the history:\n%s", line, strings.Join(lines, "\n"))
		}
	}
}

// inDevConsole changes an agent behind the service's back.
func inDevConsole(t *testing.T, d *dev, agent, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.simulator+"/_sim/agents/"+agent, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newTransport(t, false).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the vendor's console answers %s", resp.Status)
	}
}
