package mirror

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

const (
	fromMirror = pb.Freshness_SOURCE_MIRROR
	fromVendor = pb.Freshness_SOURCE_VENDOR
)

func TestGetAgentAsksOnlyWhenItMust(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	for name, tc := range map[string]struct {
		prepare string // SQL on the row
		most    *durationpb.Duration
		want    pb.Freshness_Source
	}{
		"any age will do":                   {want: fromMirror},
		"young enough":                      {most: durationpb.New(time.Hour), want: fromMirror},
		"no age will do":                    {most: durationpb.New(0), want: fromVendor},
		"too old":                           {prepare: "body_synced_at = body_synced_at - interval '2 hours'", most: durationpb.New(time.Hour), want: fromVendor},
		"old, and any age will do":          {prepare: "body_synced_at = body_synced_at - interval '2 hours'", want: fromMirror},
		"changed by us since":               {prepare: "dirty_since = clock_timestamp()", want: fromVendor},
		"changed by us since, hour allowed": {prepare: "dirty_since = clock_timestamp()", most: durationpb.New(time.Hour), want: fromVendor},
		"listed with another version":       {prepare: "body_synced_at = NULL", want: fromVendor},
		"never read":                        {prepare: "body_synced_at = NULL, body = NULL", want: fromVendor},
	} {
		t.Run(name, func(t *testing.T) {
			id := w.create(name)
			if tc.prepare != "" {
				w.exec("UPDATE resources SET "+tc.prepare+" WHERE uuid = $1", id)
			}
			start := w.mark()
			got, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: tc.most})
			if err != nil {
				t.Fatal(err)
			}
			calls := 0
			if tc.want == fromVendor {
				calls = 1
			}
			if n := w.asked(start)[getOne]; n != calls {
				t.Errorf("%d calls, want %d", n, calls)
			}
			if f := got.GetFreshness(); f.GetSource() != tc.want || f.GetStale() || f.GetSyncedAt() == nil || got.GetAgent().GetName() != name {
				t.Errorf("got %v", got)
			}
			if row := w.row(id); row.DirtySince != nil || row.BodySyncedAt == nil || row.Body == nil || *row.TeamID != w.payments {
				t.Errorf("afterwards the row is not current: %+v", row)
			}
		})
	}
	if n := one[int64](w, "SELECT count(*) FROM vendor_calls WHERE purpose = 'READ' AND status = 200 AND method = 'agentsvc.v1.AgentService.GetAgent'"); n != 6 {
		t.Errorf("%d calls are in the budget's log", n)
	}
	if len(w.drifts()) != 0 {
		t.Errorf("drift: %v", w.drifts())
	}
}

func TestGetAgentOfAnAgentNeverSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.appear("made elsewhere")
	got, err := w.GetAgent(t.Context(), w.auditor, &pb.GetAgentRequest{Uuid: id})
	if err != nil || got.GetAgent().GetName() != "made elsewhere" {
		t.Fatalf("got %v, %v", got, err)
	}
	if row := w.row(id); row.TeamID != nil {
		t.Errorf("a read gave it an owner: %v", row.TeamID)
	}
	_, err = w.GetAgent(t.Context(), w.auditor, &pb.GetAgentRequest{Uuid: uuid.NewString()})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
}

func TestVendorAwayTheMirrorAnswersStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id, unread := w.create("checkout"), w.create("unread")
	w.exec("UPDATE resources SET body = NULL, body_synced_at = NULL WHERE uuid = $1", unread)
	if _, err := w.ListAgents(t.Context(), w.payer, &pb.ListAgentsRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.SetFaults([]genaisim.Fault{{Status: 503}}); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 5*time.Second)
	got, err := w.GetAgent(ctx, w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(0)})
	if err != nil || !got.GetFreshness().GetStale() || got.GetFreshness().GetSource() != fromMirror || got.GetAgent().GetName() != "checkout" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = w.GetAgent(ctx, w.payer, &pb.GetAgentRequest{Uuid: unread})
	requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, err)
	list, err := w.ListAgents(ctx, w.payer, &pb.ListAgentsRequest{MaxStaleness: durationpb.New(0)})
	if err != nil || !list.GetFreshness().GetStale() || len(list.GetAgents()) != 2 {
		t.Errorf("got %v, %v", list, err)
	}
	_, err = w.ListAgentVersions(ctx, w.payer, &pb.ListAgentVersionsRequest{Uuid: id})
	requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, err)
	err = w.Fetch(ctx, w.payer, &pb.GetAgentUsageRequest{Uuid: id}, &pb.GetAgentUsageResponse{})
	requireReason(t, pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, err)
}

func TestSpentBudgetTheMirrorAnswersStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, func(c *Config) {
		c.Budget = budget.New(c.Store, budget.DefaultAccount, budget.Limits{PerMinute: 2, PerHour: 100}, c.Log)
		c.Patience = time.Second
	})
	id := w.create("checkout")
	want := []bool{false, true} // of two calls a minute, reads leave one to others
	for i, stale := range want {
		got, err := w.GetAgent(within(t, 5*time.Second), w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(0)})
		if err != nil || got.GetFreshness().GetStale() != stale {
			t.Errorf("read %d: %v, %v", i, got.GetFreshness(), err)
		}
	}
	_, err := w.GetAgent(within(t, 5*time.Second), w.auditor, &pb.GetAgentRequest{Uuid: uuid.NewString()})
	requireReason(t, pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED, err)
}

func TestSlowVendorAnswersBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	if err := w.sim.SetFaults([]genaisim.Fault{{DelayMS: 1500}}); err != nil {
		t.Fatal(err)
	}
	got, err := w.GetAgent(within(t, 500*time.Millisecond), w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(0)})
	if err != nil || !got.GetFreshness().GetStale() {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestIdenticalReadsAreOneQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	if err := w.sim.SetFaults([]genaisim.Fault{{DelayMS: 300}}); err != nil {
		t.Fatal(err)
	}
	start := w.mark()
	impatient, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	first := make(chan struct{})
	wg.Go(func() {
		close(first)
		_, err := w.GetAgent(impatient, w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(0)})
		if err == nil {
			t.Error("whoever left got an answer")
		}
	})
	<-first
	for range 49 {
		wg.Go(func() {
			got, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(0)})
			if err != nil || got.GetFreshness().GetSource() != fromVendor || got.GetFreshness().GetStale() {
				t.Errorf("got %v, %v", got, err)
			}
			got.GetAgent().Name = nil // the answer is the caller's own
		})
	}
	leave()
	wg.Wait()
	if n := w.asked(start)[getOne]; n > 3 {
		t.Errorf("%d calls for 50 readers", n)
	}
}

// slowVendor lets a test do something between the vendor's answer and its arrival.
type slowVendor struct {
	Vendor

	answered, arrive chan struct{}
}

func (v *slowVendor) Do(ctx context.Context, m *methods.Method, req, resp proto.Message) (upstream.Reply, error) {
	reply, err := v.Vendor.Do(ctx, m, req, resp)
	if m.Verb == "GET" && v.answered != nil {
		v.answered <- struct{}{}
		<-v.arrive
	}
	return reply, err
}

func TestAnOldAnswerDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	for name, overtake := range map[string]func(w *world, id string){
		"a change settles": func(w *world, id string) {
			w.do(&pb.UpdateAgentRequest{Uuid: id, Name: new("new")})
		},
		"a change that shows nothing settles": func(w *world, id string) {
			w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: id, ChildAgentUuid: w.create("child")})
		},
		"a key is made": func(w *world, id string) {
			w.do(&pb.CreateAgentApiKeyRequest{AgentUuid: id, Name: new("key")})
		},
		"it is deleted": func(w *world, id string) { w.do(&pb.DeleteAgentRequest{Uuid: id}) },
		"a change is under way": func(w *world, id string) {
			w.send(&pb.UpdateAgentRequest{Uuid: id, Name: new("new")})
			w.console("POST", "agents/"+id, `{"name":"new"}`) // it has reached the vendor
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slow := &slowVendor{answered: make(chan struct{}, 9), arrive: make(chan struct{})}
			w := newWorld(t, genaisim.Config{}, func(c *Config) { slow.Vendor, c.Client = c.Client, slow })
			id := w.create("old")
			done := make(chan error, 1)
			var got *pb.GetAgentResponse
			go func() {
				var err error
				got, err = w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(0)})
				done <- err
			}()
			<-slow.answered // the answer of before is on its way
			overtake(w, id)
			before := w.row(id)
			close(slow.arrive)
			err := <-done

			after := w.row(id)
			switch name {
			case "a change settles":
				if err != nil || got.GetAgent().GetName() != "new" || after.Name != "new" || !cmp.Equal(before, after) {
					t.Errorf("got %v, %v; row %+v", got, err, after)
				}
			case "a change that shows nothing settles":
				if err != nil || len(got.GetAgent().GetChildAgents()) != 1 || after.DirtySince != nil {
					t.Errorf("got %v, %v; row %+v", got, err, after)
				}
			case "a key is made":
				if err != nil || len(got.GetAgent().GetApiKeyInfos()) != 1 || len(w.body(id).GetApiKeyInfos()) != 1 {
					t.Errorf("got %v, %v", got, err)
				}
			case "it is deleted":
				requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
				if after.DeletedAt == nil {
					t.Error("it is back")
				}
			case "a change is under way":
				if err != nil || !cmp.Equal(before, after) {
					t.Errorf("%v; row %+v", err, after)
				}
			}
			if len(w.drifts()) != 0 {
				t.Errorf("our own change is told as made elsewhere: %v", w.drifts())
			}
		})
	}
}

func TestNeighboursThatMayNotBeSeenHaveNoName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	parent, mine, theirs := w.create("parent"), w.create("mine"), w.create("theirs")
	w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: mine, IfCase: new("mine")})
	w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: theirs, IfCase: new("theirs"), RouteName: new("r")})
	w.exec("UPDATE resources SET team_id = $1 WHERE uuid = $2", w.search, theirs)

	for _, most := range []*durationpb.Duration{nil, durationpb.New(0), nil} {
		got, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: parent, MaxStaleness: most})
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]string{}
		for _, child := range got.GetAgent().GetChildAgents() {
			names[child.GetIfCase()] = child.GetName()
			if child.Instruction != nil || child.GetDeployment() != nil {
				t.Errorf("a child shows more than its route: %v", child)
			}
		}
		if diff := cmp.Diff(map[string]string{"mine": "mine", "theirs": ""}, names); diff != "" {
			t.Error(diff)
		}
	}
	got, err := w.GetAgent(t.Context(), w.searcher, &pb.GetAgentRequest{Uuid: theirs})
	if err != nil || len(got.GetAgent().GetParentAgents()) != 1 || got.GetAgent().GetParentAgents()[0].GetUuid() != parent ||
		got.GetAgent().GetParentAgents()[0].Name != nil {
		t.Errorf("got %v, %v", got, err)
	}
	routes, err := w.ListAgentRoutes(t.Context(), w.payer, &pb.ListAgentRoutesRequest{Uuid: parent})
	if err != nil || len(routes.GetChildren()) != 2 {
		t.Fatalf("got %v, %v", routes, err)
	}
	shown, hidden := routes.GetChildren()[0], routes.GetChildren()[1]
	if shown.GetName() != "mine" || shown.GetDeployment() == nil || shown.GetIfCase() != "mine" || shown.GetRouteUuid() == "" {
		t.Errorf("shown: %v", shown)
	}
	if hidden.Name != nil || hidden.GetDeployment() != nil || hidden.GetUuid() != theirs || hidden.GetIfCase() != "theirs" || hidden.GetRouteName() != "r" {
		t.Errorf("hidden: %v", hidden)
	}
	if routes.GetFreshness().GetSyncedAt() == nil || routes.GetFreshness().GetStale() {
		t.Errorf("freshness: %v", routes.GetFreshness())
	}
	// A child that is renamed is renamed here, and that is no change of the parent.
	w.do(&pb.UpdateAgentRequest{Uuid: mine, Name: new("renamed")})
	got, err = w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: parent})
	if err != nil || got.GetAgent().GetChildAgents()[0].GetName() != "renamed" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: parent, MaxStaleness: durationpb.New(0)}); err != nil {
		t.Fatal(err)
	}
	if len(w.drifts()) != 0 {
		t.Errorf("drift: %v", w.drifts())
	}
}
