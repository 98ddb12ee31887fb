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
	Account           string
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
	// Kind limits the list to one kind. If it is empty, what can belong to nobody is
	// left out: there is a list for each such kind.
	Kind string
	// Only limits the list to these, unless it is nil.
	Only []uuid.UUID
	// PartOf limits the list to the parts of a resource, unless it is nil.
	PartOf *uuid.UUID
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

// KindSchema is what resources of a kind are filtered and ordered by; attributes are
// those that the kind has beside what all have, which are constants of the program. The
// order is by name if nothing else is asked for. What has no time is before what has one.
func KindSchema(attributes ...string) *listing.Schema {
	byName := listing.Key{Name: "name", SQL: "x.name", Type: "text"}
	byUUID := listing.Key{Name: "uuid", SQL: "x.uuid", Type: "uuid"}
	schema := &listing.Schema{
		Fields: append(resourceFields(), listing.Field{Name: "version_hash", Type: listing.Text, SQL: "x.version_hash"}),
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
	for _, name := range attributes {
		schema.Fields = append(schema.Fields, listing.Field{
			Name: name, Type: listing.Text, SQL: "coalesce(x.attributes->>'" + name + "', '')",
		})
	}
	return schema
}

func resourceFields() []listing.Field {
	return []listing.Field{
		{Name: "uuid", Type: listing.ID, SQL: "x.uuid"},
		{Name: "name", Type: listing.Text, SQL: "x.name"},
		teamField(),
		{Name: "account", Type: listing.Text, SQL: "x.account"},
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
			"kind", "account", "uuid", "team_id", "name", "status", "region", "tags", "version_hash", "upstream_created_at",
			"upstream_updated_at", "summary", "summary_synced_at", "body_synced_at", "dirty_since",
		},
		where: []string{"x.deleted_at IS NULL"},
		args:  &listing.Args{},
	}
	if r.Kind != "" {
		l.where = append(l.where, "x.kind = "+l.args.Add(r.Kind)+"::text")
	}
	if r.Kind == "" {
		l.where = append(l.where, "(NOT x.shared OR x.team_id IS NOT NULL)")
	}
	if r.Only != nil {
		l.where = append(l.where, "x.uuid = ANY ("+l.args.Add(r.Only)+"::uuid[])")
	}
	if r.PartOf != nil {
		l.where = append(l.where, "x.parent_uuid = "+l.args.Add(*r.PartOf)+"::uuid")
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
