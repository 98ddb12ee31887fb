package mirror

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// relateAgent completes an agent with its neighbours.
func relateAgent(ctx context.Context, m *Mirror, caller identity.Caller, id uuid.UUID, body proto.Message) error {
	agent, ok := body.(*pb.Agent)
	if !ok {
		return fmt.Errorf("the mirror holds a %T as an agent", body)
	}
	return m.relate(ctx, caller, id, agent)
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
	for _, around := range slices.Concat(agent.GetChildAgents(), agent.GetParentAgents()) {
		if id, err := uuid.Parse(around.GetUuid()); err == nil {
			ids = append(ids, id)
		}
	}
	agents := m.kind(agentKind)
	known, err := m.rows(ctx, agents, ids)
	if err != nil {
		return err
	}
	agent.ChildAgents = slices.DeleteFunc(agent.GetChildAgents(), func(child *pb.Agent) bool {
		return known[child.GetUuid()].DeletedAt != nil
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
		show(caller, agents, neighbour{uuid: agents.columns.uuid}, parent.ProtoReflect(), row, isKnown)
	}
	agent.ParentAgents = shown
	return nil
}
