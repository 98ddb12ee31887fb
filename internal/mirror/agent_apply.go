package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// applyRoute brings in a route from one agent to another. The vendor's answer does
// not show it, so the request tells what it is, and the parent is read again.
func applyRoute(ctx context.Context, q *db.Queries, c Change, on target) (Effect, error) {
	effect := plain(c)
	effect.Parent = on.ref()
	if effect.Resource.UUID == nil {
		return effect, dirty(ctx, q, on, c)
	}
	id := routeID{toAgent, *effect.Resource.UUID}
	now, err := q.ClockNow(ctx)
	if err != nil {
		return Effect{}, fmt.Errorf("reading the clock: %w", err)
	}
	now = causedBy(c.Operation).since(now)
	old, err := q.OpenRouteTo(ctx, dbsql.OpenRouteToParams{AgentUUID: on.id, Kind: id.kind, TargetUUID: id.target})
	known := err == nil
	if err != nil && !db.NoRows(err) {
		return Effect{}, fmt.Errorf("reading a route of agent %s: %w", on.id, err)
	}
	if known {
		if effect.Before, err = routeObject(id.target, old.Name, old.IfCase); err != nil {
			return Effect{}, err
		}
	}
	if c.Method.Access.GetAction() == pb.Action_ACTION_DELETE {
		effect.Resource.Name = old.Name
		if !known { // never seen, but gone for certain
			if effect.Before, err = routeObject(id.target, "", ""); err != nil {
				return Effect{}, err
			}
		}
		if err := closeRoute(ctx, q, on.id, id, now, &c.Operation.ID); err != nil {
			return Effect{}, err
		}
		return effect, rerouted(ctx, q, on, c, now)
	}
	next, err := requestedRoute(ctx, q, c, id, old, known)
	if err != nil {
		return Effect{}, err
	}
	effect.Resource.Name = next.name
	if effect.After, err = routeObject(id.target, next.name, next.ifCase); err != nil {
		return Effect{}, err
	}
	if err := closeRoute(ctx, q, on.id, id, now, &c.Operation.ID); err != nil {
		return Effect{}, err
	}
	if err := openRoute(ctx, q, on.id, next, now, &c.Operation.ID); err != nil {
		return Effect{}, err
	}
	return effect, rerouted(ctx, q, on, c, now)
}

// rerouted follows a change of an agent's routes whose answer did not show the agent.
func rerouted(ctx context.Context, q *db.Queries, on target, c Change, now time.Time) error {
	if err := unnamedState(ctx, q, on.id, now, causedBy(c.Operation)); err != nil {
		return err
	}
	return dirty(ctx, q, on, c)
}

// requestedRoute is the route as it is after the request: what the request leaves
// out stays, and a route without a name gets that of the child.
func requestedRoute(ctx context.Context, q *db.Queries, c Change, id routeID, old dbsql.AgentRoute, known bool) (route, error) {
	next := route{kind: id.kind, target: id.target, name: old.Name, ifCase: old.IfCase}
	asked, ok := c.Request.(interface {
		GetRouteName() string
		GetIfCase() string
	})
	if ok && asked.GetRouteName() != "" {
		next.name = asked.GetRouteName()
	}
	if ok && asked.GetIfCase() != "" {
		next.ifCase = asked.GetIfCase()
	}
	if known || next.name != "" {
		return next, nil
	}
	child, err := q.Resource(ctx, dbsql.ResourceParams{Kind: agentKind, UUID: id.target})
	if err != nil && !db.NoRows(err) {
		return route{}, fmt.Errorf("reading the name of agent %s: %w", id.target, err)
	}
	next.name = child.Name
	return next, nil
}

func routeObject(child uuid.UUID, name, ifCase string) (json.RawMessage, error) {
	object, err := json.Marshal(map[string]string{"child_agent_uuid": child.String(), "route_name": name, "if_case": ifCase})
	if err != nil {
		return nil, fmt.Errorf("writing a route: %w", err)
	}
	return object, nil
}

// applyFunctionDeletion closes the route of a function whose deletion was answered
// without the agent: it was gone when it was deleted again.
func applyFunctionDeletion(ctx context.Context, q *db.Queries, c Change, on target) (Effect, error) {
	effect := plain(c)
	effect.Parent = audit.Ref{Kind: agentKind, UUID: &on.id}
	if on.row != nil {
		effect.Parent.Name = on.row.Name
	}
	if c.Method.Access.GetAction() == pb.Action_ACTION_DELETE && effect.Resource.UUID != nil {
		now, err := q.ClockNow(ctx)
		if err != nil {
			return Effect{}, fmt.Errorf("reading the clock: %w", err)
		}
		now = causedBy(c.Operation).since(now)
		if err := closeRoute(ctx, q, on.id, routeID{toFunction, *effect.Resource.UUID}, now, &c.Operation.ID); err != nil {
			return Effect{}, err
		}
		if err := unnamedState(ctx, q, on.id, now, causedBy(c.Operation)); err != nil {
			return Effect{}, err
		}
	}
	if on.row != nil && on.row.Body != nil {
		agent := &pb.Agent{}
		stored, err := decode(agent, on.row.Body)
		if err != nil {
			return Effect{}, err
		}
		was, _ := stored.(*pb.Agent)
		f := functionOf(was, c.Request)
		effect.Resource.Name = f.GetName()
		if effect.Before, effect.After, err = changed(f, nil); err != nil {
			return Effect{}, err
		}
	}
	return effect, dirty(ctx, q, on, c)
}
