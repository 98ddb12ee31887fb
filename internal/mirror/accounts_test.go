package mirror

import (
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestAListSaysWhatItsAccountDoes lists what a team has in another account than the default
// one: what the list says beside its items is that account's, too.
func TestAListSaysWhatItsAccountDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	elsewhere := w.cfg
	elsewhere.Budget = budget.New(w.store, "elsewhere", budget.Limits{}, w.log)
	other := New(elsewhere)
	t.Cleanup(other.running.Wait)
	for account, most := range map[string]int32{budget.DefaultAccount: 5, "elsewhere": 7} {
		beside, err := proto.Marshal(&pb.ListCustomModelsResponse{MaxThreshold: &most})
		if err != nil {
			t.Fatal(err)
		}
		w.exec("INSERT INTO accounts (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", account)
		w.exec("INSERT INTO mirror_scopes (account, kind, synced_at, answer) VALUES ($1, 'custom_model', now(), $2)", account, beside)
	}
	accounts := NewAccounts(nil, w.Mirror, other)
	w.payer.Teams[0].Account = "elsewhere"
	w.searcher.Teams[0].Account = budget.DefaultAccount
	for most, caller := range map[int32]identity.Caller{5: w.searcher, 7: w.payer} {
		resp := &pb.ListCustomModelsResponse{}
		if err := accounts.List(t.Context(), caller, &pb.ListCustomModelsRequest{}, resp); err != nil {
			t.Fatal(err)
		}
		if resp.GetMaxThreshold() != most {
			t.Errorf("%s may have %d models, and is told %d", caller.Name, most, resp.GetMaxThreshold())
		}
	}
}
