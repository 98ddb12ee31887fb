package operation_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// workspace makes a workspace and answers its id.
func (b *bench) workspace(name string) string {
	b.t.Helper()
	resp := &pb.CreateWorkspaceResponse{}
	if err := b.engine.Change(b.t.Context(), b.caller, &pb.CreateWorkspaceRequest{Name: &name}, resp); err != nil {
		b.t.Fatalf("creating workspace %s: %v", name, err)
	}
	return resp.GetWorkspace().GetUuid()
}

// move queues a move of agents into a workspace.
func (b *bench) move(workspace string, agents ...string) uuid.UUID {
	b.t.Helper()
	return b.submit(b.caller, &pb.MoveAgentsToWorkspaceRequest{
		WorkspaceUuid: workspace, AgentUuids: agents, Mutation: &pb.MutationOptions{Async: true},
	}, &pb.MoveAgentsToWorkspaceResponse{})
}

// parked waits until the operation's reply is lost and it waits for its second look.
func (b *bench) parked(id uuid.UUID) {
	b.t.Helper()
	b.await("it is parked", func() bool {
		return b.count("SELECT count(*) FROM operations WHERE id = $1 AND sent_at IS NOT NULL AND leased_by IS NULL AND finished_at IS NULL", id) == 1
	})
}

// TestAnAcknowledgedMoveStands has the reply to a change of an agent be lost, which is not about
// the agent, and moves the agent meanwhile: sent again, the first must not undo the second.
func TestAnAcknowledgedMoveStands(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault genaisim.Fault
		first func(b *bench, agent, workspace string) uuid.UUID
	}{
		"moved, the reply lost": {
			fault: genaisim.Fault{Method: http.MethodPut, Path: "/v2/gen-ai/workspaces/{workspace_uuid}/agents", Drop: "after", Count: 1},
			first: func(b *bench, agent, workspace string) uuid.UUID { return b.move(workspace, agent) },
		},
		"a workspace made with it, the request lost": {
			fault: genaisim.Fault{Method: http.MethodPost, Path: "/v2/gen-ai/workspaces", Drop: "before", Count: 1},
			first: func(b *bench, agent, _ string) uuid.UUID {
				return b.submit(b.caller, &pb.CreateWorkspaceRequest{
					Name: new("new"), AgentUuids: []string{strings.ToUpper(agent)}, Mutation: &pb.MutationOptions{Async: true},
				}, &pb.CreateWorkspaceResponse{})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *operation.Config) { c.Backoff, c.Lease, c.Quiet = time.Second, 10*time.Second, time.Second })
			b.start(b.engine, b.another())
			agent, one, last := b.create("agent"), b.workspace("one"), b.workspace("last")
			b.fault(tc.fault)
			lost := tc.first(b, agent, one)
			b.parked(lost)
			second := b.move(last, agent)
			for _, id := range []uuid.UUID{second, lost} {
				if op := b.ended(id); op.GetState() != pb.Operation_STATE_SUCCEEDED {
					t.Errorf("%s ended as %s: %s", op.GetMethod(), op.GetState(), op.GetError())
				}
			}
			effects := b.effects()
			if at := effects[len(effects)-1].Path; !strings.Contains(at, last) {
				t.Errorf("the agent was moved by %s after it was moved to %s", at, last)
			}
			b.requireConsistent()
		})
	}
}

