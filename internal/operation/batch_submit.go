package operation

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// submitBatch writes a batch, as submit does a change.
func (e *Engine) submitBatch(ctx context.Context, b *batch) (dbsql.Operation, error) {
	if key := b.options.GetIdempotencyKey(); key != "" {
		row, err := e.Store.OperationByKey(ctx, dbsql.OperationByKeyParams{TeamID: b.caller.ActingTeam.ID, IdempotencyKey: &key})
		if err == nil {
			return b.attach(row)
		}
		if !db.NoRows(err) {
			return dbsql.Operation{}, fmt.Errorf("looking for an idempotency key: %w", err)
		}
	}
	if err := e.planBatch(ctx, b); err != nil {
		return dbsql.Operation{}, err
	}
	if err := b.forbidden(); err != nil {
		return dbsql.Operation{}, err
	}
	rows, err := e.batchRows(b)
	if err != nil {
		return dbsql.Operation{}, err
	}
	return e.write(ctx, b.submission, func() (dbsql.Operation, error) { return e.insertBatch(ctx, b, rows) })
}

// batchRows are what a batch is written as.
type batchRows struct {
	batch   dbsql.InsertBatchParams
	changes []dbsql.InsertBatchChangeParams
}

func (e *Engine) batchRows(b *batch) (batchRows, error) {
	p, err := e.row(b.submission)
	if err != nil {
		return batchRows{}, err
	}
	total := int32(len(b.agents))
	rows := batchRows{batch: dbsql.InsertBatchParams{
		ID: p.ID, Account: p.Account, TeamID: p.TeamID, PrincipalID: p.PrincipalID, Actor: p.Actor, Method: p.Method,
		ResourceKind: p.ResourceKind, OrderKey: p.OrderKey, IdempotencyKey: p.IdempotencyKey, RequestDigest: p.RequestDigest,
		Request: p.Request, Reason: p.Reason, Lane: p.Lane, RequestID: p.RequestID, ClientAddress: p.ClientAddress, UserAgent: p.UserAgent,
		BatchTotal: &total, BatchUnchanged: total - int32(len(b.changes)), BatchSealed: b.sealed,
		ActingService: p.ActingService,
	}}
	for _, change := range b.changes {
		p, err := e.row(change)
		if err != nil {
			return batchRows{}, err
		}
		rows.changes = append(rows.changes, dbsql.InsertBatchChangeParams{
			ID: p.ID, Account: p.Account, TeamID: p.TeamID, PrincipalID: p.PrincipalID, Actor: p.Actor, Method: p.Method,
			ResourceKind: p.ResourceKind, ResourceUUID: p.ResourceUUID, ResourceName: p.ResourceName,
			ParentKind: p.ParentKind, ParentUUID: p.ParentUUID, OrderKey: p.OrderKey, RequestDigest: p.RequestDigest,
			Request: p.Request, SealedRequest: p.SealedRequest, Reason: p.Reason, ExpectedVersion: p.ExpectedVersion, Lane: p.Lane,
			ActingService: p.ActingService,
			RequestID:     p.RequestID, ClientAddress: p.ClientAddress, UserAgent: p.UserAgent, ParentOperationID: &b.id,
		})
	}
	return rows, nil
}

// insertBatch writes everything in one commit. What has no answer goes to the server at
// once, so that a thousand changes take few round trips.
func (e *Engine) insertBatch(ctx context.Context, b *batch, rows batchRows) (row dbsql.Operation, err error) {
	err = e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		places, err := e.reserveMany(ctx, q, b, rows.changes)
		if err != nil {
			return err
		}
		row, err = q.InsertBatch(ctx, rows.batch)
		if db.NoRows(err) {
			return errKeyTaken
		}
		if err != nil {
			return err
		}
		if err := audit.Record(ctx, q, b.event(row)); err != nil {
			return err
		}
		for i, change := range b.changes {
			params := rows.changes[i]
			place := places[params.Account]
			params.VirtualStart = place.VirtualStart
			place.VirtualStart += place.Cost
			if err := q.InsertBatchChange(ctx, params); err != nil {
				return err
			}
			event := change.event(dbsql.Operation{ID: params.ID, TeamID: params.TeamID, Method: params.Method, Reason: params.Reason})
			if err := audit.Record(ctx, q, event); err != nil {
				return err
			}
		}
		if len(b.changes) > 0 {
			return nil
		}
		ended, err := e.endBatch(ctx, q, row.ID) // all is so already
		if ended != nil {
			row = *ended
		}
		return err
	})
	return row, err
}

// reserveMany takes the places of all changes in the queues that they go to, if those have
// room for them. It answers the place of each account's first.
func (e *Engine) reserveMany(
	ctx context.Context, q *db.Queries, b *batch, changes []dbsql.InsertBatchChangeParams,
) (map[string]*dbsql.ReserveStartsRow, error) {
	counts := map[string]int64{}
	for _, change := range changes {
		counts[change.Account]++
	}
	places := map[string]*dbsql.ReserveStartsRow{}
	for _, account := range slices.Sorted(maps.Keys(counts)) { // in one order, so that no two batches wait for each other
		place, err := q.ReserveStarts(ctx, dbsql.ReserveStartsParams{
			TeamID: b.caller.ActingTeam.ID, Account: account, Lane: lane(b.options), Places: counts[account], AtLeast: counts[account],
			Backlog: int32(e.Backlog),
		})
		if err != nil {
			return nil, fmt.Errorf("taking places in the queue: %w", err)
		}
		if err := e.waiting(place).room(int64(len(changes)), counts[account]); err != nil {
			return nil, err
		}
		places[account] = &place
	}
	return places, nil
}
