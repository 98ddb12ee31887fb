package mirror

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// adopt gives rows of parts that belong to nobody, which are locked, to the owners of what
// they are parts of. They have them from the start, unless the one was stored while the
// other was being claimed.
func (m *Mirror) adopt(ctx context.Context, q *db.Queries, k *kind, rows []dbsql.Resource) error {
	if k.part == nil {
		return nil
	}
	var parents []uuid.UUID
	for _, row := range rows {
		if row.TeamID == nil && row.ParentUUID != nil {
			parents = append(parents, *row.ParentUUID)
		}
	}
	if len(parents) == 0 {
		return nil
	}
	wholes, err := q.Resources(ctx, dbsql.ResourcesParams{Kind: k.part.kind, Uuids: parents})
	if err != nil {
		return fmt.Errorf("looking for the owners of parts: %w", err)
	}
	owners := make(map[uuid.UUID]*uuid.UUID, len(wholes))
	for _, whole := range wholes {
		owners[whole.UUID] = whole.TeamID
	}
	for i := range rows {
		row := &rows[i]
		if row.TeamID != nil || row.ParentUUID == nil || owners[*row.ParentUUID] == nil || row.DeletedAt != nil {
			continue
		}
		owned, err := q.ClaimResource(ctx, dbsql.ClaimResourceParams{Kind: k.name, UUID: row.UUID, TeamID: owners[*row.ParentUUID]})
		if err != nil {
			return fmt.Errorf("giving %s %s to the owner of what it is a part of: %w", k.name, row.UUID, err)
		}
		*row = owned
	}
	return nil
}

// orphan says that what a message shows is a part of what is no more: the vendor goes on
// listing the jobs of a knowledge base that was deleted, and they stay as gone as it is.
func (k *kind) orphan(ctx context.Context, q *db.Queries, shown proto.Message) (bool, error) {
	kind, parent := k.parentOf(shown)
	if parent == nil {
		return false, nil
	}
	whole, err := q.Resource(ctx, dbsql.ResourceParams{Kind: kind, UUID: *parent})
	if db.NoRows(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the %s that a %s is a part of: %w", kind, k.name, err)
	}
	return whole.DeletedAt != nil, nil
}
