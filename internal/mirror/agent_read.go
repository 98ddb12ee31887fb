package mirror

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// GetAgent answers one agent, without secrets. Agents that it routes to, or that
// route to it, and that the caller may not see are given by uuid and route alone.
func (m *Mirror) GetAgent(ctx context.Context, caller identity.Caller, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	r, err := m.read(ctx, caller, m.kind(agentKind), id, req.GetMaxStaleness())
	if err != nil {
		return nil, err
	}
	agent, ok := r.body.(*pb.Agent)
	if !ok {
		return nil, fmt.Errorf("the mirror holds a %T as an agent", r.body)
	}
	if err := m.relate(ctx, caller, id, agent); err != nil {
		return nil, err
	}
	return &pb.GetAgentResponse{Agent: agent, Freshness: r.freshness}, nil
}

// relate shows of an agent's neighbours what the caller may see. Their names are
// those of now, and who its parents are our routes know better than its body, which
// does not change with them.
func (m *Mirror) relate(ctx context.Context, caller identity.Caller, id uuid.UUID, agent *pb.Agent) error {
	parents, err := m.store.ParentsOf(ctx, id)
	if err != nil {
		return fmt.Errorf("reading which agents route to %s: %w", id, db.Classify(err))
	}
	ids := make([]uuid.UUID, 0, len(parents)+len(agent.GetChildAgents())+len(agent.GetParentAgents()))
	for _, parent := range parents {
		ids = append(ids, parent.AgentUUID)
	}
	for _, neighbour := range slices.Concat(agent.GetChildAgents(), agent.GetParentAgents()) {
		if id, err := uuid.Parse(neighbour.GetUuid()); err == nil {
			ids = append(ids, id)
		}
	}
	known, err := m.neighbours(ctx, ids)
	if err != nil {
		return err
	}
	agent.ChildAgents = slices.DeleteFunc(agent.GetChildAgents(), func(child *pb.Agent) bool {
		row, isKnown := known[child.GetUuid()]
		show(caller, child, row, isKnown)
		return row.DeletedAt != nil
	})
	var shown []*pb.Agent
	for _, parent := range parents {
		shown = append(shown, &pb.Agent{Uuid: new(parent.AgentUUID.String())})
	}
	for _, parent := range agent.GetParentAgents() {
		// The routes of a parent whose body we hold are known.
		if row, isKnown := known[parent.GetUuid()]; !isKnown || row.Body == nil && row.DeletedAt == nil {
			shown = append(shown, parent)
		}
	}
	for _, parent := range shown {
		row, isKnown := known[parent.GetUuid()]
		show(caller, parent, row, isKnown)
	}
	agent.ParentAgents = shown
	return nil
}

// neighbours are rows by uuid, those of deleted agents included.
func (m *Mirror) neighbours(ctx context.Context, ids []uuid.UUID) (map[string]dbsql.Resource, error) {
	known := make(map[string]dbsql.Resource, len(ids))
	if len(ids) == 0 {
		return known, nil
	}
	rows, err := m.store.Resources(ctx, dbsql.ResourcesParams{Kind: agentKind, Uuids: ids})
	if err != nil {
		return nil, fmt.Errorf("reading the agents around an agent: %w", db.Classify(err))
	}
	for _, row := range rows {
		known[row.UUID.String()] = row
	}
	return known, nil
}

// show gives a neighbour its name of now, or none if the caller may not see it.
func show(caller identity.Caller, neighbour *pb.Agent, row dbsql.Resource, known bool) {
	switch {
	case !sees(caller, row.TeamID):
		neighbour.Name = nil
	case known && row.Name != "":
		neighbour.Name = new(row.Name)
	}
}
