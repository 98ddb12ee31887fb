package db

import (
	"context"
	"fmt"
	"strings"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// AuditRow is an audit event with the name of its team; "" if it has none.
type AuditRow struct {
	dbsql.AuditEvent
	Team string
	Keys []string
}

// SortKeys are the row's place in the page's order.
func (r AuditRow) SortKeys() []string { return r.Keys }

// AuditSchema is what audit events are filtered by. The newest come first.
func AuditSchema() *listing.Schema {
	return &listing.Schema{
		Fields: []listing.Field{
			{Name: "time", Type: listing.Time, SQL: "x.recorded_at"},
			teamField(),
			{Name: "actor", Type: listing.Text, SQL: "x.actor"},
			{Name: "acting_service", Type: listing.Text, SQL: "coalesce(x.acting_service, '')"},
			listing.EnumField("action", "x.action", pb.Action(0).Descriptor().Values()),
			listing.EnumField("outcome", "x.outcome", pb.AuditEvent_Outcome(0).Descriptor().Values()),
			listing.EnumField("origin", "x.origin", pb.AuditEvent_Origin(0).Descriptor().Values()),
			{Name: "resource_kind", Type: listing.Text, SQL: "x.resource_kind"},
			{Name: "resource_uuid", Type: listing.ID, SQL: "x.resource_uuid"},
			{Name: "parent_uuid", Type: listing.ID, SQL: "x.parent_uuid"},
			{Name: "operation_id", Type: listing.ID, SQL: "x.operation_id"},
			methodField("x.method"),
			{Name: "reason", Type: listing.Text, SQL: "x.reason"},
			listing.EnumField("error_reason", "x.error_reason", pb.ErrorReason(0).Descriptor().Values()),
		},
		Default: []listing.Key{
			{Name: "time", SQL: "x.recorded_at", Type: "timestamptz", Desc: true},
			{Name: "id", SQL: "x.id", Type: "uuid", Desc: true},
		},
	}
}

// methodField is the filter by method, whose package may be left out.
func methodField(sql string) listing.Field {
	return listing.Field{Name: "method", Type: listing.Text, SQL: sql, Canonical: func(name string) string {
		if strings.Count(name, ".") != 1 {
			return name
		}
		return string(pb.File_agentsvc_v1_audit_service_proto.Package()) + "." + name
	}}
}

// ListAuditEvents answers a page of the history, and one event more if there is one.
func (s *Store) ListAuditEvents(ctx context.Context, visible Visible, page listing.Page) ([]AuditRow, error) {
	l := list{
		table: "audit_events",
		columns: []string{
			"id", "recorded_at", "actor", "principal_id", "team_id", "action", "method", "resource_kind", "resource_uuid",
			"resource_name", "parent_kind", "parent_uuid", "parent_name", "reason", "outcome", "origin", "operation_id",
			"vendor_request_id", "request_id", "client_address", "user_agent", "error_reason", "error_message",
			"request", "before", "after", "acting_service",
		},
		args: &listing.Args{},
	}
	events, err := rows[AuditRow](ctx, s, l.page(visible, page), l.args)
	if err != nil {
		return nil, fmt.Errorf("listing audit events: %w", err)
	}
	return events, nil
}
