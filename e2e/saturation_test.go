package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// saturation is how the vendor's two windows are scaled down, and what fills them.
type saturation struct {
	perMinute, perHour int
	minute, hour       time.Duration
	replicas           []int // how many, in turn
	changes            int
	// used is how much of both windows must be at the least.
	used float64
}

// saturating takes seconds, and with AGENTSVC_SATURATE=long ("make saturate") some minutes.
// In the short form a machine that is busy with other tests may leave a part unused; more
// than there is may never be.
func saturating() saturation {
	if os.Getenv("AGENTSVC_SATURATE") == "long" {
		return saturation{
			perMinute: 250, minute: 6 * time.Second, perHour: 5000, hour: 2 * time.Minute, replicas: []int{1, 3, 10}, changes: 6000, used: 0.99,
		}
	}
	return saturation{perMinute: 50, minute: 2 * time.Second, perHour: 150, hour: 6 * time.Second, replicas: []int{3}, changes: 300, used: 0.8}
}

// TestTheBudgetIsUsedAndNeverExceeded has more to do than the vendor lets through, with some
// replicas that are replaced one by one in the middle of it. The vendor refuses nothing.
func TestTheBudgetIsUsedAndNeverExceeded(t *testing.T) {
	s := saturating()
	for _, n := range s.replicas {
		t.Run(fmt.Sprintf("%d replicas", n), func(t *testing.T) { s.run(t, n) })
	}
}

func (s saturation) run(t *testing.T, n int) {
	t.Helper()
	w := newWorld(t)
	w.vendor = newVendor(t, genaisim.Config{
		RatePerMinute: s.perMinute, RateMinuteWindow: s.minute, RatePerHour: s.perHour, RateHourWindow: s.hour,
	})
	w.exec(t, "UPDATE teams SET backlog_limit = 100000")
	env := []string{
		fmt.Sprint("AGENTSVC_RATE_PER_MINUTE=", s.perMinute), fmt.Sprint("AGENTSVC_RATE_MINUTE_WINDOW=", s.minute),
		fmt.Sprint("AGENTSVC_RATE_PER_HOUR=", s.perHour), fmt.Sprint("AGENTSVC_RATE_HOUR_WINDOW=", s.hour),
		"AGENTSVC_RATE_GUARD=5ms", "AGENTSVC_DATABASE_CONNS=8", "AGENTSVC_BACKLOG=100000",
	}
	w.queueMany(t, w.serve(t, append(env, "AGENTSVC_WORKERS=0")...), s.changes)
	replicas := make([]*service, n)
	for i := range replicas {
		replicas[i] = w.serve(t, env...)
	}
	done := func() int { return w.count(t, "SELECT count(*) FROM operations WHERE finished_at IS NOT NULL") }
	awaitWithin(t, 10*time.Minute, 100*time.Millisecond, "half of the changes are made", func() bool { return done() >= s.changes/2 })
	for i, old := range replicas { // one by one, without anybody noticing
		replicas[i] = w.serve(t, env...)
		old.signal(t, syscall.SIGTERM)
		if code := old.wait(t); code != 0 {
			t.Errorf("replica %d ended with %d", i, code)
		}
	}
	awaitWithin(t, 10*time.Minute, 100*time.Millisecond, "all changes are made", func() bool { return done() == s.changes })

	var times []time.Time
	refused := 0
	for _, r := range w.vendor.Requests() {
		times = append(times, r.Time)
		if r.Status == http.StatusTooManyRequests {
			refused++
		}
	}
	minute, hour := used(times, s.perMinute, s.minute), used(times, s.perHour, s.hour)
	t.Logf("%d replicas: %d calls in %s, %d answers of 429; %.1f %% of %d per %s used, %.1f %% of %d per %s", n, len(times),
		times[len(times)-1].Sub(times[0]).Round(time.Millisecond), refused, 100*minute, s.perMinute, s.minute, 100*hour, s.perHour, s.hour)
	if refused > 0 {
		t.Errorf("the vendor refused %d calls", refused)
	}
	if minute < s.used || hour < s.used {
		t.Errorf("too little of the budget was used")
	}
	if n := w.count(t, "SELECT count(*) FROM operations WHERE state <> 'SUCCEEDED'"); n > 0 {
		t.Errorf("%d changes failed", n)
	}
}

// used is the part of a window that calls filled while there were always more: each could
// have gone a window after the one whose place it took.
func used(times []time.Time, limit int, length time.Duration) float64 {
	var sum time.Duration
	for i := limit; i < len(times); i++ {
		sum += times[i].Sub(times[i-limit])
	}
	return length.Seconds() * float64(len(times)-limit) / sum.Seconds()
}

// queueMany queues creations, through a replica that makes none.
func (w *world) queueMany(t *testing.T, s *service, n int) {
	t.Helper()
	names := make(chan string)
	var clients sync.WaitGroup
	for range 8 {
		c := s.as(t, w.payments)
		clients.Go(func() {
			for name := range names {
				if _, err := c.agents.CreateAgent(t.Context(), &pb.CreateAgentRequest{
					Name: &name, ModelUuid: proto.String(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true},
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		names <- fmt.Sprintf("queued-%05d", i)
	}
	close(names)
	clients.Wait()
	s.kill(t)
}

// exec runs a statement.
func (w *world) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.rows.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
