package mirror

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// suspects are resources whose changes may show in another's body: what that was tied to
// and shows no more, perhaps because it is gone itself, and what it shows for the first time.
type suspects struct {
	// keys are what their changes are ordered by.
	keys []string
	// made are the kinds of those that we do not know: a creation may be under way.
	made []string
}

// agentTies are what ties agents to each other, and to what they use.
type agentTies struct{}

func (agentTies) lock(ctx context.Context, q *db.Queries, id uuid.UUID) ([]dbsql.Resource, error) {
	rows, err := q.LockAgentAndParents(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("locking agent %s and those that route to it: %w", id, err)
	}
	return rows, nil
}

func (agentTies) read(ctx context.Context, q *db.Queries, ids []uuid.UUID) (map[uuid.UUID]known, error) {
	routes, err := q.OpenRoutes(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the routes of agents: %w", err)
	}
	states, err := q.OpenAgentStates(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the states of agents: %w", err)
	}
	all := make(map[uuid.UUID]known, len(ids))
	for _, id := range ids {
		all[id] = known{isRead: true}
	}
	for _, r := range routes {
		of := all[r.AgentUUID]
		of.routes = append(of.routes, r)
		all[r.AgentUUID] = of
	}
	for i := range states {
		of := all[states[i].AgentUUID]
		of.state = &states[i]
		all[states[i].AgentUUID] = of
	}
	return all, nil
}

func (agentTies) suspects(ctx context.Context, q *db.Queries, id uuid.UUID, body proto.Message, h *holding) (suspects, error) {
	var s suspects
	agent, ok := body.(*pb.Agent)
	if !ok {
		return s, fmt.Errorf("a %T is no agent", body)
	}
	shown := map[routeID]bool{}
	for _, r := range routesOf(agent) {
		shown[routeID{r.kind, r.target}] = true
	}
	for _, o := range h.routes {
		if !shown[routeID{o.Kind, o.TargetUUID}] {
			s.keys = append(s.keys, orderKey(o.Kind, o.TargetUUID.String())) // routes are called like the kinds that they lead to
		}
	}
	if h.row == nil {
		return s, nil
	}
	var attributes map[string]string
	if err := json.Unmarshal(h.row.Attributes, &attributes); err != nil {
		return s, fmt.Errorf("reading the attributes of agent %s: %w", id, err)
	}
	for _, r := range references() {
		was, is := attributes[r.attribute], text(agent, r.path)
		if was != is {
			if err := s.reference(ctx, q, r, was, is); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// reference adds what an agent referred to, or does now.
func (s *suspects) reference(ctx context.Context, q *db.Queries, r reference, was, is string) error {
	for _, kind := range r.kinds {
		s.keys = append(s.keys, orderKey(kind, was), orderKey(kind, is))
	}
	id, err := uuid.Parse(is)
	if err != nil {
		return nil //nolint:nilerr // it refers to nothing now
	}
	for _, kind := range r.kinds {
		_, err := q.Resource(ctx, dbsql.ResourceParams{Kind: kind, UUID: id})
		if db.NoRows(err) {
			s.made = append(s.made, kind)
		} else if err != nil {
			return fmt.Errorf("looking for %s %s: %w", kind, id, err)
		}
	}
	return nil
}
