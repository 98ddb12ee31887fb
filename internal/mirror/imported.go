package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// RouteRecord is a route as a partial state has it. Functions have no uuid in the
// vendor's versions.
type RouteRecord struct {
	Kind    string         `json:"kind"`
	Target  string         `json:"target"`
	Name    string         `json:"name"`
	IfCase  string         `json:"if_case"`
	Details map[string]any `json:"details,omitempty"`
}

// imports brings the vendor's versions of an agent into its history: each change of ours
// gets the version that it made, and what was made elsewhere between two looks becomes a
// state of its own. The agent's row is locked, and the list was asked for at begun.
//
// What a change did that is under way, or was settled since, is not told apart from what
// others did. Then it says false, and the next list does it.
func (m *Mirror) imports(ctx context.Context, q *db.Queries, row *dbsql.Resource, id uuid.UUID, begun time.Time) (bool, error) {
	if row == nil || row.DeletedAt != nil {
		return true, nil
	}
	under, err := m.underWay(ctx, q, m.kind(agentKind), id)
	if err != nil || len(under) > 0 || newer(row, begun) {
		return false, err
	}
	return true, importVersions(ctx, q, id)
}

func importVersions(ctx context.Context, q *db.Queries, id uuid.UUID) error {
	states, err := q.AgentTimeline(ctx, id)
	if err != nil {
		return fmt.Errorf("reading how agent %s was: %w", id, err)
	}
	versions, err := q.UnexplainedVersions(ctx, id)
	if err != nil {
		return fmt.Errorf("reading the versions of agent %s: %w", id, err)
	}
	i := importing{q: q, id: id, states: states}
	for _, version := range versions {
		body := &pb.AgentVersion{}
		if err := proto.Unmarshal(version.Body, body); err != nil {
			return fmt.Errorf("reading version %s of agent %s: %w", version.VersionHash, id, err)
		}
		if ours, err := i.name(ctx, version, body); err != nil || ours {
			if err != nil {
				return err
			}
			continue
		}
		if err := i.place(ctx, version, body); err != nil {
			return err
		}
	}
	return nil
}

// importing is one agent's history into which versions are brought, the oldest first.
type importing struct {
	q      *db.Queries
	id     uuid.UUID
	states []dbsql.AgentTimelineRow
}

// name gives a version to the change of routes that made it, if one of ours did: it comes
// after the version before that change, before the one after it, and has its routes.
func (i *importing) name(ctx context.Context, version dbsql.UnexplainedVersionsRow, body *pb.AgentVersion) (bool, error) {
	if i.hasState(version.VersionHash) {
		return false, nil
	}
	after := int64(-1)
	for n := range i.states {
		state := &i.states[n]
		if state.VendorID != nil {
			after = *state.VendorID
		}
		if state.VersionHash != "" || state.OperationID == nil || *version.VendorID <= after || !i.before(n, *version.VendorID) {
			continue
		}
		routes, err := i.q.AgentRoutesAt(ctx, dbsql.AgentRoutesAtParams{AgentUUID: i.id, At: state.ValidFrom})
		if err != nil {
			return false, fmt.Errorf("reading the routes of agent %s: %w", i.id, err)
		}
		if !sameChildren(routes, body) {
			continue
		}
		if err := i.q.NameStateVersion(ctx, dbsql.NameStateVersionParams{ID: state.ID, VersionHash: version.VersionHash}); err != nil {
			return false, fmt.Errorf("naming a version of agent %s: %w", i.id, err)
		}
		state.VersionHash, state.VendorID = version.VersionHash, version.VendorID
		err = i.q.UpsertAgentVersion(ctx, dbsql.UpsertAgentVersionParams{
			AgentUUID: i.id, VersionHash: version.VersionHash, OperationID: state.OperationID, Actor: state.Actor, Reason: state.Reason,
		})
		if err != nil {
			return false, fmt.Errorf("attributing version %s of agent %s: %w", version.VersionHash, i.id, err)
		}
		return true, nil
	}
	return false, nil
}

func (i *importing) hasState(hash string) bool {
	return slices.ContainsFunc(i.states, func(s dbsql.AgentTimelineRow) bool { return s.VersionHash == hash })
}

// before says that no state after the one at n has a version as old as the one with the number.
func (i *importing) before(n int, vendorID int64) bool {
	for _, later := range i.states[n+1:] {
		if later.VendorID != nil {
			return vendorID < *later.VendorID
		}
	}
	return true
}

// sameChildren says that an agent's routes to others are those that a version lists. What
// a route is called that was given no name is the vendor's to say.
func sameChildren(routes []dbsql.AgentRoute, version *pb.AgentVersion) bool {
	held := map[string]string{}
	for _, r := range routes {
		if r.Kind == toAgent {
			held[r.TargetUUID.String()] = r.IfCase
		}
	}
	if len(held) != len(version.GetAttachedChildAgents()) {
		return false
	}
	for _, child := range version.GetAttachedChildAgents() {
		if ifCase, is := held[child.GetChildAgentUuid()]; !is || ifCase != child.GetIfCase() {
			return false
		}
	}
	return true
}

