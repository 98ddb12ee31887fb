package mirror

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// elsewhere is the actor of changes that were not made through us: the vendor does
// not tell who made them.
const elsewhere = "upstream"

// OperationTag begins the tag that a creation carries, followed by the operation's
// id: whatever has it is the operation's result.
const OperationTag = "agentsvc-op:"

// beingCreated says that a message is the result of a creation of ours that is not
// settled, or may be: for a kind without tags any that is new, as long as one is under way.
func (m *Mirror) beingCreated(ctx context.Context, q *db.Queries, k *kind, msg proto.Message) (bool, error) {
	for _, tag := range methods.Strings(msg, k.columns.tags) {
		text, ours := strings.CutPrefix(tag, OperationTag)
		id, err := uuid.Parse(text)
		if !ours || err != nil {
			continue
		}
		op, err := q.OperationByID(ctx, id)
		if db.NoRows(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("reading the operation that creates a %s: %w", k.name, err)
		}
		if op.FinishedAt == nil {
			return true, nil
		}
	}
	if k.columns.tags == "tags" {
		return false, nil // creations of the kind carry tags
	}
	for _, maker := range m.kinds {
		if maker != k && (maker.makes == nil || maker.makes.kind != k.name) {
			continue
		}
		if making, err := m.making(ctx, q, maker, k); err != nil || making {
			return making, err
		}
	}
	return false, nil
}

// making says that a creation of one kind may have made one of another that we do not know of:
// it is not settled, or what it made was not read yet.
func (m *Mirror) making(ctx context.Context, q *db.Queries, maker, made *kind) (bool, error) {
	making, err := q.CreatingKind(ctx, dbsql.CreatingKindParams{Account: m.budget.Account(), Kind: maker.name})
	if err == nil && !making && maker != made {
		making, err = q.UnreadCreation(ctx, dbsql.UnreadCreationParams{Kind: maker.name, Account: m.budget.Account()})
	}
	if err != nil {
		return false, fmt.Errorf("looking for what creates a %s: %w", made.name, err)
	}
	return making, nil
}

// noteAppeared records a resource that was made elsewhere, or that came back; row is
// nil if it was never seen. Those of the first listing of a kind were there before us.
func (m *Mirror) noteAppeared(ctx context.Context, q *db.Queries, k *kind, row *dbsql.Resource, id uuid.UUID, msg proto.Message) error {
	_, err := q.ScopeSyncedAt(ctx, dbsql.ScopeSyncedAtParams{Account: m.budget.Account(), Kind: k.name})
	if db.NoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading when all of kind %s were listed: %w", k.name, err)
	}
	on := dbsql.Resource{UUID: id}
	if row != nil {
		on = *row
	}
	on.Name = text(msg, k.columns.name)
	return m.note(ctx, q, k, on, pb.Action_ACTION_CREATE, nil, msg)
}

// noteChanged records a resource that was changed elsewhere.
func (m *Mirror) noteChanged(ctx context.Context, q *db.Queries, k *kind, row *dbsql.Resource, before, after proto.Message) error {
	on := *row
	on.Name = text(after, k.columns.name)
	return m.note(ctx, q, k, on, pb.Action_ACTION_UPDATE, before, after)
}

// noteGone records a resource that was deleted elsewhere.
func (m *Mirror) noteGone(ctx context.Context, q *db.Queries, k *kind, row *dbsql.Resource) error {
	before, err := k.last(row)
	if err != nil {
		return err
	}
	return m.note(ctx, q, k, *row, pb.Action_ACTION_DELETE, before, nil)
}

// last is the most that a row tells of its resource; nil if it tells nothing.
func (k *kind) last(row *dbsql.Resource) (proto.Message, error) {
	if row == nil {
		return nil, nil //nolint:nilnil // nothing is told
	}
	if row.Body != nil {
		return decode(k.full, row.Body)
	}
	return decode(k.summary, row.Summary)
}

func (m *Mirror) note(ctx context.Context, q *db.Queries, k *kind, on dbsql.Resource, action pb.Action, before, after proto.Message) error {
	offered := on.Shared || k.shared != nil && after != nil && k.shared(after)
	if k.untold || k.quiet && action == pb.Action_ACTION_UPDATE || offered && on.TeamID == nil {
		return nil
	}
	was, is, err := audit.Changed(k.essence(before), k.essence(after))
	if err != nil {
		return fmt.Errorf("comparing %s %s with what it was: %w", k.name, on.UUID, err)
	}
	if err := audit.Record(ctx, q, audit.Event{
		Actor: elsewhere, Team: on.TeamID, Action: action, Resource: audit.Ref{Kind: k.name, UUID: &on.UUID, Name: on.Name},
		Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_UPSTREAM, Before: was, After: is,
	}); err != nil {
		return fmt.Errorf("recording what happened elsewhere to %s %s: %w", k.name, on.UUID, err)
	}
	return nil
}
