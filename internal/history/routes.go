package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// ListRouteHistory answers routes of the agents that the caller may see, those that began
// last first, and how long each held.
func (r *Reader) ListRouteHistory(
	ctx context.Context, caller identity.Caller, req *pb.ListRouteHistoryRequest,
) (*pb.ListRouteHistoryResponse, error) {
	scope := listing.ScopeOf(req)
	params, size, err := r.routesPage(caller, req, scope)
	if err != nil {
		return nil, err
	}
	rows, err := r.store.RouteHistory(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("reading the history of routes: %w", db.Classify(err))
	}
	resp := &pb.ListRouteHistoryResponse{}
	if len(rows) > size {
		rows = rows[:size]
		last := rows[size-1].AgentRoute
		resp.NextPageToken = r.tokens.Encode(scope, last.ValidFrom.UTC().Format(time.RFC3339Nano), strconv.FormatInt(last.ID, 10))
	}
	routes := make([]dbsql.AgentRoute, 0, len(rows))
	for _, row := range rows {
		routes = append(routes, row.AgentRoute)
	}
	deeds, err := r.deeds(ctx, operationsOf(routes))
	if err != nil {
		return nil, err
	}
	shown, err := r.targets(ctx, caller, routes)
	if err != nil {
		return nil, err
	}
	for _, route := range routes {
		told, err := interval(route, deeds, shown)
		if err != nil {
			return nil, err
		}
		resp.Routes = append(resp.Routes, told)
	}
	return resp, r.concealRoutes(ctx, caller, resp.GetRoutes()...)
}

// routesPage is the page that a request asks for, and one route more.
func (r *Reader) routesPage(caller identity.Caller, req *pb.ListRouteHistoryRequest, scope string) (dbsql.RouteHistoryParams, int, error) {
	params := dbsql.RouteHistoryParams{SeesAll: caller.SeesAll(), Teams: caller.TeamIDs(), Kinds: []string{}, BeforeTime: end().Add(time.Hour)}
	size, place, err := r.page(req.GetPageSize(), req.GetPageToken(), scope, 2)
	if err != nil {
		return params, 0, err
	}
	params.AtMost = int32(size) + 1
	for field, at := range map[string]**uuid.UUID{"agent_uuid": &params.AgentUUID, "target_uuid": &params.TargetUUID} {
		given := map[string]string{"agent_uuid": req.GetAgentUuid(), "target_uuid": req.GetTargetUuid()}[field]
		if given == "" {
			continue
		}
		id, err := parse(field, given)
		if err != nil {
			return params, 0, err
		}
		*at = &id
	}
	for _, kind := range req.GetKinds() {
		params.Kinds = append(params.Kinds, kindName(kind))
	}
	if params.FromTime, err = within("start_time", req.GetStartTime(), begin()); err != nil {
		return params, 0, err
	}
	if params.ToTime, err = within("end_time", req.GetEndTime(), end()); err != nil {
		return params, 0, err
	}
	if place != nil {
		at, timeErr := time.Parse(time.RFC3339Nano, place[0])
		id, idErr := strconv.ParseInt(place[1], 10, 64)
		if timeErr != nil || idErr != nil {
			return params, 0, otherVersion()
		}
		params.BeforeTime, params.BeforeID = at, id
	}
	return params, size, nil
}

func kindName(kind pb.RouteInterval_Kind) string {
	switch kind {
	case pb.RouteInterval_KIND_AGENT:
		return toAgent
	case pb.RouteInterval_KIND_FUNCTION:
		return toFunction
	case pb.RouteInterval_KIND_GUARDRAIL:
		return toGuardrail
	case pb.RouteInterval_KIND_KNOWLEDGE_BASE:
		return toKnowledgeBase
	case pb.RouteInterval_KIND_UNSPECIFIED:
	}
	return ""
}

func kindOf(name string) pb.RouteInterval_Kind {
	for number := range pb.RouteInterval_Kind_name {
		if kind := pb.RouteInterval_Kind(number); name != "" && kindName(kind) == name {
			return kind
		}
	}
	return pb.RouteInterval_KIND_UNSPECIFIED
}

