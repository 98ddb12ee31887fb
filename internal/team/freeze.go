package team

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// Freeze keeps everybody from changing what a team has, or anything at all. That something is
// frozen is decided in the database, so it holds on every replica at once: the access check
// refuses what comes, and what is queued is not claimed.
func (r *Registry) Freeze(ctx context.Context, by identity.Caller, req *pb.FreezeRequest) (*pb.Freeze, error) {
	var freeze *pb.Freeze
	err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		of, about, err := frozen(ctx, q, req.GetTeam())
		if err != nil {
			return err
		}
		params := dbsql.InsertFreezeParams{TeamID: of, Actor: by.Name, Reason: req.GetReason()}
		if by.PrincipalID != uuid.Nil {
			params.PrincipalID = &by.PrincipalID
		}
		row, err := q.InsertFreeze(ctx, params)
		if db.NoRows(err) { // it is frozen already
			held, err := q.FreezeOf(ctx, of)
			if err != nil {
				return fmt.Errorf("reading who froze it: %w", err)
			}
			freeze = toFreeze(held.Actor, held.FrozenAt, held.Reason)
			return nil
		}
		if err != nil {
			return fmt.Errorf("freezing: %w", err)
		}
		freeze = toFreeze(row.Actor, row.FrozenAt, row.Reason)
		return record(ctx, q, by, req, change{team: of, resource: about, reason: req.GetReason(), after: freeze})
	})
	return freeze, err
}

// Unfreeze ends a freeze.
func (r *Registry) Unfreeze(ctx context.Context, by identity.Caller, req *pb.UnfreezeRequest) error {
	return r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		of, about, err := frozen(ctx, q, req.GetTeam())
		if err != nil {
			return err
		}
		row, err := q.LiftFreeze(ctx, of)
		if db.NoRows(err) {
			return fault.NotFound("freeze", req.GetTeam())
		}
		if err != nil {
			return fmt.Errorf("lifting a freeze: %w", err)
		}
		before := toFreeze(row.Actor, row.FrozenAt, row.Reason)
		return record(ctx, q, by, req, change{team: of, resource: about, reason: req.GetReason(), before: before})
	})
}

// frozen is what a freeze is of: a team, or everything.
func frozen(ctx context.Context, q *db.Queries, team string) (*uuid.UUID, audit.Ref, error) {
	if team == "" {
		return nil, audit.Ref{Kind: "service", Name: "everything"}, nil
	}
	row, err := held(ctx, q, team)
	if err != nil {
		return nil, audit.Ref{}, err
	}
	return &row.ID, refTo(row), nil
}

func toFreeze(actor string, at time.Time, reason string) *pb.Freeze {
	return &pb.Freeze{Actor: actor, FreezeTime: timestamppb.New(at), Reason: reason}
}
