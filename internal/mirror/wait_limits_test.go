package mirror

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestWaitsEndWithTheirCallers(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, DeployTime: time.Hour}, plenty, func(c *Config) { c.PollEvery = time.Hour })
	id := w.create("checkout")
	req := &pb.WaitAgentRequest{Uuid: id}

	ctx, leave := context.WithCancel(t.Context())
	follow := await(ctx, t, w.Mirror, w.payer, req, &pb.WaitAgentResponse{})
	follow.next()
	leave()
	if err := follow.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, it ended with %v", err)
	}
	ctx = within(t, time.Second)
	follow = await(ctx, t, w.Mirror, w.payer, req, &pb.WaitAgentResponse{})
	follow.next()
	err := follow.end()
	if ctx.Err() != nil {
		t.Error("nothing was left of the deadline to tell its caller in")
	}
	requireReason(t, pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, err)
	if !strings.Contains(err.Error(), "STATUS_WAITING_FOR_DEPLOYMENT") || !strings.Contains(err.Error(), id) {
		t.Errorf("it ended with %v", err)
	}
	broken := errors.New("the stream broke")
	err = w.Wait(t.Context(), always(w.payer), req, &pb.WaitAgentResponse{}, func(proto.Message) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("told to nobody, it ended with %v", err)
	}
	err = w.Wait(t.Context(), always(w.payer), &pb.WaitAgentRequest{Uuid: genaisim.ModelLlama}, &pb.WaitAgentResponse{}, nil)
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	if err := w.Wait(t.Context(), always(w.payer), &pb.GetModelRouterRequest{Uuid: id}, &pb.WaitAgentResponse{}, nil); err == nil {
		t.Error("one can wait for a router")
	}
}

// TestAWaitLeavesTheBudgetToOthers has no spare calls, so that nothing new is learnt.
func TestAWaitLeavesTheBudgetToOthers(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, DeployTime: time.Hour}, quickly, func(c *Config) {
		c.Budget = budget.New(c.Store, budget.DefaultAccount, budget.Limits{PerMinute: 10, PerHour: 10}, c.Log)
	})
	id := w.create("checkout")
	clock.pass(2 * time.Hour)
	for range 7 {
		if _, err := w.budget.Take(t.Context(), budget.For{Purpose: budget.Change, Method: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	start := w.mark()
	follow := await(within(t, 5*time.Second), t, w.Mirror, w.payer, &pb.WaitAgentRequest{Uuid: id}, &pb.WaitAgentResponse{})
	follow.next()
	requireReason(t, pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, follow.end())
	if asked := w.asked(start); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}

// TestAWaitForWhatIsNotStoredYet begins while a change is under way, so that what the vendor
// shows is left to its settling.
func TestAWaitForWhatIsNotStoredYet(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, DeployTime: time.Hour}, plenty, quickly)
	for name, prepare := range map[string]string{
		"listed and never read": "UPDATE resources SET body = NULL, body_synced_at = NULL WHERE kind = 'agent' AND uuid = $1",
		"never seen":            "DELETE FROM resources WHERE kind = 'agent' AND uuid = $1",
	} {
		t.Run(name, func(t *testing.T) {
			clock.ahead.Store(0)
			id := w.create(name)
			w.exec(prepare, id)
			s := w.sent(w.payments, &pb.UpdateAgentRequest{Uuid: id, Description: new("x")})
			ctx := within(t, soon)
			follow := await(ctx, t, w.Mirror, w.auditor, &pb.WaitAgentRequest{Uuid: id}, &pb.WaitAgentResponse{})
			message, progress := follow.next()
			shown, _ := message.(*pb.WaitAgentResponse)
			if shown.GetAgent().GetName() != name || progress.GetStatus() != "STATUS_WAITING_FOR_DEPLOYMENT" || progress.GetOutcome() != waitsOn {
				t.Errorf("at first %v", message)
			}
			w.settled(s)
			clock.pass(2 * time.Hour)
			follow.reaches("STATUS_RUNNING", succeeded)
			for _, request := range w.sim.Requests() {
				if strings.HasSuffix(request.Path, uuid.Nil.String()) {
					t.Fatal("it asked for nothing at all")
				}
			}
		})
	}
}