func operationsOf(routes []dbsql.AgentRoute) []uuid.UUID {
	var ids []uuid.UUID
	for _, route := range routes {
		for _, by := range []*uuid.UUID{route.OpenedBy, route.ClosedBy} {
			if by != nil {
				ids = append(ids, *by)
			}
		}
	}
	return ids
}

// resourceKey tells resources of all kinds apart.
type resourceKey struct {
	kind string
	id   uuid.UUID
}

// targets are the agents and knowledge bases at both ends of routes.
type targets struct {
	known  map[resourceKey]dbsql.ResourcesOfRow
	caller identity.Caller
}

func (r *Reader) targets(ctx context.Context, caller identity.Caller, routes []dbsql.AgentRoute) (targets, error) {
	ids := make([]uuid.UUID, 0, 2*len(routes))
	for _, route := range routes {
		ids = append(ids, route.AgentUUID, route.TargetUUID)
	}
	known, err := r.resources(ctx, []string{toAgent, toKnowledgeBase}, ids)
	return targets{known: known, caller: caller}, err
}

func (r *Reader) resources(ctx context.Context, kinds []string, ids []uuid.UUID) (map[resourceKey]dbsql.ResourcesOfRow, error) {
	known := make(map[resourceKey]dbsql.ResourcesOfRow, len(ids))
	if len(ids) == 0 {
		return known, nil
	}
	rows, err := r.store.ResourcesOf(ctx, dbsql.ResourcesOfParams{Kinds: kinds, Uuids: ids})
	if err != nil {
		return nil, fmt.Errorf("reading what routes lead to: %w", db.Classify(err))
	}
	for _, row := range rows {
		known[resourceKey{row.Kind, row.UUID}] = row
	}
	return known, nil
}

// sees says whether the caller may see a resource; what is not known belongs to nobody.
func sees(caller identity.Caller, row dbsql.ResourcesOfRow) bool {
	return caller.SeesAll() || row.Shared || row.TeamID != nil && caller.Role(*row.TeamID) != pb.Role_ROLE_UNSPECIFIED
}

// ref names a resource, as far as the caller may know it, and says whether they may.
func (t targets) ref(kind string, id uuid.UUID) (*pb.ResourceRef, bool) {
	row := t.known[resourceKey{kind, id}]
	ref := &pb.ResourceRef{Kind: kind, Uuid: id.String()}
	visible := sees(t.caller, row)
	if visible {
		ref.Name = row.Name
	}
	return ref, visible
}

// interval is a route as an answer has it. A function or a guardrail is the agent's own. A
// route's own name is its agent's as well, but that of a knowledge base is the base's.
func interval(route dbsql.AgentRoute, deeds map[uuid.UUID]dbsql.DeedsRow, shown targets) (*pb.RouteInterval, error) {
	told := &pb.RouteInterval{
		Kind: kindOf(route.Kind), Name: route.Name, IfCase: route.IfCase,
		StartTime: timestamppb.New(route.ValidFrom), EndTime: stamp(route.ValidTo), Opened: deedOf(deeds, route.OpenedBy),
	}
	told.Agent, _ = shown.ref(toAgent, route.AgentUUID)
	switch route.Kind {
	case toAgent, toKnowledgeBase:
		var visible bool
		if told.Target, visible = shown.ref(route.Kind, route.TargetUUID); !visible && route.Kind == toKnowledgeBase {
			told.Name = ""
		}
	default:
		told.Target = &pb.ResourceRef{Kind: route.Kind, Uuid: route.TargetUUID.String(), Name: route.Name}
	}
	if route.ValidTo != nil {
		told.Closed = deedOf(deeds, route.ClosedBy)
	}
	var details map[string]any
	if err := json.Unmarshal(route.Details, &details); err != nil {
		return nil, fmt.Errorf("reading the details of a route of agent %s: %w", route.AgentUUID, err)
	}
	if len(details) == 0 {
		return told, nil
	}
	var err error
	if told.Details, err = structpb.NewStruct(details); err != nil {
		return nil, fmt.Errorf("telling the details of a route of agent %s: %w", route.AgentUUID, err)
	}
	return told, nil
}
