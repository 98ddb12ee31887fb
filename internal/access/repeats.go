package access

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// A caller who is denied the same over and over must not fill the disk with it: of a caller,
// a method and a minute (by the database's clock) the first denial is an event at once, and
// the others are one, which tells how many there were. They are counted in the database, so
// that no count is lost with a process.

const (
	// repeatsEvery is the pause between two looks for minutes that are over.
	repeatsEvery = 20 * time.Second
	// repeatsAtOnce is how many events one transaction writes.
	repeatsAtOnce = 200
	// through stands between a person and the service that acts for them, where denials are
	// counted. No service has a space in its name.
	through = " through "
)

// countDenial says whether a denial is the first of its caller, method and minute.
func countDenial(ctx context.Context, q *db.Queries, e audit.Event) (first bool, err error) {
	caller := e.Actor
	if e.PrincipalID != nil {
		caller = e.PrincipalID.String()
	}
	if e.ActingService != nil { // what a service is denied for somebody is counted by itself
		caller += through + *e.ActingService
	}
	n, err := q.CountDenial(ctx, dbsql.CountDenialParams{
		Caller: caller, Method: e.Method, Actor: e.Actor, PrincipalID: e.PrincipalID, TeamID: e.Team,
		Action: strings.TrimPrefix(e.Action.String(), "ACTION_"), ErrorReason: e.ErrorReason.String(),
	})
	if err != nil {
		return false, fmt.Errorf("counting denials: %w", err)
	}
	return n == 1, nil
}

// RunDenials tells in the history of denials that were repeated, until ctx is done. Any
// replica does it; what one is telling, the others pass over.
func (g *Guard) RunDenials(ctx context.Context) error {
	timer := time.NewTimer(repeatsEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := g.TellRepeats(ctx); err != nil && ctx.Err() == nil {
			g.log.WarnContext(ctx, "telling of repeated denials", slog.Any("error", err))
		}
		timer.Reset(repeatsEvery)
	}
}

// TellRepeats is one round of [Guard.RunDenials].
func (g *Guard) TellRepeats(ctx context.Context) error {
	for {
		taken := 0
		err := g.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
			rows, err := q.TakeDenials(ctx, repeatsAtOnce)
			if err != nil {
				return fmt.Errorf("looking for repeated denials: %w", err)
			}
			for _, row := range rows {
				if err := tellRepeats(ctx, q, row); err != nil {
					return err
				}
			}
			taken = len(rows)
			return nil
		})
		if err != nil || taken < repeatsAtOnce {
			return err
		}
	}
}

func tellRepeats(ctx context.Context, q *db.Queries, row dbsql.Denial) error {
	if row.Count < 2 {
		return nil // it has its event
	}
	repeats := row.Count - 1
	after, err := json.Marshal(map[string]any{"repeats": repeats, "minute": row.Minute.UTC().Format(time.RFC3339)})
	if err != nil {
		return fmt.Errorf("writing how often something was denied: %w", err)
	}
	var acting *string
	if _, service, ok := strings.Cut(row.Caller, through); ok && row.PrincipalID != nil {
		acting = &service
	}
	return audit.Record(ctx, q, audit.Event{
		Actor: row.Actor, PrincipalID: row.PrincipalID, ActingService: acting, Team: row.TeamID, Method: row.Method,
		Action:  pb.Action(pb.Action_value["ACTION_"+row.Action]),
		Outcome: pb.AuditEvent_OUTCOME_DENIED, Origin: pb.AuditEvent_ORIGIN_API,
		ErrorReason:  pb.ErrorReason(pb.ErrorReason_value[row.ErrorReason]),
		ErrorMessage: fmt.Sprintf("denied %d more times in the minute of the denial before", repeats),
		Request:      &structpb.Struct{}, After: after,
	})
}
