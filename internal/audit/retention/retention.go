// Package retention forgets the history by whole months, and keeps it where a legal hold
// stands. Both are for the owner of the database, by command: the service's role can do
// neither.
//
// Events of a dropped month are gone; their leaf hashes stay, so that the log still verifies.
// Each drop and each hold is an event itself, in the transaction that does it.
package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Month is a month of the history that retention drops.
type Month struct {
	Name string // such as "2024-10"
	// Events are at the places First to Last, among others where events were late; -1
	// where there are none.
	Events, First, Last int64
}

// Droppable lists the months that are older than the last full months to keep, the oldest
// first.
func Droppable(ctx context.Context, q *db.Queries, months int) ([]Month, error) {
	if months < 1 {
		return nil, errors.New("keep at least one month")
	}
	names, err := q.DroppableMonths(ctx, int32(min(months, 12_000)))
	if err != nil {
		return nil, fmt.Errorf("looking for months to drop: %w", db.Classify(err))
	}
	var all []Month
	for _, name := range names {
		beginning, err := time.Parse("2006-01", name)
		if err != nil {
			return nil, fmt.Errorf("a part of the history is called %q: %w", name, err)
		}
		row, err := q.MonthOfLog(ctx, dbsql.MonthOfLogParams{Beginning: beginning, Beyond: beginning.AddDate(0, 1, 0)})
		if err != nil {
			return nil, fmt.Errorf("counting the events of %s: %w", name, db.Classify(err))
		}
		all = append(all, Month{Name: name, Events: row.Events, First: row.First, Last: row.Last})
	}
	return all, nil
}

// Retain drops all of [Droppable], or nothing. It refuses while a hold covers one of them,
// while one has events under no signed checkpoint, and while a sink was not told of one.
func Retain(ctx context.Context, store *db.Store, months int, reason string) ([]Month, error) {
	var dropped []Month
	err := store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		if dropped, err = Droppable(ctx, q, months); err != nil {
			return err
		}
		for _, month := range dropped {
			if err := drop(ctx, q, month, reason); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return dropped, nil
}

func drop(ctx context.Context, q *db.Queries, month Month, reason string) error {
	behind, err := q.SinkBehind(ctx, month.Last)
	switch {
	case db.NoRows(err):
	case err != nil:
		return fmt.Errorf("looking how far the sinks are: %w", err)
	case month.Events > 0:
		return fmt.Errorf("the sink %q was not told of all events of %s yet; if it is given up, delete its row in audit_sinks", behind, month.Name)
	}
	what, err := structpb.NewStruct(map[string]any{"events": month.Events, "first_index": month.First, "last_index": month.Last})
	if err != nil {
		return err
	}
	if err := record(ctx, q, pb.Action_ACTION_DELETE, "retain", audit.Ref{Kind: "audit_month", Name: month.Name}, nil, reason, what); err != nil {
		return err
	}
	if err := q.DropAuditMonth(ctx, month.Name); err != nil {
		return fmt.Errorf("dropping %s: %w", month.Name, err)
	}
	return nil
}

// Hold keeps the history of a team, or of all if team is "", from being dropped until it is
// released.
func Hold(ctx context.Context, store *db.Store, name, team, reason string) error {
	if name == "" || reason == "" {
		return errors.New("a hold takes a name and a reason")
	}
	return store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var id *uuid.UUID
		if team != "" {
			found, err := q.TeamByName(ctx, team)
			if db.NoRows(err) {
				return fmt.Errorf("there is no team %q", team)
			}
			if err != nil {
				return fmt.Errorf("looking for team %q: %w", team, err)
			}
			id = &found.ID
		}
		if err := record(ctx, q, pb.Action_ACTION_CREATE, "hold set", audit.Ref{Kind: "audit_hold", Name: name}, id, reason, nil); err != nil {
			return err
		}
		return q.SetHold(ctx, dbsql.SetHoldParams{Name: name, TeamID: id, Reason: reason})
	})
}

// Release ends a hold. Its row stays, and its name is not given again.
func Release(ctx context.Context, store *db.Store, name, reason string) error {
	if name == "" || reason == "" {
		return errors.New("to release a hold takes its name and a reason")
	}
	return store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		team, err := q.ReleaseHold(ctx, name)
		if db.NoRows(err) {
			return fmt.Errorf("no hold %q stands", name)
		}
		if err != nil {
			return fmt.Errorf("releasing a hold: %w", err)
		}
		return record(ctx, q, pb.Action_ACTION_DELETE, "hold release", audit.Ref{Kind: "audit_hold", Name: name}, team, reason, nil)
	})
}

// record says in the history what was done. Who did it is not known: it was somebody with
// access to the database.
func record(
	ctx context.Context, q *db.Queries, action pb.Action, command string, what audit.Ref, team *uuid.UUID, reason string, request *structpb.Struct,
) error {
	event := audit.Event{
		Actor: audit.SystemActor, Action: action, Method: "agentsvc audit " + command, Resource: what, Team: team, Reason: reason,
		Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_SYSTEM,
	}
	if request != nil {
		event.Request = proto.Message(request)
	}
	return audit.Record(ctx, q, event)
}
