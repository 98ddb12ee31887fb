package e2e_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/db/localpg"
)

const (
	replicaCount   = 3
	clientsPerTeam = 4
)

// chaosForm is how long and how hard a chaos run is.
type chaosForm struct {
	seed    uint64
	changes int
	// rage is how long there are faults at the most, begin how long clients begin changes,
	// and limit how long they insist on them.
	rage, begin, limit time.Duration
	// patience is how long a client waits for one answer, and hang how long the vendor keeps
	// it waiting at times, which is longer.
	patience, hang time.Duration
	// long: at times a hang outlasts the service's patience too, and once the vendor says
	// "too many" without a word of when to come back, which costs a minute.
	long bool
}

// formFromEnvironment is the short form, or with CHAOS=long the one of `make chaos`.
// CHAOS_SEED repeats a run: what clients do and which faults there are, though not which
// of them meet.
func formFromEnvironment(t *testing.T) chaosForm {
	t.Helper()
	f := chaosForm{
		seed: rand.Uint64N(1_000_000), changes: 300, rage: 15 * time.Second, begin: patience, limit: 2 * patience,
		patience: 2 * time.Second, hang: 3 * time.Second,
	}
	if os.Getenv("CHAOS") == "long" {
		f.long, f.changes, f.rage, f.begin, f.limit = true, 2000, 150*time.Second, 220*time.Second, 270*time.Second
		f.patience, f.hang = 4*time.Second, 5*time.Second
	}
	if given := os.Getenv("CHAOS_SEED"); given != "" {
		var err error
		if f.seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	return f
}

// chaos is one run: replicas, a vendor and a Postgres that fail all the time, and clients
// who want their changes made all the same.
type chaos struct {
	*world

	t        *testing.T
	form     chaosForm
	server   *localpg.Server
	replicas [replicaCount]atomic.Pointer[service]
	teams    []*chaosTeam
	hands    []*hand
	faults   map[string]int
	// kills of replicas, and restarts of Postgres.
	kills, restarts int

	repeats, looks, leaks atomic.Int64
}

// TestChaos has twenty clients of five teams make changes of all sorts through three
// replicas, while in every second one of them is killed, or Postgres is, or the vendor
// refuses, breaks off or hangs. Afterwards nothing is lost, and nothing was made twice.
func TestChaos(t *testing.T) {
	form := formFromEnvironment(t)
	t.Logf("seed %d; again with: CHAOS_SEED=%d", form.seed, form.seed)
	c := newChaos(t, form)

	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), form.limit)
	defer cancel()
	done := make(chan struct{})
	var clients sync.WaitGroup
	for _, h := range c.hands {
		clients.Go(func() { h.work(ctx, begun) })
	}
	go func() {
		clients.Wait()
		close(done)
	}()
	c.rage(t, done)
	raged := time.Since(begun)
	<-done
	took := time.Since(begun)
	if ctx.Err() != nil {
		t.Errorf("some clients have no answer after %s", form.limit)
	}

	c.drain(t)
	c.check(t)
	c.sameState(t)
	t.Logf("%d of %d changes by %d clients of %d teams in %s, %.1f a second; faults for %s of it", len(c.deeds()), form.changes, len(c.hands), len(c.teams),
		took.Round(10*time.Millisecond), float64(len(c.deeds()))/took.Seconds(), raged.Round(10*time.Millisecond))
	t.Logf("%d kills of a replica, %d restarts of Postgres; faults: %v", c.kills, c.restarts, c.faults)
}

// newChaos starts everything, and makes the agent that each team shares.
func newChaos(t *testing.T, form chaosForm) *chaos {
	t.Helper()
	server := dbtest.Server(t)
	run(t, environment("DATABASE_URL="+server.URL()), "migrate", "up", "--app-role", dbtest.AppRole)
	c := &chaos{world: worldOn(t, server.URL()), t: t, form: form, server: server, faults: map[string]int{}}
	for i := range c.replicas {
		c.start(t, i)
	}
	c.teams = []*chaosTeam{{name: "payments", token: c.payments}, {name: "search", token: c.search}}
	for _, name := range []string{"risk", "stores", "travel"} {
		c.teams = append(c.teams, &chaosTeam{name: name, token: c.token(t, name)})
	}
	for i := range len(c.teams) * clientsPerTeam {
		h := &hand{
			run: c, team: c.teams[i/clientsPerTeam], number: i, share: form.changes / (len(c.teams) * clientsPerTeam),
			rnd:  rand.New(rand.NewPCG(form.seed, uint64(i))),
			grpc: i%2 == 1, known: map[*service]*client{},
		}
		c.hands = append(c.hands, h)
		if i%clientsPerTeam == 0 {
			d := h.of(creating(h.mark()), true, func(m made) { h.team.shared, h.team.sharing = m.id(), m.operation.GetId() })
			h.deeds = append(h.deeds, d)
			h.insist(t.Context(), d)
		}
	}
	return c
}

// start starts a replica in the place of the one before.
func (c *chaos) start(t *testing.T, i int) {
	t.Helper()
	// It compares with the vendor all the while: that must not take our own changes for others'.
	s := c.serve(t, "AGENTSVC_SYNC_EVERY=2s")
	c.replicas[i].Store(s)
}

// drain waits for the end of what nobody waits for.
func (c *chaos) drain(t *testing.T) {
	t.Helper()
	awaitEvery(t, 100*time.Millisecond, "all operations have ended", func() bool {
		return c.count(t, "SELECT count(*) FROM operations WHERE finished_at IS NULL") == 0
	})
}

// deeds are all changes that clients made.
func (c *chaos) deeds() []*deed {
	var all []*deed
	for _, h := range c.hands {
		all = append(all, h.deeds...)
	}
	return all
}
