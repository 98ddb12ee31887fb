package history

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// GetAgentAsOf answers an agent as it was at a moment. Of a moment before anything is known
// of it, or after it was deleted, the fault says until or from when.
func (r *Reader) GetAgentAsOf(ctx context.Context, caller identity.Caller, req *pb.GetAgentAsOfRequest) (*pb.GetAgentAsOfResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	at, err := within("time", req.GetTime(), begin())
	if err != nil {
		return nil, err
	}
	freshness, err := r.copied.RefreshVersions(ctx, caller, id, req.GetMaxStaleness())
	if err != nil {
		return nil, err
	}
	state, agent, err := r.asOf(ctx, id, at)
	if err != nil {
		return nil, err
	}
	if err := r.copied.ShowAgents(ctx, caller, agent); err != nil {
		return nil, err
	}
	resp := &pb.GetAgentAsOfResponse{
		Agent: agent, VersionHash: state.VersionHash, StartTime: timestamppb.New(state.ValidFrom), EndTime: stamp(state.ValidTo),
		By: deed(state.OperationID, state.Actor, state.Reason), Freshness: freshness,
	}
	if state.Partial {
		resp.UnknownFields = unknownFields()
	} else if state.Listed {
		resp.UnknownFields = functionFields()
	}
	return resp, r.conceal(ctx, caller, resp.GetBy())
}

// asOf is an agent as it was at a moment, and the state that tells it.
func (r *Reader) asOf(ctx context.Context, id uuid.UUID, at time.Time) (dbsql.AgentState, *pb.Agent, error) {
	states, err := r.store.AgentStatesAt(ctx, dbsql.AgentStatesAtParams{Agents: []uuid.UUID{id}, At: at})
	if err != nil {
		return dbsql.AgentState{}, nil, fmt.Errorf("reading how agent %s was: %w", id, db.Classify(err))
	}
	if len(states) == 0 {
		return dbsql.AgentState{}, nil, r.unknown(ctx, id, at)
	}
	var routes []dbsql.AgentRoute
	if !states[0].Listed {
		if routes, err = r.store.AgentRoutesAt(ctx, dbsql.AgentRoutesAtParams{AgentUUID: id, At: at}); err != nil {
			return dbsql.AgentState{}, nil, fmt.Errorf("reading the routes of agent %s: %w", id, db.Classify(err))
		}
	}
	agent, err := agentOf(states[0], routes)
	if err == nil && states[0].Listed {
		err = r.dropDeleted(ctx, agent, at)
	}
	return states[0], agent, err
}

// dropDeleted takes out what did not exist any more at a moment: the vendor makes no version
// for that, so the one before still lists it.
func (r *Reader) dropDeleted(ctx context.Context, agent *pb.Agent, at time.Time) error {
	var ids []uuid.UUID
	for _, child := range agent.GetChildAgents() {
		if id, err := uuid.Parse(child.GetUuid()); err == nil {
			ids = append(ids, id)
		}
	}
	for _, base := range agent.GetKnowledgeBases() {
		if id, err := uuid.Parse(base.GetUuid()); err == nil {
			ids = append(ids, id)
		}
	}
	known, err := r.resources(ctx, []string{toAgent, toKnowledgeBase}, ids)
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for key, row := range known {
		if row.DeletedAt != nil && !row.DeletedAt.After(at) {
			gone[key.id.String()] = true
		}
	}
	agent.ChildAgents = slices.DeleteFunc(agent.GetChildAgents(), func(child *pb.Agent) bool { return gone[child.GetUuid()] })
	agent.KnowledgeBases = slices.DeleteFunc(agent.GetKnowledgeBases(), func(base *pb.KnowledgeBase) bool { return gone[base.GetUuid()] })
	return nil
}

// unknown says why nothing is known of an agent at a moment.
func (r *Reader) unknown(ctx context.Context, id uuid.UUID, at time.Time) error {
	none := fault.NotFound(agentKind, id.String())
	known, err := r.store.AgentKnownFrom(ctx, id)
	switch {
	case db.NoRows(err):
		none.Public = fmt.Sprintf("agent %s was never read, so nothing is known of its past", id)
	case err != nil:
		return fmt.Errorf("reading since when agent %s is known: %w", id, db.Classify(err))
	case at.Before(known.First):
		none.Public = fmt.Sprintf("nothing is known of agent %s before %s", id, text(known.First))
		none.Metadata = map[string]string{"earliest": text(known.First)}
	case !known.GoesOn && !at.Before(known.Ended):
		none.Public = fmt.Sprintf("agent %s was deleted at %s, or by then", id, text(known.Ended))
		none.Metadata = map[string]string{"deleted": text(known.Ended)}
	default:
		none.Public = fmt.Sprintf("agent %s was not there at %s", id, text(at))
	}
	return none
}

func text(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
