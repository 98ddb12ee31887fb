package resource

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// Claimer gives owners to what has none.
type Claimer struct {
	store *db.Store
	kinds Kinds
}

// Kinds tells of the kinds of resources.
type Kinds interface {
	// Knows says whether every resource of the kind is known to us, so that one that is
	// not does not exist.
	Knows(ctx context.Context, caller identity.Caller, kind string) (bool, error)
	// Ownable is why a resource of the kind cannot be given to a team by itself, or nil.
	Ownable(kind string) error
}

// NewClaimer writes to the store.
func NewClaimer(store *db.Store, kinds Kinds) *Claimer { return &Claimer{store: store, kinds: kinds} }

// Claim gives a resource that belongs to no team to one, and writes that into the
// history in the same commit. Claiming it again for its own team changes and
// writes nothing.
//
// What is not in our copy is a fault NOT_FOUND; resources of kinds that it cannot have
// all of are taken at the caller's word. One that is another team's, or deleted, is a
// fault PRECONDITION_FAILED. The parts of a resource come with it.
func (c *Claimer) Claim(ctx context.Context, caller identity.Caller, req *pb.ClaimResourceRequest) (*pb.ClaimResourceResponse, error) {
	id, err := uuid.Parse(req.GetUuid())
	if err != nil {
		return nil, fault.Invalid("uuid", "is not a uuid")
	}
	if err := c.kinds.Ownable(req.GetKind()); err != nil {
		return nil, err
	}
	known, err := c.kinds.Knows(ctx, caller, req.GetKind())
	if err != nil {
		return nil, err
	}
	var row dbsql.Resource
	err = c.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		team, err := q.TeamByName(ctx, req.GetTeam())
		if db.NoRows(err) || err == nil && team.ArchivedAt != nil {
			return fault.Invalid("team", "there is no team %q", req.GetTeam())
		}
		if err != nil {
			return fmt.Errorf("looking up the team: %w", err)
		}
		owned, err := lock(ctx, q, req.GetKind(), id, known, team.Account)
		if err != nil {
			return err
		}
		switch {
		case owned.DeletedAt != nil:
			return fault.Precondition("%s %s is deleted; there is nothing to own", req.GetKind(), id)
		case owned.TeamID != nil && *owned.TeamID == team.ID:
			row = owned
			return nil
		case owned.TeamID != nil:
			return c.taken(ctx, q, owned)
		}
		row, err = q.ClaimResource(ctx, dbsql.ClaimResourceParams{Kind: req.GetKind(), UUID: id, TeamID: &team.ID})
		if err != nil {
			return fmt.Errorf("claiming a resource: %w", err)
		}
		if err := q.ClaimParts(ctx, dbsql.ClaimPartsParams{TeamID: &team.ID, ParentKind: row.Kind, ParentUUID: &row.UUID}); err != nil {
			return fmt.Errorf("claiming the parts of a resource: %w", err)
		}
		note := dbsql.NoteOwnerParams{Actor: caller.Name, Reason: req.GetReason(), Kind: row.Kind, UUID: row.UUID}
		if err := q.NoteOwner(ctx, note); err != nil {
			return fmt.Errorf("noting who claimed a resource: %w", err)
		}
		return record(ctx, q, caller, req, row, moved{
			team: row.TeamID, reason: req.GetReason(), before: map[string]string{"team": ""}, after: map[string]string{"team": req.GetTeam()},
		})
	})
	if err != nil {
		return nil, err
	}
	return &pb.ClaimResourceResponse{Resource: toProto(db.ResourceRow{
		Kind: row.Kind, Account: row.Account, UUID: row.UUID, Name: row.Name, Team: req.GetTeam(), Status: row.Status, Region: row.Region,
		Tags: row.Tags, VersionHash: row.VersionHash, UpstreamCreatedAt: row.UpstreamCreatedAt,
		UpstreamUpdatedAt: row.UpstreamUpdatedAt, SummarySyncedAt: row.SummarySyncedAt, BodySyncedAt: row.BodySyncedAt,
	})}, nil
}

// lock holds the resource until the transaction ends, so that of two claims at once
// the second sees what the first did. Where an unmirrored one is, nobody knows: the account
// that its team creates in is likely.
func lock(ctx context.Context, q *db.Queries, kind string, id uuid.UUID, known bool, account string) (dbsql.Resource, error) {
	if !known {
		if err := q.NoteResource(ctx, dbsql.NoteResourceParams{Kind: kind, UUID: id, Account: account}); err != nil {
			return dbsql.Resource{}, fmt.Errorf("noting a resource: %w", err)
		}
	}
	row, err := q.LockResource(ctx, dbsql.LockResourceParams{Kind: kind, UUID: id})
	if db.NoRows(err) {
		return row, fault.NotFound(kind, id.String())
	}
	if err != nil {
		return row, fmt.Errorf("locking a resource: %w", err)
	}
	return row, nil
}

func (c *Claimer) taken(ctx context.Context, q *db.Queries, row dbsql.Resource) error {
	owner, err := q.TeamByID(ctx, *row.TeamID)
	if err != nil {
		return fmt.Errorf("looking up the owner: %w", err)
	}
	return fault.Precondition("%s %s belongs to team %q already", row.Kind, row.UUID, owner.Name)
}
