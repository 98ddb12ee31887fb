package mirror

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// creates says that a method makes a resource.
func (m *Mirror) creates(method *methods.Method) bool {
	return method.Access.GetAction() == pb.Action_ACTION_CREATE && m.kind(method.Access.GetSubject().GetKind()) != nil
}

// existed says that a row cannot be of what the operation created: it has an owner of its
// own, or we held it before the vendor was asked to create anything. A listing may well
// have shown the result between the two.
func existed(row *dbsql.Resource, op dbsql.Operation, k *kind) bool {
	return row != nil && (k.part == nil && row.TeamID != nil || op.SentAt != nil && row.CreatedAt.Before(*op.SentAt))
}

// applyCreated notes what was made, where the answer gives no more than its uuid, or
// several. It is read by whoever needs it first.
func (m *Mirror) applyCreated(ctx context.Context, q *db.Queries, c Change) (Effect, error) {
	subject := c.Method.Access.GetSubject()
	k := m.kind(subject.GetKind())
	effect := plain(c)
	note := dbsql.NoteCreatedParams{
		Kind: k.name, Account: m.budget.Account(), Name: clip(c.Operation.ResourceName), OperationID: &c.Operation.ID,
	}
	if at, parent := m.named(c); k.part != nil && at != nil && at.name == k.part.kind {
		note.ParentKind, note.ParentUUID = at.name, &parent
	} else {
		note.TeamID = &c.Operation.TeamID
	}
	made := methods.Strings(c.Response, subject.GetField())
	for _, text := range made {
		var err error
		if note.UUID, err = uuid.Parse(text); err != nil {
			return Effect{}, fmt.Errorf("reading the uuid of a %s that was created: %w", k.name, err)
		}
		row, err := m.lock(ctx, q, k, note.UUID)
		if err != nil {
			return Effect{}, err
		}
		if existed(row, c.Operation, k) {
			return Effect{}, fmt.Errorf("%w: %s %s was there before", ErrAnotherResource, k.name, note.UUID)
		}
		if err := q.NoteCreated(ctx, note); err != nil {
			return Effect{}, fmt.Errorf("noting that %s %s was created: %w", k.name, note.UUID, err)
		}
	}
	var err error
	answer := proto.Clone(c.Response)
	methods.Redact(answer)
	clearAt(answer.ProtoReflect(), "operation")
	if effect.Before, effect.After, err = audit.Changed(nil, answer); err != nil {
		return Effect{}, fmt.Errorf("telling what was created: %w", err)
	}
	return effect, nil
}

// noteMade gives to the team of a creation what was made by it besides, such as the preset
// that a run was saved as: nothing else would say whose it is.
func (m *Mirror) noteMade(ctx context.Context, q *db.Queries, c Change, k *kind, body proto.Message) error {
	if k.makes == nil || methods.String(c.Request, k.makes.path) != "" {
		return nil // nothing, or one that was there
	}
	id, err := uuid.Parse(methods.String(body, k.makes.path))
	if err != nil {
		return nil //nolint:nilerr // nothing was made
	}
	if err := q.NoteCreated(ctx, dbsql.NoteCreatedParams{
		Kind: k.makes.kind, UUID: id, Account: m.budget.Account(), TeamID: &c.Operation.TeamID,
		Name: clip(c.Operation.ResourceName), OperationID: &c.Operation.ID,
	}); err != nil {
		return fmt.Errorf("noting that %s %s was created: %w", k.makes.kind, id, err)
	}
	return nil
}

// noteMadeLate is the same when one is first read after the change that made it was settled
// without its being shown.
func (m *Mirror) noteMadeLate(ctx context.Context, q *db.Queries, k *kind, row *dbsql.Resource, body proto.Message) error {
	if k.makes == nil || row == nil || row.Body != nil || row.DirtyOperationID == nil {
		return nil
	}
	op, err := q.OperationByID(ctx, *row.DirtyOperationID)
	if db.NoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the operation that made %s %s: %w", k.name, row.UUID, err)
	}
	method := m.api.ByName(op.Method)
	if method == nil || !m.creates(method) || method.Access.GetSubject().GetKind() != k.name {
		return nil // it was changed since
	}
	request, err := decode(method.Input.New().Interface(), op.Request)
	if err != nil {
		return err
	}
	return m.noteMade(ctx, q, Change{Operation: op, Method: method, Request: request}, k, body)
}
