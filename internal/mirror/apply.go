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

// Apply brings a settled change into our copy, in the transaction that settles it:
// the resource itself, who owns what was created, routes and versions. It answers
// what the history should tell.
//
// An answer that shows the whole resource replaces what we hold. One that does not
// leaves it marked as behind, to be read again by whoever needs it first. One that shows
// another resource is [ErrAnotherResource], and nothing is changed.
func (m *Mirror) Apply(ctx context.Context, q *db.Queries, c Change) (Effect, error) {
	effect, err := m.apply(ctx, q, c)
	if err != nil {
		return Effect{}, fmt.Errorf("bringing %s into the mirror: %w", c.Method.Name, err)
	}
	return effect, nil
}

func (m *Mirror) apply(ctx context.Context, q *db.Queries, c Change) (Effect, error) {
	k, body := m.shown(c.Response)
	if k == nil {
		k, body = m.shown(c.Shown)
	}
	on := target{kind: k}
	if k != nil {
		id, err := k.identify(body)
		if err != nil {
			return Effect{}, err
		}
		on.id = id
		if at, target := m.named(c); !creates(c.Method) && at == k && target != id {
			return Effect{}, fmt.Errorf("%w: %s in place of %s", ErrAnotherResource, id, target)
		}
	} else if on.kind, on.id = m.named(c); on.kind == nil {
		return plain(c), nil // not mirrored
	}
	deletes := c.Method.Access.GetAction() == pb.Action_ACTION_DELETE && c.Method.Access.GetSubject() == nil
	lock := m.lock
	if deletes {
		lock = m.lockLeaving
	}
	var err error
	if on.row, err = lock(ctx, q, on.kind, on.id); err != nil {
		return Effect{}, err
	}
	if body != nil && creates(c.Method) && existed(on.row, c.Operation) {
		return Effect{}, fmt.Errorf("%w: %s %s was there before", ErrAnotherResource, on.kind.name, on.id)
	}
	switch {
	case deletes:
		return m.applyDeletion(ctx, q, c, on, body)
	case body != nil:
		return m.applyBody(ctx, q, c, on, body)
	}
	if on.kind.parts != nil {
		effect, done, err := on.kind.parts.applied(ctx, q, c, on)
		if err != nil || done {
			return effect, err
		}
	}
	effect := plain(c)
	if effect.Resource.Kind == on.kind.name {
		effect.Resource = on.ref()
	}
	return effect, dirty(ctx, q, on, c)
}

// shown finds the resource that an answer shows whole.
func (m *Mirror) shown(response proto.Message) (*kind, proto.Message) {
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
			if k.is(fd.Message()) {
				found, body = k, v.Message().Interface()
				return false
			}
		}
		return true
	})
	return found, body
}

// named is the mirrored resource that a change's first target names; nil if it
// names none.
func (m *Mirror) named(c Change) (*kind, uuid.UUID) {
	for _, t := range c.Method.Access.GetTargets() {
		id, err := uuid.Parse(methods.String(c.Request, t.GetField()))
		if err != nil {
			continue
		}
		return m.kind(t.GetKind()), id
	}
	return nil, uuid.Nil
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

func (m *Mirror) applyBody(ctx context.Context, q *db.Queries, c Change, on target, body proto.Message) (Effect, error) {
	now, err := q.ClockNow(ctx)
	if err != nil {
		return Effect{}, fmt.Errorf("reading the clock: %w", err)
	}
	w := writing{id: on.id, body: body, at: now, by: causedBy(c.Operation)}
	if creates(c.Method) {
		w.team = &c.Operation.TeamID
	}
	unsettled, err := m.unsettled(ctx, q, on.kind, on.id, body)
	if err != nil {
		return Effect{}, err
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
	if before == nil || creates(c.Method) { // what a listing may have shown already is the result as well
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

// creates says that a method makes something that belongs to a team from then on.
func creates(m *methods.Method) bool {
	targets := m.Access.GetTargets()
	return m.Access.GetAction() == pb.Action_ACTION_CREATE && len(targets) > 0 && targets[0].GetKind() == "team"
}

// existed says that a row cannot be of what the operation created: it has an owner, or
// we held it before the vendor was asked to create anything. A listing may well have
// shown the result between the two.
func existed(row *dbsql.Resource, op dbsql.Operation) bool {
	return row != nil && (row.TeamID != nil || op.SentAt != nil && row.CreatedAt.Before(*op.SentAt))
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
	if err := q.MarkDeleted(ctx, dbsql.MarkDeletedParams{Kind: on.kind.name, UUID: on.id}); err != nil {
		return Effect{}, fmt.Errorf("noting that %s %s is gone: %w", on.kind.name, on.id, err)
	}
	if on.kind.parts != nil {
		err = on.kind.parts.removed(ctx, q, on.id, causedBy(c.Operation))
	}
	return effect, err
}
