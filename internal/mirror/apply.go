package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// ErrAnotherResource says that the answer to a change shows another resource than the
// change was about, perhaps another team's. Nothing of it may be kept or shown.
var ErrAnotherResource = errors.New("the answer shows another resource")

// Change is a change that the vendor has made.
type Change struct {
	Operation dbsql.Operation
	Method    *methods.Method
	Request   proto.Message
	// Response is the vendor's answer. It may be empty, as after a deletion that was
	// sent again and answered 404.
	Response proto.Message
	// Shown is the answer of a read that followed at once, where the response does not
	// show the resource; nil if there was none.
	Shown proto.Message
}

// Effect is what the history should tell of a change.
type Effect struct {
	// Resource is what the change was about, with the uuid of what was created.
	Resource audit.Ref
	// Parent is the resource that it is a part of, if it is.
	Parent audit.Ref
	// Before and After are JSON objects of what differs, without secrets. Before is
	// nil for what was created, and After for what was deleted.
	Before, After json.RawMessage
}

// target is the mirrored resource that a change touches.
type target struct {
	kind *kind
	id   uuid.UUID
	// row is locked; nil if we have never seen the resource.
	row *dbsql.Resource
}

func (t target) ref() audit.Ref {
	ref := audit.Ref{Kind: t.kind.name, UUID: &t.id}
	if t.row != nil {
		ref.Name = t.row.Name
	}
	return ref
}

// Apply brings settled changes into our copy, in the transaction that settles them:
// the resources themselves, who owns what was created, routes and versions. It answers
// what the history should tell of each. Changes of the same resource are none that are
// settled together.
//
// An answer that shows the whole resource replaces what we hold. One that does not
// leaves it marked as behind, to be read again by whoever needs it first. One that shows
// another resource is [ErrAnotherResource], and nothing is changed.
func (m *Mirror) Apply(ctx context.Context, q *db.Queries, changes ...Change) ([]Effect, error) {
	held, err := m.hold(ctx, q, changes)
	if err != nil {
		return nil, fmt.Errorf("reading what changes are brought into: %w", err)
	}
	effects := make([]Effect, len(changes))
	// What is held first: none of these changes what another of them has read, as others may.
	for _, holds := range []bool{true, false} {
		for i, c := range changes {
			if (held[i] != nil) != holds {
				continue
			}
			if effects[i], err = m.apply(ctx, q, c, held[i]); err != nil {
				return nil, fmt.Errorf("bringing %s into the mirror: %w", c.Method.Name, err)
			}
		}
	}
	return effects, nil
}

// body is the resource that an answer to a change shows whole, if one does.
func (m *Mirror) body(c Change) (*kind, proto.Message) {
	k, body := m.shown(c.Method, c.Response)
	if k == nil {
		k, body = m.shown(c.Method, c.Shown)
	}
	return k, body
}

func (m *Mirror) apply(ctx context.Context, q *db.Queries, c Change, h *holding) (Effect, error) {
	k, body := m.body(c)
	if err := otherPart(c); err != nil {
		return Effect{}, err
	}
	if err := m.touch(ctx, q, c); err != nil {
		return Effect{}, err
	}
	on := target{kind: k}
	if k != nil {
		id, err := k.identify(body)
		if err != nil {
			return Effect{}, err
		}
		on.id = id
		if at, target := m.named(c); !m.creates(c.Method) && at == k && target != id {
			return Effect{}, fmt.Errorf("%w: %s in place of %s", ErrAnotherResource, id, target)
		}
	} else if m.creates(c.Method) {
		return m.applyCreated(ctx, q, c)
	} else if on.kind, on.id = m.named(c); on.kind == nil {
		return plain(c), nil // not mirrored
	}
	var err error
	switch {
	case h != nil:
		on.row = h.row
	case deletes(c):
		on.row, err = m.lockLeaving(ctx, q, on.kind, on.id)
	default:
		on.row, err = m.lock(ctx, q, on.kind, on.id)
	}
	if err != nil {
		return Effect{}, err
	}
	if body != nil && m.creates(c.Method) && existed(on.row, c.Operation, on.kind) {
		return Effect{}, fmt.Errorf("%w: %s %s was there before", ErrAnotherResource, on.kind.name, on.id)
	}
	if err := noteRollback(ctx, q, c, on); err != nil {
		return Effect{}, err
	}
	switch {
	case deletes(c):
		return m.applyDeletion(ctx, q, c, on, body)
	case body != nil:
		return m.applyBody(ctx, q, c, on, body, h)
	}
	return applyUnshown(ctx, q, c, on)
}

