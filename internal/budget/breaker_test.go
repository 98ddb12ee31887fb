package budget_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// replica is a budget as one process has it, on a database that others share.
type replica struct {
	*budget.Budget

	t     *testing.T
	store *db.Store
}

func newReplica(t *testing.T, pool *pgxpool.Pool, limits budget.Limits) replica {
	t.Helper()
	store := db.New(pool)
	return replica{Budget: budget.New(store, budget.DefaultAccount, limits, quiet()), t: t, store: store}
}

// take takes a call that must be there.
func (r replica) take(p budget.Purpose) budget.Call {
	r.t.Helper()
	call, ok, wait, err := r.Try(r.t.Context(), budget.For{Purpose: p})
	if err != nil || !ok {
		r.t.Fatalf("no call for %s: wait %s, %v", p, wait, err)
	}
	return call
}

// answer records what came of a call.
func (r replica) answer(call budget.Call, verdict budget.Verdict) {
	r.t.Helper()
	if err := r.Observe(r.t.Context(), r.store.Queries, budget.Answer{Call: call, Seen: budget.Seen{Verdict: verdict, Limit: -1, Remaining: -1}}); err != nil {
		r.t.Fatal(err)
	}
}

// blocked says whether nobody but a probe gets through, and checks that reads and changes
// are told so at once.
func (r replica) blocked() bool {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	var reasons []pb.ErrorReason
	for _, p := range []budget.Purpose{budget.Read, budget.Reconcile} {
		_, err := r.Take(ctx, budget.For{Purpose: p})
		reasons = append(reasons, fault.ReasonOf(err))
		if err == nil {
			reasons[len(reasons)-1] = 0
		}
	}
	if reasons[0] != reasons[1] || reasons[0] != 0 && reasons[0] != pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE {
		r.t.Fatalf("reads and changes are told %v", reasons)
	}
	return reasons[0] != 0
}

func pass(t *testing.T, pool *pgxpool.Pool, by time.Duration) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), "UPDATE accounts SET probe_at = probe_at - $1::interval", by); err != nil {
		t.Fatal(err)
	}
}

func TestAVendorThatDoesNotAnswerIsLeftAlone(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	one, other := newReplica(t, pool, budget.Limits{}), newReplica(t, pool, budget.Limits{})
	underWay := one.take(budget.Change)
	for n := range 9 {
		[]replica{one, other}[n%2].answer(one.take(budget.Change), budget.Down)
	}
	if one.blocked() {
		t.Fatal("nine failures were enough")
	}
	one.answer(one.take(budget.Read), budget.Up)
	for range 9 {
		one.answer(one.take(budget.Read), budget.Down)
	}
	for range 20 { // neither failures nor answers
		one.answer(one.take(budget.Read), budget.Silent)
	}
	if one.blocked() {
		t.Fatal("an answer in between did not count")
	}
	other.answer(other.take(budget.Change), budget.Down)
	if !one.blocked() || !other.blocked() {
		t.Fatal("ten failures in a row were not enough, or another replica does not know")
	}
	due := func(want bool) {
		t.Helper()
		for _, r := range []replica{one, other} {
			if got, err := r.ProbeDue(t.Context()); err != nil || got != want {
				t.Errorf("a probe is due: %v, %v", got, err)
			}
		}
	}
	due(false)
	one.answer(underWay, budget.Down) // from before: it delays no probe
	pass(t, pool, time.Second)
	due(true)
	probe := other.take(budget.Sync)
	due(false)
	if _, ok, _, err := one.Try(t.Context(), budget.For{Purpose: budget.Sync}); ok || err != nil {
		t.Errorf("a second probe went: %v", err)
	}
	other.answer(probe, budget.Down)
	pass(t, pool, 1500*time.Millisecond)
	due(false) // two seconds now
	pass(t, pool, 500*time.Millisecond)
	due(true)
	if !one.blocked() {
		t.Error("a failed probe opened the way")
	}
	one.answer(one.take(budget.Sync), budget.Up)
	due(false)
	if one.blocked() || other.blocked() {
		t.Error("an answer did not close the breaker")
	}
}

// TestTheBreakerWaitsLongerEachTime follows failing probes.
func TestTheBreakerWaitsLongerEachTime(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{})
	for range 10 {
		r.answer(r.take(budget.Change), budget.Down)
	}
	for n, want := range []float64{1, 2, 4, 8, 16, 30, 30} {
		var left float64
		if err := pool.QueryRow(t.Context(), "SELECT extract(epoch FROM probe_at - clock_timestamp()) FROM accounts").Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left > want || left < want-0.9 {
			t.Errorf("after %d probes the next is in %.1f s, want %.0f", n, left, want)
		}
		pass(t, pool, time.Minute)
		r.answer(r.take(budget.Sync), budget.Down)
	}
}
