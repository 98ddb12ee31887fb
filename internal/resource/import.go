package resource

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Claim says which team is to own a resource.
type Claim struct{ Kind, UUID, Team string }

// Outcome is what becomes of a claim.
type Outcome struct {
	Claim

	// Name of the resource, where it is known.
	Name string
	// Done says that the team owns it already.
	Done bool
	// Problem is why the team cannot have it; "" if it can.
	Problem string
}

// errProblems takes an import back in which something is wrong.
var errProblems = errors.New("nothing was changed")

// Import gives many resources that belong to no team to one each: all of them, or none if
// there is a problem with any. It looks at our copy alone. Without apply it only says what
// would be, with the same error for the same problems.
func Import(ctx context.Context, store *db.Store, claims []Claim, reason string, apply bool) ([]Outcome, error) {
	var outcomes []Outcome
	problems := 0
	err := store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		outcomes, problems = make([]Outcome, 0, len(claims)), 0
		teams := map[string]*dbsql.TeamByNameRow{}
		for _, claim := range claims {
			outcome, err := importOne(ctx, q, teams, claim, reason)
			if err != nil {
				return err
			}
			if outcome.Problem != "" {
				problems++
			}
			outcomes = append(outcomes, outcome)
		}
		if !apply || problems > 0 {
			return errProblems
		}
		return nil
	})
	switch {
	case err == errProblems && problems == 0: //nolint:errorlint // the very one
		return outcomes, nil
	case err == errProblems: //nolint:errorlint // the very one
		return outcomes, fmt.Errorf("%d of %d lines have problems: %w", problems, len(claims), err)
	}
	return outcomes, err
}

func importOne(ctx context.Context, q *db.Queries, teams map[string]*dbsql.TeamByNameRow, claim Claim, reason string) (Outcome, error) {
	out := Outcome{Claim: claim}
	id, err := uuid.Parse(claim.UUID)
	if err != nil {
		out.Problem = "the uuid is none"
		return out, nil //nolint:nilerr // a problem of the line, which is told
	}
	team, err := importTeam(ctx, q, teams, claim.Team)
	if err != nil {
		return out, err
	}
	row, err := q.LockResource(ctx, dbsql.LockResourceParams{Kind: claim.Kind, UUID: id})
	if err != nil && !db.NoRows(err) {
		return out, fmt.Errorf("locking %s %s: %w", claim.Kind, id, err)
	}
	out.Name = row.Name
	switch {
	case team == nil:
		out.Problem = "there is no such team"
	case db.NoRows(err):
		out.Problem = "it is not in our copy"
	case row.DeletedAt != nil:
		out.Problem = "it is deleted"
	case row.ParentUUID != nil:
		out.Problem = fmt.Sprintf("it is a part of %s %s: claim that", row.ParentKind, row.ParentUUID)
	case row.Shared:
		out.Problem = "it is for every caller: nobody can own it"
	case row.TeamID != nil && *row.TeamID == team.ID:
		out.Done = true
	case row.TeamID != nil:
		out.Problem = "it belongs to another team"
	}
	if out.Problem != "" || out.Done {
		return out, nil
	}
	return out, importClaim(ctx, q, row, team, reason)
}

func importTeam(ctx context.Context, q *db.Queries, teams map[string]*dbsql.TeamByNameRow, name string) (*dbsql.TeamByNameRow, error) {
	if team, known := teams[name]; known {
		return team, nil
	}
	team, err := q.TeamByName(ctx, name)
	switch {
	case db.NoRows(err) || err == nil && team.ArchivedAt != nil:
		teams[name] = nil
	case err != nil:
		return nil, fmt.Errorf("looking for team %s: %w", name, err)
	default:
		teams[name] = &team
	}
	return teams[name], nil
}

func importClaim(ctx context.Context, q *db.Queries, row dbsql.Resource, team *dbsql.TeamByNameRow, reason string) error {
	if err := q.SetOwner(ctx, dbsql.SetOwnerParams{TeamID: &team.ID, Kind: row.Kind, UUID: row.UUID}); err != nil {
		return fmt.Errorf("giving %s %s to team %s: %w", row.Kind, row.UUID, team.Name, err)
	}
	note := dbsql.NoteOwnerParams{Actor: audit.SystemActor, Reason: reason, Kind: row.Kind, UUID: row.UUID}
	if err := q.NoteOwner(ctx, note); err != nil {
		return fmt.Errorf("noting who gave %s %s: %w", row.Kind, row.UUID, err)
	}
	after, err := object(map[string]string{"team": team.Name})
	if err != nil {
		return err
	}
	return audit.Record(ctx, q, audit.Event{
		Actor: audit.SystemActor, Team: &team.ID, Action: pb.Action_ACTION_UPDATE, Method: "agentsvc team import",
		Resource: audit.Ref{Kind: row.Kind, UUID: &row.UUID, Name: row.Name}, Reason: reason,
		Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_SYSTEM, Before: []byte(`{"team":""}`), After: after,
	})
}
