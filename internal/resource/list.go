// Package resource answers who owns what, and gives owners to what has none.
package resource

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// Reader answers which resources there are.
type Reader struct {
	store  *db.Store
	tokens *listing.Tokens
	schema *listing.Schema
	// transfers is what those are filtered by.
	transfers *listing.Schema
}

// NewReader reads from the store.
func NewReader(store *db.Store, tokens *listing.Tokens) *Reader {
	return &Reader{store: store, tokens: tokens, schema: db.ResourceSchema(), transfers: db.TransferSchema()}
}

// List answers a page of the resources that the caller may see, ordered by kind
// and uuid. What belongs to no team is for those who see everything.
func (r *Reader) List(ctx context.Context, caller identity.Caller, req *pb.ListResourcesRequest) (*pb.ListResourcesResponse, error) {
	page, err := r.tokens.Open(r.schema, req)
	if err != nil {
		return nil, err
	}
	which := db.ResourceList{Visible: db.Visible{All: caller.SeesAll(), Teams: caller.TeamIDs()}}
	rows, err := r.store.ListResources(ctx, which, page)
	if err != nil {
		return nil, err
	}
	total, err := r.store.CountListed(ctx, which, page.Filter)
	if err != nil {
		return nil, err
	}
	rows, next := listing.Cut(r.tokens, page, rows)
	resp := &pb.ListResourcesResponse{Resources: make([]*pb.Resource, 0, len(rows)), NextPageToken: next, TotalSize: total}
	for _, row := range rows {
		resp.Resources = append(resp.Resources, toProto(row))
	}
	return resp, nil
}

func toProto(row db.ResourceRow) *pb.Resource {
	return &pb.Resource{
		Kind:        row.Kind,
		Uuid:        row.UUID.String(),
		Name:        row.Name,
		Team:        row.Team,
		Status:      row.Status,
		Region:      row.Region,
		Tags:        row.Tags,
		VersionHash: row.VersionHash,
		CreatedAt:   timeOf(row.UpstreamCreatedAt),
		UpdatedAt:   timeOf(row.UpstreamUpdatedAt),
		SyncedAt:    timeOf(later(row.SummarySyncedAt, row.BodySyncedAt)),
		Account:     row.Account,
	}
}

// later is the later of two times, of which none, one or both are known.
func later(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}

func timeOf(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}
