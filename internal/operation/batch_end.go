package operation

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// strandedEvery is how often batches are looked for whose last change an older release
// ended.
const strandedEvery = 30 * time.Second

// startBatches marks the batches of claimed operations as running.
func startBatches(ctx context.Context, q *db.Queries, jobs []job) error {
	batches := batchesOf(jobs)
	if len(batches) == 0 {
		return nil
	}
	if err := q.StartBatches(ctx, batches); err != nil {
		return fmt.Errorf("starting batches: %w", err)
	}
	return nil
}

func batchesOf(jobs []job) []uuid.UUID {
	var batches []uuid.UUID
	for _, j := range jobs {
		if id := j.row.ParentOperationID; id != nil && !slices.Contains(batches, *id) {
			batches = append(batches, *id)
		}
	}
	return batches
}

// endBatchOf ends the batch of an operation that q's transaction has ended, if it was the
// last of it. It answers the batch as it ended; nil if it goes on, or if there is none.
func (e *Engine) endBatchOf(ctx context.Context, q *db.Queries, row dbsql.Operation) (*dbsql.Operation, error) {
	if row.ParentOperationID == nil {
		return nil, nil //nolint:nilnil // absent
	}
	return e.endBatch(ctx, q, *row.ParentOperationID)
}

// endBatch ends a batch whose changes have all ended. It is locked first: of two
// transactions that each end one of the last two changes, the second sees what the first
// did.
func (e *Engine) endBatch(ctx context.Context, q *db.Queries, id uuid.UUID) (*dbsql.Operation, error) {
	if err := q.LockBatch(ctx, id); err != nil {
		return nil, fmt.Errorf("locking batch %s: %w", id, err)
	}
	goesOn, err := q.BatchGoesOn(ctx, id)
	if err != nil || goesOn {
		return nil, err
	}
	batch, err := q.OperationByID(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading batch %s: %w", id, err)
	}
	if batch.FinishedAt != nil || batch.BatchTotal == nil {
		return nil, nil //nolint:nilnil // an older release may have cancelled it
	}
	progress := &pb.BatchProgress{Total: *batch.BatchTotal, Unchanged: batch.BatchUnchanged}
	if err := count(ctx, q, map[uuid.UUID]*pb.BatchProgress{id: progress}); err != nil {
		return nil, err
	}
	params := dbsql.EndBatchParams{ID: id, State: stateSucceeded}
	event := eventOf(batch, e.api.ByName(batch.Method))
	event.Outcome = pb.AuditEvent_OUTCOME_SUCCEEDED
	switch {
	case batch.BatchCancelledBy != nil:
		params.State, event = stateCancelled, cancelledBy(event, batch)
	case progress.GetFailed()+progress.GetCancelled() > 0:
		failure := incomplete(progress)
		params.State, event.Outcome = stateFailed, pb.AuditEvent_OUTCOME_FAILED
		event.ErrorReason, event.ErrorMessage = failure.Reason, failure.Public
		if params.Error, err = proto.Marshal(failure.Status()); err != nil {
			return nil, fmt.Errorf("writing why batch %s failed: %w", id, err)
		}
	}
	if batch, err = q.EndBatch(ctx, params); err != nil {
		return nil, fmt.Errorf("ending batch %s: %w", id, err)
	}
	return &batch, audit.Record(ctx, q, event)
}

// cancelledBy is the event of a batch that somebody took back. From where they did is in
// the events of what they took back.
func cancelledBy(event audit.Event, batch dbsql.Operation) audit.Event {
	event.Outcome = pb.AuditEvent_OUTCOME_CANCELLED
	event.Actor, event.PrincipalID, event.Reason = *batch.BatchCancelledBy, batch.BatchCancelledByID, batch.BatchCancelReason
	event.RequestID, event.ClientAddress, event.UserAgent, event.ActingService = "", "", "", nil
	return event
}

// incomplete says how much of a batch was not done.
func incomplete(p *pb.BatchProgress) *fault.Error {
	number := func(n int32) string { return strconv.Itoa(int(n)) }
	return &fault.Error{
		Reason: pb.ErrorReason_ERROR_REASON_BATCH_INCOMPLETE,
		Public: fmt.Sprintf("%d of %d are as asked for, %d failed and %d were cancelled: "+
			"ListOperations with parent_operation tells which, ResumeOperation tries them again",
			p.GetSucceeded()+p.GetUnchanged(), p.GetTotal(), p.GetFailed(), p.GetCancelled()),
		Metadata: map[string]string{
			"total": number(p.GetTotal()), "succeeded": number(p.GetSucceeded()), "failed": number(p.GetFailed()),
			"cancelled": number(p.GetCancelled()), "unchanged": number(p.GetUnchanged()),
		},
	}
}

