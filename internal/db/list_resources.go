package db

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/listing"
)

// ResourceRow is a resource as lists show it, with the name of its team; "" if it
// belongs to none.
type ResourceRow struct {
	Kind              string
	UUID              uuid.UUID
	TeamID            *uuid.UUID
	Name              string
	Status            string
	Region            string
	Tags              []string
	VersionHash       string
	UpstreamCreatedAt *time.Time
	UpstreamUpdatedAt *time.Time
	// Summary is the vendor's list item, as Protobuf bytes; nil if it was never listed.
	Summary         []byte
	SummarySyncedAt *time.Time
	BodySyncedAt    *time.Time
	DirtySince      *time.Time
	Team            string
	Keys            []string
}

// SortKeys are the row's place in the page's order.
func (r ResourceRow) SortKeys() []string { return r.Keys }

// ResourceList says which resources are listed, besides the page's filter.
type ResourceList struct {
	Visible Visible
	// Kind limits the list to one kind, unless it is empty.
	Kind string
	// OnlyRunning limits the list to what is deployed.
	OnlyRunning bool
}

// ResourceSchema is what resources of all kinds are filtered by. They are ordered
// by kind and uuid.
func ResourceSchema() *listing.Schema {
	return &listing.Schema{
		Fields: append([]listing.Field{{Name: "kind", Type: listing.Text, SQL: "x.kind"}}, resourceFields()...),
		Default: []listing.Key{
			{Name: "kind", SQL: "x.kind", Type: "text"},
			{Name: "uuid", SQL: "x.uuid", Type: "uuid"},
		},
	}
}

// AgentSchema is what agents are filtered and ordered by; the order is by name if
// nothing else is asked for. Agents without a time are before those with one.
func AgentSchema() *listing.Schema {
	byName := listing.Key{Name: "name", SQL: "x.name", Type: "text"}
	byUUID := listing.Key{Name: "uuid", SQL: "x.uuid", Type: "uuid"}
	return &listing.Schema{
		Fields: append(resourceFields(),
			listing.Field{Name: "visibility", Type: listing.Text, SQL: "coalesce(x.attributes->>'visibility', '')"},
			listing.Field{Name: "model_uuid", Type: listing.Text, SQL: "coalesce(x.attributes->>'model_uuid', '')"},
			listing.Field{Name: "version_hash", Type: listing.Text, SQL: "x.version_hash"},
		),
		Sortable: []listing.Key{
			byName,
			{Name: "created_at", SQL: "coalesce(x.upstream_created_at, '-infinity')", Type: "timestamptz"},
			{Name: "updated_at", SQL: "coalesce(x.upstream_updated_at, '-infinity')", Type: "timestamptz"},
			{Name: "status", SQL: "x.status", Type: "text"},
			{Name: "region", SQL: "x.region", Type: "text"},
			byUUID,
		},
		Default: []listing.Key{byName, byUUID},
	}
}

func resourceFields() []listing.Field {
	return []listing.Field{
		{Name: "uuid", Type: listing.ID, SQL: "x.uuid"},
		{Name: "name", Type: listing.Text, SQL: "x.name"},
		teamField(),
		{Name: "status", Type: listing.Text, SQL: "x.status"},
		{Name: "region", Type: listing.Text, SQL: "x.region"},
		{Name: "tags", Type: listing.Texts, SQL: "x.tags"},
		{Name: "created_at", Type: listing.Time, SQL: "x.upstream_created_at"},
		{Name: "updated_at", Type: listing.Time, SQL: "x.upstream_updated_at"},
	}
}

func (r ResourceList) list() list {
	l := list{
		table: "resources",
		columns: []string{
			"kind", "uuid", "team_id", "name", "status", "region", "tags", "version_hash", "upstream_created_at",
			"upstream_updated_at", "summary", "summary_synced_at", "body_synced_at", "dirty_since",
		},
		where: []string{"x.deleted_at IS NULL"},
		args:  &listing.Args{},
	}
	if r.Kind != "" {
		l.where = append(l.where, "x.kind = "+l.args.Add(r.Kind)+"::text")
	}
	if r.OnlyRunning {
		l.where = append(l.where, "x.status = 'STATUS_RUNNING'")
	}
	return l
}

// ListResources answers a page of resources, and one more if there is one. The page
// is of [ResourceSchema], or of the kind's own schema.
func (s *Store) ListResources(ctx context.Context, which ResourceList, page listing.Page) ([]ResourceRow, error) {
	l := which.list()
	resources, err := rows[ResourceRow](ctx, s, l.page(which.Visible, page), l.args)
	if err != nil {
		return nil, fmt.Errorf("listing resources: %w", err)
	}
	return resources, nil
}

// CountListed counts the resources on all pages, no further than 100,000.
func (s *Store) CountListed(ctx context.Context, which ResourceList, filter listing.Filter) (int32, error) {
	l := which.list()
	counted, err := rows[struct{ Count int32 }](ctx, s, l.count(which.Visible, filter), l.args)
	if err != nil {
		return 0, fmt.Errorf("counting resources: %w", err)
	}
	return counted[0].Count, nil
}
