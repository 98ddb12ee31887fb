package db

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
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
			{Name: "principal_id", Type: listing.ID, SQL: "x.principal_id"},
			{Name: "acting_service", Type: listing.Text, SQL: "coalesce(x.acting_service, '')"},
			listing.EnumField("action", "x.action", pb.Action(0).Descriptor().Values()),
			listing.EnumField("outcome", "x.outcome", pb.AuditEvent_Outcome(0).Descriptor().Values()),
			listing.EnumField("origin", "x.origin", pb.AuditEvent_Origin(0).Descriptor().Values()),
			{Name: "resource_kind", Type: listing.Text, SQL: "x.resource_kind"},
			{Name: "resource_uuid", Type: listing.ID, SQL: "x.resource_uuid"},
			{Name: "resource_name", Type: listing.Text, SQL: "x.resource_name"},
			{Name: "parent_kind", Type: listing.Text, SQL: "x.parent_kind"},
			{Name: "parent_uuid", Type: listing.ID, SQL: "x.parent_uuid"},
			{Name: "operation_id", Type: listing.ID, SQL: "x.operation_id"},
			{Name: "request_id", Type: listing.Text, SQL: "x.request_id"},
			methodField("x.method"),
			{Name: "reason", Type: listing.Text, SQL: "x.reason"},
			{Name: "words", Type: listing.Words, SQL: "to_tsvector('simple', x.reason)"},
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

// auditColumns are those of an event.
func auditColumns() []string {
	return []string{
		"id", "recorded_at", "actor", "principal_id", "team_id", "action", "method", "resource_kind", "resource_uuid",
		"resource_name", "parent_kind", "parent_uuid", "parent_name", "reason", "outcome", "origin", "operation_id",
		"vendor_request_id", "request_id", "client_address", "user_agent", "error_reason", "error_message",
		"request", "before", "after", "acting_service",
	}
}

const (
	// auditPatience is how long a page of the history may take to find: a filter that no
	// index serves, of a long history, is refused rather than left to load the database.
	auditPatience = 15 * time.Second
	// maxAuditCount is how far events are counted.
	maxAuditCount = 10_000
)

// ListAuditEvents answers a page of the history, and one event more if there is one.
//
// It looks at the newest time first, and at ever longer ones before until the page is full: see [auditSlices].
func (s *Store) ListAuditEvents(ctx context.Context, visible Visible, page listing.Page, now time.Time) ([]AuditRow, error) {
	var events []AuditRow
	err := patiently(ctx, auditPatience, func(ctx context.Context) error {
		look := newAuditSlices(page, now)
		for look.next(len(events)) {
			rest, l := page, look.list()
			rest.Size -= len(events)
			found, err := rows[AuditRow](ctx, s, l.page(visible, rest), l.args)
			if err != nil {
				return err
			}
			events = append(events, found...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing audit events: %w", err)
	}
	return events, nil
}

// CountAuditEvents answers how many events all pages have, up to a limit, and whether
// there are more than that.
func (s *Store) CountAuditEvents(ctx context.Context, visible Visible, filter listing.Filter) (count int, more bool, err error) {
	l := list{table: "audit_events", args: &listing.Args{}}
	var found []struct{ Count int }
	err = patiently(ctx, auditPatience, func(ctx context.Context) (err error) {
		found, err = rows[struct{ Count int }](ctx, s, l.countUpTo(visible, filter, maxAuditCount+1), l.args)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("counting audit events: %w", err)
	}
	for _, row := range found { // one
		count = row.Count
	}
	return min(count, maxAuditCount), count > maxAuditCount, nil
}

// patiently gives fn a limited time, and says so if that was not enough.
func patiently(ctx context.Context, most time.Duration, fn func(context.Context) error) error {
	limited, cancel := context.WithTimeoutCause(ctx, most, errPatience)
	defer cancel()
	err := fn(limited)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limited), errPatience) {
		return &fault.Error{
			Reason: pb.ErrorReason_ERROR_REASON_INVALID_REQUEST,
			Public: fmt.Sprintf("filter: nothing was found within %s; narrow it down, by a time or an actor", most),
			Cause:  err,
		}
	}
	return err
}

// errPatience is why a search was ended.
var errPatience = errors.New("the search takes too long")
