package mirror

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

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
