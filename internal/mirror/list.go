package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// listAll goes through the vendor's list of a kind and brings every item into our
// copy. What we hold and the list did not show is asked for by itself: a list that
// changes while it is paged through may leave things out. It answers the time as of
// which the list is.
//
// One replica at a time does it: see [Mirror.alone].
func (m *Mirror) listAll(ctx context.Context, granted grant, k *kind) (time.Time, error) {
	method := m.api.ByName(k.list)
	if method == nil {
		return time.Time{}, fmt.Errorf("there is no method %s", k.list)
	}
	seen := map[uuid.UUID]bool{}
	var beside []byte
	list, err := m.pages(ctx, granted, method, method.Input.New().Interface(), k.items,
		func(begun time.Time, items []proto.Message, answer proto.Message) (err error) {
			if beside, err = encode(besideItems(answer, itemsField(k, method))); err != nil {
				return err
			}
			return m.keepItems(ctx, k, items, begun, seen)
		})
	if err != nil {
		return time.Time{}, fmt.Errorf("listing all of kind %s: %w", k.name, err)
	}
	begun, account := list.begun, m.budget.Account()
	missing, err := m.store.NotSeenSince(ctx, dbsql.NotSeenSinceParams{Kind: k.name, Account: account, Since: &begun})
	if err != nil {
		return time.Time{}, fmt.Errorf("looking for what the list of kind %s left out: %w", k.name, db.Classify(err))
	}
	for _, id := range missing {
		if seen[id] || list.misread && k.get == "" {
			continue // shown, and not stored for a reason; or perhaps shown, and not understood
		}
		if err := m.confirm(ctx, granted, k, id, begun, len(seen) == 0); err != nil {
			return time.Time{}, fmt.Errorf("asking for a %s that was not listed: %w", k.name, err)
		}
	}
	if err := m.store.SetScopeSynced(ctx, dbsql.SetScopeSyncedParams{Account: account, Kind: k.name, SyncedAt: begun, Answer: beside}); err != nil {
		return time.Time{}, fmt.Errorf("noting that kind %s was listed: %w", k.name, db.Classify(err))
	}
	return begun, nil
}

// confirm finds out whether what was not listed exists. What cannot be read alone
// does not exist if it is not listed; if none is, two lists have to say so.
func (m *Mirror) confirm(ctx context.Context, granted grant, k *kind, id uuid.UUID, begun time.Time, none bool) error {
	if k.get != "" {
		_, err := m.look(ctx, granted, k, id, m.lose) // the list and the look agree
		return err
	}
	absence := m.lose
	if none {
		absence = m.miss // more likely a mistake of the vendor's: another list must agree
	}
	return m.store.Tx(ctx, db.Loose, func(q *db.Queries) error { return absence(ctx, q, k, id, begun) })
}

