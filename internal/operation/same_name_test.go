package operation_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestOneNameForMany has teams create things of one name at once, which only the time tells
// apart, while the vendor's replies are lost: each must be given its own.
func TestOneNameForMany(t *testing.T) {
	t.Parallel()
	const many = 8
	for name, faults := range map[string][]genaisim.Fault{
		"all replies lost":                   {{Drop: "after", Count: many}},
		"some replies lost":                  {{Drop: "after", Probability: 0.5, Count: many}},
		"a request does not arrive, or does": {{Drop: "before", Count: 1}, {Drop: "after", Count: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *operation.Config) { c.Lease, c.Quiet = 10*time.Second, 50*time.Millisecond })
			b.start(b.engine, b.another())
			for i := range faults {
				faults[i].Method, faults[i].Path = "POST", "/v2/gen-ai/workspaces"
			}
			b.fault(faults...)
			var calls sync.WaitGroup
			for n := range many {
				caller := b.team(fmt.Sprintf("team-%d", n/2), 1)
				calls.Go(func() {
					own := fmt.Sprintf("that of %d", n)
					resp := &pb.CreateWorkspaceResponse{}
					if err := b.engine.Change(t.Context(), caller, &pb.CreateWorkspaceRequest{Name: new("shared"), Description: &own}, resp); err != nil {
						t.Errorf("creating one: %v", err)
						return
					}
					if got := resp.GetWorkspace().GetDescription(); got != own {
						t.Errorf("who asked for %q got %q", own, got)
					}
					if n := b.count("SELECT count(*) FROM resources WHERE kind = 'workspace' AND uuid = $1 AND team_id = $2",
						resp.GetWorkspace().GetUuid(), caller.ActingTeam.ID); n != 1 {
						t.Errorf("%s belongs to another team", resp.GetWorkspace().GetUuid())
					}
				})
			}
			calls.Wait()
			if made := len(b.effects()); made != many {
				t.Errorf("the vendor made %d", made)
			}
			b.requireConsistent()
		})
	}
}
