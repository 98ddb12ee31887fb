package mirror

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// settledTogether brings changes in with one commit, in the order given.
func (w *world) settledTogether(all ...started) []Effect {
	w.t.Helper()
	var effects []Effect
	if err := w.bringIn(&effects, all...); err != nil {
		w.t.Fatal(err)
	}
	return effects
}

func (w *world) bringIn(told *[]Effect, all ...started) error {
	return w.store.Tx(w.t.Context(), db.Durable, func(q *db.Queries) error {
		changes := make([]Change, len(all))
		for i, s := range all {
			ended, err := succeed(w.t.Context(), q, s.op, nil)
			if err != nil {
				return err
			}
			changes[i] = Change{Operation: ended, Method: s.method, Request: s.req, Response: s.response}
		}
		effects, err := w.Apply(w.t.Context(), q, changes...)
		if told != nil {
			*told = effects
		}
		return err
	})
}

// TestWhatSettlesTogetherLocksInOrder has changes of two agents, of which the answer to one shows
// the agent and that to the other does not, wait for the first of them, and then locks the
// second, as a listing does.
func TestWhatSettlesTogetherLocksInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	agents := []string{w.create("a"), w.create("b")}
	slices.Sort(agents)
	first, second := agents[0], agents[1]
	changes := []started{
		w.sent(w.payments, &pb.AddAgentRouteRequest{ParentAgentUuid: first, ChildAgentUuid: w.create("child")}),
		w.sent(w.payments, &pb.UpdateAgentRequest{Uuid: second, Temperature: new(0.25)}),
	}
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	const lock = "SELECT FROM resources WHERE kind = 'agent' AND uuid = $1 FOR UPDATE NOWAIT"
	if _, err := tx.Exec(t.Context(), lock, first); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.bringIn(nil, changes...) }()
	waiting, tick := within(t, 20*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for one[int64](w, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')") == 0 {
		select {
		case <-tick.C:
		case <-waiting.Done():
			t.Fatal("the changes wait for nothing")
		}
	}
	if _, err := tx.Exec(t.Context(), lock, second); err != nil {
		t.Errorf("a row is held while one before it is waited for: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if w.row(first).DirtySince == nil || w.body(second).GetTemperature() != 0.25 {
		t.Error("the changes are not brought in")
	}
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

// TestTwoFirstLooksAtOnce has an agent that nobody has seen be looked at twice: the one who
// comes second has read that there is nothing, and waits for the other to store it.
func TestTwoFirstLooksAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	made, _ := w.elsewhere(&pb.CreateAgentRequest{Name: new("new"), ModelUuid: new(genaisim.ModelLlama)}).(*pb.CreateAgentResponse)
	id := uuid.MustParse(made.GetAgent().GetUuid())
	begun := one[time.Time](w, "SELECT clock_timestamp()")
	look := func(then func()) error {
		return w.store.Tx(t.Context(), db.Durable, func(q *db.Queries) error {
			if _, err := w.keep(t.Context(), q, w.kind(agentKind), id, made.GetAgent(), begun); err != nil {
				return err
			}
			then()
			return nil
		})
	}
	second := make(chan error, 1)
	if err := look(func() {
		go func() { second <- look(func() {}) }()
		waiting, tick := within(t, 20*time.Second), time.NewTicker(5*time.Millisecond)
		defer tick.Stop()
		for one[int64](w, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')") == 0 {
			select {
			case <-tick.C:
			case <-waiting.Done():
				t.Error("the second look waits for nothing")
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if n := one[int](w, "SELECT count(*) FROM agent_states"); n != 1 {
		t.Errorf("%d states are told of, of an agent that was as it is", n)
	}
}
