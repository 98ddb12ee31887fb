package operation_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// queueUp queues creations of a team.
func (b *bench) queueUp(caller identity.Caller, lane pb.MutationOptions_Lane, n int) []uuid.UUID {
	b.t.Helper()
	ids := make([]uuid.UUID, 0, n)
	for range n {
		name := "queued-" + uuid.NewString()
		ids = append(ids, b.submit(caller, &pb.CreateAgentRequest{
			Name: &name, ModelUuid: proto.String(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true, Lane: lane},
		}, &pb.CreateAgentResponse{}))
	}
	return ids
}

// TestTheQueueTellsWhereOneStands has the budget of a minute used up, so that what waits
// goes two a minute.
func TestTheQueueTellsWhereOneStands(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) {
		c.Budget = budget.New(c.Store, budget.DefaultAccount, budget.Limits{PerMinute: 2, PerHour: 100}, c.Log)
	})
	for range 2 {
		call, err := b.cfg.Budget.Take(t.Context(), budget.For{Purpose: budget.Change, Team: &b.caller.ActingTeam.ID})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.cfg.Budget.Observe(t.Context(), b.store.Queries, budget.Answer{Call: call, Seen: budget.Seen{Status: 200}}); err != nil {
			t.Fatal(err)
		}
	}
	search := b.team("search", 2)
	late := b.queueUp(b.caller, pb.MutationOptions_LANE_BULK, 1)[0]
	waiting := b.queueUp(b.caller, pb.MutationOptions_LANE_NORMAL, 3)
	theirs := b.queueUp(search, pb.MutationOptions_LANE_NORMAL, 1)[0]
	now := time.Now()
	for id, want := range map[uuid.UUID]struct {
		position int32
		minutes  float64
	}{
		waiting[0]: {0, 1}, theirs: {1, 1}, waiting[1]: {2, 2}, waiting[2]: {3, 2}, late: {4, 3},
	} {
		op, err := b.engine.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		in := op.GetEstimatedStartTime().AsTime().Sub(now).Minutes()
		if op.QueuePosition == nil || op.GetQueuePosition() != want.position || in < want.minutes-0.5 || in > want.minutes+0.5 {
			t.Errorf("position %d in %.1f minutes, want %d in %.0f", op.GetQueuePosition(), in, want.position, want.minutes)
		}
	}
	mine := b.caller
	mine.Teams = []identity.Membership{{Team: "payments", TeamID: b.caller.ActingTeam.ID, Role: pb.Role_ROLE_VIEWER}}
	auditor := identity.Caller{Name: "auditor", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
	for _, c := range []struct {
		caller identity.Caller
		teams  []string
	}{{mine, []string{"payments"}}, {auditor, []string{"payments", "search"}}} {
		got, err := b.engine.QueueStatus(t.Context(), c.caller)
		if err != nil {
			t.Fatal(err)
		}
		if minute := got.GetMinute(); minute.GetLimit() != 2 || minute.GetUsed() != 2 || minute.GetLeft() != 0 || got.GetHour().GetLeft() != 98 {
			t.Errorf("the budget is %v and %v", minute, got.GetHour())
		}
		if in := got.GetNextChangeIn().AsDuration(); in < 30*time.Second || in > 61*time.Second {
			t.Errorf("the next change may go in %s", in)
		}
		if got.GetBreaker().GetState() != pb.Breaker_STATE_CLOSED || got.GetPausedUntilTime() != nil {
			t.Errorf("breaker %v, paused until %v", got.GetBreaker(), got.GetPausedUntilTime())
		}
		lanes := got.GetLanes()
		if len(lanes) != 3 || lanes[0].GetQueued() != 0 || lanes[1].GetQueued() != 4 || lanes[2].GetQueued() != 1 || lanes[1].GetOldestWait() == nil {
			t.Errorf("the lanes are %v", lanes)
		}
		var names []string
		for _, team := range got.GetTeams() {
			names = append(names, team.GetTeam())
		}
		if len(names) != len(c.teams) {
			t.Fatalf("%s sees the teams %v", c.caller.Name, names)
		}
		if p := got.GetTeams()[0]; p.GetTeam() != "payments" || p.GetQueued() != 4 || p.GetCallsInMinute() != 2 || p.GetCallsInHour() != 2 || p.GetWeight() != 1 {
			t.Errorf("the share of payments is %v", p)
		}
	}
}

func TestTheQueueIsWatchedUntilOneLeaves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	b.create("an agent")
	ctx, leave := context.WithCancel(t.Context())
	told := 0
	auditing := func(context.Context) (identity.Caller, error) {
		return identity.Caller{Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}, nil
	}
	err := b.engine.WatchQueue(ctx, auditing, time.Millisecond, func(s *pb.QueueStatus) error {
		if s.GetHour().GetUsed() != 1 || s.GetTeams()[0].GetCallsInHour() != 1 {
			t.Errorf("told %v", s)
		}
		if told++; told == 3 {
			leave()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || told != 3 {
		t.Errorf("told %d times, then %v", told, err)
	}
	revoked := errors.New("revoked")
	nobody := func(context.Context) (identity.Caller, error) { return identity.Caller{}, revoked }
	if err := b.engine.WatchQueue(t.Context(), nobody, time.Millisecond, nil); !errors.Is(err, revoked) {
		t.Errorf("who may see nothing any more is told %v", err)
	}
	op, err := b.engine.Get(t.Context(), b.queuedNot())
	if err != nil || op.QueuePosition != nil || op.GetEstimatedStartTime() != nil {
		t.Errorf("what has ended stands in the queue: %v, %v", op, err)
	}
}

// queuedNot is an operation that has ended.
func (b *bench) queuedNot() uuid.UUID {
	b.t.Helper()
	var id uuid.UUID
	if err := b.pool.QueryRow(b.t.Context(), "SELECT id FROM operations WHERE finished_at IS NOT NULL").Scan(&id); err != nil {
		b.t.Fatal(err)
	}
	return id
}