// keepItems stores the items of a page, in the order of their uuids.
func (m *Mirror) keepItems(ctx context.Context, k *kind, items []proto.Message, begun time.Time, seen map[uuid.UUID]bool) error {
	byID := make(map[uuid.UUID]proto.Message, len(items))
	ids := make([]uuid.UUID, 0, len(items))
	for _, item := range items {
		id, err := k.identify(item)
		if err != nil {
			// One that cannot be told from others must not keep the others from being stored.
			m.log.WarnContext(ctx, "a listed resource is left out", slog.String("kind", k.name), slog.Any("error", err))
			continue
		}
		if byID[id] == nil {
			ids = append(ids, id)
		}
		byID[id], seen[id] = k.storable(item), true
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	err := m.store.Tx(ctx, db.Loose, func(q *db.Queries) error {
		held, err := m.lockListed(ctx, q, k, ids)
		if err != nil {
			return err
		}
		under, err := m.underWay(ctx, q, k, ids...)
		if err != nil {
			return err
		}
		var same []uuid.UUID
		for _, id := range ids {
			if under[id] {
				continue
			}
			unchanged, err := m.keepItem(ctx, q, k, listed{id: id, item: byID[id], row: held[id], begun: begun})
			if err != nil {
				return err
			}
			if unchanged {
				same = append(same, id)
			}
		}
		if len(same) == 0 {
			return nil
		}
		return q.ConfirmResources(ctx, dbsql.ConfirmResourcesParams{At: begun, Whole: len(k.beside) == 0, Kind: k.name, Uuids: same})
	})
	if err != nil {
		return fmt.Errorf("storing a page of kind %s: %w", k.name, err)
	}
	return nil
}

// lockListed locks the rows of what a list shows, as far as there are any.
func (m *Mirror) lockListed(ctx context.Context, q *db.Queries, k *kind, ids []uuid.UUID) (map[uuid.UUID]*dbsql.Resource, error) {
	rows, err := q.LockResources(ctx, dbsql.LockResourcesParams{Kind: k.name, Uuids: ids})
	if err != nil {
		return nil, fmt.Errorf("locking what is listed: %w", err)
	}
	if err := m.adopt(ctx, q, k, rows); err != nil {
		return nil, err
	}
	held := make(map[uuid.UUID]*dbsql.Resource, len(rows))
	for i := range rows {
		held[rows[i].UUID] = &rows[i]
	}
	return held, nil
}

// listed is an item of a list, and the row that it is about: locked, or nil.
type listed struct {
	id    uuid.UUID
	item  proto.Message
	row   *dbsql.Resource
	begun time.Time
}

// keepItem stores an item, unless it is outdated. It says whether the row needs
// nothing but its time, which is cheaper for many rows at once.
func (m *Mirror) keepItem(ctx context.Context, q *db.Queries, k *kind, l listed) (unchanged bool, err error) {
	if l.row == nil {
		var creating bool
		if l.row, creating, err = m.lockSeen(ctx, q, k, l.id, l.item); err != nil || creating {
			return false, err
		}
	}
	if newer(l.row, l.begun) {
		return false, nil
	}
	if over, err := m.lingers(ctx, q, k, l.row, l.item); err != nil || over {
		return false, err
	}
	if k.whole() {
		return m.keepWhole(ctx, q, k, l)
	}
	params, err := k.row(l.id, l.item)
	if err != nil {
		return false, err
	}
	if params.Summary, err = encode(l.item); err != nil {
		return false, err
	}
	params.Account, params.SummarySyncedAt = m.budget.Account(), &l.begun
	refersAnew, err := k.holdReferences(l.row, &params)
	if err != nil {
		return false, err
	}
	appeared := l.row == nil || l.row.DeletedAt != nil
	if !appeared && bytes.Equal(l.row.Summary, params.Summary) {
		return true, nil // and the body agrees with it, or is known not to
	}
	if appeared {
		if _, err := q.UpsertResource(ctx, params); err != nil {
			return false, fmt.Errorf("storing %s %s as it was listed: %w", k.name, l.id, err)
		}
		if l.row != nil { // it came back, perhaps as something else
			if err := q.ForgetBody(ctx, dbsql.ForgetBodyParams{Kind: k.name, UUID: l.id}); err != nil {
				return false, fmt.Errorf("forgetting the body of %s %s: %w", k.name, l.id, err)
			}
		}
		return false, m.noteAppeared(ctx, q, k, l.row, l.id, l.item)
	}
	return false, m.keepListed(ctx, q, k, l, params, refersAnew)
}

// holdReferences keeps what the body of a row refers to in its attributes, until another
// body is read: by them the operation is found that explains the difference. It says
// whether an item refers to something else.
func (k *kind) holdReferences(row *dbsql.Resource, params *dbsql.UpsertResourceParams) (anew bool, err error) {
	if row == nil || row.DeletedAt != nil || row.Body == nil || len(k.references) == 0 {
		return false, nil
	}
	var held, listed map[string]string
	if err := errors.Join(json.Unmarshal(row.Attributes, &held), json.Unmarshal(params.Attributes, &listed)); err != nil {
		return false, fmt.Errorf("reading the attributes of %s %s: %w", k.name, row.UUID, err)
	}
	for _, r := range k.references {
		if now, told := listed[r.attribute]; told && now != held[r.attribute] {
			delete(listed, r.attribute)
			anew = true
		}
	}
	if params.Attributes, err = json.Marshal(listed); err != nil {
		return false, fmt.Errorf("writing the attributes of %s %s: %w", k.name, row.UUID, err)
	}
	return anew, nil
}

// keepListed stores an item of a resource that we hold. If it shows the version of
// the body, the body is as current as the item; if not, or if it refers to something
// else, the body must be read again.
func (m *Mirror) keepListed(
	ctx context.Context, q *db.Queries, k *kind, l listed, params dbsql.UpsertResourceParams, refersAnew bool,
) error {
	body, err := decode(k.full, l.row.Body)
	if err != nil {
		return err
	}
	forget := false
	var before proto.Message
	switch {
	case body == nil || l.row.DirtySince != nil:
	case refersAnew || !k.sameVersion(body, l.item):
		forget = true
	case l.row.BodySyncedAt != nil:
		before = proto.Clone(body)
		take(body, l.item, k.unversioned...)
		if params.Body, err = encode(body); err != nil {
			return err
		}
		params.BodySyncedAt = &l.begun
	}
	if _, err := q.UpsertResource(ctx, params); err != nil {
		return fmt.Errorf("storing %s %s as it was listed: %w", k.name, l.id, err)
	}
	if forget {
		if err := q.ForgetBody(ctx, dbsql.ForgetBodyParams{Kind: k.name, UUID: l.id}); err != nil {
			return fmt.Errorf("forgetting the body of %s %s: %w", k.name, l.id, err)
		}
	}
	if before == nil || !k.differ(before, body) {
		return nil
	}
	if k.parts != nil {
		s := storing{id: l.id, before: before, after: body, text: params.Body, at: l.begun, seen: l.begun, version: l.row.VersionHash}
		if err := k.parts.stored(ctx, q, s); err != nil {
			return err
		}
	}
	return m.noteChanged(ctx, q, k, l.row, before, body)
}

// keepWhole stores an item that is all there is of its resource. It says whether it is
// what we hold.
func (m *Mirror) keepWhole(ctx context.Context, q *db.Queries, k *kind, l listed) (unchanged bool, err error) {
	if l.row != nil && l.row.DeletedAt == nil && l.row.DirtySince == nil && l.row.BodySyncedAt != nil {
		held, err := decode(k.full, l.row.Body)
		if err != nil {
			return false, err
		}
		item := proto.Clone(l.item)
		k.carry(item, held)
		if proto.Equal(item, held) {
			return true, nil
		}
	}
	_, err = m.keep(ctx, q, k, l.id, l.item, l.begun)
	return false, err
}

// carry takes over from the body before what lists and changes do not show, and says
// whether it took something. What was true of another database is not of this one.
func (k *kind) carry(body, before proto.Message) (carried bool) {
	if before == nil || text(body, k.besideOf) != text(before, k.besideOf) {
		return false
	}
	for field := range k.beside {
		if len(methods.Values(body.ProtoReflect(), field)) == 0 && len(methods.Values(before.ProtoReflect(), field)) > 0 {
			spread(body, field, before, field)
			carried = true
		}
	}
	return carried
}

// sameVersion says that two messages of a resource, whole or listed, are of one
// state of what has versions.
func (k *kind) sameVersion(a, b proto.Message) bool {
	at, bt := moment(a, k.columns.updated), moment(b, k.columns.updated)
	if (at == nil) != (bt == nil) || at != nil && !at.Equal(*bt) {
		return false
	}
	if k.quiet && text(a, k.columns.status) != text(b, k.columns.status) {
		return false // it went on, and has no version to tell so
	}
	return text(a, k.columns.version) == text(b, k.columns.version)
}

// listsAtOnce is how many lists a process goes through at the same time. Each holds a
// connection while it needs another, as does the sync: if they had all that there are,
// they would wait for each other. So they leave one of the four that a pool has at least.
const listsAtOnce = 2

// listAlone does something with the list of a kind while nobody else does.
func (m *Mirror) listAlone(ctx context.Context, k *kind, do func(ctx context.Context) error) error {
	select {
	case m.places <- struct{}{}:
		defer func() { <-m.places }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.alone(ctx, "list/"+k.name, do)
}

// errElsewhere says that another replica is at it.
var errElsewhere = errors.New("another replica is at it")

// alone runs do while no other replica does the same, or answers errElsewhere. The
// lock is a transaction's that does nothing else, so it is gone with this process.
// While do runs it takes a connection beside those that do takes.
func (m *Mirror) alone(ctx context.Context, what string, do func(ctx context.Context) error) error {
	var failure error
	err := m.store.Tx(ctx, db.Loose, func(q *db.Queries) error {
		got, err := q.TryLock(ctx, "mirror/"+m.budget.Account()+"/"+what)
		if err != nil {
			return fmt.Errorf("taking the lock of %s: %w", what, err)
		}
		if !got {
			failure = errElsewhere
			return nil
		}
		if err := q.StayIdle(ctx); err != nil {
			return fmt.Errorf("keeping the lock of %s: %w", what, err)
		}
		failure = do(ctx) // not an error of this transaction, which would run again
		return nil
	})
	if failure != nil {
		return failure
	}
	return err
}
