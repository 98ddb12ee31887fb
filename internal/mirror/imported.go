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
	if err := q.DisownStates(ctx, id); err != nil {
		return fmt.Errorf("looking at whose the states of agent %s are: %w", id, err)
	}
	if err := q.DisownVersions(ctx, id); err != nil {
		return fmt.Errorf("looking at whose the versions of agent %s are: %w", id, err)
	}
	states, err := q.AgentTimeline(ctx, id)
	if err != nil {
		return fmt.Errorf("reading how agent %s was: %w", id, err)
	}
	versions, err := q.ListedVersions(ctx, id)
	if err != nil {
		return fmt.Errorf("reading the versions of agent %s: %w", id, err)
	}
	i := importing{q: q, id: id, states: states}
	if err := i.cut(ctx, versions); err != nil {
		return err
	}
	bodies := make([]*pb.AgentVersion, len(versions))
	others := map[int]bool{} // those that none of ours made
	for n, version := range versions {
		bodies[n] = &pb.AgentVersion{}
		if err := proto.Unmarshal(version.Body, bodies[n]); err != nil {
			return fmt.Errorf("reading version %s of agent %s: %w", version.VersionHash, id, err)
		}
		if version.OperationID != nil {
			continue
		}
		var last *pb.AgentVersion
		if n > 0 {
			last = bodies[n-1]
		}
		ours, err := i.name(ctx, version, bodies[n], last)
		if err != nil {
			return err
		}
		others[n] = !ours
	}
	// Now that ours have their places, the others are between them.
	for n, version := range versions {
		if !others[n] {
			continue
		}
		var next *time.Time
		if n+1 < len(versions) {
			next = versions[n+1].VendorCreatedAt
		}
		if err := i.place(ctx, version, bodies[n], next); err != nil {
			return err
		}
	}
	return i.leave(ctx, versions, bodies)
}

// importing is one agent's history into which versions are brought, the oldest first.
type importing struct {
	q      *db.Queries
	id     uuid.UUID
	states []dbsql.AgentTimelineRow
}

// name gives a version to the change of routes that made it, if one of ours did: it comes
// after the version before that change, before the one after it, and is the first that shows
// what the change did, and was made while that was under way; last is the one before, nil if there is none. Others may have
// made the same of it at another time. What we saw of that version later was taken for made elsewhere, if the agent was
// changed there before, too.
func (i *importing) name(ctx context.Context, version dbsql.ListedVersionsRow, body, last *pb.AgentVersion) (bool, error) {
	after := int64(-1)
	for n := range i.states {
		state := &i.states[n]
		if state.VendorID != nil {
			after = *state.VendorID
		}
		if state.VersionHash != "" || state.OperationID == nil || *version.VendorID <= after || !i.before(n, version) {
			continue
		}
		did, err := i.deed(ctx, *state.OperationID)
		if err != nil {
			return false, err
		}
		if !did.around(version.VendorCreatedAt) || !did.shownBy(body) || last != nil && did.shownBy(last) {
			continue
		}
		if err := i.list(ctx, *state, body); err != nil {
			return false, err
		}
		settled, err := correct(state.Body, body)
		if err != nil {
			return false, err
		}
		if err := i.q.NameStateVersion(ctx, dbsql.NameStateVersionParams{
			ID: state.ID, VersionHash: version.VersionHash, Body: settled,
		}); err != nil {
			return false, fmt.Errorf("naming a version of agent %s: %w", i.id, err)
		}
		state.VersionHash, state.VendorID = version.VersionHash, version.VendorID
		err = i.q.UpsertAgentVersion(ctx, dbsql.UpsertAgentVersionParams{
			AgentUUID: i.id, VersionHash: version.VersionHash, OperationID: state.OperationID, Actor: state.Actor, Reason: state.Reason,
		})
		if err != nil {
			return false, fmt.Errorf("attributing version %s of agent %s: %w", version.VersionHash, i.id, err)
		}
		return true, i.attribute(ctx, *state)
	}
	return false, nil
}

// deed is what a change of ours did to an agent's routes.
type deed struct {
	// sent and finished are when it may have been done; nil if that is not known.
	sent, finished *time.Time
	// children are those that it gave a condition, or took away: nil.
	children map[string]*string
	// functions are those that it took away, by name.
	functions []string
}

