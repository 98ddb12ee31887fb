package operation_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// waiting is an operation as the model has it.
type waiting struct {
	number  int
	lane    int16
	team    int
	start   float64
	key     string
	running bool
}

// schedule is start-time fair queueing as slow and obvious as can be.
type schedule struct {
	cost   []float64 // of a change, by team
	clock  map[int16]float64
	finish map[string]float64
	all    []*waiting
}

func (s *schedule) submit(number int, lane int16, team int, key string) *waiting {
	place := fmt.Sprint(lane, "/", team)
	o := &waiting{number: number, lane: lane, team: team, key: key, start: max(s.clock[lane], s.finish[place])}
	s.finish[place] = o.start + s.cost[team]
	s.all = append(s.all, o)
	return o
}

// claim takes up to n that may run, in order: of each key one at a time, the oldest first.
func (s *schedule) claim(n int) []int {
	var able []*waiting
	for _, o := range s.all {
		blocked := o.running || slices.ContainsFunc(s.all, func(other *waiting) bool {
			return other.key == o.key && (other.running || other.number < o.number)
		})
		if !blocked {
			able = append(able, o)
		}
	}
	slices.SortFunc(able, func(a, b *waiting) int {
		return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.start, b.start), cmp.Compare(a.number, b.number))
	})
	var numbers []int
	for _, o := range able[:min(n, len(able))] {
		o.running = true
		s.clock[o.lane] = max(s.clock[o.lane], o.start)
		numbers = append(numbers, o.number)
	}
	slices.Sort(numbers)
	return numbers
}

// end ends a running operation; false if there is none.
func (s *schedule) end(at int) (number int, ended bool) {
	var running []int
	for i, o := range s.all {
		if o.running {
			running = append(running, i)
		}
	}
	if len(running) == 0 {
		return 0, false
	}
	i := running[at%len(running)]
	number = s.all[i].number
	s.all = slices.Delete(s.all, i, i+1)
	return number, true
}

// TestTheScheduleAgreesWithASlowModel submits, claims and ends in random order, for teams of
// different weights, in all lanes, with resources that several want: whatever the database
// gives out next is what the model does.
func TestTheScheduleAgreesWithASlowModel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	weights := []int{1, 2, 4} // whose costs are exact in floating point
	teams := make([]uuid.UUID, len(weights))
	s := &schedule{}
	for i, weight := range weights {
		teams[i] = b.team(fmt.Sprintf("weighs-%d", weight), weight).ActingTeam.ID
		s.cost = append(s.cost, 1/float64(weight))
	}
	exec := func(rt *rapid.T, sql string, args ...any) {
		if _, err := b.pool.Exec(ctx, sql, args...); err != nil {
			rt.Fatalf("%s: %v", sql, err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		exec(rt, "DELETE FROM operations")
		exec(rt, "DELETE FROM fair_teams")
		exec(rt, "UPDATE fair_clocks SET virtual_time = 0")
		s.clock, s.finish, s.all = map[int16]float64{}, map[string]float64{}, nil
		for step := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"submit", "submit", "submit", "claim", "end"}).Draw(rt, "what") {
			case "submit":
				lane, team := rapid.Int16Range(1, 3).Draw(rt, "lane"), rapid.IntRange(0, len(teams)-1).Draw(rt, "team")
				key := fmt.Sprint("agent/", rapid.IntRange(0, 12).Draw(rt, "resource"))
				place, err := b.store.ReserveStarts(ctx, dbsql.ReserveStartsParams{
					TeamID: teams[team], Account: budget.DefaultAccount, Lane: lane, Backlog: 1000, Places: 1, AtLeast: 1,
				})
				if err != nil {
					rt.Fatal(err)
				}
				if want := s.submit(step, lane, team, key); place.VirtualStart != want.start {
					rt.Fatalf("operation %d starts at %v, want %v", step, place.VirtualStart, want.start)
				}
				exec(rt, `INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, request_digest, request, lane, virtual_start)
					VALUES (gen_random_uuid(), 'default', $1, $2, '', 'agent', $3, '', '', $4, $5)`, teams[team], strconv.Itoa(step), key, lane, place.VirtualStart)
			case "claim":
				n := rapid.IntRange(1, 6).Draw(rt, "n")
				if got, want := claimed(rt, b, n), s.claim(n); !slices.Equal(got, want) {
					rt.Fatalf("claimed %v, want %v", got, want)
				}
			case "end":
				if number, ended := s.end(rapid.IntRange(0, 100).Draw(rt, "which")); ended {
					exec(rt, `UPDATE operations SET state = 'SUCCEEDED', finished_at = now(), lease_expires_at = NULL WHERE actor = $1`, strconv.Itoa(number))
				}
			}
		}
	})
}

// claimed is what the database gives out next, by the numbers that the model knows.
func claimed(rt *rapid.T, b *bench, n int) []int {
	ctx, worker := context.Background(), "worker"
	rows, err := b.store.ClaimQueued(ctx, dbsql.ClaimQueuedParams{
		Worker: &worker, LeaseSeconds: 3600, Account: budget.DefaultAccount, AtMost: int32(n), LowestLane: 1,
	})
	if err != nil {
		rt.Fatal(err)
	}
	var numbers []int
	for _, row := range rows {
		var number int
		if _, err := fmt.Sscan(row.Actor, &number); err != nil {
			rt.Fatal(err)
		}
		numbers = append(numbers, number)
		if err := b.store.AdvanceClock(ctx, dbsql.AdvanceClockParams{
			Account: budget.DefaultAccount, Lane: row.Lane, VirtualTime: row.VirtualStart,
		}); err != nil {
			rt.Fatal(err)
		}
	}
	slices.Sort(numbers)
	return numbers
}
