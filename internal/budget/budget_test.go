package budget_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// granted are the times of all calls, as the database stamped them.
func granted(t *testing.T, pool *pgxpool.Pool) []time.Time {
	t.Helper()
	rows, err := pool.Query(t.Context(), "SELECT granted_at FROM vendor_calls ORDER BY number")
	if err != nil {
		t.Fatal(err)
	}
	times, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		t.Fatal(err)
	}
	return times
}

// most is the largest number of times within any window.
func most(times []time.Time, window time.Duration) int {
	highest, first := 0, 0
	for i, at := range times {
		for at.Sub(times[first]) >= window {
			first++
		}
		highest = max(highest, i-first+1)
	}
	return highest
}

// TestNoWindowHoldsMoreThanItsLimit has three replicas take as fast as they can for
// some of the longer windows, then looks at every window there was.
func TestNoWindowHoldsMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	limits := budget.Limits{PerMinute: 20, Minute: 200 * time.Millisecond, PerHour: 60, Hour: time.Second, Guard: 10 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var replicas sync.WaitGroup
	for range 3 {
		store := db.New(pool)
		b := budget.New(store, budget.DefaultAccount, limits, quiet())
		for range 4 {
			replicas.Go(func() {
				for {
					call, err := b.Take(ctx, budget.For{Purpose: budget.Change})
					if err == nil {
						err = b.Observe(ctx, store.Queries, budget.Answer{Call: call, Seen: budget.Seen{Status: 200, Limit: -1, Remaining: -1}})
					}
					if err != nil {
						if ctx.Err() == nil && fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED {
							t.Errorf("taking: %v", err)
						}
						return
					}
				}
			})
		}
	}
	replicas.Wait()

	times := granted(t, pool)
	if !slices.IsSortedFunc(times, time.Time.Compare) {
		t.Error("calls are not numbered in the order of their times")
	}
	if n := most(times, limits.Minute); n > limits.PerMinute {
		t.Errorf("%d calls within %s, the limit is %d", n, limits.Minute, limits.PerMinute)
	}
	if n := most(times, limits.Hour); n > limits.PerHour {
		t.Errorf("%d calls within %s, the limit is %d", n, limits.Hour, limits.PerHour)
	}
	// About four of the long windows passed; at least three must have been used up.
	if len(times) < 3*limits.PerHour {
		t.Errorf("only %d calls went in four windows of %d", len(times), limits.PerHour)
	}
}

func TestUrgentCallsHaveAReserve(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	b := budget.New(db.New(pool), budget.DefaultAccount, budget.Limits{PerMinute: 100, PerHour: 1000}, quiet())
	count := func(p budget.Purpose) int {
		for n := 0; ; n++ {
			_, ok, wait, err := b.Try(t.Context(), budget.For{Purpose: p})
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				if wait <= 0 || wait > 2*time.Minute {
					t.Errorf("%s must wait %s", p, wait)
				}
				return n
			}
		}
	}
	if n := count(budget.Sync); n != 60 { // of the minute; of the hour it may use 400
		t.Errorf("the sync took %d of 100, want 60", n)
	}
	if n := count(budget.Read); n != 35 {
		t.Errorf("reads took %d of what was left, want 35", n)
	}
	if n := count(budget.Change); n != 5 {
		t.Errorf("changes took %d of what was left, want 5", n)
	}
}

func TestTheVendorCorrectsTheBudget(t *testing.T) {
	t.Parallel()
	limits := budget.Limits{PerMinute: 100, PerHour: 100}
	take := func(t *testing.T, b *budget.Budget) budget.Call {
		t.Helper()
		call, ok, _, err := b.Try(t.Context(), budget.For{Purpose: budget.Change})
		if err != nil || !ok {
			t.Fatalf("nothing to take: %v", err)
		}
		return call
	}
	t.Run("others used some of the hour", func(t *testing.T) {
		t.Parallel()
		store := db.New(dbtest.New(t))
		b := budget.New(store, budget.DefaultAccount, limits, quiet())
		for n := 1; n <= 8; n++ {
			call := take(t, b)
			if err := b.Observe(t.Context(), store.Queries, budget.Answer{Call: call, Seen: budget.Seen{Status: 200, Limit: 100, Remaining: 100 - n - 80}}); err != nil {
				t.Fatal(err)
			}
		}
		left := 0
		for {
			_, ok, _, err := b.Try(t.Context(), budget.For{Purpose: budget.Change})
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			left++
		}
		if left != 100-8-80 {
			t.Errorf("%d calls were left, the vendor said 12", left)
		}
	})
	t.Run("a word that others used everything does not silence us", func(t *testing.T) {
		t.Parallel()
		pool := dbtest.New(t)
		store := db.New(pool)
		b := budget.New(store, budget.DefaultAccount, limits, quiet())
		for range 8 {
			if err := b.Observe(t.Context(), store.Queries, budget.Answer{Call: take(t, b), Seen: budget.Seen{Status: 200, Limit: 100, Remaining: 1}}); err != nil {
				t.Fatal(err)
			}
		}
		take(t, b) // the one that the vendor said is left
		if _, ok, wait, err := b.Try(t.Context(), budget.For{Purpose: budget.Change}); err != nil || ok || wait > 16*time.Second {
			t.Errorf("right after: ok=%v wait=%s err=%v", ok, wait, err)
		}
		if _, err := pool.Exec(t.Context(), "UPDATE vendor_calls SET granted_at = granted_at - interval '16 seconds', answered_at = granted_at - interval '16 seconds'"); err != nil {
			t.Fatal(err)
		}
		take(t, b)
		if _, ok, _, err := b.Try(t.Context(), budget.For{Purpose: budget.Change}); err != nil || ok {
			t.Errorf("one call asks, not two: ok=%v err=%v", ok, err)
		}
	})
	t.Run("a throttled account rests", func(t *testing.T) {
		t.Parallel()
		store := db.New(dbtest.New(t))
		b := budget.New(store, budget.DefaultAccount, limits, quiet())
		seen := budget.Seen{Status: 429, Throttled: true, RetryAfter: 30 * time.Second, Limit: -1, Remaining: -1}
		if err := b.Observe(t.Context(), store.Queries, budget.Answer{Call: take(t, b), Seen: seen}); err != nil {
			t.Fatal(err)
		}
		_, ok, wait, err := b.Try(t.Context(), budget.For{Purpose: budget.Change})
		if err != nil || ok || wait < 25*time.Second || wait > 31*time.Second {
			t.Errorf("after a 429 with retry-after 30: ok=%v wait=%s err=%v", ok, wait, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = b.Take(ctx, budget.For{Purpose: budget.Read})
		var refusal *fault.Error
		if !errors.As(err, &refusal) || refusal.Reason != pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED || refusal.RetryAfter < 25*time.Second {
			t.Errorf("a read with a shorter deadline: %v", err)
		}
		if ctx.Err() != nil {
			t.Error("it was made to wait for what could not come")
		}
	})
}
