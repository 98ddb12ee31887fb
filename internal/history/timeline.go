package history

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// ListAgentHistory answers what happened to an agent, the newest first.
func (r *Reader) ListAgentHistory(
	ctx context.Context, caller identity.Caller, req *pb.ListAgentHistoryRequest,
) (*pb.ListAgentHistoryResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	scope := listing.ScopeOf(req)
	params, size, err := r.entriesPage(req, id, scope)
	if err != nil {
		return nil, err
	}
	freshness, err := r.copied.RefreshVersions(ctx, caller, id, req.GetMaxStaleness())
	if err != nil {
		return nil, err
	}
	rows, err := r.store.AgentEntries(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("reading the history of agent %s: %w", id, db.Classify(err))
	}
	resp := &pb.ListAgentHistoryResponse{Freshness: freshness}
	if len(rows) > size {
		rows = rows[:size]
		last := rows[size-1]
		resp.NextPageToken = r.tokens.Encode(scope, last.At.UTC().Format(time.RFC3339Nano), strconv.Itoa(int(last.Kind)), last.Ref)
	}
	resp.Entries, err = r.entries(ctx, caller, id, rows)
	return resp, err
}

// entriesPage is the page that a request asks for, and one entry more.
func (r *Reader) entriesPage(req *pb.ListAgentHistoryRequest, id uuid.UUID, scope string) (dbsql.AgentEntriesParams, int, error) {
	params := dbsql.AgentEntriesParams{AgentUUID: id, Kinds: []int32{}, BeforeTime: end().Add(time.Hour)}
	size, place, err := r.page(req.GetPageSize(), req.GetPageToken(), scope, 3)
	if err != nil {
		return params, 0, err
	}
	params.AtMost = int32(size) + 1
	for _, kind := range req.GetKinds() {
		params.Kinds = append(params.Kinds, int32(kind))
	}
	if params.FromTime, err = within("start_time", req.GetStartTime(), begin()); err != nil {
		return params, 0, err
	}
	if params.ToTime, err = within("end_time", req.GetEndTime(), end()); err != nil {
		return params, 0, err
	}
	if place != nil {
		at, timeErr := time.Parse(time.RFC3339Nano, place[0])
		kind, kindErr := strconv.ParseInt(place[1], 10, 32)
		if timeErr != nil || kindErr != nil {
			return params, 0, otherVersion()
		}
		params.BeforeTime, params.BeforeKind, params.BeforeRef = at, int32(kind), place[2]
	}
	return params, size, nil
}

// material is what the entries of a page are made of, each read at once.
type material struct {
	versions map[string]dbsql.AgentVersionRecordsRow
	contents map[string]versionContent
	routes   map[int64]dbsql.AgentRoute
	events   map[uuid.UUID]dbsql.AuditEvent
	moves    map[int64]dbsql.AgentLabelMove
	deeds    map[uuid.UUID]dbsql.DeedsRow
	shown    targets
}

// entries makes the entries of a page.
func (r *Reader) entries(ctx context.Context, caller identity.Caller, id uuid.UUID, rows []dbsql.AgentEntriesRow) ([]*pb.AgentHistoryEntry, error) {
	m, err := r.gather(ctx, caller, id, rows)
	if err != nil {
		return nil, err
	}
	entries := make([]*pb.AgentHistoryEntry, 0, len(rows))
	for _, row := range rows {
		kind := pb.AgentHistoryEntry_Kind(row.Kind)
		entry := &pb.AgentHistoryEntry{Kind: kind, Time: timestamppb.New(row.At)}
		switch kind {
		case pb.AgentHistoryEntry_KIND_VERSION:
			err = m.version(entry, row)
		case pb.AgentHistoryEntry_KIND_ROUTE:
			err = m.route(entry, row)
		case pb.AgentHistoryEntry_KIND_LABEL:
			err = m.label(entry, row)
		default:
			err = m.event(entry, row)
		}
		if err != nil {
			return nil, fmt.Errorf("telling entry %s of the history of agent %s: %w", row.Ref, id, err)
		}
		entries = append(entries, entry)
	}
	return entries, r.concealEntries(ctx, caller, entries)
}

