package operation

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// settlement is the end of an operation that waits to be made durable.
type settlement struct {
	*attempt

	end   ending
	apply bool
	// row is the operation as it will be.
	row dbsql.Operation
	// begun is set by whoever is first: the commit that takes it, or its worker who has to go.
	begun atomic.Bool
	// done has room for what came of it.
	done chan error
}

// settleWithOthers waits until the end of an operation is durable. Whoever made it so tells
// all who wait for the operation, even if the worker had to go meanwhile.
func (e *Engine) settleWithOthers(ctx context.Context, s *settlement) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e.settlements.join(s) {
		go e.writeSettlements(context.WithoutCancel(ctx))
	}
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		s.begun.Store(true)
		return context.Cause(ctx)
	}
}

// writeSettlements settles until there is nothing left.
func (e *Engine) writeSettlements(ctx context.Context) {
	for {
		ends := e.settlements.next(atOnceAtMost)
		if len(ends) == 0 {
			return
		}
		staying := ends[:0]
		for _, s := range ends {
			if s.begun.CompareAndSwap(false, true) {
				staying = append(staying, s)
			}
		}
		ends = staying
		// In order, as by all who lock several.
		slices.SortFunc(ends, func(a, b *settlement) int { return bytes.Compare(a.attempt.row.ID[:], b.attempt.row.ID[:]) })
		if len(ends) > 0 {
			e.settleOrSingle(ctx, ends, hurried)
		}
	}
}

// settleOrSingle settles in one commit. If that cannot be, each is settled by itself, so that
// nobody's trouble is another's; if the database is away, each learns so and tries again.
func (e *Engine) settleOrSingle(ctx context.Context, ends []*settlement, p pace) {
	settled, batches, err := e.settleTogether(ctx, ends, p)
	if err != nil && p == hurried && !db.CommitLost(err) && !db.Away(err) {
		for _, s := range ends {
			go e.settleOrSingle(ctx, []*settlement{s}, patient) // nobody waits for another
		}
		return
	}
	for _, s := range ends {
		row, held := settled[*s.attempt.row.Lease]
		switch {
		case err != nil:
			s.done <- err
		case !held:
			s.done <- pgx.ErrNoRows // the lease is lost
		default:
			var batch *dbsql.Operation
			if id := row.ParentOperationID; id != nil {
				batch = batches[*id]
				delete(batches, *id) // it ends once
			}
			e.ended(row, batch)
			s.done <- nil
		}
	}
}

// settleTogether answers by their leases the operations that have ended, and the batches that
// ended with them.
func (e *Engine) settleTogether(
	ctx context.Context, ends []*settlement, p pace,
) (settled map[uuid.UUID]dbsql.Operation, batches map[uuid.UUID]*dbsql.Operation, err error) {
	defer survive(&err)
	ctx, cancel := brief(ctx)
	defer cancel()
	err = e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		settled, batches = map[uuid.UUID]dbsql.Operation{}, map[uuid.UUID]*dbsql.Operation{}
		if err := p.set(ctx, q); err != nil {
			return err
		}
		held, err := endAll(ctx, q, ends)
		if err != nil {
			return err
		}
		events, err := e.bringIn(ctx, q, held)
		if err != nil {
			return err
		}
		var seen []budget.Answer
		for _, s := range held {
			settled[*s.row.Lease] = s.row
			seen = append(seen, s.end.seen...)
		}
		if err := e.Budget.Observe(ctx, q, seen...); err != nil {
			return err
		}
		if err := audit.Record(ctx, q, events...); err != nil {
			return err
		}
		// Last, in the order of a claim, which has the account's row when it comes to a batch's.
		for _, id := range parents(held) {
			if batches[id], err = e.endBatch(ctx, q, id); err != nil {
				return err
			}
		}
		return nil
	})
	return settled, batches, err
}

// bringIn brings our copy to what the operations did, and tells the history's lines.
func (e *Engine) bringIn(ctx context.Context, q *db.Queries, held []*settlement) ([]audit.Event, error) {
	events := make([]audit.Event, len(held))
	var changes []mirror.Change
	var changed []int
	for i, s := range held {
		events[i] = s.event()
		if s.shows() {
			changes, changed = append(changes, s.change()), append(changed, i)
		}
	}
	effects, err := e.History.Apply(ctx, q, changes...)
	if err != nil {
		return nil, fmt.Errorf("bringing changes into the mirror: %w", err)
	}
	for n, effect := range effects {
		event := &events[changed[n]]
		event.Resource, event.Parent, event.Before, event.After = effect.Resource, effect.Parent, effect.Before, effect.After
	}
	for _, s := range held {
		if s.hides() {
			if err := markBehind(ctx, q, s.row); err != nil {
				return nil, err
			}
		}
	}
	return events, nil
}

// parents are the batches of which some of the operations are changes, in the order in which
// they are locked.
func parents(held []*settlement) []uuid.UUID {
	var ids []uuid.UUID
	for _, s := range held {
		if id := s.row.ParentOperationID; id != nil {
			ids = append(ids, *id)
		}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// endAll ends the operations and answers those whose leases were still held, in the order in
// which what they are about is locked. One may be there twice, if this process claimed it again
// while it was still at work on it: only the lease tells which counts.
func endAll(ctx context.Context, q *db.Queries, ends []*settlement) ([]*settlement, error) {
	var p dbsql.SettleOperationsParams
	byLease := make(map[uuid.UUID]*settlement, len(ends))
	for _, s := range ends {
		byLease[*s.row.Lease] = s
		p.Ids, p.Leases, p.States = append(p.Ids, s.row.ID), append(p.Leases, *s.row.Lease), append(p.States, s.row.State)
		p.Responses, p.SealedResponses = append(p.Responses, s.row.Response), append(p.SealedResponses, s.row.SealedResponse)
		p.Errors, p.ResourceUuids = append(p.Errors, s.row.Error), append(p.ResourceUuids, db.OrNil(s.row.ResourceUUID))
		p.VendorRequestIds = append(p.VendorRequestIds, s.row.VendorRequestID)
	}
	rows, err := q.SettleOperations(ctx, p)
	if err != nil {
		return nil, err
	}
	held := make([]*settlement, 0, len(rows))
	for _, row := range rows {
		s := byLease[*row.Lease]
		s.row.FinishedAt, s.row.Attempts, s.row.SentAt, s.row.MissedAt = row.FinishedAt, row.Attempts, row.SentAt, row.MissedAt
		s.row.SealedRequest, s.row.LeasedBy, s.row.LeaseExpiresAt = nil, nil, nil
		held = append(held, s)
	}
	slices.SortFunc(held, func(a, b *settlement) int { return cmp.Compare(a.row.OrderKey, b.row.OrderKey) })
	return held, nil
}
