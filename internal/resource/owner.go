package resource

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// handOver is another owner for a resource.
type handOver struct {
	// from is the name of the team before; "" for none.
	from string
	// to is the team from now on; nil for none.
	to     *uuid.UUID
	toName string
	reason string
}

// give gives a resource, which is locked, and its parts to another owner, and writes that
// into the history: of the team that gave it, and of the one that has it now.
func give(ctx context.Context, q *db.Queries, by identity.Caller, req proto.Message, row dbsql.Resource, h handOver) error {
	if err := settled(ctx, q, row); err != nil {
		return err
	}
	if err := q.SetOwner(ctx, dbsql.SetOwnerParams{TeamID: h.to, Kind: row.Kind, UUID: row.UUID}); err != nil {
		return fmt.Errorf("giving %s %s to another owner: %w", row.Kind, row.UUID, err)
	}
	if err := q.NoteOwner(ctx, dbsql.NoteOwnerParams{Actor: by.Name, Reason: h.reason, Kind: row.Kind, UUID: row.UUID}); err != nil {
		return fmt.Errorf("noting who gave %s %s: %w", row.Kind, row.UUID, err)
	}
	m := moved{reason: h.reason, before: map[string]string{"team": h.from}, after: map[string]string{"team": h.toName}}
	for _, team := range []*uuid.UUID{row.TeamID, h.to} {
		if team == nil {
			continue
		}
		m.team = team
		if err := record(ctx, q, by, req, row, m); err != nil {
			return err
		}
	}
	return nil
}

// settled wants no change of a resource to be under way: what its owner asked for must not be
// done to it, or approved by them, once it is another team's.
func settled(ctx context.Context, q *db.Queries, row dbsql.Resource) error {
	some, err := q.ResourceIsBusy(ctx, dbsql.ResourceIsBusyParams{Kind: row.Kind, UUID: row.UUID, Account: row.Account})
	if err != nil {
		return fmt.Errorf("looking for changes of %s %s that are under way: %w", row.Kind, row.UUID, err)
	}
	if some {
		return fault.Precondition("%s %s has changes under way: wait until they have ended, or cancel those that wait for approval", row.Kind, row.UUID)
	}
	return nil
}

// moved is what the history tells of a change of ownership.
type moved struct {
	// team is the one in whose history it is.
	team          *uuid.UUID
	reason        string
	before, after map[string]string
}

func record(ctx context.Context, q *db.Queries, by identity.Caller, req proto.Message, row dbsql.Resource, m moved) error {
	before, err := object(m.before)
	if err != nil {
		return err
	}
	after, err := object(m.after)
	if err != nil {
		return err
	}
	return audit.Record(ctx, q, audit.Event{
		Team: m.team, Action: pb.Action_ACTION_UPDATE, Method: string(methods.API().ByRequest(req).Name),
		Resource: audit.Ref{Kind: row.Kind, UUID: &row.UUID, Name: row.Name}, Reason: m.reason,
		Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_API, Before: before, After: after,
	}.By(by))
}

// object is JSON of what is there; nil of nothing.
func object(fields map[string]string) (json.RawMessage, error) {
	if fields == nil {
		return nil, nil
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("writing what changed: %w", err)
	}
	return text, nil
}
