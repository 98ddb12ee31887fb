package operation_test

import (
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestWhatWasMadeIsOwned has the vendor make things and answer in ways that do not say
// what it made: they must be found, and belong to whoever asked for them.
func TestWhatWasMadeIsOwned(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	there := &pb.CreateWorkspaceResponse{}
	if err := b.engine.Change(t.Context(), b.caller, &pb.CreateWorkspaceRequest{Name: new("there")}, there); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"nothing":               `{}`,
		"null":                  `{"workspace": null}`,
		"a text in its place":   `{"workspace": "made"}`,
		"no id":                 `{"workspace": {"name": "NAME"}}`,
		"an id that is none":    `{"workspace": {"name": "NAME", "uuid": "12"}}`,
		"an empty id":           `{"workspace": {"name": "NAME", "uuid": ""}}`,
		"the id of nothing":     `{"workspace": {"name": "NAME", "uuid": "00000000-0000-0000-0000-000000000000"}}`,
		"what was there before": `{"workspace": {"name": "there", "uuid": "` + there.GetWorkspace().GetUuid() + `"}}`,
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share the vendor
			before := len(b.effects())
			b.fault(genaisim.Fault{Method: "POST", Path: "/v2/gen-ai/workspaces", Body: body, Count: 1})
			resp := &pb.CreateWorkspaceResponse{}
			if err := b.engine.Change(t.Context(), b.caller, &pb.CreateWorkspaceRequest{Name: new(name)}, resp); err != nil {
				t.Fatal(err)
			}
			if n := len(b.effects()) - before; n != 1 {
				t.Errorf("the vendor made %d", n)
			}
			if got := resp.GetWorkspace(); got.GetName() != name || resp.GetOperation().GetResource().GetUuid() != got.GetUuid() {
				t.Errorf("the answer is %v", resp)
			}
			if n := b.count("SELECT count(*) FROM resources WHERE uuid = $1 AND team_id = $2", resp.GetWorkspace().GetUuid(), b.caller.ActingTeam.ID); n != 1 {
				t.Error("it belongs to nobody")
			}
			b.requireConsistent()
		})
	}
}