// cancelBatch takes back all changes that were not sent. The batch ends now, or with the
// last of the others. Changes are locked before their batch, as by everybody.
func (e *Engine) cancelBatch(ctx context.Context, caller identity.Caller, id uuid.UUID, reason string) (*pb.Operation, error) {
	var row dbsql.Operation
	var taken []dbsql.Operation
	var ended *dbsql.Operation
	err := e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		err := q.LockUnsentChanges(ctx, id)
		if err != nil {
			return err
		}
		if taken, err = q.CancelChanges(ctx, id); err != nil {
			return err
		}
		params := dbsql.CancelBatchParams{ID: id, Actor: caller.Name, Reason: reason}
		if caller.PrincipalID != uuid.Nil {
			params.PrincipalID = &caller.PrincipalID
		}
		if row, err = q.CancelBatch(ctx, params); err != nil {
			return err
		}
		for _, change := range taken {
			event := eventOf(change, e.api.ByName(change.Method))
			event.Outcome, event.Reason = pb.AuditEvent_OUTCOME_CANCELLED, reason
			if err := audit.Record(ctx, q, event.By(caller)); err != nil {
				return err
			}
		}
		ended, err = e.endBatch(ctx, q, id)
		return err
	})
	if db.NoRows(err) {
		return e.notCancelled(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cancelling batch %s: %w", id, err)
	}
	for _, change := range taken {
		e.ended(change, nil)
	}
	e.changed(id)
	if ended != nil {
		row = *ended
		e.ended(row, nil)
	}
	e.wakeDispatcher()
	return e.withTeam(ctx, row)
}

// takenBack cancels a change that was under way when its batch was cancelled, and had to be
// put back since, as by a 429. One that is taken up for the first time was not there then,
// or is cancelled already.
func (a *attempt) takenBack(ctx context.Context) (bool, error) {
	if a.row.ParentOperationID == nil || a.row.Claims < 2 {
		return false, nil
	}
	e := a.engine
	ctx, cancel := brief(ctx)
	defer cancel()
	batch, err := e.Store.OperationByID(ctx, *a.row.ParentOperationID)
	if err != nil {
		return false, fmt.Errorf("reading the batch of a change: %w", db.Classify(err))
	}
	if batch.BatchCancelledBy == nil {
		return false, nil
	}
	var row dbsql.Operation
	err = e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		if row, err = q.CancelOperation(ctx, a.row.ID); err != nil {
			return err
		}
		if err := audit.Record(ctx, q, cancelledBy(eventOf(row, a.method), batch)); err != nil {
			return err
		}
		a.batch, err = e.endBatchOf(ctx, q, row)
		return err
	})
	switch {
	case db.NoRows(err):
		return true, errLeaseLost
	case err != nil:
		return true, fmt.Errorf("cancelling a change of a batch: %w", err)
	}
	e.ended(row, a.batch)
	return true, nil
}

// endStranded ends batches whose last change was ended by a release that knows none.
func (e *Engine) endStranded(ctx context.Context) {
	for pause(ctx, strandedEvery) {
		if err := e.endStrandedOnce(ctx); err != nil && ctx.Err() == nil {
			e.Log.WarnContext(ctx, "looking for batches that nobody ended", slog.Any("error", err))
		}
	}
}

func (e *Engine) endStrandedOnce(ctx context.Context) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	stranded, err := e.Store.StrandedBatches(ctx, e.Budget.Account())
	if err != nil {
		return err
	}
	for _, id := range stranded {
		var ended *dbsql.Operation
		if err := e.Store.Tx(ctx, db.Durable, func(q *db.Queries) (err error) {
			ended, err = e.endBatch(ctx, q, id)
			return err
		}); err != nil {
			return err
		}
		if ended != nil {
			e.ended(*ended, nil)
		}
	}
	return nil
}

// present is an operation as callers see it, a batch with its counts.
func (e *Engine) present(ctx context.Context, row dbsql.Operation, team string) (*pb.Operation, error) {
	op, err := toProto(row, team)
	if err != nil {
		return nil, err
	}
	if op.GetBatch() == nil { // a batch is not in the queue, its changes are
		e.place(ctx, row, op)
	}
	return op, countBatches(ctx, e.Store, op)
}

// countBatches fills in how far those of the operations are that are batches.
func countBatches(ctx context.Context, store *db.Store, operations ...*pb.Operation) error {
	batches := map[uuid.UUID]*pb.BatchProgress{}
	for _, op := range operations {
		if op.GetBatch() != nil {
			batches[uuid.MustParse(op.GetId())] = op.GetBatch() // made of a row
		}
	}
	if len(batches) == 0 {
		return nil
	}
	return count(ctx, store.Queries, batches)
}

func count(ctx context.Context, q *db.Queries, batches map[uuid.UUID]*pb.BatchProgress) error {
	ids := make([]uuid.UUID, 0, len(batches))
	for id := range batches {
		ids = append(ids, id)
	}
	counts, err := q.BatchCounts(ctx, ids)
	if err != nil {
		return fmt.Errorf("counting the changes of batches: %w", db.Classify(err))
	}
	for _, c := range counts {
		p := batches[c.Batch]
		switch c.State {
		case stateQueued:
			p.Queued = c.Changes
		case stateRunning:
			p.Running = c.Changes
		case stateSucceeded:
			p.Succeeded = c.Changes
		case stateFailed:
			p.Failed = c.Changes
		case stateCancelled:
			p.Cancelled = c.Changes
		}
	}
	return nil
}
