package mirror

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// verdict says what became of an answer of the vendor.
type verdict int

const (
	// kept: it is what we hold now.
	kept verdict = iota
	// superseded: we hold something newer, or know that it is behind.
	superseded
	// awaiting: a change is under way, and its settling will store what it did.
	awaiting
	// absent: the vendor does not have the resource.
	absent
)

// lock is the row, locked; nil if there is none.
func (m *Mirror) lock(ctx context.Context, q *db.Queries, k *kind, id uuid.UUID) (*dbsql.Resource, error) {
	row, err := q.LockResource(ctx, dbsql.LockResourceParams{Kind: k.name, UUID: id})
	if db.NoRows(err) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("locking %s %s: %w", k.name, id, err)
	}
	return &row, nil
}

// lockLeaving is the row of what is removed, locked like [Mirror.lock] does, and with it
// the rows that its removal changes: all at once and in the order of their uuids, so
// that it and others who lock several do not wait for each other.
func (m *Mirror) lockLeaving(ctx context.Context, q *db.Queries, k *kind, id uuid.UUID) (*dbsql.Resource, error) {
	if k.ties == nil {
		return m.lock(ctx, q, k, id)
	}
	rows, err := k.ties.lock(ctx, q, id)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].UUID == id {
			return &rows[i], nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// lockSeen is the row of what the vendor showed, locked. If there is none, it says
// whether a creation of ours that is not settled will make it.
func (m *Mirror) lockSeen(ctx context.Context, q *db.Queries, k *kind, id uuid.UUID, msg proto.Message) (row *dbsql.Resource, creating bool, err error) {
	row, err = m.lock(ctx, q, k, id)
	if err != nil || row != nil {
		return row, false, err
	}
	if creating, err = m.beingCreated(ctx, q, k, msg); err != nil || creating {
		return nil, creating, err
	}
	// A creation that settled meanwhile has left a row.
	row, err = m.lock(ctx, q, k, id)
	return row, false, err
}

// newer says that the row is younger than an answer that was asked for at begun.
func newer(row *dbsql.Resource, begun time.Time) bool {
	if row == nil {
		return false
	}
	for _, at := range []*time.Time{row.BodySyncedAt, row.SummarySyncedAt, row.DirtySince, row.DeletedAt} {
		if at != nil && at.After(begun) {
			return true
		}
	}
	return false
}

// underWay says which of the resources have a change that may have happened and is
// not settled. The rows are locked, so what is not under way now has settled before.
func (m *Mirror) underWay(ctx context.Context, q *db.Queries, k *kind, ids ...uuid.UUID) (map[uuid.UUID]bool, error) {
	byKey := make(map[string]uuid.UUID, len(ids))
	keys := make([]string, 0, len(ids))
	for _, id := range ids {
		key := orderKey(k.name, id.String())
		byKey[key] = id
		keys = append(keys, key)
	}
	found, err := q.ChangesUnderWay(ctx, dbsql.ChangesUnderWayParams{Account: m.budget.Account(), OrderKeys: keys})
	if err != nil {
		return nil, fmt.Errorf("looking for changes under way: %w", err)
	}
	under := make(map[uuid.UUID]bool, len(found))
	for _, key := range found {
		under[byKey[key]] = true
	}
	return under, nil
}

// orderKey is what the operations about a resource are ordered by.
func orderKey(kind, id string) string { return kind + "/" + id }

// explanation is the operation that made the row dirty, if one did.
func explanation(ctx context.Context, q *db.Queries, row *dbsql.Resource) (cause, error) {
	if row == nil || row.DirtySince == nil || row.DirtyOperationID == nil {
		return cause{}, nil
	}
	op, err := q.OperationByID(ctx, *row.DirtyOperationID)
	if db.NoRows(err) {
		return cause{operation: row.DirtyOperationID}, nil
	}
	if err != nil {
		return cause{}, fmt.Errorf("reading the operation that changed %s %s: %w", row.Kind, row.UUID, err)
	}
	return causedBy(op), nil
}

// keep stores what the vendor showed of a resource to a question begun at begun,
// unless it is outdated. What no change of ours explains goes into the history.
func (m *Mirror) keep(ctx context.Context, q *db.Queries, k *kind, id uuid.UUID, body proto.Message, begun time.Time) (verdict, error) {
	row, creating, err := m.lockSeen(ctx, q, k, id, body)
	if err != nil {
		return 0, err
	}
	if creating {
		return awaiting, nil
	}
	if newer(row, begun) {
		return superseded, nil
	}
	h := &holding{row: row}
	if err := m.unsettled(ctx, q, k, id, body, h); err != nil {
		return 0, err
	}
	if h.under {
		return awaiting, nil
	}
	if over, err := m.lingers(ctx, q, k, row, body); err != nil || over {
		return absent, err
	}
	by, err := explanation(ctx, q, row)
	if err != nil {
		return 0, err
	}
	w := writing{id: id, body: body, at: begun, by: by, known: h.known}
	if by.operation != nil {
		w.since = by.at
		if by.at == nil {
			w.since = row.DirtySince
		}
	}
	before, created, err := m.write(ctx, q, k, row, w)
	if err != nil {
		return 0, err
	}
	if err := m.noteMadeLate(ctx, q, k, row, body); err != nil {
		return 0, err
	}
	switch {
	case created || row != nil && row.DeletedAt != nil:
		return kept, m.noteAppeared(ctx, q, k, row, id, body)
	case before != nil && by.operation == nil && k.differ(before, body):
		return kept, m.noteChanged(ctx, q, k, row, before, body)
	}
	return kept, nil
}

// writing is a body that replaces what a row holds.
type writing struct {
	id   uuid.UUID
	body proto.Message
	// at is when it was so.
	at time.Time
	by cause
	// since is when the operation that explains the body was settled, if it was before at:
	// what the body shows has been so since then.
	since *time.Time
	// method is the change whose answer the body is; nil where it is a look's.
	method *methods.Method
	// team owns the resource if the row is new, or has no owner.
	team *uuid.UUID
	// summary is the vendor's own, or nil: then it is made of the body.
	summary proto.Message
	// known is what there is besides the row, if it was read already.
	known known
}

// write replaces the body of a row, which is locked or does not exist, and whatever
// hangs on it. It answers the body before, nil if there was none, and whether the
// row is new.
func (m *Mirror) write(ctx context.Context, q *db.Queries, k *kind, row *dbsql.Resource, w writing) (before proto.Message, created bool, err error) {
	body := k.storable(w.body)
	if row != nil && row.DeletedAt == nil {
		if before, err = decode(k.full, row.Body); err != nil {
			return nil, false, err
		}
	}
	carried := k.carry(body, before)
	summary := w.summary
	if summary == nil {
		summary = blank(k.summary)
		take(summary, body)
	}
	params, err := k.row(w.id, body)
	if err != nil {
		return nil, false, err
	}
	if params.Body, err = encode(body); err != nil {
		return nil, false, err
	}
	if params.Summary, err = encode(k.storable(summary)); err != nil {
		return nil, false, err
	}
	params.Account, params.TeamID = m.budget.Account(), w.team
	params.SummarySyncedAt, params.BodySyncedAt = &w.at, &w.at
	if carried {
		params.BodySyncedAt = nil // what was taken over is as old as it was
	}
	if row != nil {
		err = q.ReplaceResource(ctx, dbsql.ReplaceResourceParams(params))
	} else {
		created, err = q.UpsertResource(ctx, params)
	}
	if err != nil {
		return nil, false, fmt.Errorf("storing %s %s: %w", k.name, w.id, err)
	}
	if row == nil && !created {
		w.known = known{} // another was quicker, and has stored more than the row
	}
	if w.team != nil {
		// A listing may have been faster with its parts, when it had no owner yet.
		if err := q.ClaimParts(ctx, dbsql.ClaimPartsParams{TeamID: w.team, ParentKind: k.name, ParentUUID: &w.id}); err != nil {
			return nil, false, fmt.Errorf("taking over the parts of %s %s: %w", k.name, w.id, err)
		}
	}
	if k.parts != nil {
		s := storing{id: w.id, before: before, after: body, text: params.Body, at: w.at, seen: w.at, by: w.by, known: w.known}
		if w.since != nil && w.since.Before(w.at) {
			s.at = *w.since
		}
		if row != nil {
			s.version, s.method, s.others = row.VersionHash, w.method, cause{operation: row.DirtyOperationID}
		}
		err = k.parts.stored(ctx, q, s)
	}
	return before, created, err
}

// lingers says that the vendor still shows what was deleted, and so is not to be stored. If
// it was deleted elsewhere, this is how we hear of it.
func (m *Mirror) lingers(ctx context.Context, q *db.Queries, k *kind, row *dbsql.Resource, shown proto.Message) (bool, error) {
	deleted := row != nil && row.DeletedAt != nil
	if row == nil || deleted {
		if orphan, err := k.orphan(ctx, q, shown); err != nil || orphan {
			return true, err
		}
	}
	if !k.isOver(shown) {
		return deleted && slices.Contains(k.leaving, text(shown, k.columns.status)), nil
	}
	if row == nil || deleted {
		return true, nil
	}
	return true, m.gone(ctx, q, k, row)
}

// lose notes that the vendor does not have a resource, as of begun.
func (m *Mirror) lose(ctx context.Context, q *db.Queries, k *kind, id uuid.UUID, begun time.Time) error {
	row, err := m.lockLeaving(ctx, q, k, id)
	if err != nil || row == nil || row.DeletedAt != nil || newer(row, begun) {
		return err
	}
	under, err := m.underWay(ctx, q, k, id)
	if err != nil || under[id] {
		return err
	}
	return m.gone(ctx, q, k, row)
}

// missApart is how long after a first look that found nothing a second has to begin to
// be believed: what made the first one fail may last.
const missApart = time.Second

// miss notes that a look found nothing where we hold a resource. One such answer may be
// a mistake of the vendor's, and would end routes and fill the history for nothing. So
// the row becomes dirty and its body unconfirmed, which together mean just this, and
// the next look that finds nothing either loses it. An operation that the row waits to
// be explained by stays.
func (m *Mirror) miss(ctx context.Context, q *db.Queries, k *kind, id uuid.UUID, begun time.Time) error {
	row, err := m.lockLeaving(ctx, q, k, id)
	if err != nil || row == nil || row.DeletedAt != nil || newer(row, begun) {
		return err
	}
	under, err := m.underWay(ctx, q, k, id)
	if err != nil || under[id] {
		return err
	}
	if row.DirtySince != nil && row.BodySyncedAt == nil {
		if begun.Sub(*row.DirtySince) < missApart {
			return nil
		}
		return m.gone(ctx, q, k, row)
	}
	if err := q.ForgetBody(ctx, dbsql.ForgetBodyParams{Kind: k.name, UUID: id}); err != nil {
		return fmt.Errorf("noting that %s %s was not found: %w", k.name, id, err)
	}
	err = q.MarkDirty(ctx, dbsql.MarkDirtyParams{OperationID: row.DirtyOperationID, Kind: k.name, UUID: id})
	if err != nil {
		return fmt.Errorf("noting that %s %s was not found: %w", k.name, id, err)
	}
	return nil
}

// gone deletes a row, which is locked like [Mirror.lockLeaving] does, for what happened
// elsewhere.
func (m *Mirror) gone(ctx context.Context, q *db.Queries, k *kind, row *dbsql.Resource) error {
	id := row.UUID
	if err := k.remove(ctx, q, id, cause{}); err != nil {
		return err
	}
	return m.noteGone(ctx, q, k, row)
}

// remove deletes a row, and follows what that changes elsewhere: the parts of the
// resource, and agents that refer to it.
func (k *kind) remove(ctx context.Context, q *db.Queries, id uuid.UUID, by cause) error {
	if err := q.MarkDeleted(ctx, dbsql.MarkDeletedParams{Kind: k.name, UUID: id}); err != nil {
		return fmt.Errorf("noting that %s %s is gone: %w", k.name, id, err)
	}
	if err := q.MarkPartsDeleted(ctx, dbsql.MarkPartsDeletedParams{ParentKind: k.name, ParentUUID: &id}); err != nil {
		return fmt.Errorf("noting that the parts of %s %s are gone: %w", k.name, id, err)
	}
	referring := k.referring
	if len(referring) == 0 && k.route != "" {
		referring = []string{""} // by the route alone
	}
	for _, attribute := range referring {
		if err := q.MarkReferrersDirty(ctx, dbsql.MarkReferrersDirtyParams{
			OperationID: by.operation, Attribute: attribute, Target: id.String(), RouteKind: k.route, TargetUUID: id,
		}); err != nil {
			return fmt.Errorf("marking the agents that refer to %s %s: %w", k.name, id, err)
		}
	}
	if k.parts != nil {
		return k.parts.removed(ctx, q, id, by)
	}
	return nil
}
