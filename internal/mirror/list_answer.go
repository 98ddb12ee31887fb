package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// query is a page of a kind, asked for by a caller.
type query struct {
	kind *kind
	// across are the copies of the accounts that the page may be of.
	across across
	method *methods.Method
	caller identity.Caller
	page   listing.Page
	which  db.ResourceList
}

// listing is the kind that a method lists; nil if it lists none.
func (m *Mirror) listing(method *methods.Method) *kind {
	if method == nil {
		return nil
	}
	for _, k := range m.kinds {
		for _, name := range append([]string{k.list}, k.others...) {
			if name != "" && string(method.Name) == methods.Package+"."+name {
				return k
			}
		}
	}
	return nil
}

// listCopy answers from our copy.
func (m *Mirror) listCopy(ctx context.Context, q query, req, resp proto.Message) error {
	var most *durationpb.Duration
	if aged, ok := req.(interface{ GetMaxStaleness() *durationpb.Duration }); ok {
		most = aged.GetMaxStaleness()
	}
	freshness, err := q.across.listFresh(ctx, q.caller, q.kind, most)
	if err != nil {
		return err
	}
	rows, err := m.reread(ctx, q, freshness)
	if err != nil {
		return err
	}
	beside, err := m.store.ScopeAnswer(ctx, dbsql.ScopeAnswerParams{Account: q.across[0].budget.Account(), Kind: q.kind.name})
	if err != nil && !db.NoRows(err) {
		return fmt.Errorf("reading what the list of kind %s says beside its items: %w", q.kind.name, db.Classify(err))
	}
	if err := proto.Unmarshal(beside, resp); err != nil {
		return fmt.Errorf("reading what the list of kind %s says beside its items: %w", q.kind.name, err)
	}
	return m.answerList(ctx, q, resp, rows, freshness, q.kind.itemOf)
}

// itemOf is what lists show of a row.
func (k *kind) itemOf(row db.ResourceRow) (proto.Message, error) {
	item := blank(k.summary)
	if err := proto.Unmarshal(row.Summary, item); err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", k.name, row.UUID, err)
	}
	if methods.String(item, k.columns.uuid) == "" { // claimed or created, and not listed yet
		set(item, k.columns.uuid, row.UUID.String())
		set(item, k.columns.name, row.Name)
	}
	return item, nil
}

// answerList fills in a page of rows, with the item that each stands for.
func (m *Mirror) answerList(
	ctx context.Context, q query, resp proto.Message, rows []db.ResourceRow, freshness *pb.Freshness,
	itemOf func(row db.ResourceRow) (proto.Message, error),
) error {
	total, err := m.store.CountListed(ctx, q.which, q.page.Filter)
	if err != nil {
		return err
	}
	rows, next := listing.Cut(m.tokens, q.page, rows)
	fd := itemsField(q.kind, q.method)
	if fd == nil {
		return fmt.Errorf("the response of %s has no items of kind %s", q.method.Name, q.kind.name)
	}
	items := make([]proto.Message, 0, len(rows))
	list := resp.ProtoReflect().Mutable(fd).List()
	for _, row := range rows {
		item, err := itemOf(row)
		if err != nil {
			return err
		}
		items = append(items, item)
		list.Append(protoreflect.ValueOfMessage(item.ProtoReflect()))
	}
	if err := m.hideNeighbours(ctx, q.caller, q.kind, items...); err != nil {
		return err
	}
	set(resp, "next_page_token", next)
	if fd := resp.ProtoReflect().Descriptor().Fields().ByName("total_size"); fd != nil {
		resp.ProtoReflect().Set(fd, protoreflect.ValueOfInt32(total))
	}
	setMessage(resp, "freshness", freshness)
	return nil
}

// itemsField is the field of a method's response that has the items of a kind; nil if
// there is none.
func itemsField(k *kind, method *methods.Method) protoreflect.FieldDescriptor {
	fields := method.Output.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.IsList() && fd.Message() != nil && (k.is(fd.Message()) || k.isSummary(fd.Message())) {
			return fd
		}
	}
	return nil
}

// narrows says that a request asks for some of a kind only, in the vendor's words.
func narrows(k *kind, method *methods.Method, req proto.Message) bool {
	if string(method.Name) != methods.Package+"."+k.list {
		return true
	}
	found := false
	req.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		found = found || !methods.Local(fd)
		return !found
	})
	return found
}

// narrowed is the vendor's answer to which of a kind are meant.
type narrowed struct {
	begun time.Time
	// items are what it showed, as it may be stored.
	items map[uuid.UUID]proto.Message
	// beside is what the answer says beside its items.
	beside proto.Message
}