// deed is what an operation did, by what it was and what we held of it.
func (i *importing) deed(ctx context.Context, id uuid.UUID) (deed, error) {
	d := deed{children: map[string]*string{}}
	op, err := i.q.OperationByID(ctx, id)
	if err != nil {
		return d, fmt.Errorf("reading operation %s: %w", id, err)
	}
	d.sent, d.finished = op.SentAt, op.FinishedAt
	if op.Method == deleteRouteMethod && op.ResourceUUID != nil {
		d.children[op.ResourceUUID.String()] = nil // which we may never have seen
	}
	did, err := i.q.RoutesOfOperation(ctx, dbsql.RoutesOfOperationParams{AgentUUID: i.id, OperationID: &id})
	if err != nil {
		return d, fmt.Errorf("reading the routes of agent %s: %w", i.id, err)
	}
	for _, r := range did {
		opened := r.OpenedBy != nil && *r.OpenedBy == id
		switch {
		case r.Kind == toAgent && opened:
			d.children[r.TargetUUID.String()] = &r.IfCase
		case r.Kind == toFunction && !opened:
			d.functions = append(d.functions, r.Name)
		}
	}
	return d, nil
}

// shownBy says that a version shows what was done.
func (d deed) shownBy(version *pb.AgentVersion) bool {
	ifCases := map[string]string{}
	for _, child := range version.GetAttachedChildAgents() {
		ifCases[child.GetChildAgentUuid()] = child.GetIfCase()
	}
	for child, wanted := range d.children {
		if is, shown := ifCases[child]; shown != (wanted != nil) || shown && is != *wanted {
			return false
		}
	}
	for _, f := range version.GetAttachedFunctions() {
		if slices.Contains(d.functions, f.GetName()) {
			return false
		}
	}
	return len(d.children)+len(d.functions) > 0
}

// list has the routes of a state be those of its version, where what we held of them was
// behind when the state began.
func (i *importing) list(ctx context.Context, state dbsql.AgentTimelineRow, body *pb.AgentVersion) error {
	held, err := i.q.AgentRoutesAt(ctx, dbsql.AgentRoutesAtParams{AgentUUID: i.id, At: state.ValidFrom})
	if err != nil {
		return fmt.Errorf("reading the routes of agent %s: %w", i.id, err)
	}
	if leadsTo(held, OfVersion(body)) {
		return nil
	}
	routes, children, err := listedRoutes(OfVersion(body))
	if err != nil {
		return err
	}
	if err := i.q.ListRoutesOfState(ctx, dbsql.ListRoutesOfStateParams{ID: state.ID, Routes: routes, Children: children}); err != nil {
		return fmt.Errorf("storing the routes of agent %s: %w", i.id, err)
	}
	return nil
}

// listedRoutes are an agent's routes as a state has them, and the agents that they lead to.
func listedRoutes(agent *pb.Agent) (text []byte, children []uuid.UUID, err error) {
	routes := make([]RouteRecord, 0, 4)
	children = []uuid.UUID{}
	for _, r := range routesOf(agent) {
		routes = append(routes, RouteRecord{Kind: r.kind, Target: r.target.String(), Name: r.name, IfCase: r.ifCase, Details: r.details})
		if r.kind == toAgent {
			children = append(children, r.target)
		}
	}
	for _, f := range agent.GetFunctions() {
		routes = append(routes, RouteRecord{Kind: toFunction, Name: f.GetName(), Details: functionDetails(f)})
	}
	if text, err = json.Marshal(routes); err != nil {
		return nil, nil, fmt.Errorf("writing the routes of a version: %w", err)
	}
	return text, children, nil
}

// correct is a state's body with what the vendor's version tells: somebody may have changed
// the agent elsewhere before a change of ours that did not show it.
func correct(stored []byte, version *pb.AgentVersion) ([]byte, error) {
	agent := &pb.Agent{}
	if err := proto.Unmarshal(stored, agent); err != nil {
		return nil, fmt.Errorf("reading a state of an agent: %w", err)
	}
	told := settings(OfVersion(version))
	if agent.GetModel().GetName() == told.GetModel().GetName() {
		told.Model = agent.GetModel() // with its uuid
	}
	for _, field := range VersionFields() {
		if field != "uuid" {
			clearAt(agent.ProtoReflect(), field)
		}
	}
	proto.Merge(agent, told)
	return encode(settings(agent))
}

// attribute tells whose the later states of a version are, which were seen before that was known.
func (i *importing) attribute(ctx context.Context, state dbsql.AgentTimelineRow) error {
	for n, later := range i.states {
		if later.VersionHash == state.VersionHash && later.OperationID == nil {
			i.states[n].OperationID = state.OperationID
		}
	}
	if err := i.q.AttributeStates(ctx, dbsql.AttributeStatesParams{
		AgentUUID: i.id, VersionHash: state.VersionHash, OperationID: state.OperationID, Actor: state.Actor, Reason: state.Reason,
	}); err != nil {
		return fmt.Errorf("attributing the states of agent %s: %w", i.id, err)
	}
	return nil
}