// gather reads what the rows of a page refer to.
func (r *Reader) gather(ctx context.Context, caller identity.Caller, id uuid.UUID, rows []dbsql.AgentEntriesRow) (material, error) {
	var m material
	var err error
	wanted := wants(rows)
	if m.contents, err = r.contents(ctx, id, wanted.hashes); err != nil {
		return m, err
	}
	m.versions = map[string]dbsql.AgentVersionRecordsRow{}
	if len(wanted.hashes) > 0 {
		records, err := r.store.AgentVersionRecords(ctx, dbsql.AgentVersionRecordsParams{AgentUUID: id, Hashes: wanted.hashes})
		if err != nil {
			return m, fmt.Errorf("reading who made versions of agent %s: %w", id, db.Classify(err))
		}
		for _, record := range records {
			m.versions[record.VersionHash] = record
		}
	}
	if len(wanted.routes) > 0 {
		if err := r.gatherRoutes(ctx, caller, id, &m); err != nil {
			return m, err
		}
	}
	if len(wanted.moves) > 0 {
		moves, err := r.store.LabelMoves(ctx, dbsql.LabelMovesParams{AgentUUID: id, Ids: wanted.moves})
		if err != nil {
			return m, fmt.Errorf("reading the labels of agent %s: %w", id, db.Classify(err))
		}
		m.moves = map[int64]dbsql.AgentLabelMove{}
		for _, move := range moves {
			m.moves[move.ID] = move
		}
	}
	if len(wanted.events) > 0 {
		events, err := r.store.AuditEventsAbout(ctx, dbsql.AuditEventsAboutParams{
			AgentUUID: &id, Ids: wanted.events, FromTime: wanted.first, ToTime: wanted.last,
		})
		if err != nil {
			return m, fmt.Errorf("reading the events of agent %s: %w", id, db.Classify(err))
		}
		m.events = map[uuid.UUID]dbsql.AuditEvent{}
		for _, event := range events {
			m.events[event.ID] = event
		}
	}
	return m, nil
}

func (r *Reader) gatherRoutes(ctx context.Context, caller identity.Caller, id uuid.UUID, m *material) error {
	routes, err := r.store.AllAgentRoutes(ctx, id)
	if err != nil {
		return fmt.Errorf("reading the routes of agent %s: %w", id, db.Classify(err))
	}
	m.routes = map[int64]dbsql.AgentRoute{}
	for _, route := range routes {
		m.routes[route.ID] = route
	}
	if m.deeds, err = r.deeds(ctx, operationsOf(routes)); err != nil {
		return err
	}
	m.shown, err = r.targets(ctx, caller, routes)
	return err
}

// wanted is what the rows of a page refer to.
type wanted struct {
	hashes      []string
	routes      []int64
	moves       []int64
	events      []uuid.UUID
	first, last time.Time
}

func wants(rows []dbsql.AgentEntriesRow) wanted {
	w := wanted{first: end(), last: begin()}
	for _, row := range rows {
		switch pb.AgentHistoryEntry_Kind(row.Kind) {
		case pb.AgentHistoryEntry_KIND_VERSION:
			w.hashes = append(w.hashes, row.Ref)
			if row.Earlier != "" {
				w.hashes = append(w.hashes, row.Earlier)
			}
		case pb.AgentHistoryEntry_KIND_ROUTE:
			w.routes = append(w.routes, routeRef(row.Ref))
		case pb.AgentHistoryEntry_KIND_LABEL:
			w.moves = append(w.moves, digits(row.Ref))
		default:
			if id, err := uuid.Parse(row.Ref); err == nil {
				w.events = append(w.events, id)
				if row.At.Before(w.first) {
					w.first = row.At
				}
				if row.At.After(w.last) {
					w.last = row.At
				}
			}
		}
	}
	return w
}

// routeRef is the id of the route of which an entry tells that it began ("o") or ended ("c").
func routeRef(ref string) int64 { return digits(strings.TrimLeft(ref, "oc")) }

func digits(ref string) int64 {
	n, _ := strconv.ParseInt(ref, 10, 64) // made by our own query
	return n
}
