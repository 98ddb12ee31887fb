package budget_test

import (
	"testing"
	"time"

	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

// TestCallsGivenBackHideNoOthers gives back many more calls than are looked at, after a
// minute's worth was made.
func TestCallsGivenBackHideNoOthers(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{PerMinute: 10, PerHour: 1000})
	for range 9 {
		r.answer(r.take(budget.Change), budget.Up)
	}
	for range 500 { // of the one that is left
		if err := r.Return(t.Context(), r.take(budget.Change)); err != nil {
			t.Fatal(err)
		}
	}
	r.answer(r.take(budget.Change), budget.Up)
	if _, ok, wait, err := r.Try(t.Context(), budget.For{Purpose: budget.Change}); ok || err != nil || wait < 50*time.Second {
		t.Errorf("an eleventh call of the minute went, or waits %s: %v", wait, err)
	}
	standing, err := r.Standing(t.Context(), r.store.Queries)
	if err != nil {
		t.Fatal(err)
	}
	if len(standing.Calls) != 1 || standing.Calls[0].InMinute != 10 || standing.Calls[0].InHour != 10 {
		t.Errorf("the calls are told as %v", standing.Calls)
	}
}

// TestAProbeNeedsNoReserve opens the breaker when more of the hour is used than the sync may
// use.
func TestAProbeNeedsNoReserve(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{PerMinute: 1000, PerHour: 100})
	for range 60 {
		r.answer(r.take(budget.Change), budget.Up)
	}
	for range 10 {
		r.answer(r.take(budget.Change), budget.Down)
	}
	pass(t, pool, time.Second)
	r.answer(r.take(budget.Sync), budget.Up)
	r.take(budget.Change) // the breaker is closed
	if _, ok, _, err := r.Try(t.Context(), budget.For{Purpose: budget.Sync}); ok || err != nil {
		t.Errorf("the sync goes on beyond what it may use: %v", err)
	}
}

// TestTheOutlookWaitsForWhoeverLeavesFirst has the oldest call of a full minute lost: it may
// count for a minute more than the others, and only one place is behind it.
func TestTheOutlookWaitsForWhoeverLeavesFirst(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{PerMinute: 4, PerHour: 1000})
	r.take(budget.Change)
	for range 3 {
		r.answer(r.take(budget.Change), budget.Up)
	}
	waits, err := r.Outlook(t.Context(), r.store.Queries, budget.Change, 0, 2, 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	for i, most := range []time.Duration{61 * time.Second, 61 * time.Second, 121 * time.Second, 121 * time.Second} {
		if least := most - 15*time.Second; waits[i] > most || waits[i] < least {
			t.Errorf("place %d waits %s, not %s to %s", i, waits[i], least, most)
		}
	}
}