// listNarrowed asks the vendor which resources are meant, and answers those that the
// caller may see: filter, order and pages are ours, what is shown of each is the
// vendor's answer. If the vendor cannot be asked, a list of the parts of one resource is
// answered from our copy, as stale.
func (m *Mirror) listNarrowed(ctx context.Context, q query, req, resp proto.Message) error {
	ask := proto.Clone(req)
	ask.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if methods.Local(fd) {
			ask.ProtoReflect().Clear(fd)
		}
		return true
	})
	key, err := encode(ask)
	if err != nil {
		return err
	}
	found, err := q.across.narrow(ctx, q, ask, "narrow "+string(q.method.Name)+" "+string(key))
	if err != nil && unanswered(ctx, err) && !refused(err) && m.partsOf(&q, req) {
		return m.listParts(ctx, q, resp)
	}
	if err != nil {
		return fmt.Errorf("asking the vendor which of kind %s are meant: %w", q.kind.name, asFault(err))
	}
	q.which.Only = make([]uuid.UUID, 0, len(found.items))
	for id := range found.items {
		q.which.Only = append(q.which.Only, id)
	}
	rows, err := m.store.ListResources(ctx, q.which, q.page)
	if err != nil {
		return err
	}
	proto.Merge(resp, found.beside)
	return m.answerList(ctx, q, resp, rows, fresh(&found.begun, pb.Freshness_SOURCE_VENDOR, false), func(row db.ResourceRow) (proto.Message, error) {
		return proto.Clone(found.items[row.UUID]), nil
	})
}

// narrow asks the vendor for a list that is not the whole kind's, and brings what it
// shows into our copy as far as that is all there is of it.
func (m *Mirror) narrow(ctx context.Context, q query, ask proto.Message) (narrowed, error) {
	fd := itemsField(q.kind, q.method)
	if fd == nil {
		return narrowed{}, errors.New("the method has no items")
	}
	n := narrowed{items: map[uuid.UUID]proto.Message{}}
	list, err := m.pages(ctx, m.waiting(budget.Read, teamOf(q.caller)), q.method, ask, string(fd.Name()),
		func(begun time.Time, items []proto.Message, answer proto.Message) error {
			n.beside = besideItems(answer, fd)
			for _, item := range items {
				if id, err := q.kind.identify(item); err == nil { // keepShown warns of the others
					n.items[id] = q.kind.storable(item)
				}
			}
			return m.keepShown(ctx, q.kind, fd, items, begun)
		})
	n.begun = list.begun
	return n, err
}

// keepShown brings a page of a list into our copy. Where lists show less of the kind, and
// this one shows all, only what we have never seen is stored: the rest is read in its own time.
func (m *Mirror) keepShown(ctx context.Context, k *kind, fd protoreflect.FieldDescriptor, items []proto.Message, begun time.Time) error {
	if k.isSummary(fd.Message()) {
		return m.keepItems(ctx, k, items, begun, map[uuid.UUID]bool{})
	}
	byID := make(map[uuid.UUID]proto.Message, len(items))
	ids := make([]uuid.UUID, 0, len(items))
	for _, item := range items {
		if id, err := k.identify(item); err == nil {
			byID[id], ids = item, append(ids, id)
		}
	}
	known, err := m.store.Resources(ctx, dbsql.ResourcesParams{Kind: k.name, Uuids: ids})
	if err != nil {
		return fmt.Errorf("looking which of kind %s we have seen: %w", k.name, db.Classify(err))
	}
	for _, row := range known {
		delete(byID, row.UUID)
	}
	for id, item := range byID {
		err := m.store.Tx(ctx, db.Loose, func(q *db.Queries) error {
			_, err := m.keep(ctx, q, k, id, k.storable(item), begun)
			return err
		})
		if err != nil {
			return fmt.Errorf("storing %s %s as it was listed: %w", k.name, id, err)
		}
	}
	return nil
}

// partsOf limits a query to the parts of the one resource that its request is about, and
// says whether it is about one, and about all of its parts.
func (m *Mirror) partsOf(q *query, req proto.Message) bool {
	targets := q.method.Access.GetTargets()
	if q.kind.part == nil || len(targets) == 0 || targets[0].GetKind() != q.kind.part.kind || asksMore(req, targets[0].GetField()) {
		return false
	}
	id, err := uuid.Parse(methods.String(req, targets[0].GetField()))
	if err != nil {
		return false
	}
	q.which.PartOf = &id
	return true
}

// listParts answers the parts of a resource from our copy, which is what there is while
// the vendor cannot be asked.
func (m *Mirror) listParts(ctx context.Context, q query, resp proto.Message) error {
	rows, err := m.store.ListResources(ctx, q.which, q.page)
	if err != nil {
		return err
	}
	freshness := fresh(nil, pb.Freshness_SOURCE_MIRROR, true)
	for _, row := range rows {
		if at := row.SummarySyncedAt; at != nil && (freshness.GetSyncedAt() == nil || at.Before(freshness.GetSyncedAt().AsTime())) {
			freshness.SyncedAt = timestamppb.New(*at) // as old as the oldest
		}
	}
	return m.answerList(ctx, q, resp, rows, freshness, q.kind.itemOf)
}

// besideItems is a list's answer without its items, and without the vendor's pages:
// callers page in ours.
func besideItems(answer proto.Message, items protoreflect.FieldDescriptor) proto.Message {
	beside := proto.Clone(answer)
	redact(beside)
	beside.ProtoReflect().Clear(items)
	clearAt(beside.ProtoReflect(), "links")
	clearAt(beside.ProtoReflect(), "meta")
	return beside
}