// deletes says that a change takes away what it is about, and not a part of that.
func deletes(c Change) bool {
	return c.Method.Access.GetAction() == pb.Action_ACTION_DELETE && c.Method.Access.GetSubject() == nil
}

// applyUnshown brings in a change whose answer does not show the resource.
func applyUnshown(ctx context.Context, q *db.Queries, c Change, on target) (Effect, error) {
	if on.kind.parts != nil {
		effect, done, err := on.kind.parts.applied(ctx, q, c, on)
		if err != nil || done {
			return effect, err
		}
	}
	effect := plain(c)
	if effect.Resource.Kind == on.kind.name {
		effect.Resource = on.ref()
	} else if effect.Parent.Kind == on.kind.name {
		effect.Parent = on.ref()
	}
	if c.Method.Access.GetSubject() != nil {
		return effect, tellPart(c, &effect) // a part that is not in the body: that is as it was
	}
	return effect, dirty(ctx, q, on, c)
}

// tellPart fills in what the history should tell of a part that is not mirrored: what
// the answer shows of it, if it does. How it was before nobody knows.
func tellPart(c Change, effect *Effect) error {
	var part proto.Message
	c.Response.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() != nil && !fd.IsList() && !fd.IsMap() && !methods.Local(fd) {
			part = proto.Clone(v.Message().Interface())
			methods.Redact(part)
		}
		return part == nil
	})
	var err error
	switch {
	case part == nil: // the request, in the event before, tells what was asked for
	case c.Method.Access.GetAction() == pb.Action_ACTION_DELETE:
		effect.Before, effect.After, err = audit.Changed(part, nil)
	default:
		effect.Before, effect.After, err = audit.Changed(nil, part)
	}
	if err != nil {
		return fmt.Errorf("telling of a part: %w", err)
	}
	return nil
}

// touch marks what a change touched besides what it is about, and did not show.
func (m *Mirror) touch(ctx context.Context, q *db.Queries, c Change) error {
	for _, target := range c.Method.Access.GetTargets() {
		if !target.GetChanged() {
			continue
		}
		var ids []uuid.UUID
		for _, text := range methods.Strings(c.Request, target.GetField()) {
			if id, err := uuid.Parse(text); err == nil {
				ids = append(ids, id)
			}
		}
		err := q.MarkDirtyAll(ctx, dbsql.MarkDirtyAllParams{OperationID: &c.Operation.ID, Kind: target.GetKind(), Uuids: ids})
		if err != nil {
			return fmt.Errorf("marking what a change touched: %w", err)
		}
	}
	return nil
}

// shown finds the resource that an answer shows whole: of a kind that the method is
// about, since several kinds may share a message.
func (m *Mirror) shown(method *methods.Method, response proto.Message) (*kind, proto.Message) {
	if response == nil {
		return nil, nil
	}
	var found *kind
	var body proto.Message
	response.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil || fd.IsList() || fd.IsMap() {
			return true
		}
		for _, k := range m.kinds {
			if k.is(fd.Message()) && concerns(method, k) {
				found, body = k, v.Message().Interface()
				return false
			}
		}
		return true
	})
	return found, body
}

// concerns says that a method is about resources of a kind, or about their parts.
func concerns(method *methods.Method, k *kind) bool {
	if method.Access.GetSubject().GetKind() == k.name {
		return true
	}
	targets := method.Access.GetTargets()
	return len(targets) > 0 && targets[0].GetKind() == k.name
}

// named is the mirrored resource that a change's first target names; nil if it names
// none, as what is created by itself has only a team.
func (m *Mirror) named(c Change) (*kind, uuid.UUID) {
	targets := c.Method.Access.GetTargets()
	if len(targets) == 0 {
		return nil, uuid.Nil
	}
	id, err := uuid.Parse(methods.String(c.Request, targets[0].GetField()))
	if err != nil {
		return nil, uuid.Nil
	}
	return m.kind(targets[0].GetKind()), id
}

