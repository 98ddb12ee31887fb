package mirror

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// routeLists are the fields of an agent whose histories are routes.
func routeLists() []string {
	return []string{"child_agents", "functions", "guardrails", "knowledge_bases"}
}

// settings is a copy of an agent with what its states keep: what counts when two are
// compared, but for its routes, which have intervals of their own, and for the stamps,
// which tell only that something changed.
func settings(agent *pb.Agent) *pb.Agent {
	k := agents()
	kept, _ := k.essence(agent).(*pb.Agent)
	for _, field := range append(routeLists(), k.stamps...) {
		clearAt(kept.ProtoReflect(), field)
	}
	return kept
}

// followState ends the state of an agent that a body does not show any more, and begins
// the one that it shows. A body that tells only which version the state is names it.
func followState(ctx context.Context, q *db.Queries, agent *pb.Agent, s storing) error {
	body, err := encode(settings(agent))
	if err != nil {
		return err
	}
	hash, open := agent.GetVersionHash(), s.state
	if open == nil {
		return nextState(ctx, q, s.id, s.at, hash, body, s.by)
	}
	same := !open.Partial && bytes.Equal(settled(open.Body), body)
	sameDoing := open.OperationID != nil && s.by.operation != nil && *open.OperationID == *s.by.operation
	switch {
	case same && open.VersionHash == hash:
		return nil
	case open.VersionHash == "" && sameDoing: // it was begun by what its request told
		if err := q.NameStateVersion(ctx, dbsql.NameStateVersionParams{ID: open.ID, VersionHash: hash, Body: body}); err != nil {
			return fmt.Errorf("naming the version of agent %s: %w", s.id, err)
		}
		return nil
	}
	return nextState(ctx, q, s.id, s.at, hash, body, s.by)
}

// notForeseen looks whether a body shows what a change of routes, or the deletion of an agent
// that it routed to, was known to make of an agent, where it is read because of that. If it shows something else, others did that
// since: it is theirs, from when it was seen. So is what the answer to another change shows.
func (s *storing) notForeseen(ctx context.Context, q *db.Queries, agent *pb.Agent) error {
	suspect := s.by.operation
	if s.method != nil {
		suspect = s.others.operation
	}
	if suspect == nil {
		return nil
	}
	open := s.state
	if open == nil && s.method == nil {
		return s.firstLook(ctx, q)
	}
	if open == nil {
		return nil
	}
	if open.VersionHash != "" || open.OperationID == nil || *open.OperationID != *suspect {
		// The deletion of an agent took away the routes to it, which our copy followed at once.
		op, err := q.OperationByID(ctx, *suspect)
		if err != nil && !db.NoRows(err) {
			return fmt.Errorf("reading operation %s: %w", suspect, err)
		}
		if op.Method != deleteMethod {
			return nil
		}
	}
	if s.method != nil {
		s.others = cause{}
		return nil
	}
	body, err := encode(settings(agent))
	if err != nil {
		return err
	}
	named := open.VersionHash != "" && open.VersionHash != agent.GetVersionHash()
	if named || !bytes.Equal(settled(open.Body), body) || !leadsTo(s.routes, agent) {
		s.by, s.at = cause{}, s.seen
	}
	return nil
}

// firstLook says of an agent that was never read before that only its creation explains how
// it is: of any other change of ours nobody knows what it found.
func (s *storing) firstLook(ctx context.Context, q *db.Queries) error {
	op, err := q.OperationByID(ctx, *s.by.operation)
	if err != nil && !db.NoRows(err) {
		return fmt.Errorf("reading operation %s: %w", s.by.operation, err)
	}
	if op.Method != createMethod {
		s.by, s.at = cause{}, s.seen
	}
	return nil
}

// leadsTo says that an agent shows the routes to others that are held. What a route is
// called that was given no name is the vendor's to say.
func leadsTo(routes []dbsql.AgentRoute, agent *pb.Agent) bool {
	held := map[string]string{}
	for _, r := range routes {
		if r.Kind == toAgent {
			held[r.TargetUUID.String()] = r.IfCase
		}
	}
	for _, child := range agent.GetChildAgents() {
		if ifCase, is := held[child.GetUuid()]; !is || ifCase != child.GetIfCase() {
			return false
		}
	}
	return len(held) == len(agent.GetChildAgents())
}

// settled is a stored body as states of now would have it; those that a migration made
// of earlier snapshots hold more. What cannot be read differs from everything.
func settled(stored []byte) []byte {
	agent := &pb.Agent{}
	if err := proto.Unmarshal(stored, agent); err != nil {
		return nil
	}
	body, err := encode(settings(agent))
	if err != nil {
		return nil
	}
	return body
}

// unnamedState begins a state for a change of routes, whose answer does not tell which
// version it made. The next look names it, or the vendor's list of versions does.
func unnamedState(ctx context.Context, q *db.Queries, id uuid.UUID, at time.Time, by cause) error {
	open, err := q.OpenAgentStates(ctx, []uuid.UUID{id})
	if err != nil {
		return fmt.Errorf("reading the state of agent %s: %w", id, err)
	}
	if len(open) == 0 {
		return nil // it was never read
	}
	return nextState(ctx, q, id, at, "", open[0].Body, by)
}

// nextState ends the state of an agent, if it has one, and begins another.
func nextState(ctx context.Context, q *db.Queries, id uuid.UUID, at time.Time, hash string, body []byte, by cause) error {
	if err := q.NextAgentState(ctx, dbsql.NextAgentStateParams{
		AgentUUID: id, At: at, VersionHash: hash, Body: body, OperationID: by.operation, Actor: by.actor, Reason: by.reason,
	}); err != nil {
		return fmt.Errorf("storing the state of agent %s: %w", id, err)
	}
	return nil
}

func closeState(ctx context.Context, q *db.Queries, id uuid.UUID, at time.Time) error {
	if err := q.CloseAgentState(ctx, dbsql.CloseAgentStateParams{AgentUUID: id, At: at}); err != nil {
		return fmt.Errorf("ending the state of agent %s: %w", id, err)
	}
	return nil
}

// noteRollback records what a rollback replaced, so that it can be undone. What we hold of
// an agent that was known to be behind does not tell; the vendor's list of versions does.
func noteRollback(ctx context.Context, q *db.Queries, c Change, on target) error {
	response, rolledBack := c.Response.(*pb.RollbackAgentVersionResponse)
	request, asked := c.Request.(*pb.RollbackAgentVersionRequest)
	if !rolledBack || !asked {
		return nil
	}
	note := dbsql.NoteRollbackParams{
		OperationID: c.Operation.ID, AgentUUID: on.id, WantedHash: request.GetVersionHash(), MadeHash: response.GetVersionHash(),
	}
	if on.row != nil && on.row.DirtySince == nil {
		note.ReplacedHash = on.row.VersionHash
	}
	if err := q.NoteRollback(ctx, note); err != nil {
		return fmt.Errorf("recording what a rollback of agent %s replaced: %w", on.id, err)
	}
	return nil
}
