package operation

import (
	"context"
	"fmt"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// Lister answers which operations there are.
type Lister struct {
	store  *db.Store
	tokens *listing.Tokens
	schema *listing.Schema
}

// NewLister reads from the store.
func NewLister(store *db.Store, tokens *listing.Tokens) *Lister {
	return &Lister{store: store, tokens: tokens, schema: db.OperationSchema()}
}

// List answers a page of the operations of the caller's teams, the newest first;
// those of all teams for those who see everything.
func (l *Lister) List(ctx context.Context, caller identity.Caller, req *pb.ListOperationsRequest) (*pb.ListOperationsResponse, error) {
	page, err := l.tokens.Open(l.schema, req)
	if err != nil {
		return nil, err
	}
	rows, err := l.store.ListOperations(ctx, db.Visible{All: caller.SeesAll(), Teams: caller.TeamIDs()}, page)
	if err != nil {
		return nil, err
	}
	rows, next := listing.Cut(l.tokens, page, rows)
	resp := &pb.ListOperationsResponse{Operations: make([]*pb.Operation, 0, len(rows)), NextPageToken: next}
	for _, row := range rows {
		op, err := toProto(row.Operation, row.Team)
		if err != nil {
			return nil, fmt.Errorf("reading operation %s: %w", row.ID, err)
		}
		op.Request, op.Response = nil, nil // GetOperation has them
		resp.Operations = append(resp.Operations, op)
	}
	return resp, countBatches(ctx, l.store, resp.GetOperations()...)
}
