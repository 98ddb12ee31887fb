package budget_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// TestReadersGoInFairOrder has one team wait with many reads before another comes with two.
func TestReadersGoInFairOrder(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{PerMinute: 2, Minute: 400 * time.Millisecond, Guard: time.Millisecond})
	heavy, light := uuid.New(), uuid.New()
	var reads sync.WaitGroup
	read := func(team uuid.UUID) {
		reads.Go(func() {
			call, err := r.Take(t.Context(), budget.For{Purpose: budget.Read, Team: &team})
			if err != nil {
				t.Error(err)
				return
			}
			r.answer(call, budget.Up)
		})
	}
	for range 12 {
		read(heavy)
	}
	r.awaitWaiting(8) // some have gone
	for range 2 {
		read(light)
	}
	reads.Wait()
	rows, err := pool.Query(t.Context(), "SELECT team_id FROM vendor_calls ORDER BY number")
	if err != nil {
		t.Fatal(err)
	}
	order, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	first := slices.Index(order, light)
	if first < 0 || first > 7 {
		t.Fatalf("the light team's first read went as number %d: %v", first+1, order)
	}
	second := first + 1 + slices.Index(order[first+1:], light)
	if second-first > 2 {
		t.Errorf("%d reads of the heavy team went between the two of the light one", second-first-1)
	}
}

// TestReadersWhoGiveUpLeaveNoHole has most of those that wait leave.
func TestReadersWhoGiveUpLeaveNoHole(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{PerMinute: 1, Minute: 700 * time.Millisecond, Guard: time.Millisecond})
	r.answer(r.take(budget.Change), budget.Up)
	leaving, leave := context.WithCancel(t.Context())
	var left sync.WaitGroup
	for range 20 {
		left.Go(func() {
			if _, err := r.Take(leaving, budget.For{Purpose: budget.Read}); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	r.awaitWaiting(20)
	leave()
	left.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // 20 of them would take 14 s
	defer cancel()
	if _, err := r.Take(ctx, budget.For{Purpose: budget.Read}); err != nil {
		t.Errorf("who stayed waited for those who left: %v", err)
	}
}

// TestReadsThatCannotMakeItAreRefused gives each of many reads the same deadline: those
// whose place in the queue is too late are told at once, and when to come back.
func TestReadsThatCannotMakeItAreRefused(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{PerMinute: 10, PerHour: 10, Minute: time.Second, Hour: 10 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var mu sync.Mutex
	var refused, granted int
	var reads sync.WaitGroup
	begun := time.Now()
	for range 30 {
		reads.Go(func() {
			call, err := r.Take(ctx, budget.For{Purpose: budget.Read})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				r.answer(call, budget.Up)
				granted++
				return
			}
			refused++
			var refusal *fault.Error
			if !errors.As(err, &refusal) || refusal.Reason != pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED || refusal.RetryAfter < 4*time.Second-time.Since(begun) {
				t.Errorf("refused with %v", err)
			}
			if time.Since(begun) > 4*time.Second {
				t.Errorf("refused after %s, which is as good as not at all", time.Since(begun))
			}
		})
	}
	reads.Wait()
	// Seven of the ten may be reads at once; the rest is given out one by one.
	if granted < 7 || granted > 9 || granted+refused != 30 {
		t.Errorf("%d granted and %d refused", granted, refused)
	}
}

// TestAnIdleReserveIsNotWithheld lets readers use what changes do not: slowly.
func TestAnIdleReserveIsNotWithheld(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{PerMinute: 1000, PerHour: 10, Minute: time.Minute, Hour: time.Hour})
	for range 7 {
		r.take(budget.Read)
	}
	for n := range 3 {
		if _, ok, wait, err := r.Try(t.Context(), budget.For{Purpose: budget.Read}); ok || err != nil || wait > 20*time.Minute+time.Second {
			t.Fatalf("read %d went at once, or waits %s: %v", n+8, wait, err)
		}
		if _, err := pool.Exec(t.Context(), "UPDATE vendor_calls SET answered_at = granted_at - interval '20 minutes 1 second' WHERE number > 7"); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if _, err := pool.Exec(t.Context(), "UPDATE vendor_calls SET answered_at = granted_at - interval '20 minutes 1 second' WHERE number <= 7"); err != nil {
				t.Fatal(err)
			}
		}
		r.take(budget.Read)
	}
	if _, ok, _, err := r.Try(t.Context(), budget.For{Purpose: budget.Change}); ok || err != nil {
		t.Errorf("more than the whole hour was used: %v", err)
	}
}

// awaitWaiting waits until at least n reads wait.
func (r replica) awaitWaiting(n int) {
	r.t.Helper()
	timeout, look := time.After(10*time.Second), time.NewTicker(time.Millisecond)
	defer look.Stop()
	for r.Waiting() < n {
		select {
		case <-look.C:
		case <-timeout:
			r.t.Fatalf("%d reads wait, want %d", r.Waiting(), n)
		}
	}
}

// TestARefusedReadCostsItsTeamNoTurn has a team give up many reads while another waits: its
// next one goes as if they had never come.
func TestARefusedReadCostsItsTeamNoTurn(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	r := newReplica(t, pool, budget.Limits{PerMinute: 1, Minute: time.Second, Guard: time.Millisecond})
	r.answer(r.take(budget.Change), budget.Up)
	patient, hasty := uuid.New(), uuid.New()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var reads sync.WaitGroup
	for range 6 {
		reads.Go(func() {
			if call, err := r.Take(ctx, budget.For{Purpose: budget.Read, Team: &patient}); err == nil {
				r.answer(call, budget.Up)
			}
		})
	}
	r.awaitWaiting(6)
	for range 50 {
		brief, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := r.Take(brief, budget.For{Purpose: budget.Read, Team: &hasty}); err == nil {
			t.Error("there was a call within its deadline")
		}
		cancel()
	}
	if _, err := r.Take(t.Context(), budget.For{Purpose: budget.Read, Team: &hasty}); err != nil {
		t.Error(err)
	}
	if n := r.Waiting(); n < 3 {
		t.Errorf("only %d of the other team's wait still: it was behind them", n)
	}
	leave()
	reads.Wait()
}