// place makes a state of a version that was made elsewhere, from the vendor's time on and
// until the next one that is known. Where that time contradicts the order of the versions,
// ours and the vendor's clock differ by more than what lies between, and it is left out:
// then what was made elsewhere counts from when we saw it.
func (i *importing) place(ctx context.Context, version dbsql.UnexplainedVersionsRow, body *pb.AgentVersion) error {
	at := version.VendorCreatedAt
	if at == nil || slices.ContainsFunc(i.states, func(s dbsql.AgentTimelineRow) bool { return s.Partial && s.VersionHash == version.VersionHash }) {
		return nil
	}
	// What we saw of this version or of a later one ends it; what is later than all that we
	// saw waits until the agent is read.
	seen := slices.IndexFunc(i.states, func(s dbsql.AgentTimelineRow) bool { return s.VendorID != nil && *s.VendorID >= *version.VendorID && !s.Partial })
	if seen < 0 || !at.Before(i.states[seen].ValidFrom) {
		return nil
	}
	to := i.states[seen].ValidFrom
	cover := -1
	for n, s := range i.states[:seen] {
		older := s.VendorID == nil || *s.VendorID < *version.VendorID
		if !older {
			return nil
		}
		if s.ValidFrom.After(*at) || !s.Partial && s.ValidFrom.Equal(*at) {
			return nil // it was made after this one, by their times, and before by their order
		}
		cover = n
	}
	if cover >= 0 {
		last := i.states[cover]
		if last.ValidTo == nil || !last.ValidTo.After(*at) {
			return nil // the agent was not there
		}
		to = *last.ValidTo
		if err := i.q.EndAgentState(ctx, dbsql.EndAgentStateParams{ID: last.ID, At: *at}); err != nil {
			return fmt.Errorf("ending a state of agent %s: %w", i.id, err)
		}
		i.states[cover].ValidTo = at
	}
	state, err := partial(i.id, version, body)
	if err != nil {
		return err
	}
	state.ValidFrom, state.ValidTo = *at, &to
	stored, err := i.q.InsertPartialState(ctx, state)
	if err != nil {
		return fmt.Errorf("storing version %s of agent %s as a state: %w", version.VersionHash, i.id, err)
	}
	i.states = slices.Insert(i.states, cover+1, dbsql.AgentTimelineRow{
		ID: stored, ValidFrom: *at, ValidTo: &to, VersionHash: version.VersionHash, Partial: true, VendorID: version.VendorID,
	})
	return nil
}

// partial is what a version of the vendor's tells of an agent.
func partial(id uuid.UUID, version dbsql.UnexplainedVersionsRow, body *pb.AgentVersion) (dbsql.InsertPartialStateParams, error) {
	params := dbsql.InsertPartialStateParams{AgentUUID: id, VersionHash: version.VersionHash, Children: []uuid.UUID{}}
	agent := OfVersion(body)
	agent.Uuid = new(id.String())
	routes := make([]RouteRecord, 0, 4)
	for _, r := range routesOf(agent) {
		routes = append(routes, RouteRecord{Kind: r.kind, Target: r.target.String(), Name: r.name, IfCase: r.ifCase, Details: r.details})
		if r.kind == toAgent {
			params.Children = append(params.Children, r.target)
		}
	}
	for _, f := range agent.GetFunctions() {
		routes = append(routes, RouteRecord{Kind: toFunction, Name: f.GetName(), Details: functionDetails(f)})
	}
	var err error
	if params.Routes, err = json.Marshal(routes); err != nil {
		return params, fmt.Errorf("writing the routes of version %s: %w", version.VersionHash, err)
	}
	if email := body.GetCreatedByEmail(); email != "" {
		params.Actor = &email
	}
	params.Body, err = encode(settings(agent))
	return params, err
}

// OfVersion is the agent that a version of the vendor's tells of, with its routes. What the
// version leaves out, [VersionFields] does not name.
func OfVersion(v *pb.AgentVersion) *pb.Agent {
	agent := &pb.Agent{
		Uuid: v.AgentUuid, Name: v.Name, Description: v.Description, Instruction: v.Instruction, K: v.K, MaxTokens: v.MaxTokens,
		Temperature: v.Temperature, TopP: v.TopP, ProvideCitations: v.ProvideCitations, RetrievalMethod: v.RetrievalMethod,
		Tags: slices.Clone(v.GetTags()), VersionHash: v.VersionHash,
	}
	if v.ModelName != nil {
		agent.Model = &pb.Model{Name: v.ModelName}
	}
	for _, c := range v.GetAttachedChildAgents() {
		agent.ChildAgents = append(agent.ChildAgents, &pb.Agent{Uuid: c.ChildAgentUuid, IfCase: c.IfCase, RouteName: c.RouteName})
	}
	for _, f := range v.GetAttachedFunctions() {
		agent.Functions = append(agent.Functions, &pb.AgentFunction{
			Name: f.Name, Description: f.Description, FaasName: f.FaasName, FaasNamespace: f.FaasNamespace,
		})
	}
	for _, g := range v.GetAttachedGuardrails() {
		agent.Guardrails = append(agent.Guardrails, &pb.AgentGuardrail{GuardrailUuid: g.Uuid, Name: g.Name, Priority: g.Priority})
	}
	for _, kb := range v.GetAttachedKnowledgebases() {
		agent.KnowledgeBases = append(agent.KnowledgeBases, &pb.KnowledgeBase{Uuid: kb.Uuid})
	}
	return agent
}

// VersionFields are the fields of an agent that the vendor's versions tell of.
func VersionFields() []string {
	return append(routeLists(),
		"uuid", "name", "description", "instruction", "k", "max_tokens", "temperature", "top_p", "provide_citations", "retrieval_method",
		"tags", "model", "version_hash",
	)
}
