package operation

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// atOnceAtMost is how many submissions one commit takes.
const atOnceAtMost = 64

// entry is a submission that waits to be written.
type entry struct {
	*submission

	row dbsql.Operation
	// begun is set by whoever is first: the commit that takes it, or its caller who leaves.
	begun atomic.Bool
	// done has room for what came of it.
	done chan error
}

// insert makes a submission durable: its place in the queue, the operation and its first
// event, in one commit with those that others submit meanwhile.
func (e *Engine) insert(ctx context.Context, s *submission, row dbsql.Operation) (dbsql.Operation, error) {
	en := &entry{submission: s, row: row, done: make(chan error, 1)}
	if e.submissions.join(en) {
		go e.writeEntries(context.WithoutCancel(ctx))
	}
	select {
	case err := <-en.done:
		return en.row, err
	case <-ctx.Done():
	}
	if en.begun.CompareAndSwap(false, true) {
		return row, ctx.Err() // nobody has it, and nobody will
	}
	return row, db.CommitUnanswered(ctx.Err())
}

// writeEntries writes what was submitted until there is nothing left.
func (e *Engine) writeEntries(ctx context.Context) {
	for {
		entries := e.submissions.next(atOnceAtMost)
		if len(entries) == 0 {
			return
		}
		staying := entries[:0]
		for _, en := range entries {
			if en.begun.CompareAndSwap(false, true) {
				staying = append(staying, en)
			}
		}
		if len(staying) > 0 {
			e.writeOrApart(ctx, staying, hurried)
		}
	}
}

// writeOrApart writes entries in one commit. If that cannot be, they are written apart, so that
// nobody's mistake is another's: each by itself, or where somebody else holds a lock, each team
// by itself, so that those who have to wait for it take one connection and not one each. If the
// database is away, or may have taken them, each learns so.
func (e *Engine) writeOrApart(ctx context.Context, entries []*entry, p pace) {
	results, err := e.writeTogether(ctx, entries, p)
	if err != nil && (p == hurried || len(entries) > 1) && !db.CommitLost(err) && !db.Away(err) {
		for _, some := range apart(entries, db.LockHeld(err)) {
			go e.writeOrApart(ctx, some, patient) // nobody waits for another
		}
		return
	}
	for i, en := range entries {
		if err != nil {
			en.done <- err
			continue
		}
		en.row = results[i].row
		en.done <- results[i].err
	}
}

// apart are the entries one by one, or by team.
func apart(entries []*entry, byTeam bool) [][]*entry {
	var all [][]*entry
	for _, en := range entries {
		at := -1
		if byTeam {
			at = slices.IndexFunc(all, func(some []*entry) bool { return some[0].row.TeamID == en.row.TeamID })
		}
		if at >= 0 {
			all[at] = append(all[at], en)
		} else {
			all = append(all, []*entry{en})
		}
	}
	return all
}

// written is what came of one entry.
type written struct {
	row dbsql.Operation
	err error
}

func (e *Engine) writeTogether(ctx context.Context, entries []*entry, p pace) (results []written, err error) {
	defer survive(&err)
	ctx, cancel := brief(ctx)
	defer cancel()
	err = e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		results = make([]written, len(entries))
		if err := p.set(ctx, q); err != nil {
			return err
		}
		if err := e.reserve(ctx, q, entries, results); err != nil {
			return err
		}
		if err := e.insertAll(ctx, q, results); err != nil {
			return err
		}
		var events []audit.Event
		for i, r := range results {
			if r.err == nil {
				events = append(events, entries[i].event(r.row))
			}
		}
		return audit.Record(ctx, q, events...)
	})
	if errors.Is(err, context.DeadlineExceeded) && !db.CommitLost(err) {
		err = db.Unanswered(err) // it is not the caller's deadline
	}
	return results, err
}

// line is where a team's places are.
type line struct {
	team uuid.UUID
	lane int16
}

// reserve gives each entry its team's next place in the queue, or says that there is no room.
// What waits for approval takes its place with that. Teams are gone through in order, as by all replicas: so none waits for another in a circle.
func (e *Engine) reserve(ctx context.Context, q *db.Queries, entries []*entry, results []written) error {
	for i, en := range entries {
		results[i].row = en.row
	}
	for _, in := range lines(entries) {
		var wanting []int
		for i, en := range entries {
			if at, queues := en.line(); queues && at == in {
				wanting = append(wanting, i)
			}
		}
		places, err := q.ReserveStarts(ctx, dbsql.ReserveStartsParams{
			TeamID: in.team, Account: e.Budget.Account(), Lane: in.lane, Places: int64(len(wanting)), AtLeast: 1, Backlog: int32(e.Backlog),
		})
		if err != nil {
			return err
		}
		for n, i := range wanting {
			results[i].row.VirtualStart = places.VirtualStart + float64(n)*places.Cost
			results[i].err = e.waiting(places).room(int64(n)+1, int64(n)+1)
		}
	}
	return nil
}

