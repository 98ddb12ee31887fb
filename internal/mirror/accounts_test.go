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

// TestAnAccountThatComesLaterCopiesNoCatalogue syncs the copy of an account that the others have
// not heard of: what the vendor offers to all is the default account's from the first.
func TestAnAccountThatComesLaterCopiesNoCatalogue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	w.exec("INSERT INTO accounts (name) VALUES ('elsewhere')")
	elsewhere := w.cfg
	elsewhere.Budget = budget.New(w.store, "elsewhere", budget.Limits{}, w.log)
	other := New(elsewhere)
	t.Cleanup(other.running.Wait)
	if err := other.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, r := range w.sim.Requests() {
		switch r.Path {
		case "/v2/gen-ai/models", "/v2/gen-ai/regions":
			t.Errorf("the vendor was asked for %s", r.Path)
		case "/v2/gen-ai/agents":
			asked++
		}
	}
	if asked == 0 {
		t.Error("the account's own agents were not asked for")
	}
}