// before says that no state after the one at n is of a version as old as the one given,
// unless it is of that one and nobody of ours is known to be behind it.
func (i *importing) before(n int, version dbsql.ListedVersionsRow) bool {
	for _, later := range i.states[n+1:] {
		if later.VendorID != nil {
			others := later.OperationID == nil && !later.Partial
			return *version.VendorID < *later.VendorID || later.VersionHash == version.VersionHash && others
		}
	}
	return true
}

// place makes a state of a version that was made elsewhere, from the vendor's time on and
// until the next one that is known. Where that time contradicts the order of the versions,
// ours and the vendor's clock differ by more than what lies between, and it is left out:
// then what was made elsewhere counts from when we saw it.
func (i *importing) place(ctx context.Context, version dbsql.ListedVersionsRow, body *pb.AgentVersion, next *time.Time) error {
	at := version.VendorCreatedAt
	if at == nil || slices.ContainsFunc(i.states, func(s dbsql.AgentTimelineRow) bool { return s.Partial && s.VersionHash == version.VersionHash }) {
		return nil
	}
	// What we saw of this version or of a later one ends it; what is later than all that we
	// saw waits until the agent is read.
	seen := slices.IndexFunc(i.states, func(s dbsql.AgentTimelineRow) bool {
		return s.VendorID != nil && *s.VendorID >= *version.VendorID && !s.Partial
	})
	if seen < 0 || !at.Before(i.states[seen].ValidFrom) {
		return nil
	}
	cover, to, err := i.spot(ctx, seen, version, body, next)
	if err != nil || to == nil {
		return err
	}
	if cover >= 0 {
		last := i.states[cover]
		if last.ValidTo == nil || !last.ValidTo.After(*at) {
			return nil // the agent was not there
		}
		to = last.ValidTo
		if err := i.q.EndAgentState(ctx, dbsql.EndAgentStateParams{ID: last.ID, At: *at}); err != nil {
			return fmt.Errorf("ending a state of agent %s: %w", i.id, err)
		}
		i.states[cover].ValidTo = at
	}
	state, err := partial(i.id, version, body)
	if err != nil {
		return err
	}
	state.ValidFrom, state.ValidTo = *at, to
	stored, err := i.q.InsertPartialState(ctx, state)
	if err != nil {
		return fmt.Errorf("storing version %s of agent %s as a state: %w", version.VersionHash, i.id, err)
	}
	i.states = slices.Insert(i.states, cover+1, dbsql.AgentTimelineRow{
		ID: stored, ValidFrom: *at, ValidTo: to, VersionHash: version.VersionHash, Partial: true, VendorID: version.VendorID,
	})
	return nil
}

// spot finds where a version goes among the states before the one that we saw: after the one
// that it answers, -1 if it is the first, and until when. No time: their order contradicts it.
func (i *importing) spot(
	ctx context.Context, seen int, version dbsql.ListedVersionsRow, body *pb.AgentVersion, next *time.Time,
) (cover int, to *time.Time, err error) {
	at := *version.VendorCreatedAt
	cover = -1
	for n, s := range i.states[:seen] {
		switch {
		case s.VendorID != nil && *s.VendorID >= *version.VendorID:
			return cover, nil, nil
		case s.VersionHash == "" && s.ValidFrom.After(at):
			// A change of ours that made no version: it left this one, unless another came before.
			if next == nil || !next.Before(s.ValidFrom) {
				err = i.adopt(ctx, n, version, body)
			}
			return cover, &s.ValidFrom, err
		case s.ValidFrom.After(at), !s.Partial && s.ValidFrom.Equal(at):
			return cover, nil, nil // it was made after this one, by their times, and before by their order
		}
		cover = n
	}
	until := i.states[seen].ValidFrom // not its place among the states, which others will take
	return cover, &until, nil
}

// adopt gives a state without a version the one that it left as it was.
func (i *importing) adopt(ctx context.Context, n int, version dbsql.ListedVersionsRow, body *pb.AgentVersion) error {
	state := &i.states[n]
	settled, err := correct(state.Body, body)
	if err != nil {
		return err
	}
	if err := i.list(ctx, *state, body); err != nil {
		return err
	}
	if err := i.q.NameStateVersion(ctx, dbsql.NameStateVersionParams{ID: state.ID, VersionHash: version.VersionHash, Body: settled}); err != nil {
		return fmt.Errorf("naming a version of agent %s: %w", i.id, err)
	}
	state.VersionHash, state.VendorID = version.VersionHash, version.VendorID
	return nil
}
