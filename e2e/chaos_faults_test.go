package e2e_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// trouble is a fault of the chaos run. It ends what it began before it returns.
type trouble struct {
	name   string
	strike func(c *chaos, rnd *rand.Rand)
}

func troubles() []trouble {
	return []trouble{
		{"kill", (*chaos).killOne},
		{"kill amid changes", (*chaos).killAmid},
		{"429 with retry-after", vendorFails(func(*chaos) genaisim.Fault {
			return genaisim.Fault{Status: 429, Headers: map[string]string{"retry-after": "1"}}
		})},
		{"429 without", vendorFails((*chaos).throttled)},
		{"500", vendorFails(func(*chaos) genaisim.Fault { return genaisim.Fault{Status: 500} })},
		{"500 after the effect", vendorFails(func(*chaos) genaisim.Fault { return genaisim.Fault{Status: 500, After: true} })},
		{"drop before", vendorFails(func(*chaos) genaisim.Fault { return genaisim.Fault{Drop: "before"} })},
		{"drop after", vendorFails(func(*chaos) genaisim.Fault { return genaisim.Fault{Drop: "after"} })},
		{"hang before", vendorFails(func(c *chaos) genaisim.Fault { return genaisim.Fault{DelayMS: c.hang()} })},
		{"hang after", vendorFails(func(c *chaos) genaisim.Fault { return genaisim.Fault{DelayAfterMS: c.hang()} })},
		{"Postgres restarts", (*chaos).restartPostgres},
		{"Postgres crashes", (*chaos).crashPostgres},
		{"Postgres and a replica crash", (*chaos).crashBoth},
	}
}

// rage has a fault strike in every second, until the clients are done or it is enough. All
// kinds come up before one comes up again.
func (c *chaos) rage(t *testing.T, done <-chan struct{}) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(c.form.seed, 1<<32))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	enough := time.NewTimer(c.form.rage)
	defer enough.Stop()
	var deck []trouble
	for {
		select {
		case <-done:
			return
		case <-enough.C:
			return
		case <-tick.C:
		}
		if len(deck) == 0 {
			deck = troubles()
			rnd.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		deck[0].strike(c, rnd)
		c.faults[deck[0].name]++
		deck = deck[1:]
	}
}

// aWhile is a part of a second, or all of it.
func aWhile(rnd *rand.Rand) time.Duration {
	return 200*time.Millisecond + time.Duration(rnd.IntN(800))*time.Millisecond
}

// vendorFails has every request to the vendor fail for a while.
func vendorFails(how func(*chaos) genaisim.Fault) func(*chaos, *rand.Rand) {
	return func(c *chaos, rnd *rand.Rand) {
		c.vendor.fail(c.t, how(c))
		<-time.After(aWhile(rnd))
		c.vendor.fail(c.t)
	}
}

// throttled is what the vendor says when the hour is used up: when it will not be. Once in
// the long form it says nothing, and we stay away for a minute.
func (c *chaos) throttled() genaisim.Fault {
	if c.form.long && c.faults["429 without"] == 1 {
		return genaisim.Fault{Status: 429}
	}
	return genaisim.Fault{Status: 429, Headers: map[string]string{
		"ratelimit-remaining": "0", "ratelimit-reset": strconv.FormatInt(time.Now().Add(2*time.Second).Unix(), 10),
	}}
}

// hang is for how many milliseconds: more than a client waits, and at times more than the
// service does, which is half a minute.
func (c *chaos) hang() int {
	if c.form.long && (c.faults["hang before"]+c.faults["hang after"])%6 == 5 {
		return 31_000
	}
	return int(c.form.hang.Milliseconds())
}

func (c *chaos) killOne(rnd *rand.Rand) {
	i := rnd.IntN(replicaCount)
	c.replicas[i].Load().kill(c.t)
	c.kills++
	c.start(c.t, i)
}

// killAmid kills a replica while the vendor has made its changes and not said so yet.
func (c *chaos) killAmid(rnd *rand.Rand) {
	c.vendor.fail(c.t, genaisim.Fault{DelayAfterMS: c.hang()})
	<-time.After(aWhile(rnd))
	i := rnd.IntN(replicaCount)
	c.replicas[i].Load().kill(c.t)
	c.kills++
	c.vendor.fail(c.t)
	c.start(c.t, i)
}

// restartPostgres is what an administrator does: it says goodbye to everybody.
func (c *chaos) restartPostgres(*rand.Rand) {
	c.revive()
}

func (c *chaos) crashPostgres(rnd *rand.Rand) {
	c.crash()
	<-time.After(aWhile(rnd))
	c.revive()
}

// crashBoth is a power cut: what a replica knew is gone with what Postgres had not kept.
func (c *chaos) crashBoth(rnd *rand.Rand) {
	i := rnd.IntN(replicaCount)
	c.crash()
	c.replicas[i].Load().kill(c.t)
	c.kills++
	c.revive()
	c.start(c.t, i)
}

// crash kills all processes of Postgres.
func (c *chaos) crash() {
	c.t.Helper()
	if err := c.server.Crash(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chaos) revive() {
	c.t.Helper()
	if err := c.server.Restart(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.restarts++
}
