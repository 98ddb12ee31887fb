package history

import (
	"encoding/json"
	"fmt"
	"strings"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Words for what happened.
const (
	began   = "began"
	changed = "changed"
	ended   = "ended"
	created = "created"
	removed = "removed"
)

// version tells of a version, and how it differs from the one before.
func (m *material) version(entry *pb.AgentHistoryEntry, row dbsql.AgentEntriesRow) error {
	record := m.versions[row.Ref]
	entry.VersionHash, entry.VersionNumber, entry.What = row.Ref, number(record.VendorID), changed
	var err error
	if entry.By, err = versionDeed(record.OperationID, record.Actor, record.Reason, record.Body); err != nil {
		return err
	}
	if row.Earlier == "" {
		entry.What = "first seen"
		return nil
	}
	before, knowsBefore := m.contents[row.Earlier]
	after, knowsAfter := m.contents[row.Ref]
	if knowsBefore && knowsAfter {
		entry.Diff, err = compare(before, after)
	}
	return err
}

// route tells of a route that began, changed or ended.
func (m *material) route(entry *pb.AgentHistoryEntry, row dbsql.AgentEntriesRow) error {
	route := m.routes[routeRef(row.Ref)]
	var err error
	if entry.Route, err = m.interval(route); err != nil {
		return err
	}
	entry.Resource = entry.GetRoute().GetTarget()
	if strings.HasPrefix(row.Ref, "c") {
		entry.What, entry.By = ended, deedOf(m.deeds, route.ClosedBy)
		return nil
	}
	entry.What, entry.By = began, deedOf(m.deeds, route.OpenedBy)
	if row.Earlier == "" {
		return nil
	}
	entry.What = changed
	entry.RouteBefore, err = m.interval(m.routes[digits(row.Earlier)])
	return err
}

func (m *material) interval(route dbsql.AgentRoute) (*pb.RouteInterval, error) {
	return interval(route, m.deeds, m.shown)
}

// label tells of a label that was put on a version, moved, protected or taken off.
func (m *material) label(entry *pb.AgentHistoryEntry, row dbsql.AgentEntriesRow) error {
	move := m.moves[digits(row.Ref)]
	entry.Label = move.Label
	entry.By = &pb.Deed{Actor: move.Actor, Reason: move.Reason, Origin: pb.Deed_ORIGIN_API}
	before, after := map[string]any{}, map[string]any{}
	for o, at := range map[*map[string]any]*string{&before: move.BeforeHash, &after: move.AfterHash} {
		if at != nil {
			(*o)["version_hash"] = *at
			(*o)["protected"] = move.BeforeProtected
		}
	}
	if move.AfterHash != nil {
		after["protected"] = move.AfterProtected
		entry.VersionHash = *move.AfterHash
	} else if move.BeforeHash != nil {
		entry.VersionHash = *move.BeforeHash
	}
	switch {
	case move.BeforeHash == nil:
		entry.What = created
	case move.AfterHash == nil:
		entry.What = removed
	default:
		entry.What = changed
	}
	var err error
	entry.Changes, err = compareObjects("", before, after, nil)
	return err
}

// event tells of what only the audit history has: deployments, owners, keys, and the
// agent's own beginning and end.
func (m *material) event(entry *pb.AgentHistoryEntry, row dbsql.AgentEntriesRow) error {
	var event dbsql.AuditEvent
	for id, e := range m.events {
		if id.String() == row.Ref {
			event = e
		}
	}
	entry.By = &pb.Deed{
		Actor: event.Actor, Reason: event.Reason, Origin: pb.Deed_Origin(pb.Deed_Origin_value["ORIGIN_"+event.Origin]),
	}
	if event.OperationID != nil {
		entry.By.OperationId = event.OperationID.String()
	}
	entry.Resource = &pb.ResourceRef{Kind: event.ResourceKind, Name: event.ResourceName}
	if event.ResourceUUID != nil {
		entry.Resource.Uuid = event.ResourceUUID.String()
	}
	entry.What = strings.ToLower(event.Action)
	switch event.Action {
	case "CREATE":
		entry.What = created
	case "DELETE":
		entry.What = "deleted"
	case "UPDATE":
		entry.What = changed
	case "REVEAL":
		entry.What = "revealed"
	}
	var before, after map[string]any
	for text, o := range map[*[]byte]*map[string]any{&event.Before: &before, &event.After: &after} {
		if len(*text) == 0 {
			continue
		}
		if err := json.Unmarshal(*text, o); err != nil {
			return fmt.Errorf("reading event %s: %w", event.ID, err)
		}
	}
	if entry.GetKind() == pb.AgentHistoryEntry_KIND_LIFE {
		return nil // all of the agent would be in it; its first version tells
	}
	var err error
	entry.Changes, err = compareObjects("", before, after, nil)
	return err
}
