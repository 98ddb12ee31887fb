package mirror

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// elsewhere has the vendor make a change that no operation of ours is about, or whose
// operation is not settled yet.
func (w *world) elsewhere(req proto.Message) proto.Message {
	w.t.Helper()
	m := methods.API().ByRequest(req)
	resp := m.Output.New().Interface()
	if _, err := w.client.Do(w.t.Context(), m, req, resp); err != nil {
		w.t.Fatalf("%s: %v", m.Name, err)
	}
	return resp
}

func TestAParentReadWhileItsChildIsBeingDeleted(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(w *world, parent string) error{
		"by a reader": func(w *world, parent string) error {
			_, err := w.GetAgent(w.t.Context(), w.payer, &pb.GetAgentRequest{Uuid: parent, MaxStaleness: durationpb.New(0)})
			return err
		},
		"by the sync": func(w *world, _ string) error { return w.round(w.t.Context()) },
		"by an update of it": func(w *world, parent string) error {
			w.do(&pb.UpdateAgentRequest{Uuid: parent, Temperature: new(0.1)})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, genaisim.Config{}, plenty)
			parent, child := w.create("parent"), w.create("child")
			w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
			w.sync()
			req := &pb.DeleteAgentRequest{Uuid: child}
			op := w.send(req)
			resp := w.elsewhere(req) // by our operation, which has not settled
			if err := look(w, parent); err != nil {
				t.Fatal(err)
			}
			w.settle(op, methods.API().ByRequest(req), req, resp)
			w.sync()

			if d := w.drifts(); len(d) != 0 {
				t.Errorf("our own change is told as made elsewhere: %+v", d)
			}
			if by := one[*uuid.UUID](w, "SELECT closed_by FROM agent_routes WHERE kind = 'agent'"); by == nil {
				t.Error("nobody closed the route")
			} else if name != "by an update of it" && *by != op.ID {
				t.Errorf("%s closed the route, want the deletion %s", by, op.ID)
			}
			if n := len(w.body(parent).GetChildAgents()); n != 0 || w.row(child).DeletedAt == nil {
				t.Errorf("%d children are left", n)
			}
		})
	}
}

func TestUpdatesTellWhatTheyCanHaveDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	parent, child := w.create("parent"), w.create("child")
	tells := func(effect Effect, want ...string) {
		t.Helper()
		after := object(t, effect.After)
		for _, stamp := range []string{"version_hash", "updated_at"} {
			delete(after, stamp)
		}
		var got []string
		for name := range after {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("it tells of %v, want %v", got, want)
		}
	}
	// The route was told of by the operation that added it.
	w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
	effect, _, _ := w.do(&pb.UpdateAgentRequest{Uuid: parent, Temperature: new(0.25)})
	tells(effect, "temperature")
	if len(w.body(parent).GetChildAgents()) != 1 || len(w.drifts()) != 0 {
		t.Errorf("body %v, drift %+v", w.body(parent), w.drifts())
	}
	// What nobody of ours did is told as done elsewhere.
	w.elsewhere(&pb.AttachKnowledgeBaseRequest{AgentUuid: parent, KnowledgeBaseUuid: genaisim.KnowledgeBaseA})
	effect, _, _ = w.do(&pb.UpdateAgentRequest{Uuid: parent, Temperature: new(0.5)})
	tells(effect, "temperature")
	d := w.drifts()
	if len(d) != 1 || len(d[0].After) != 1 || d[0].After["knowledge_bases"] == nil || d[0].Name != "parent" || *d[0].Team != w.payments {
		t.Errorf("drift: %+v", d)
	}
	// A method that changes such a part tells of it.
	effect, _, _ = w.do(&pb.AttachKnowledgeBaseRequest{AgentUuid: parent, KnowledgeBaseUuid: genaisim.KnowledgeBaseB})
	tells(effect, "knowledge_bases")
	if len(w.drifts()) != 1 {
		t.Errorf("drift: %+v", w.drifts())
	}
}

// TestADeletionLocksInOrder has a deletion wait for the first of three rows, and then
// locks the others, as a listing does.
func TestADeletionLocksInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	agents := []string{w.create("a"), w.create("b"), w.create("c")}
	slices.Sort(agents)
	first, second, child := agents[0], agents[1], agents[2]
	// Found in another order than that of their uuids.
	w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: second, ChildAgentUuid: child})
	w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: first, ChildAgentUuid: child})
	req := &pb.DeleteAgentRequest{Uuid: child}
	op, resp := w.send(req), w.elsewhere(req)

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
	go func() {
		done <- w.store.Tx(t.Context(), db.Durable, func(q *db.Queries) error {
			ended, err := succeed(t.Context(), q, op, nil)
			if err != nil {
				return err
			}
			_, err = w.Apply(t.Context(), q, Change{Operation: ended, Method: methods.API().ByRequest(req), Request: req, Response: resp})
			return err
		})
	}()
	waiting, tick := within(t, 20*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for one[int64](w, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')") == 0 {
		select {
		case <-tick.C:
		case <-waiting.Done():
			t.Fatal("the deletion waits for nothing")
		}
	}
	for _, id := range []string{second, child} {
		if _, err := tx.Exec(t.Context(), lock, id); err != nil {
			t.Fatalf("the deletion holds a row while it waits for one before it: %v", err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if w.row(first).DirtySince == nil || w.row(second).DirtySince == nil || w.row(child).DeletedAt == nil {
		t.Error("the deletion is not brought in")
	}
}
