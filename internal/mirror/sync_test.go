package mirror

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// sync runs one round, and then as many as it takes to have read every body.
func (w *world) sync() {
	w.t.Helper()
	for range 40 {
		if err := w.round(w.t.Context()); err != nil {
			w.t.Fatalf("syncing: %v", err)
		}
		if one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'agent' AND deleted_at IS NULL AND (body_synced_at IS NULL OR dirty_since IS NOT NULL)") == 0 {
			return
		}
	}
	w.t.Fatal("there is always more to read")
}

// plenty is a budget that no test uses up.
func plenty(c *Config) {
	c.Budget = budget.New(c.Store, budget.DefaultAccount, budget.Limits{PerMinute: 100_000, PerHour: 1_000_000}, c.Log)
}

func TestSyncGoesThroughAllPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{SeedAgents: 450, Seed: 1}, plenty)
	if err := w.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := w.asked(0)
	if asked[getList] != 3 || asked[getOne] != unreadPerRound {
		t.Errorf("asked %v, want 3 pages and %d agents", asked, unreadPerRound)
	}
	if n := one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'agent' AND summary IS NOT NULL AND team_id IS NULL"); n != 450 {
		t.Errorf("%d agents are listed", n)
	}
	if n := one[int64](w, "SELECT count(*) FROM vendor_calls WHERE purpose = 'SYNC' AND status = 200 AND method LIKE '%AgentService.%'"); n != 3+unreadPerRound {
		t.Errorf("%d calls are in the budget's log", n)
	}
	if len(w.drifts()) != 0 {
		t.Error("the first listing is told as agents made elsewhere")
	}
	w.sync()
	bodies := one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'agent' AND body IS NOT NULL")
	routes := one[int64](w, "SELECT count(*) FROM agent_routes WHERE valid_to IS NULL AND opened_by IS NULL")
	if bodies != 450 || routes == 0 {
		t.Errorf("%d bodies, %d routes", bodies, routes)
	}
	start := w.mark()
	if err := w.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked := w.asked(start); asked[getList] != 3 || asked[getOne] != 0 {
		t.Errorf("a round with nothing new asked %v", asked)
	}
	if len(w.drifts()) != 0 {
		t.Errorf("drift where nothing happened: %v", w.drifts())
	}
	// Pages of the answer, ordered and counted.
	var names []string
	req := &pb.ListAgentsRequest{PageSize: 200, OrderBy: "name desc"}
	start = w.mark()
	for {
		got, err := w.ListAgents(t.Context(), w.auditor, req)
		if err != nil || got.GetTotalSize() != 450 || got.GetFreshness().GetSource() != fromMirror || got.GetFreshness().GetStale() {
			t.Fatalf("got %v, %v", got, err)
		}
		for _, agent := range got.GetAgents() {
			names = append(names, agent.GetName())
		}
		if req.PageToken = got.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if len(names) != 450 || !slices.IsSortedFunc(names, func(a, b string) int { return -cmpText(a, b) }) {
		t.Errorf("%d agents, in the wrong order or not all", len(names))
	}
	if len(w.asked(start)) != 0 {
		t.Errorf("lists asked the vendor: %v", w.asked(start))
	}
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestSyncTellsWhatHappenedElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{SeedAgents: 3, Seed: 2}, plenty)
	mine := w.create("checkout")
	gone := w.create("gone")
	w.sync()
	w.console("POST", "agents/"+mine, `{"temperature":0.1,"name":"renamed"}`)
	w.console("DELETE", "agents/"+gone, "")
	w.appear("new here")
	w.sync()

	byAction := map[string]drift{}
	for _, d := range w.drifts() {
		byAction[d.Action] = d
	}
	if len(w.drifts()) != 3 || len(byAction) != 3 {
		t.Fatalf("drift: %+v", w.drifts())
	}
	changed := byAction["UPDATE"]
	delete(changed.Before, "chatbot") // the simulator names it after the agent
	delete(changed.After, "chatbot")
	for _, o := range []map[string]any{changed.Before, changed.After} {
		delete(o, "version_hash")
		delete(o, "updated_at")
	}
	want := drift{
		Action: "UPDATE", Name: "renamed", Team: &w.payments,
		Before: map[string]any{"name": "checkout", "temperature": 0.7}, After: map[string]any{"name": "renamed", "temperature": 0.1},
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Error(diff)
	}
	if d := byAction["CREATE"]; d.Name != "new here" || d.Team != nil || d.Before != nil || d.After["name"] != "new here" {
		t.Errorf("appeared: %+v", d)
	}
	if d := byAction["DELETE"]; d.Name != "gone" || *d.Team != w.payments || d.After != nil || d.Before["name"] != "gone" {
		t.Errorf("gone: %+v", d)
	}
	row := w.row(mine)
	if *row.TeamID != w.payments || row.Name != "renamed" {
		t.Errorf("row: %+v", row)
	}
	if w.row(gone).DeletedAt == nil {
		t.Error("what is gone is still there")
	}
	if n := one[int64](w, "SELECT count(*) FROM agent_versions WHERE agent_uuid = $1 AND operation_id IS NULL AND version_hash = $2", mine, row.VersionHash); n != 1 {
		t.Error("the version made elsewhere is not in the history, or is somebody's")
	}
	w.sync()
	if len(w.drifts()) != 3 {
		t.Errorf("it is told again: %+v", w.drifts())
	}
}

func TestVisibilityChangedElsewhereIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	id := w.create("checkout")
	w.sync()
	// As a vendor does that makes neither a version nor another time of it.
	if err := w.store.Tx(t.Context(), db.Durable, func(q *db.Queries) error {
		item := &pb.AgentListItem{}
		take(item, w.body(id))
		item.Deployment.Visibility = pb.AgentDeployment_VISIBILITY_PUBLIC.Enum()
		item.Deployment.Status = pb.AgentDeployment_STATUS_FAILED.Enum()
		now, err := q.ClockNow(t.Context())
		if err != nil {
			return err
		}
		row := w.row(id)
		_, err = w.keepItem(t.Context(), q, w.kind(agentKind), listed{id: row.UUID, item: item, row: &row, begun: now})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	d := w.drifts()
	if len(d) != 1 || !cmp.Equal(d[0].After, map[string]any{"deployment": map[string]any{"visibility": "VISIBILITY_PUBLIC"}}) {
		t.Errorf("drift: %+v", d)
	}
	if body, row := w.body(id), w.row(id); body.GetDeployment().GetVisibility() != pb.AgentDeployment_VISIBILITY_PUBLIC ||
		row.Status != "STATUS_FAILED" || row.BodySyncedAt == nil || object(t, row.Attributes)["visibility"] != "VISIBILITY_PUBLIC" {
		t.Errorf("body %v, row %+v", body, row)
	}
}

func TestSyncExplainsByOurOwnOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	parent, child := w.create("parent"), w.create("child")
	w.sync()
	_, _, op := w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
	w.sync()
	if row := w.row(parent); row.DirtySince != nil || len(w.body(parent).GetChildAgents()) != 1 {
		t.Errorf("row %+v", row)
	}
	if n := one[int64](w, "SELECT count(*) FROM agent_versions WHERE agent_uuid = $1 AND operation_id = $2", parent, op); n != 1 {
		t.Errorf("%d versions are attributed", n)
	}
	// A creation that is under way shows in the list before it is settled.
	req := &pb.CreateAgentRequest{Name: new("coming")}
	running := w.send(req)
	req.Tags = []string{OperationTag + running.ID.String()}
	m := methods.API().ByRequest(req)
	resp := m.Output.New().Interface()
	if _, err := w.client.Do(t.Context(), m, req, resp); err != nil {
		t.Fatal(err)
	}
	// And so does an update.
	update := &pb.UpdateAgentRequest{Uuid: child, Name: new("updated")}
	updating := w.send(update)
	um := methods.API().ByRequest(update)
	updated := um.Output.New().Interface()
	if _, err := w.client.Do(t.Context(), um, update, updated); err != nil {
		t.Fatal(err)
	}
	if err := w.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'agent'"); n != 2 || w.row(child).Name != "child" {
		t.Error("the sync was ahead of the settling")
	}
	w.settle(running, m, req, resp)
	w.settle(updating, um, update, updated)
	w.sync()
	if len(w.drifts()) != 0 {
		t.Errorf("our own changes are told as made elsewhere: %+v", w.drifts())
	}
	created := resp.(*pb.CreateAgentResponse).GetAgent().GetUuid()
	if row := w.row(created); row.TeamID == nil || *row.TeamID != w.payments || w.row(child).Name != "updated" {
		t.Errorf("row %+v", row)
	}
}

func TestOwnershipIsOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{SeedAgents: 5, Seed: 3}, plenty)
	id := w.create("checkout")
	w.sync()
	w.exec("UPDATE resources SET team_id = $1 WHERE team_id IS NULL AND kind = 'agent'", w.search)
	owners := "SELECT uuid || ' ' || team_id FROM resources WHERE kind = 'agent' ORDER BY uuid"
	before := all[string](w, owners)
	for _, agent := range all[string](w, "SELECT uuid::text FROM resources WHERE kind = 'agent'") {
		w.console("POST", "agents/"+agent, `{"description":"changed elsewhere"}`)
	}
	w.sync()
	w.do(&pb.UpdateAgentRequest{Uuid: id, Name: new("basket")})
	if _, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(0)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, all[string](w, owners)); diff != "" {
		t.Error(diff)
	}
	list, err := w.ListAgents(t.Context(), w.searcher, &pb.ListAgentsRequest{})
	if err != nil || list.GetTotalSize() != 5 || len(list.GetAgents()) != 5 {
		t.Errorf("search sees %d of %d: %v", len(list.GetAgents()), list.GetTotalSize(), err)
	}
	list, err = w.ListAgents(t.Context(), w.payer, &pb.ListAgentsRequest{})
	if err != nil || list.GetTotalSize() != 1 || list.GetAgents()[0].GetName() != "basket" {
		t.Errorf("payments sees %v: %v", list, err)
	}
}

func TestSyncLeavesOutWhatItCannotName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	kept := w.create("kept")
	body := `{"agents":[{"name":"nameless"},{"uuid":"6a1f2c30-51d0-4e6b-8f00-0000000009ff","name":"se\u0000en"}],"meta":{"page":1,"pages":1,"total":2}}`
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Path: "/v2/gen-ai/agents", Body: body, Count: 1}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.round(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.later()
	}
	// What was listed and does not exist when it is read is gone again; what was not
	// listed and exists stays.
	if got := all[string](w, "SELECT name FROM resources WHERE kind = 'agent' AND deleted_at IS NULL"); !cmp.Equal(got, []string{"kept"}) {
		t.Errorf("there are %v", got)
	}
	// A character that Postgres does not take keeps nobody from being stored.
	if name := w.row("6a1f2c30-51d0-4e6b-8f00-0000000009ff").Name; name != "se\uFFFDen" {
		t.Errorf("it was listed as %q", name)
	}
	if w.row(kept).TeamID == nil || w.row("6a1f2c30-51d0-4e6b-8f00-0000000009ff").DeletedAt == nil {
		t.Error("the rows are not as they should be")
	}
}

func TestSyncLeavesTheBudgetToOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{SeedAgents: 30, Seed: 4}, func(c *Config) {
		c.Budget = budget.New(c.Store, budget.DefaultAccount, budget.Limits{PerMinute: 20, PerHour: 100}, c.Log)
	})
	if err := w.round(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := w.mark(); n != 12 { // of 20 a minute, 40 in a hundred are not for it
		t.Errorf("the sync took %d calls", n)
	}
	if err := w.round(within(t, 10*time.Second)); err != nil || w.mark() != 12 {
		t.Errorf("%v, %d calls", err, w.mark())
	}
}

func TestRunSyncsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{SeedAgents: 3, Seed: 6}, plenty, func(c *Config) { c.SyncEvery = 20 * time.Millisecond })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	seen := func(want int64) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		limit := within(t, 20*time.Second)
		for one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'agent' AND body IS NOT NULL AND deleted_at IS NULL") != want {
			select {
			case <-tick.C:
			case <-limit.Done():
				t.Fatalf("never saw %d agents", want)
			}
		}
	}
	seen(3)
	// A vendor that is away for a while does not end it.
	if err := w.sim.SetFaults([]genaisim.Fault{{Status: 500, Count: 5}, {Drop: "before", Count: 4}}); err != nil {
		t.Fatal(err)
	}
	id := w.appear("late")
	seen(4)
	w.console("DELETE", "agents/"+id, "")
	seen(3)
	stop()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
