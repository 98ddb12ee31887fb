package db

import (
	"context"
	"fmt"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// OperationRow is an operation with the name of its team. What is sealed, what only
// workers need, and the request and response, of which a page may hold a lot, are not read.
type OperationRow struct {
	dbsql.Operation
	Team string
	Keys []string
}

// SortKeys are the row's place in the page's order.
func (r OperationRow) SortKeys() []string { return r.Keys }

// OperationSchema is what operations are filtered by. The newest come first.
func OperationSchema() *listing.Schema {
	return &listing.Schema{
		Fields: []listing.Field{
			listing.EnumField("state", "x.state", pb.Operation_State(0).Descriptor().Values()),
			methodField("x.method"),
			teamField(),
			{Name: "account", Type: listing.Text, SQL: "x.account"},
			{Name: "requested_by", Type: listing.Text, SQL: "x.actor"},
			{Name: "resource_kind", Type: listing.Text, SQL: "x.resource_kind"},
			{Name: "resource_uuid", Type: listing.ID, SQL: "x.resource_uuid"},
			{Name: "parent_operation", Type: listing.ID, SQL: "x.parent_operation_id"},
			{Name: "create_time", Type: listing.Time, SQL: "x.created_at"},
			{Name: "finish_time", Type: listing.Time, SQL: "x.finished_at"},
		},
		Default: []listing.Key{{Name: "number", SQL: "x.number", Type: "bigint", Desc: true}},
	}
}

// ListOperations answers a page of operations, and one more if there is one.
func (s *Store) ListOperations(ctx context.Context, visible Visible, page listing.Page) ([]OperationRow, error) {
	l := list{
		table: "operations",
		columns: []string{
			"id", "number", "account", "team_id", "principal_id", "actor", "method", "resource_kind", "resource_uuid",
			"resource_name", "parent_kind", "parent_uuid", "idempotency_key", "error", "reason",
			"expected_version", "lane", "state", "attempts", "sent_at", "vendor_request_id", "created_at", "started_at",
			"finished_at", "request_id", "client_address", "user_agent", "parent_operation_id", "batch_total", "batch_unchanged",
			"approval_rule", "approval_expires_at", "decided_by", "decided_at",
		},
		args: &listing.Args{},
	}
	operations, err := rows[OperationRow](ctx, s, l.page(visible, page), l.args)
	if err != nil {
		return nil, fmt.Errorf("listing operations: %w", err)
	}
	return operations, nil
}
