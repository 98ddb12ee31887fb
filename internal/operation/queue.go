package operation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// QueueStatus is how the queue stands, with the parts of those teams that the caller may
// see. Nothing is locked: the parts may be some milliseconds apart.
func (e *Engine) QueueStatus(ctx context.Context, caller identity.Caller) (*pb.QueueStatus, error) {
	standing, err := e.Budget.Standing(ctx, e.Store.Queries)
	if err != nil {
		return nil, err
	}
	backlog, err := e.Store.Backlog(ctx, e.Budget.Account())
	if err != nil {
		return nil, fmt.Errorf("reading what waits: %w", db.Classify(err))
	}
	status := &pb.QueueStatus{
		Account: e.Budget.Account(), ReadTime: timestamppb.New(standing.ReadAt), PausedUntilTime: timeOf(standing.PausedUntil),
		Breaker: breaker(standing), NextChangeIn: durationpb.New(standing.NextChange), NextReadIn: durationpb.New(standing.NextRead),
		Lanes: lanes(backlog), Teams: shares(backlog, standing.Calls, caller),
	}
	minute, hour := 0, 0
	for _, calls := range standing.Calls {
		minute, hour = minute+calls.InMinute, hour+calls.InHour
	}
	limits := standing.Limits
	status.Minute = window(limits.PerMinute, limits.Minute, minute, 0)
	status.Hour = window(limits.PerHour, limits.Hour, hour, standing.Foreign)
	return status, nil
}

func window(limit int, length time.Duration, used, others int) *pb.BudgetWindow {
	return &pb.BudgetWindow{
		Limit: int32(limit), Length: durationpb.New(length), Used: int32(used), UsedByOthers: int32(others), Left: int32(max(0, limit-used-others)),
	}
}

func breaker(s budget.Standing) *pb.Breaker {
	if s.OpenedAt == nil {
		return &pb.Breaker{State: pb.Breaker_STATE_CLOSED, Failures: int32(s.Failures)}
	}
	state := pb.Breaker_STATE_OPEN
	if s.ProbeIn == 0 {
		state = pb.Breaker_STATE_HALF_OPEN
	}
	return &pb.Breaker{
		State: state, Failures: int32(s.Failures), OpenTime: timestamppb.New(*s.OpenedAt), ProbeTime: timestamppb.New(s.ReadAt.Add(s.ProbeIn)),
	}
}

// lanes sums the backlog up by lane; a lane where nothing waits is there, too.
func lanes(backlog []dbsql.BacklogRow) []*pb.LaneBacklog {
	all := []*pb.LaneBacklog{
		{Lane: pb.MutationOptions_LANE_INTERACTIVE}, {Lane: pb.MutationOptions_LANE_NORMAL}, {Lane: pb.MutationOptions_LANE_BULK},
	}
	for _, row := range backlog {
		lane := all[row.Lane-1]
		lane.Queued, lane.Running = lane.GetQueued()+int32(row.Queued), lane.GetRunning()+int32(row.Running)
		lane.OldestWait = longer(lane.GetOldestWait(), row.OldestSeconds)
	}
	return all
}

// longer is the longer of two waits, of which the second is in seconds and less than zero if
// nobody waits.
func longer(wait *durationpb.Duration, seconds float64) *durationpb.Duration {
	if seconds < 0 || wait != nil && wait.AsDuration().Seconds() >= seconds {
		return wait
	}
	return durationpb.New(time.Duration(seconds * float64(time.Second)))
}

// shares are the parts of the teams that the caller may see, by their names.
func shares(backlog []dbsql.BacklogRow, calls []budget.TeamCalls, caller identity.Caller) []*pb.TeamShare {
	byName := map[string]*pb.TeamShare{}
	mine := caller.TeamIDs()
	share := func(name string, weight, limit int32) *pb.TeamShare {
		if byName[name] == nil {
			byName[name] = &pb.TeamShare{Team: name, Weight: weight, BacklogLimit: limit}
		}
		return byName[name]
	}
	for _, row := range backlog {
		if caller.SeesAll() || slices.Contains(mine, row.TeamID) {
			s := share(row.Team, row.Weight, row.BacklogLimit)
			s.Queued, s.Running = s.GetQueued()+int32(row.Queued), s.GetRunning()+int32(row.Running)
			s.OldestWait = longer(s.GetOldestWait(), row.OldestSeconds)
		}
	}
	for _, c := range calls {
		if caller.SeesAll() || c.Team != nil && slices.Contains(mine, *c.Team) {
			s := share(c.Name, int32(c.Weight), int32(c.BacklogLimit))
			s.CallsInMinute, s.CallsInHour = int32(c.InMinute), int32(c.InHour)
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b *pb.TeamShare) int { return cmp.Compare(a.GetTeam(), b.GetTeam()) })
}

// watchEvery is the pause between two messages where the caller does not say.
const watchEvery = 2 * time.Second

// WatchQueue tells how the queue stands again and again, until ctx is done. Who may see what
// is asked each time.
func (e *Engine) WatchQueue(ctx context.Context, who mirror.Who, every time.Duration, tell func(*pb.QueueStatus) error) error {
	if every == 0 {
		every = watchEvery
	}
	for {
		caller, err := who(ctx)
		if err != nil {
			return err
		}
		status, err := e.QueueStatus(ctx, caller)
		if err != nil {
			return err
		}
		if err := tell(status); err != nil {
			return err
		}
		if !pause(ctx, every) {
			return context.Cause(ctx)
		}
	}
}

// place says where a queued operation stands and when it may go. It is told, not promised:
// if it cannot be read, the rest of the operation still tells.
func (e *Engine) place(ctx context.Context, row dbsql.Operation, op *pb.Operation) {
	if op.GetState() != pb.Operation_STATE_QUEUED || row.Account != e.Budget.Account() {
		return
	}
	ahead, err := e.Store.QueuePosition(ctx, row.ID)
	if err != nil {
		return
	}
	waits, err := e.Budget.Outlook(ctx, e.Store.Queries, budget.Change, int(ahead))
	if err != nil {
		return
	}
	now, err := e.Store.ClockNow(ctx)
	if err != nil {
		return
	}
	start := now.Add(waits[0])
	if row.AvailableAt.After(start) {
		start = row.AvailableAt
	}
	op.QueuePosition, op.EstimatedStartTime = new(int32(ahead)), timestamppb.New(start)
}
