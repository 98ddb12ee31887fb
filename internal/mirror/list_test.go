package mirror

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestListsAreReadOnceForAllWhoWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{SeedAgents: 250, Seed: 5}, plenty)
	other := New(w.cfg) // another replica, on the same database
	t.Cleanup(other.running.Wait)
	if err := w.sim.SetFaults([]genaisim.Fault{{DelayMS: 100}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			m := []*Mirror{w.Mirror, other}[i%2]
			got := &pb.ListAgentsResponse{}
			err := m.List(t.Context(), w.auditor, &pb.ListAgentsRequest{MaxStaleness: durationpb.New(time.Hour)}, got)
			if err != nil || got.GetTotalSize() != 250 {
				t.Errorf("got %d agents, %v", got.GetTotalSize(), err)
			}
		})
	}
	wg.Wait()
	if n := w.asked(0)[getList]; n != 2 {
		t.Errorf("%d pages were read, want the 2 that there are", n)
	}
}

func TestListsShowWhatWeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	id := w.create("first")
	w.do(&pb.UpdateAgentRequest{Uuid: id, Name: new("second")})
	w.sync()
	got, err := w.ListAgents(t.Context(), w.payer, &pb.ListAgentsRequest{Filter: `name = "second" AND status = "STATUS_RUNNING"`})
	if err != nil || len(got.GetAgents()) != 1 {
		t.Fatalf("got %v, %v", got, err)
	}
	versions, err := w.ListAgentVersions(t.Context(), w.payer, &pb.ListAgentVersionsRequest{Uuid: id})
	if err != nil {
		t.Fatal(err)
	}
	w.do(&pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: versions.GetAgentVersions()[1].VersionHash})
	start := w.mark()
	got, err = w.ListAgents(t.Context(), w.payer, &pb.ListAgentsRequest{})
	if err != nil || len(got.GetAgents()) != 1 || got.GetAgents()[0].GetName() != "first" || got.GetFreshness().GetStale() {
		t.Errorf("got %v, %v", got, err)
	}
	if asked := w.asked(start); asked[getOne] != 1 || asked[getList] != 0 {
		t.Errorf("asked %v", asked)
	}
	for name, req := range map[string]*pb.ListAgentsRequest{
		"the vendor's page":      {Page: new(int32(1))},
		"the vendor's page size": {PerPage: new(int32(1))},
		"an unknown field":       {Filter: `wisdom = "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.ListAgents(t.Context(), w.payer, req)
			requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, err)
		})
	}
}