// plain is what the descriptors alone tell of a change.
func plain(c Change) Effect {
	access := c.Method.Access
	var effect Effect
	// What is created belongs to a team, but is no part of it.
	if targets := access.GetTargets(); len(targets) > 0 && targets[0].GetKind() != "team" {
		if id, err := uuid.Parse(methods.String(c.Request, targets[0].GetField())); err == nil {
			effect.Resource = audit.Ref{Kind: targets[0].GetKind(), UUID: &id}
		}
	}
	subject := access.GetSubject()
	if subject == nil {
		return effect
	}
	effect.Parent = effect.Resource
	effect.Resource = audit.Ref{Kind: subject.GetKind(), Name: c.Operation.ResourceName}
	for _, m := range []proto.Message{c.Response, c.Request} {
		if m == nil {
			continue
		}
		if id, err := uuid.Parse(methods.String(m, subject.GetField())); err == nil {
			effect.Resource.UUID = &id
			break
		}
	}
	return effect
}

// dirty marks what we hold as behind the change.
func dirty(ctx context.Context, q *db.Queries, on target, c Change) error {
	err := q.MarkDirty(ctx, dbsql.MarkDirtyParams{OperationID: &c.Operation.ID, Kind: on.kind.name, UUID: on.id})
	if err != nil {
		return fmt.Errorf("marking %s %s as changed: %w", on.kind.name, on.id, err)
	}
	return nil
}

func (m *Mirror) applyBody(ctx context.Context, q *db.Queries, c Change, on target, body proto.Message, h *holding) (Effect, error) {
	if c.Operation.FinishedAt == nil {
		return Effect{}, fmt.Errorf("operation %s has not ended", c.Operation.ID)
	}
	// Whoever asked the vendor after the change was settled knows better.
	w := writing{id: on.id, body: body, at: *c.Operation.FinishedAt, by: causedBy(c.Operation), since: c.Operation.FinishedAt}
	if m.creates(c.Method) && on.kind.part == nil {
		w.team = &c.Operation.TeamID // a part has its owner from what it is a part of
	}
	if h == nil {
		h = &holding{row: on.row}
		if err := m.unsettled(ctx, q, on.kind, on.id, body, h); err != nil {
			return Effect{}, err
		}
	}
	w.known = h.known
	unsettled := h.under
	if !unsettled {
		w.method = c.Method
	}
	before, _, err := m.write(ctx, q, on.kind, on.row, w)
	if err != nil {
		return Effect{}, err
	}
	if on.kind.parts != nil {
		effect, part, err := on.kind.parts.told(c, on, before, body)
		if err != nil || part {
			return effect, err
		}
	}
	effect := Effect{Resource: audit.Ref{Kind: on.kind.name, UUID: &on.id, Name: text(body, on.kind.columns.name)}}
	if on.kind.part != nil {
		effect.Parent = plain(c).Parent
	}
	if m.creates(c.Method) {
		if err := m.noteMade(ctx, q, c, on.kind, body); err != nil {
			return Effect{}, err
		}
	}
	if before == nil || m.creates(c.Method) { // what a listing may have shown already is the result as well
		effect.Before, effect.After, err = audit.Changed(nil, on.kind.essence(body))
		return effect, err
	}
	was, wasOthers := on.kind.divide(c.Method, before)
	is, isOthers := on.kind.divide(c.Method, body)
	if effect.Before, effect.After, err = audit.Changed(was, is); err != nil {
		return Effect{}, err
	}
	if unsettled || on.row.DirtySince != nil {
		return effect, nil // another change of ours explains the rest, and tells of it itself
	}
	return effect, m.noteOthers(ctx, q, on, effect.Resource.Name, wasOthers, isOthers)
}

// noteOthers records what a change's answer showed and the change cannot have done:
// somebody did it elsewhere.
func (m *Mirror) noteOthers(ctx context.Context, q *db.Queries, on target, name string, before, after proto.Message) error {
	if proto.Equal(before, after) {
		return nil
	}
	row := *on.row
	row.Name = name
	return m.note(ctx, q, on.kind, row, pb.Action_ACTION_UPDATE, before, after)
}

func (m *Mirror) applyDeletion(ctx context.Context, q *db.Queries, c Change, on target, shown proto.Message) (Effect, error) {
	before, err := on.kind.last(on.row)
	if err != nil {
		return Effect{}, err
	}
	if before == nil {
		before = shown
	}
	effect := Effect{Resource: on.ref()}
	if effect.Before, effect.After, err = audit.Changed(on.kind.essence(before), nil); err != nil {
		return Effect{}, err
	}
	return effect, on.kind.remove(ctx, q, on.id, causedBy(c.Operation))
}