// line is where the entry has its place, if it goes into the queue at once.
func (en *entry) line() (in line, queues bool) {
	return line{en.row.TeamID, en.row.Lane}, en.row.ApprovalRule == nil
}

// lines are where the entries have their places, in order.
func lines(entries []*entry) []line {
	var all []line
	for _, en := range entries {
		if in, queues := en.line(); queues && !slices.Contains(all, in) {
			all = append(all, in)
		}
	}
	slices.SortFunc(all, func(a, b line) int {
		return cmp.Or(bytes.Compare(a.team[:], b.team[:]), cmp.Compare(a.lane, b.lane))
	})
	return all
}

// waiting is how full the queue is.
func (e *Engine) waiting(places dbsql.ReserveStartsRow) backlog {
	return backlog{
		team: places.Name, queued: places.Queued, limit: int64(places.BacklogLimit), byAll: places.QueuedByAll, most: int64(e.Backlog),
	}
}

// insertAll writes the operations that have a place.
func (e *Engine) insertAll(ctx context.Context, q *db.Queries, results []written) error {
	params := dbsql.InsertOperationsParams{Account: e.Budget.Account()}
	byID := map[uuid.UUID]*written{}
	for i := range results {
		if r := &results[i]; r.err == nil {
			byID[r.row.ID], r.err = r, errKeyTaken // unless it is answered
			appendRow(&params, r.row)
		}
	}
	if len(byID) == 0 {
		return nil
	}
	rows, err := q.InsertOperations(ctx, params)
	for _, row := range rows {
		r := byID[row.ID]
		r.row.Number, r.row.CreatedAt, r.row.AvailableAt, r.err = row.Number, row.CreatedAt, row.AvailableAt, nil
		r.row.State, r.row.ApprovalExpiresAt = row.State, row.ApprovalExpiresAt
	}
	return err
}

func appendRow(p *dbsql.InsertOperationsParams, r dbsql.Operation) {
	p.ApprovalRules = append(p.ApprovalRules, db.OrEmpty(r.ApprovalRule))
	p.Ids, p.TeamIds, p.PrincipalIds = append(p.Ids, r.ID), append(p.TeamIds, r.TeamID), append(p.PrincipalIds, db.OrNil(r.PrincipalID))
	p.Actors, p.Methods = append(p.Actors, r.Actor), append(p.Methods, r.Method)
	p.ResourceKinds, p.ResourceNames = append(p.ResourceKinds, r.ResourceKind), append(p.ResourceNames, r.ResourceName)
	p.ResourceUuids = append(p.ResourceUuids, db.OrNil(r.ResourceUUID))
	p.ParentKinds, p.ParentUuids = append(p.ParentKinds, r.ParentKind), append(p.ParentUuids, db.OrNil(r.ParentUUID))
	p.OrderKeys, p.AlsoKeys = append(p.OrderKeys, r.OrderKey), append(p.AlsoKeys, strings.Join(r.AlsoKeys, ","))
	p.IdempotencyKeys, p.RequestDigests = append(p.IdempotencyKeys, db.OrEmpty(r.IdempotencyKey)), append(p.RequestDigests, r.RequestDigest)
	p.Requests, p.SealedRequests = append(p.Requests, filled(r.Request)), append(p.SealedRequests, filled(r.SealedRequest))
	p.Reasons, p.ExpectedVersions = append(p.Reasons, r.Reason), append(p.ExpectedVersions, r.ExpectedVersion)
	p.Lanes, p.VirtualStarts = append(p.Lanes, r.Lane), append(p.VirtualStarts, r.VirtualStart)
	p.RequestIds, p.ClientAddresses = append(p.RequestIds, r.RequestID), append(p.ClientAddresses, r.ClientAddress)
	p.UserAgents, p.ActingServices = append(p.UserAgents, r.UserAgent), append(p.ActingServices, db.OrEmpty(r.ActingService))
}

// filled is empty for none, where the database must not take it for unknown.
func filled(text []byte) []byte {
	if text == nil {
		return []byte{}
	}
	return text
}
