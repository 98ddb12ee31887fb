package mirror

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// neighbour is a part of a resource that is, or names, a resource of its own, perhaps
// another team's. Who may not see that one is shown its uuid, and what belongs to the tie.
type neighbour struct {
	// path is where the part is; "" for the resource itself, of which some fields name another.
	path string
	// kinds are those that the other can be of.
	kinds []string
	// uuid is the field of the part that says which one it is; "": that of the first kind.
	uuid string
	// tied are the fields of a part that are about the tie.
	tied []string
	// telling are the fields that tell of the other, where the rest of the part does not.
	telling []string
	// offered says that one we have not heard of is the vendor's, which everybody sees.
	offered bool
}

// hideNeighbours shows of the resources around some of a kind what the caller may see.
func (m *Mirror) hideNeighbours(ctx context.Context, caller identity.Caller, k *kind, bodies ...proto.Message) error {
	if len(bodies) == 0 {
		return nil
	}
	for field, name := range k.mentions {
		if err := m.hideMentions(ctx, caller, field, m.kind(name), bodies); err != nil {
			return err
		}
	}
	return m.hideAround(ctx, caller, k.neighbours, bodies...)
}

// hideAround is the same for messages of no kind, such as versions.
func (m *Mirror) hideAround(ctx context.Context, caller identity.Caller, around []neighbour, bodies ...proto.Message) error {
	for _, n := range around {
		var parts []protoreflect.Message
		for _, body := range bodies {
			parts = append(parts, partsAt(body.ProtoReflect(), n.path)...)
		}
		seen, err := m.hideParts(ctx, caller, n, parts)
		if err != nil {
			return err
		}
		if k := m.kind(n.kinds[0]); len(n.telling) == 0 { // they have neighbours, too
			if err := m.hideNeighbours(ctx, caller, k, seen...); err != nil {
				return err
			}
		}
	}
	return nil
}

// partsAt are the messages at a path, or the message itself where there is no path.
func partsAt(m protoreflect.Message, path string) []protoreflect.Message {
	if path == "" {
		return []protoreflect.Message{m}
	}
	values := methods.Values(m, path)
	parts := make([]protoreflect.Message, 0, len(values))
	for _, v := range values {
		parts = append(parts, v.Message())
	}
	return parts
}

// hideParts shows of some neighbours what the caller may see, and answers those that the
// caller sees whole.
func (m *Mirror) hideParts(ctx context.Context, caller identity.Caller, n neighbour, parts []protoreflect.Message) ([]proto.Message, error) {
	around := m.kind(n.kinds[0])
	if n.uuid == "" {
		n.uuid = around.columns.uuid
	}
	var ids []uuid.UUID
	for _, part := range parts {
		if id, err := uuid.Parse(methods.String(part.Interface(), n.uuid)); err == nil {
			ids = append(ids, id)
		}
	}
	known := map[string]dbsql.Resource{}
	for _, name := range n.kinds {
		rows, err := m.rows(ctx, m.kind(name), ids)
		if err != nil {
			return nil, err
		}
		maps.Copy(known, rows)
	}
	var seen []proto.Message
	for _, part := range parts {
		row, isKnown := known[methods.String(part.Interface(), n.uuid)]
		if show(caller, around, n, part, row, isKnown) {
			seen = append(seen, part.Interface())
		}
	}
	return seen, nil
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

// show gives a neighbour its name of now, or takes out what tells of it if the caller may
// not see it; it says whether they may.
func show(caller identity.Caller, k *kind, n neighbour, part protoreflect.Message, row dbsql.Resource, known bool) bool {
	visible := sees(caller, row.TeamID) || row.Shared
	if !known {
		visible = visible || n.offered || k.is(part.Descriptor()) && k.shared != nil && k.shared(part.Interface())
	}
	whole := len(n.telling) == 0
	switch {
	case visible && whole && row.Name != "":
		set(part.Interface(), k.columns.name, row.Name)
	case visible:
	case whole:
		keepOnly(part, append(slices.Clone(n.tied), n.uuid))
	default:
		for _, field := range n.telling {
			clearAt(part, field)
		}
	}
	return visible
}

// hideMentions takes out of a field of no known form the elements that name resources of a
// kind which the caller may not see, and those that name none.
func (m *Mirror) hideMentions(ctx context.Context, caller identity.Caller, field string, k *kind, bodies []proto.Message) error {
	if caller.SeesAll() {
		return nil
	}
	var ids []uuid.UUID
	for _, body := range bodies {
		for _, v := range methods.Values(body.ProtoReflect(), field) {
			ids = append(ids, uuidsIn(v.Message())...)
		}
	}
	known, err := m.rows(ctx, k, ids)
	if err != nil {
		return err
	}
	for _, body := range bodies {
		values := methods.Values(body.ProtoReflect(), field)
		clearAt(body.ProtoReflect(), field)
		for _, v := range values {
			seen, hidden := false, false
			for _, id := range uuidsIn(v.Message()) {
				if row, is := known[id.String()]; is {
					may := sees(caller, row.TeamID) || row.Shared
					seen, hidden = seen || may, hidden || !may
				}
			}
			if seen && !hidden {
				fd := body.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(field))
				body.ProtoReflect().Mutable(fd).List().Append(v)
			}
		}
	}
	return nil
}

// uuidsIn are all texts within a message that are uuids.
func uuidsIn(m protoreflect.Message) []uuid.UUID {
	var ids []uuid.UUID
	look := func(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
		if fd.Message() != nil {
			ids = append(ids, uuidsIn(v.Message())...)
		} else if id, err := uuid.Parse(v.String()); err == nil && fd.Kind() == protoreflect.StringKind {
			ids = append(ids, id)
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
				look(fd.MapValue(), value)
				return true
			})
		case fd.IsList():
			for i := range v.List().Len() {
				look(fd, v.List().Get(i))
			}
		default:
			look(fd, v)
		}
		return true
	})
	return ids
}

// Reduce takes out of a change's response what belongs to others than the team that made
// the change: the vendor shows neighbours whole, and the response is kept for all of the team.
// Whoever may see more reads it.
func (m *Mirror) Reduce(ctx context.Context, team uuid.UUID, response proto.Message) error {
	return m.hideWithin(ctx, identity.Caller{Teams: []identity.Membership{{TeamID: team, Role: pb.Role_ROLE_VIEWER}}}, response)
}

// hideWithin shows of the resources in an answer of the vendor, and of those around them,
// what the caller may see.
func (m *Mirror) hideWithin(ctx context.Context, caller identity.Caller, answer proto.Message) error {
	fields := answer.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		for _, k := range m.kinds {
			if fd.Message() == nil || !k.is(fd.Message()) && !k.isSummary(fd.Message()) {
				continue
			}
			var bodies []proto.Message
			for _, part := range partsAt(answer.ProtoReflect(), string(fd.Name())) {
				for path, keep := range k.related {
					reduce(part, path, keep)
				}
				bodies = append(bodies, part.Interface())
			}
			if err := m.hideNeighbours(ctx, caller, k, bodies...); err != nil {
				return err
			}
		}
	}
	return nil
}