// TestChangesThatShareAKeyTakeTurns has replies be lost in a tangle of changes that share
// agents and workspaces, with several replicas: none overtakes another that it shares
// something with, and all come to their end.
func TestChangesThatShareAKeyTakeTurns(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Lease = 10 * time.Second })
	stop := b.start(b.engine)
	var agents, workspaces []string
	for n := range 4 {
		agents = append(agents, b.create(fmt.Sprintf("agent %d", n)))
		workspaces = append(workspaces, b.workspace(fmt.Sprintf("workspace %d", n)))
	}
	stop()
	const changes = 60
	later := &pb.MutationOptions{Async: true}
	for n := range changes {
		agent, workspace, text := agents[rand.N(len(agents))], workspaces[rand.N(len(workspaces))], strconv.Itoa(n)
		switch n % 4 {
		case 0:
			b.submit(b.caller, &pb.UpdateAgentRequest{Uuid: agent, Description: &text, Mutation: later}, &pb.UpdateAgentResponse{})
		case 1:
			b.submit(b.caller, &pb.CreateWorkspaceRequest{Name: &text, AgentUuids: []string{agent}, Mutation: later}, &pb.CreateWorkspaceResponse{})
		default:
			rand.Shuffle(len(agents), func(i, j int) { agents[i], agents[j] = agents[j], agents[i] })
			b.move(workspace, agents[:1+n%3]...)
		}
	}
	b.fault(genaisim.Fault{Drop: "after", Probability: 0.2, Count: changes / 4})
	b.start(b.another(), b.another())
	b.await("all is done", func() bool { return b.count("SELECT count(*) FROM operations WHERE finished_at IS NULL") == 0 })
	if n := b.count("SELECT count(*) FROM operations WHERE state <> 'SUCCEEDED'"); n != 0 {
		t.Errorf("%d changes failed", n)
	}
	if n := b.count(`SELECT count(*) FROM operations a JOIN operations b ON a.number < b.number
		   AND (a.order_key || a.also_keys) && (b.order_key || b.also_keys) AND b.started_at < a.finished_at`); n != 0 {
		t.Errorf("%d changes began before an older one that they share a key with had ended", n)
	}
	b.requireConsistent()
}

// TestAgentsThatMayHaveMovedAreReadAgain has nobody know whether agents were moved.
func TestAgentsThatMayHaveMovedAreReadAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.MaxTries, c.Insist = 2, time.Millisecond })
	b.start(b.engine)
	agent, workspace := b.create("agent"), b.workspace("workspace")
	b.fault(genaisim.Fault{Method: http.MethodPut, Status: http.StatusInternalServerError, After: true, Count: 2})
	err := b.engine.Change(t.Context(), b.caller, &pb.MoveAgentsToWorkspaceRequest{
		WorkspaceUuid: workspace, AgentUuids: []string{agent},
	}, &pb.MoveAgentsToWorkspaceResponse{})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN)
	if n := b.count(`SELECT count(*) FROM resources r JOIN operations o ON o.id = r.dirty_operation_id
		WHERE r.uuid IN ($1, $2) AND o.method LIKE '%.MoveAgentsToWorkspace'`, agent, workspace); n != 2 {
		t.Errorf("%d of the agent and the workspace are marked as behind the move", n)
	}
	b.requireConsistent()
}

// TestAMoveWaitsForEveryFreeze freezes the team of an agent that another team's queued change
// moves: it is sent once that is over.
func TestAMoveWaitsForEveryFreeze(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agent, workspace := b.create("agent"), b.workspace("workspace")
	stop()
	other := b.team("other", 1)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := b.pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("UPDATE resources SET team_id = $1 WHERE uuid = $2", other.ActingTeam.ID, agent)
	exec("UPDATE resource_owners SET valid_from = valid_from - interval '1 hour'") // it was so long before the move is asked for
	move := b.move(workspace, agent)
	exec("INSERT INTO freezes (team_id, actor, reason) VALUES ($1, 'ada', 'leaked key')", other.ActingTeam.ID)
	before := len(b.effects())
	free := b.submit(b.caller, &pb.CreateWorkspaceRequest{
		Name: new("another"), Mutation: &pb.MutationOptions{Async: true},
	}, &pb.CreateWorkspaceResponse{})
	b.start(b.engine)
	b.ended(free) // it was asked for after the move
	if n := b.count("SELECT claims FROM operations WHERE id = $1", move); n != 0 {
		t.Errorf("it was claimed %d times while the agent's team was frozen", n)
	}
	if n := len(b.effects()) - before; n != 1 {
		t.Errorf("the vendor made %d changes while the agent's team was frozen, want 1", n)
	}
	exec("UPDATE freezes SET lifted_at = now()")
	if op := b.ended(move); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("after the freeze it ended as %s: %v", op.GetState(), op.GetError())
	}
}
