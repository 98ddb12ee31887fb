package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Kinds of routes, as the database names them.
const (
	toAgent         = "agent"
	toFunction      = "function"
	toGuardrail     = "guardrail"
	toKnowledgeBase = "knowledge_base"
)

// route is something that an agent hands a conversation to or draws on.
type route struct {
	kind         string
	target       uuid.UUID
	name, ifCase string
	details      map[string]any
}

type routeID struct {
	kind   string
	target uuid.UUID
}

// same says that two routes to one target differ in nothing that is the route's
// own: the names of guardrails and knowledge bases are not.
func (r route) same(o dbsql.AgentRoute) (bool, error) {
	var details map[string]any
	if err := json.Unmarshal(o.Details, &details); err != nil {
		return false, fmt.Errorf("reading the details of a route of agent %s: %w", o.AgentUUID, err)
	}
	was, err := json.Marshal(details)
	if err != nil {
		return false, fmt.Errorf("writing the details of a route: %w", err)
	}
	is, err := r.encode()
	if err != nil {
		return false, err
	}
	named := r.kind == toAgent || r.kind == toFunction
	return r.ifCase == o.IfCase && bytes.Equal(was, is) && (!named || r.name == o.Name), nil
}

func (r route) encode() ([]byte, error) {
	if r.details == nil {
		return []byte("{}"), nil
	}
	details, err := json.Marshal(r.details)
	if err != nil {
		return nil, fmt.Errorf("writing the details of a route: %w", err)
	}
	return details, nil
}

// routesOf are the routes that an agent's body shows.
func routesOf(agent *pb.Agent) []route {
	var routes []route
	add := func(r route, target string) {
		// A target without a uuid cannot be told from others, so it has no history.
		if id, err := uuid.Parse(target); err == nil {
			r.target = id
			routes = append(routes, r)
		}
	}
	for _, child := range agent.GetChildAgents() {
		add(route{kind: toAgent, name: child.GetRouteName(), ifCase: child.GetIfCase()}, child.GetUuid())
	}
	for _, f := range agent.GetFunctions() {
		add(route{kind: toFunction, name: f.GetName(), details: functionDetails(f)}, f.GetUuid())
	}
	for _, g := range agent.GetGuardrails() {
		if g.IsAttached != nil && !g.GetIsAttached() {
			continue
		}
		var details map[string]any
		if g.Priority != nil {
			details = map[string]any{"priority": g.GetPriority()}
		}
		add(route{kind: toGuardrail, name: g.GetName(), details: details}, g.GetGuardrailUuid())
	}
	for _, kb := range agent.GetKnowledgeBases() {
		add(route{kind: toKnowledgeBase, name: kb.GetName()}, kb.GetUuid())
	}
	return routes
}

// functionDetails is what a function route says beside its name.
func functionDetails(f *pb.AgentFunction) map[string]any {
	details := map[string]any{}
	for name, value := range map[string]string{
		"description": f.GetDescription(), "faas_name": f.GetFaasName(), "faas_namespace": f.GetFaasNamespace(),
	} {
		if value != "" {
			details[name] = value
		}
	}
	for name, schema := range map[string]*structpb.Struct{"input_schema": f.GetInputSchema(), "output_schema": f.GetOutputSchema()} {
		if schema != nil {
			details[name] = schema.AsMap()
		}
	}
	return details
}

// followRoutes closes the routes that a body does not show any more and opens those
// that it shows for the first time. One that is different is closed and opened anew.
func followRoutes(ctx context.Context, q *db.Queries, agent *pb.Agent, s *storing) error {
	routes := routesOf(agent)
	held := make(map[routeID]dbsql.AgentRoute, len(s.routes))
	for _, o := range s.routes {
		held[routeID{o.Kind, o.TargetUUID}] = o
	}
	shown := make(map[routeID]bool, len(routes))
	for _, r := range routes {
		id := routeID{r.kind, r.target}
		if shown[id] {
			continue // the vendor shows it twice
		}
		shown[id] = true
		o, isOpen := held[id]
		if !isOpen {
			if err := openRoute(ctx, q, s.id, r, s.at, s.did(r.kind)); err != nil {
				return err
			}
			continue
		}
		if err := changeRoute(ctx, q, o, r, s); err != nil {
			return err
		}
	}
	for id := range held {
		if !shown[id] {
			if err := closeRoute(ctx, q, s.id, id, s.at, s.did(id.kind)); err != nil {
				return err
			}
		}
	}
	return nil
}

// did is the operation behind a difference in routes of a kind: the one whose answer shows
// it, if it can have made it.
func (s *storing) did(kind string) *uuid.UUID {
	if s.method == nil || s.before == nil {
		return s.by.operation
	}
	field := map[string]string{
		toAgent: "child_agents", toFunction: "functions", toGuardrail: "guardrails", toKnowledgeBase: "knowledge_bases",
	}[kind]
	for _, name := range agents().attached[field] {
		if string(s.method.Name) == methods.Package+"."+name {
			return s.by.operation
		}
	}
	return s.others.operation
}

func changeRoute(ctx context.Context, q *db.Queries, o dbsql.AgentRoute, r route, s *storing) error {
	same, err := r.same(o)
	if err != nil || same {
		return err
	}
	by := s.did(r.kind)
	if by != nil && o.OpenedBy != nil && *o.OpenedBy == *by {
		// The same operation opened it, by what its request told.
		details, err := r.encode()
		if err != nil {
			return err
		}
		if err := q.CorrectRoute(ctx, dbsql.CorrectRouteParams{
			Name: r.name, IfCase: r.ifCase, Details: details, AgentUUID: s.id, Kind: r.kind, TargetUUID: r.target,
		}); err != nil {
			return fmt.Errorf("correcting a route of agent %s: %w", s.id, err)
		}
		return nil
	}
	if err := closeRoute(ctx, q, s.id, routeID{r.kind, r.target}, s.at, by); err != nil {
		return err
	}
	return openRoute(ctx, q, s.id, r, s.at, by)
}

func openRoute(ctx context.Context, q *db.Queries, agent uuid.UUID, r route, at time.Time, by *uuid.UUID) error {
	details, err := r.encode()
	if err != nil {
		return err
	}
	if err := q.OpenRoute(ctx, dbsql.OpenRouteParams{
		Kind: r.kind, AgentUUID: agent, TargetUUID: r.target, Name: r.name, IfCase: r.ifCase, Details: details, OpenedBy: by, At: at,
	}); err != nil {
		return fmt.Errorf("opening a route of agent %s: %w", agent, err)
	}
	return nil
}

func closeRoute(ctx context.Context, q *db.Queries, agent uuid.UUID, id routeID, at time.Time, by *uuid.UUID) error {
	if _, err := q.CloseRoute(ctx, dbsql.CloseRouteParams{
		At: at, ClosedBy: by, AgentUUID: agent, Kind: id.kind, TargetUUID: id.target,
	}); err != nil {
		return fmt.Errorf("closing a route of agent %s: %w", agent, err)
	}
	return nil
}
