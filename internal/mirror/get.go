package mirror

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Get answers one resource, without secrets: req is the request of a method that reads
// one alone, and resp its response. Of the resources around it, those that the caller may
// not see are given by uuid alone. A request that asks for something else than the
// resource as it is, such as an earlier version, is the vendor's to answer.
func (m *Mirror) Get(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	method := m.api.ByRequest(req)
	k := m.reading(method)
	if k == nil {
		return fmt.Errorf("%s is not the request of a read", req.ProtoReflect().Descriptor().FullName())
	}
	if asksMore(req, k.id) {
		// Not the resource as it is, so not to be stored.
		return m.fetch(ctx, caller, req, resp, func(context.Context, fetched) error { return nil })
	}
	id, err := parse(k.id, methods.String(req, k.id))
	if err != nil {
		return err
	}
	var most *durationpb.Duration
	if aged, ok := req.(interface{ GetMaxStaleness() *durationpb.Duration }); ok {
		most = aged.GetMaxStaleness()
	}
	r, err := m.read(ctx, caller, k, id, most)
	if err != nil {
		return err
	}
	if err := m.hideNeighbours(ctx, caller, k, r.body); err != nil {
		return err
	}
	if k.relate != nil {
		if err := k.relate(ctx, m, caller, id, r.body); err != nil {
			return err
		}
	}
	for field, from := range k.beside {
		spread(resp, from, r.body, field)
	}
	setMessage(resp, k.item, r.body)
	setMessage(resp, "freshness", r.freshness)
	return nil
}

// reading is the kind of which a method reads one alone; nil if it does not.
func (m *Mirror) reading(method *methods.Method) *kind {
	if method == nil {
		return nil
	}
	for _, k := range m.kinds {
		if k.get != "" && string(method.Name) == methods.Package+"."+k.get {
			return k
		}
	}
	return nil
}

// asksMore says that a request gives the vendor more than the id.
func asksMore(req proto.Message, id string) bool {
	more := false
	req.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		more = more || !methods.Local(fd) && string(fd.Name()) != id
		return !more
	})
	return more
}

// spread sets a field of a message to that of another, if it is there.
func spread(to proto.Message, toField string, from proto.Message, fromField string) {
	target := to.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(toField))
	source := from.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(fromField))
	if target != nil && source != nil && alike(target, source) && from.ProtoReflect().Has(source) {
		to.ProtoReflect().Set(target, from.ProtoReflect().Get(source))
	}
}

// hideNeighbours gives the resources around some of a kind their names of now, or none
// where the caller may not see them.
func (m *Mirror) hideNeighbours(ctx context.Context, caller identity.Caller, k *kind, bodies ...proto.Message) error {
	for path, name := range k.neighbours {
		around := m.kind(name)
		var shown []protoreflect.Message
		var ids []uuid.UUID
		for _, body := range bodies {
			for _, v := range methods.Values(body.ProtoReflect(), path) {
				neighbour := v.Message()
				shown = append(shown, neighbour)
				if id, err := around.identify(neighbour.Interface()); err == nil {
					ids = append(ids, id)
				}
			}
		}
		known, err := m.rows(ctx, around, ids)
		if err != nil {
			return err
		}
		for _, neighbour := range shown {
			row, isKnown := known[methods.String(neighbour.Interface(), around.columns.uuid)]
			show(caller, around, neighbour.Interface(), row, isKnown)
		}
	}
	return nil
}

// rows are rows by uuid, those of deleted resources included.
func (m *Mirror) rows(ctx context.Context, k *kind, ids []uuid.UUID) (map[string]dbsql.Resource, error) {
	known := make(map[string]dbsql.Resource, len(ids))
	if len(ids) == 0 {
		return known, nil
	}
	rows, err := m.store.Resources(ctx, dbsql.ResourcesParams{Kind: k.name, Uuids: ids})
	if err != nil {
		return nil, fmt.Errorf("reading resources of kind %s: %w", k.name, db.Classify(err))
	}
	for _, row := range rows {
		known[row.UUID.String()] = row
	}
	return known, nil
}

// show gives a neighbour its name of now, or none if the caller may not see it.
func show(caller identity.Caller, k *kind, neighbour proto.Message, row dbsql.Resource, known bool) {
	switch {
	case !sees(caller, row.TeamID) && !row.Shared:
		clearAt(neighbour.ProtoReflect(), k.columns.name)
	case known && row.Name != "":
		set(neighbour, k.columns.name, row.Name)
	}
}
