package operation_test

import (
	"context"
	"slices"
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
)

// slow holds the settling of updates open, once it has said in the database that they ended.
type slow struct {
	operation.History
	reached, release chan struct{}
}

func (s slow) Apply(ctx context.Context, q *db.Queries, changes ...mirror.Change) ([]mirror.Effect, error) {
	if _, ok := changes[0].Request.(*pb.UpdateAgentRequest); ok {
		s.reached <- struct{}{}
		<-s.release
	}
	return s.History.Apply(ctx, q, changes...)
}

// TestWhatComesWhileItsTurnIsSettled submits a change of an agent while the one before it is
// being settled: neither of the two can see the other, and it goes at once all the same.
func TestWhatComesWhileItsTurnIsSettled(t *testing.T) {
	t.Parallel()
	hold := slow{reached: make(chan struct{}), release: make(chan struct{})}
	b := setup(t, func(c *operation.Config) {
		hold.History = c.History
		c.History, c.Lease = hold, time.Minute
	})
	b.start(b.engine)
	agent := b.create("busy")
	update := func() string {
		return b.submit(b.caller, &pb.UpdateAgentRequest{
			Uuid: agent, Temperature: new(0.5), Mutation: &pb.MutationOptions{Async: true},
		}, &pb.UpdateAgentResponse{}).String()
	}
	var waited []time.Duration
	for range 7 {
		update()
		<-hold.reached
		second := update()
		<-time.After(50 * time.Millisecond) // the dispatcher has its hint, and finds the agent busy
		released := time.Now()
		hold.release <- struct{}{}
		<-hold.reached // the second has been made
		waited = append(waited, time.Since(released))
		hold.release <- struct{}{}
		b.ended(mustID(t, second))
	}
	slices.Sort(waited)
	if median := waited[len(waited)/2]; median > 160*time.Millisecond {
		t.Errorf("the second waited for %s, when it could go: %s", median, waited)
	}
}
