package mirror

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// settledTogether brings changes in with one commit, in the order given.
func (w *world) settledTogether(all ...started) []Effect {
	w.t.Helper()
	var effects []Effect
	err := w.store.Tx(w.t.Context(), db.Durable, func(q *db.Queries) error {
		changes := make([]Change, len(all))
		for i, s := range all {
			ended, err := succeed(w.t.Context(), q, s.op, nil)
			if err != nil {
				return err
			}
			changes[i] = Change{Operation: ended, Method: s.method, Request: s.req, Response: s.response}
		}
		var err error
		effects, err = w.Apply(w.t.Context(), q, changes...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return effects
}

// TestChangesSettledTogether has the answer to one show what another did: in whichever order
// they come, each is told of once, by itself, and our copy becomes the vendor's.
func TestChangesSettledTogether(t *testing.T) {
	t.Parallel()
	for _, reversed := range []bool{false, true} {
		t.Run(map[bool]string{false: "in order", true: "reversed"}[reversed], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, genaisim.Config{}, plenty)
			parent, child, other, alone := w.create("parent"), w.create("child"), w.create("other"), w.create("alone")
			w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
			w.do(&pb.AttachKnowledgeBaseRequest{AgentUuid: alone, KnowledgeBaseUuid: genaisim.KnowledgeBaseA})
			w.sync()

			deleted := w.sent(w.payments, &pb.DeleteAgentRequest{Uuid: child})
			changes := []started{
				deleted,
				w.sent(w.payments, &pb.UpdateAgentRequest{Uuid: parent, Temperature: new(0.25)}), // shows the child no more
				w.sent(w.payments, &pb.UpdateAgentRequest{Uuid: alone, Temperature: new(0.5)}),
				w.sent(w.payments, &pb.AddAgentRouteRequest{ParentAgentUuid: other, ChildAgentUuid: alone}),
				w.sent(w.payments, &pb.CreateAgentRequest{Name: new("new"), ModelUuid: new(genaisim.ModelLlama)}),
			}
			if reversed {
				slices.Reverse(changes)
			}
			effects := w.settledTogether(changes...)
			for i, s := range changes {
				update, is := s.req.(*pb.UpdateAgentRequest)
				if !is {
					continue
				}
				after := object(t, effects[i].After)
				if after["temperature"] != update.GetTemperature() || after["child_agents"] != nil {
					t.Errorf("the update of %s tells of %v", update.GetUuid(), after)
				}
			}
			if w.row(child).DeletedAt == nil || len(w.body(alone).GetKnowledgeBases()) != 1 {
				t.Error("what was deleted is there, or what was attached is not")
			}
			w.sync()
			for _, id := range []string{parent, other} { // which are behind
				if _, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: id}); err != nil {
					t.Fatal(err)
				}
			}
			if d := w.drifts(); len(d) != 0 {
				t.Errorf("our own changes are told as made elsewhere: %+v", d)
			}
			open := all[uuid.UUID](w, "SELECT target_uuid FROM agent_routes WHERE kind = 'agent' AND valid_to IS NULL")
			if len(open) != 1 || open[0].String() != alone {
				t.Errorf("open routes lead to %v", open)
			}
			if n := len(w.body(parent).GetChildAgents()); n != 0 {
				t.Errorf("the parent has %d children", n)
			}
			if n := one[int](w, "SELECT count(*) FROM agent_states WHERE valid_to IS NULL"); n != 4 {
				t.Errorf("%d agents have a state of now, want 4", n)
			}
		})
	}
}
