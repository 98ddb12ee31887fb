package operation

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Lanes by urgency, as the database has them.
const (
	urgentLane = int16(pb.MutationOptions_LANE_INTERACTIVE)
	normalLane = int16(pb.MutationOptions_LANE_NORMAL)
	bulkLane   = int16(pb.MutationOptions_LANE_BULK)
)

// agedEvery is how many calls go by until one is for what has waited too long behind more
// urgent lanes.
const agedEvery = 10

// takeAged takes what has waited too long, when it is its turn: about one call of ten, in
// turn for the two lanes that can be kept waiting, or for the other if nothing has waited
// that long in the one. So no flood keeps a lane from moving, and what is urgent loses a
// tenth at the most. The calls' own numbers tell whose turn it is, so all replicas agree.
// Where nothing more urgent waits the usual order is fair already.
func (e *Engine) takeAged(ctx context.Context, q *db.Queries, room budget.Room) ([]job, error) {
	turn, due := room.Passes(agedEvery)
	now := time.Now() //nolint:forbidigo // how long ago, by one clock
	if !due || now.Sub(e.noneAged) < min(abandonedEvery, e.Patience/10) {
		return nil, nil
	}
	lanes, err := q.AgedLanes(ctx, dbsql.AgedLanesParams{Account: e.Budget.Account(), WaitedSeconds: e.Patience.Seconds()})
	if err != nil {
		return nil, fmt.Errorf("looking for what has waited too long: %w", err)
	}
	if len(lanes) == 0 {
		e.noneAged = now
	}
	if turn%2 == 0 {
		slices.Reverse(lanes)
	}
	for _, lane := range lanes {
		if jobs, err := e.takeQueued(ctx, q, lane, e.Patience, 1); err != nil || len(jobs) > 0 {
			return jobs, err
		}
	}
	return nil, nil
}

// takeQueued takes up to n queued operations in fair order, of the lanes from the lowest on
// and those that have waited so long.
func (e *Engine) takeQueued(ctx context.Context, q *db.Queries, lowest int16, waited time.Duration, n int) ([]job, error) {
	worker := e.Worker
	rows, err := q.ClaimQueued(ctx, dbsql.ClaimQueuedParams{
		Worker: &worker, LeaseSeconds: e.Lease.Seconds(), Account: e.Budget.Account(), AtMost: int32(n),
		LowestLane: lowest, WaitedSeconds: waited.Seconds(), AtOnce: e.atOnce,
	})
	if err != nil {
		return nil, fmt.Errorf("claiming queued operations: %w", err)
	}
	clock := map[int16]float64{}
	jobs := make([]job, len(rows))
	for i, row := range rows {
		clock[row.Lane] = max(clock[row.Lane], row.VirtualStart)
		// What is sent for the first time now was not sent before.
		jobs[i] = job{row: row, marked: row.SentAt != nil}
		jobs[i].row.SentAt = nil
	}
	for lane, at := range clock {
		if err := q.AdvanceClock(ctx, dbsql.AdvanceClockParams{Account: e.Budget.Account(), Lane: lane, VirtualTime: at}); err != nil {
			return nil, fmt.Errorf("advancing the clock of the queue: %w", err)
		}
	}
	return jobs, nil
}

// sentAtOnce are the methods of which nothing is asked between the claim and the sending. Those
// whose outcome cannot be found out are marked as late as can be: if their worker dies in
// between, they have failed.
func (e *Engine) sentAtOnce() []string {
	names := []string{}
	for _, m := range e.api.All() {
		if m.Change() && e.Rules[m.Name] == nil && m.Access.GetReconcile() != pb.Reconcile_RECONCILE_ASK {
			names = append(names, string(m.Name))
		}
	}
	return names
}
