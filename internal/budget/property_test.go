package budget_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
)

// logged is one call as the log has it. The vendor counted it at some time from At to Until.
type logged struct {
	At, Until time.Time
	Purpose   string
}

// model is the limiter as slow and obvious as can be: it goes through all calls there ever
// were.
type model struct {
	limits budget.Limits
	calls  []logged
}

// within counts the calls that the vendor may still count within the window at a time,
// those that came after it included.
func (m model) within(at time.Time, window time.Duration) int {
	n := 0
	for _, call := range m.calls {
		if at.Sub(call.Until) < window {
			n++
		}
	}
	return n
}

// broken says in what way the last of the calls should not have gone; "" if it should.
func (m model) broken() string {
	last := m.calls[len(m.calls)-1]
	share := map[string][2]float64{"SYNC": {0.60, 0.40}}[last.Purpose]
	if share == [2]float64{} {
		share = [2]float64{1, 1}
	}
	for i, w := range m.windows() {
		if n, limit := m.within(last.At, w.length), max(1, int(float64(w.limit)*share[i])); n > limit {
			return fmt.Sprintf("%d calls within %s, of which a %s may be the %dth at most", n, w.length, last.Purpose, limit)
		}
	}
	return ""
}

// full says whether another change would have been one too many at a time.
func (m model) full(at time.Time) bool {
	for _, w := range m.windows() {
		if m.within(at, w.length) >= w.limit {
			return true
		}
	}
	return false
}

type modelWindow struct {
	limit  int
	length time.Duration
}

// windows are those of the limits, each longer by the guard.
func (m model) windows() []modelWindow {
	return []modelWindow{
		{m.limits.PerMinute, m.limits.Minute + m.limits.Guard}, {m.limits.PerHour, m.limits.Hour + m.limits.Guard},
	}
}

// ends are the ways in which calls of the log end: answered, given back, or by the release
// before, which notes no time. What does not end is lost, and counts as long as a call can
// take.
func ends() []string {
	return []string{
		"UPDATE vendor_calls SET status = 200, answered_at = clock_timestamp() WHERE status IS NULL AND number % 3 > 0",
		"UPDATE vendor_calls SET status = 500, answered_at = clock_timestamp() WHERE number = (SELECT min(number) FROM vendor_calls WHERE status IS NULL)",
		"UPDATE vendor_calls SET status = 200, answered_at = clock_timestamp() WHERE number = (SELECT max(number) FROM vendor_calls WHERE status IS NULL)",
		"UPDATE vendor_calls SET answered_at = 'epoch' WHERE status IS NULL AND answered_at IS NULL AND number % 4 = 0",
		"UPDATE vendor_calls SET status = 200 WHERE status IS NULL AND number % 5 = 0",
	}
}

// TestTheLimiterAgreesWithASlowModel takes calls in random numbers, for random purposes, by
// random replicas, while time passes at random: whatever went may go by the model, and what
// did not go may not. Time passes by making the log older.
func TestTheLimiterAgreesWithASlowModel(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	rapid.Check(t, func(rt *rapid.T) {
		limits := budget.Limits{
			PerMinute: rapid.IntRange(1, 12).Draw(rt, "per minute"), Minute: time.Minute,
			PerHour: rapid.IntRange(1, 40).Draw(rt, "per hour"), Hour: time.Hour, Guard: time.Second,
		}
		exec(rt, pool, "DELETE FROM vendor_calls")
		exec(rt, pool, "UPDATE accounts SET last_call = 0")
		m := model{limits: limits}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "time passes") {
				by := rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second, 61 * time.Second, 10 * time.Minute, time.Hour}).Draw(rt, "by")
				exec(rt, pool, "UPDATE vendor_calls SET granted_at = granted_at - $1::interval, answered_at = answered_at - $1::interval", by)
				m.calls = logOf(rt, pool)
				continue
			}
			if rapid.Bool().Draw(rt, "calls end") {
				exec(rt, pool, rapid.SampledFrom(ends()).Draw(rt, "how"))
				m.calls = logOf(rt, pool)
				continue
			}
			purpose := rapid.SampledFrom([]budget.Purpose{budget.Change, budget.Reconcile, budget.Sync}).Draw(rt, "purpose")
			most := rapid.IntRange(1, 50).Draw(rt, "most")
			before := clockOf(rt, pool)
			had := len(m.calls)
			grantSome(rt, budget.New(db.New(pool), budget.DefaultAccount, limits, quiet()), pool, purpose, most)
			all := logOf(rt, pool)
			for n := had + 1; n <= len(all); n++ {
				if why := (model{limits, all[:n]}).broken(); why != "" {
					rt.Fatalf("a call went too early: %s", why)
				}
			}
			m.calls = all
			if got := len(all) - had; got < most && purpose != budget.Sync && !m.full(before) {
				rt.Fatalf("only %d of %d went, and there was room", got, most)
			}
		}
	})
}

// grantSome takes up to most calls in one transaction, as the engine does.
func grantSome(rt *rapid.T, b *budget.Budget, pool *pgxpool.Pool, p budget.Purpose, most int) {
	ctx := context.Background()
	if err := db.New(pool).Tx(ctx, db.Loose, func(q *db.Queries) error {
		room, err := b.Available(ctx, q, p, most)
		if err != nil || room.Calls == 0 {
			return err
		}
		whom := make([]budget.For, room.Calls)
		for i := range whom {
			whom[i] = budget.For{Purpose: p, Method: "x"}
		}
		_, err = b.Grant(ctx, q, room, whom...)
		return err
	}); err != nil {
		rt.Fatal(err)
	}
}

func exec(rt *rapid.T, pool *pgxpool.Pool, sql string, args ...any) {
	if _, err := pool.Exec(context.Background(), sql, args...); err != nil {
		rt.Fatalf("%s: %v", sql, err)
	}
}

func clockOf(rt *rapid.T, pool *pgxpool.Pool) (now time.Time) {
	if err := pool.QueryRow(context.Background(), "SELECT clock_timestamp()").Scan(&now); err != nil {
		rt.Fatal(err)
	}
	return now
}

func logOf(rt *rapid.T, pool *pgxpool.Pool) []logged {
	rows, err := pool.Query(context.Background(), `SELECT granted_at AS at, purpose, coalesce(answered_at,
		CASE WHEN status IS NULL THEN granted_at + interval '45 seconds' ELSE granted_at END) AS until FROM vendor_calls ORDER BY number`)
	if err != nil {
		rt.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[logged])
	if err != nil {
		rt.Fatal(err)
	}
	return all
}
