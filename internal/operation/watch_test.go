package operation_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestWatchTellsHowABatchGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Concurrency = 2 })
	b.start(b.engine)
	agents := b.agents(12)
	b.fault(genaisim.Fault{Method: "PUT", DelayAfterMS: 150})
	id := b.batch(replace(agents, async))
	elsewhere := b.another()
	go func() { _ = elsewhere.RunNotifications(t.Context()) }()
	var told []*pb.BatchProgress
	var last *pb.Operation
	begun := time.Now()
	if err := elsewhere.Watch(t.Context(), id, func(op *pb.Operation) error {
		told, last = append(told, proto.CloneOf(op.GetBatch())), op
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	requireProgress(t, last, pb.Operation_STATE_SUCCEEDED, &pb.BatchProgress{Total: 12, Succeeded: 12})
	if most := int(took/(250*time.Millisecond)) + 2; len(told) < 3 || len(told) > most {
		t.Errorf("%d messages in %s", len(told), took)
	}
	for i, p := range told {
		if sum := p.GetQueued() + p.GetRunning() + p.GetSucceeded(); sum != 12 || i > 0 && p.GetSucceeded() < told[i-1].GetSucceeded() {
			t.Errorf("message %d tells %v", i, p)
		}
	}
	t.Logf("%d messages in %s", len(told), took.Round(10*time.Millisecond))
}

// TestWatchFollowsASingleChange from the queue to its end, and tells no more than that.
func TestWatchFollowsASingleChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agent := b.create("agent")
	stop()
	id := b.submit(b.caller, &pb.UpdateAgentRequest{Uuid: agent, K: proto.Int32(3), Mutation: async}, &pb.UpdateAgentResponse{})
	var states []pb.Operation_State
	err := b.engine.Watch(t.Context(), id, func(op *pb.Operation) error {
		if len(states) == 0 {
			b.start(b.engine)
		}
		if op.GetRequest() != nil || op.GetResponse() != nil {
			t.Error("it tells the request or the response")
		}
		states = append(states, op.GetState())
		return nil
	})
	if err != nil || len(states) < 2 || states[0] != pb.Operation_STATE_QUEUED || states[len(states)-1] != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("told %v, %v", states, err)
	}
	states = nil
	if err := b.engine.Watch(t.Context(), id, func(op *pb.Operation) error { states = append(states, op.GetState()); return nil }); err != nil ||
		!slices.Equal(states, []pb.Operation_State{pb.Operation_STATE_SUCCEEDED}) {
		t.Errorf("one that has ended is told as %v, %v", states, err)
	}
}

// TestWatchEndsWithItsCaller, and says so when the deadline came first.
func TestWatchEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	b := setup(t) // nobody works
	id := b.submit(b.caller, &pb.CreateAgentRequest{Name: new("a"), Mutation: async}, &pb.CreateAgentResponse{})
	nothing := func(*pb.Operation) error { return nil }
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	requireReason(t, b.engine.Watch(ctx, id, nothing), pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := b.engine.Watch(gone, id, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
	requireReason(t, b.engine.Watch(t.Context(), uuid.New(), nothing), pb.ErrorReason_ERROR_REASON_NOT_FOUND)
}
