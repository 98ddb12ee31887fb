package history

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// Kinds of routes, as the database names them.
const (
	toAgent         = "agent"
	toFunction      = "function"
	toGuardrail     = "guardrail"
	toKnowledgeBase = "knowledge_base"
)

// agentOf is an agent as one of its states has it, with the routes of a moment; for a state
// of which the vendor's version lists them, with that version's.
func agentOf(state dbsql.AgentState, held []dbsql.AgentRoute) (*pb.Agent, error) {
	agent := &pb.Agent{}
	if err := proto.Unmarshal(state.Body, agent); err != nil {
		return nil, fmt.Errorf("reading a state of agent %s: %w", state.AgentUUID, err)
	}
	agent = mirror.Settings(agent)
	var routes []mirror.RouteRecord
	if state.Listed {
		if err := json.Unmarshal(state.Routes, &routes); err != nil {
			return nil, fmt.Errorf("reading the routes of a version of agent %s: %w", state.AgentUUID, err)
		}
	} else {
		for _, h := range held {
			r := mirror.RouteRecord{Kind: h.Kind, Target: h.TargetUUID.String(), Name: h.Name, IfCase: h.IfCase}
			if err := json.Unmarshal(h.Details, &r.Details); err != nil {
				return nil, fmt.Errorf("reading the details of a route of agent %s: %w", state.AgentUUID, err)
			}
			routes = append(routes, r)
		}
	}
	for _, r := range routes {
		if err := attach(agent, r); err != nil {
			return nil, err
		}
	}
	if state.VersionHash != "" {
		agent.VersionHash = new(state.VersionHash)
	}
	return agent, nil
}

// attach gives an agent a route in the form in which agents show it.
func attach(agent *pb.Agent, r mirror.RouteRecord) error {
	switch r.Kind {
	case toAgent:
		agent.ChildAgents = append(agent.ChildAgents, &pb.Agent{Uuid: new(r.Target), RouteName: optional(r.Name), IfCase: optional(r.IfCase)})
	case toFunction:
		f := &pb.AgentFunction{
			Uuid: optional(r.Target), Name: optional(r.Name), Description: detail(r, "description"),
			FaasName: detail(r, "faas_name"), FaasNamespace: detail(r, "faas_namespace"),
		}
		for name, schema := range map[string]**structpb.Struct{"input_schema": &f.InputSchema, "output_schema": &f.OutputSchema} {
			object, is := r.Details[name].(map[string]any)
			if !is {
				continue
			}
			var err error
			if *schema, err = structpb.NewStruct(object); err != nil {
				return fmt.Errorf("reading the schema of function %s: %w", r.Target, err)
			}
		}
		agent.Functions = append(agent.Functions, f)
	case toGuardrail:
		g := &pb.AgentGuardrail{GuardrailUuid: new(r.Target), Name: optional(r.Name)}
		if priority, is := r.Details["priority"].(float64); is {
			g.Priority = new(int32(priority))
		}
		agent.Guardrails = append(agent.Guardrails, g)
	case toKnowledgeBase:
		agent.KnowledgeBases = append(agent.KnowledgeBases, &pb.KnowledgeBase{Uuid: new(r.Target)})
	}
	return nil
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func detail(r mirror.RouteRecord, name string) *string {
	text, _ := r.Details[name].(string)
	return optional(text)
}

// unknownFields are the fields of an agent that the vendor's versions leave out, of those
// that states keep.
func unknownFields() []string {
	told := mirror.VersionFields()
	kept := append(functionFields(), "model.uuid")
	fields := (&pb.Agent{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		if !slices.Contains(told, name) && !slices.Contains(mirror.Unkept(), name) {
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	return kept
}

// functionFields are what the vendor's versions leave out of functions.
func functionFields() []string {
	return []string{"functions.input_schema", "functions.output_schema", "functions.uuid"}
}

// versionContent is a version of an agent as it can best be told: as we saw it, or as the
// vendor's version tells, which is partial.
type versionContent struct {
	agent   *pb.Agent
	partial bool
}

// contents are versions of an agent by their hashes.
func (r *Reader) contents(ctx context.Context, id uuid.UUID, hashes []string) (map[string]versionContent, error) {
	found := make(map[string]versionContent, len(hashes))
	if len(hashes) == 0 {
		return found, nil
	}
	states, err := r.store.AgentStatesOfVersions(ctx, dbsql.AgentStatesOfVersionsParams{AgentUUID: id, Hashes: hashes})
	if err != nil {
		return nil, fmt.Errorf("reading versions of agent %s: %w", id, db.Classify(err))
	}
	routes, err := r.store.AllAgentRoutes(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading the routes of agent %s: %w", id, db.Classify(err))
	}
	for _, state := range states {
		var held []dbsql.AgentRoute
		for _, route := range routes {
			if !route.ValidFrom.After(state.ValidFrom) && (route.ValidTo == nil || route.ValidTo.After(state.ValidFrom)) {
				held = append(held, route)
			}
		}
		agent, err := agentOf(state, held)
		if err != nil {
			return nil, err
		}
		found[state.VersionHash] = versionContent{agent: agent, partial: state.Partial || state.Listed}
	}
	bodies, err := r.store.AgentVersionBodies(ctx, dbsql.AgentVersionBodiesParams{AgentUUID: id, Hashes: hashes})
	if err != nil {
		return nil, fmt.Errorf("reading the vendor's versions of agent %s: %w", id, db.Classify(err))
	}
	for _, row := range bodies {
		if _, seen := found[row.VersionHash]; seen {
			continue
		}
		version := &pb.AgentVersion{}
		if err := proto.Unmarshal(row.Body, version); err != nil {
			return nil, fmt.Errorf("reading version %s of agent %s: %w", row.VersionHash, id, err)
		}
		found[row.VersionHash] = versionContent{agent: mirror.OfVersion(version), partial: true}
	}
	return found, nil
}