// TestAWaitSeesOurOwnChangeFirst waits for what is known to be behind.
func TestAWaitSeesOurOwnChangeFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty, quickly)
	id := w.create("checkout")
	w.exec("UPDATE resources SET dirty_since = clock_timestamp() WHERE uuid = $1", id)
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Status: 503}}); err != nil {
		t.Fatal(err)
	}
	follow := await(t.Context(), t, w.Mirror, w.payer, &pb.WaitAgentRequest{Uuid: id}, &pb.WaitAgentResponse{})
	if _, progress := follow.next(); progress.GetOutcome() != waitsOn || !progress.GetFreshness().GetStale() || progress.GetStatus() != "STATUS_RUNNING" {
		t.Errorf("at first %v", progress)
	}
	if err := w.sim.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	follow.reaches("STATUS_RUNNING", succeeded)
}

// TestAWaitEndsByWhatIsSoNow waits for a knowledge base of which we last heard that it was online.
func TestAWaitEndsByWhatIsSoNow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		age    string
		vendor func(w *world, path string)
		first  string
		asked  int
		want   pb.WaitProgress_Outcome
	}{
		"just now": {"0 s", nil, "ONLINE", 0, succeeded},
		"long ago": {"1 h", nil, "ONLINE", 1, succeeded},
		"and it is not": {"1 h", func(w *world, path string) {
			w.doctor("GET", path, func(answer map[string]any) { answer["database_status"] = "POWEROFF" })
		}, "POWEROFF", 1, failed},
		"and nobody answers": {"1 h", func(w *world, path string) {
			if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Path: path, Status: 503}}); err != nil {
				w.t.Fatal(err)
			}
		}, "ONLINE", 1, waitsOn},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, genaisim.Config{}, plenty, quickly)
			id := w.make(w.payments, w.baseRequest("base"))
			askTo(t, w.Get, w.payer, &pb.GetKnowledgeBaseRequest{Uuid: id}, &pb.GetKnowledgeBaseResponse{})
			w.exec("UPDATE resources SET body_synced_at = clock_timestamp() - $1::interval WHERE uuid = $2", tc.age, id)
			if tc.vendor != nil {
				tc.vendor(w, "/v2/gen-ai/knowledge_bases/"+id)
			}
			start := w.mark()
			follow := await(t.Context(), t, w.Mirror, w.payer, &pb.WaitKnowledgeBaseRequest{Uuid: id}, &pb.WaitKnowledgeBaseResponse{})
			_, progress := follow.next()
			if progress.GetStatus() != tc.first || progress.GetOutcome() != tc.want || progress.GetFreshness().GetStale() != (tc.want == waitsOn) {
				t.Errorf("at first %v", progress)
			}
			if n := w.asked(start)["GET /v2/gen-ai/knowledge_bases/{uuid}"]; tc.want != waitsOn && n != tc.asked {
				t.Errorf("the vendor was asked %d times, want %d", n, tc.asked)
			}
			if tc.want == waitsOn {
				if err := w.sim.SetFaults(nil); err != nil {
					t.Fatal(err)
				}
				follow.reaches("ONLINE", succeeded)
			} else if err := follow.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTheStateOfAnotherDatabaseIsNotKept has a knowledge base get another database.
func TestTheStateOfAnotherDatabaseIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	id := w.make(w.payments, w.baseRequest("base"))
	askTo(t, w.Get, w.payer, &pb.GetKnowledgeBaseRequest{Uuid: id}, &pb.GetKnowledgeBaseResponse{})
	w.doctor("GET", "/v2/gen-ai/knowledge_bases", func(answer map[string]any) {
		for _, base := range answer["knowledge_bases"].([]any) {
			base.(map[string]any)["database_id"] = uuid.NewString()
		}
	})
	list := askTo(t, w.List, w.payer, &pb.ListKnowledgeBasesRequest{MaxStaleness: durationpb.New(0)}, &pb.ListKnowledgeBasesResponse{})
	if shown := list.GetKnowledgeBases(); len(shown) != 1 || shown[0].DatabaseStatus != nil {
		t.Errorf("the list shows %v", shown)
	}
	start := w.mark()
	if got := askTo(t, w.Get, w.payer, &pb.GetKnowledgeBaseRequest{Uuid: id}, &pb.GetKnowledgeBaseResponse{}); got.DatabaseStatus == nil {
		t.Errorf("a read shows %v", got)
	}
	if asked := w.asked(start); asked["GET /v2/gen-ai/knowledge_bases/{uuid}"] != 1 {
		t.Errorf("the vendor was asked %v", asked)
	}
}

// TestManyWaitsTakeTurns has many things waited for that only reading them one by one shows.
func TestManyWaitsTakeTurns(t *testing.T) {
	t.Parallel()
	const long, pace = 9 * time.Hour, 50 * time.Millisecond
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, DatabaseTime: long}, plenty, func(c *Config) { c.PollEvery = pace })
	var ids []string
	for range 30 {
		ids = append(ids, w.make(w.payments, w.baseRequest("base")))
	}
	w.rounds(1)
	start, begun := w.mark(), time.Now()
	var all []*waiting
	for i := range 60 { // two wait for each
		all = append(all, await(t.Context(), t, w.Mirror, w.payer, &pb.WaitKnowledgeBaseRequest{Uuid: ids[i%30]}, &pb.WaitKnowledgeBaseResponse{}))
	}
	for _, follow := range all {
		follow.next()
	}
	const polls = "GET /v2/gen-ai/knowledge_bases/{uuid}"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := within(t, soon); w.asked(start)[polls] < 40; {
		select {
		case <-tick.C:
		case <-limit.Done():
			t.Fatalf("asked %v", w.asked(start))
		}
	}
	// Nobody's timers are exact; without turns it would be 30 times as many.
	if asked, most := w.asked(start), int(3*time.Since(begun)/(2*pace))+1; asked[polls] > most || len(asked) != 1 {
		t.Errorf("asked %v, want no more than %d polls and nothing else", asked, most)
	}
	clock.pass(2 * long)
	for _, follow := range all {
		follow.reaches("ONLINE", succeeded)
	}
	if len(w.lone.kinds[knowledgeBaseKind]) != 0 {
		t.Errorf("still waited for: %v", w.lone.kinds)
	}
}

// TestAWaitAsksWhetherItMayGoOn has somebody lose what lets them see what they wait for.
func TestAWaitAsksWhetherItMayGoOn(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	w := newWorld(t, genaisim.Config{Now: clock.now, DeployTime: time.Hour}, plenty, quickly)
	id := w.create("checkout")
	lost := errors.New("the token was revoked")
	var gone atomic.Bool
	who := func(context.Context) (identity.Caller, error) {
		if gone.Load() {
			return identity.Caller{}, lost
		}
		return w.payer, nil
	}
	told, done := make(chan struct{}, 100), make(chan error, 1)
	go func() {
		done <- w.Wait(t.Context(), who, &pb.WaitAgentRequest{Uuid: id}, &pb.WaitAgentResponse{}, func(proto.Message) error {
			told <- struct{}{}
			return nil
		})
	}()
	<-told
	gone.Store(true)
	clock.pass(2 * time.Hour)
	if err := <-done; !errors.Is(err, lost) || len(told) > 0 {
		t.Errorf("it ended with %v, and told %d more", err, len(told))
	}
}
