package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

const (
	chaosOfEach  = 20 // changes of each of five sorts
	chaosClients = 10
	chaosKills   = 6
)

// TestKilledAgainAndAgain kills two replicas in turn, again and again, while the vendor
// drops connections and clients repeat, with the same idempotency key at whichever
// replica answers, what they got no answer to. Every change is made, and made once.
func TestKilledAgainAndAgain(t *testing.T) {
	w := newWorld(t)
	lease := "AGENTSVC_LEASE=1s"
	changes := w.manyChanges(t)
	w.vendor.fail(t,
		genaisim.Fault{Method: "POST", Drop: "after", Probability: 0.05}, genaisim.Fault{Method: "PUT", Drop: "after", Probability: 0.05},
		genaisim.Fault{Method: "DELETE", Drop: "after", Probability: 0.05}, genaisim.Fault{Method: "POST", Status: 502, After: true, Probability: 0.05},
		genaisim.Fault{Method: "PUT", Drop: "before", Probability: 0.05}, genaisim.Fault{Method: "DELETE", Status: 500, Probability: 0.05},
		// All others take long enough for a kill to find some under way.
		genaisim.Fault{Method: "POST", DelayAfterMS: 100}, genaisim.Fault{Method: "PUT", DelayMS: 50, DelayAfterMS: 50},
		genaisim.Fault{Method: "DELETE", DelayAfterMS: 100},
	)
	var replicas [2]atomic.Pointer[service]
	for i := range replicas {
		replicas[i].Store(w.serve(t, lease))
	}

	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var answers, repeats atomic.Int64
	operations := make([]string, len(changes))
	queue := make(chan int, len(changes))
	for i := range changes {
		queue <- i
	}
	close(queue)
	var clients sync.WaitGroup
	for n := range chaosClients {
		clients.Go(func() {
			for i := range queue {
				for try := n; operations[i] == ""; try++ {
					got, err := changes[i].do(ctx, replicas[try%2].Load().as(t, w.payments), &pb.MutationOptions{IdempotencyKey: fmt.Sprint("change ", i)})
					if err == nil {
						operations[i] = got.operation.GetId()
						answers.Add(1)
						break
					}
					if connect.CodeOf(err) == connect.CodeFailedPrecondition && strings.Contains(err.Error(), "handed out already") {
						// Killed between taking the secret and answering: the key is made all the same.
						_, told, _ := strings.Cut(err.Error(), "operation ")
						operations[i], _, _ = strings.Cut(told, " ")
						answers.Add(1)
						break
					}
					if connect.CodeOf(err) != connect.CodeUnavailable && connect.IsWireError(err) || ctx.Err() != nil {
						t.Errorf("a client was told %v", err)
						return
					}
					repeats.Add(1)
					select {
					case <-ctx.Done():
					case <-time.After(20 * time.Millisecond):
					}
				}
			}
		})
	}
	for kill := range chaosKills {
		await(t, "some changes have gone well since the last kill", func() bool {
			return t.Failed() || int(answers.Load()) >= (kill+1)*len(changes)/(chaosKills+2)
		})
		replicas[kill%2].Load().kill(t)
		replicas[kill%2].Store(w.serve(t, lease))
	}
	clients.Wait()
	took := time.Since(begun)
	if t.Failed() {
		return
	}

	w.vendor.fail(t)
	caller := replicas[0].Load().as(t, w.payments)
	for i, it := range changes {
		again := 0
		for _, effect := range w.vendor.effects(it.mine) {
			if strings.HasPrefix(effect, "regenerated ") {
				again++ // as often as the secret was lost
			}
		}
		w.once(t, caller, it, operations[i], again)
	}
	if n := w.count(t, "SELECT count(*) FROM operations WHERE finished_at IS NULL"); n != 0 {
		t.Errorf("%d operations have not ended", n)
	}
	t.Logf("%d changes by %d clients over %d kills in %s: clients repeated %d calls, %d operations were taken up again, %d sent again",
		len(changes), chaosClients, chaosKills, took.Round(10*time.Millisecond), repeats.Load(),
		w.count(t, "SELECT count(*) FROM operations WHERE claims > 1"), w.count(t, "SELECT count(*) FROM operations WHERE attempts > 1"))
}

// manyChanges are changes of all sorts, no two of the same agent, but for the child
// that all routes lead to.
func (w *world) manyChanges(t *testing.T) []change {
	t.Helper()
	s := w.serve(t)
	c := s.as(t, w.payments)
	child := newAgent(t, c, "child-of-all")
	var all []change
	for i := range chaosOfEach {
		name := func(sort string) string { return fmt.Sprintf("%s-%02d", sort, i) }
		all = append(all,
			creating(name("created")), updating(newAgent(t, c, name("updated")), name("described as")), deleting(newAgent(t, c, name("deleted"))),
			routing(newAgent(t, c, name("parent")), child), keying(newAgent(t, c, name("keyed")), name("key")))
	}
	s.kill(t)
	return all
}
