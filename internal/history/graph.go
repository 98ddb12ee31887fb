package history

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
)

const (
	defaultDepth = 10
	defaultNodes = 500
)

// graph is one that is being followed, level by level: a question to the database for the
// routes of each level, and one for what is known of the agents that they lead to.
type graph struct {
	*Reader

	caller   identity.Caller
	at       time.Time
	parents  bool
	maxDepth int
	maxNodes int

	nodes     map[uuid.UUID]*node
	edges     []dbsql.RouteEdgesFromRow
	truncated bool
}

type node struct {
	id      uuid.UUID
	depth   int
	known   bool
	visible bool
	row     dbsql.ResourcesOfRow
}

// GetRouteGraph answers where a conversation can go from an agent, or who routes to it, at a
// moment. What belongs to others is shown by uuid and not followed.
func (r *Reader) GetRouteGraph(ctx context.Context, caller identity.Caller, req *pb.GetRouteGraphRequest) (*pb.GetRouteGraphResponse, error) {
	root, err := parse("root_uuid", req.GetRootUuid())
	if err != nil {
		return nil, err
	}
	now, err := r.store.ClockNow(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the clock: %w", db.Classify(err))
	}
	g := &graph{
		Reader: r, caller: caller, parents: req.GetDirection() == pb.GetRouteGraphRequest_DIRECTION_PARENTS,
		maxDepth: int(req.GetMaxDepth()), maxNodes: int(req.GetMaxNodes()), nodes: map[uuid.UUID]*node{},
	}
	if g.at, err = within("as_of", req.GetAsOf(), now); err != nil {
		return nil, err
	}
	if g.maxDepth == 0 {
		g.maxDepth = defaultDepth
	}
	if g.maxNodes == 0 {
		g.maxNodes = defaultNodes
	}
	if err := g.follow(ctx, root); err != nil {
		return nil, err
	}
	return g.answer(ctx)
}

// follow goes from the root as far as it may, the nearest first.
func (g *graph) follow(ctx context.Context, root uuid.UUID) error {
	level := []uuid.UUID{root}
	if err := g.meet(ctx, level, 0); err != nil {
		return err
	}
	for depth := 1; len(level) > 0; depth++ {
		var next []uuid.UUID
		edges, err := g.routes(ctx, level)
		if err != nil {
			return err
		}
		for _, edge := range edges {
			far := edge.Child
			if g.parents {
				far = edge.Parent
			}
			_, met := g.nodes[far]
			waits := slices.Contains(next, far)
			switch {
			case met || waits:
			case depth > g.maxDepth || len(g.nodes)+len(next) >= g.maxNodes:
				g.truncated = true
				continue
			default:
				next = append(next, far)
			}
			g.edges = append(g.edges, edge)
		}
		if err := g.meet(ctx, next, depth); err != nil {
			return err
		}
		level = slices.DeleteFunc(next, func(id uuid.UUID) bool { return !g.nodes[id].visible })
	}
	return nil
}

// routes are those of a level's agents, in the direction of the graph.
func (g *graph) routes(ctx context.Context, level []uuid.UUID) ([]dbsql.RouteEdgesFromRow, error) {
	if !g.parents {
		edges, err := g.store.RouteEdgesFrom(ctx, dbsql.RouteEdgesFromParams{Agents: level, At: g.at})
		if err != nil {
			return nil, fmt.Errorf("reading the routes of agents: %w", db.Classify(err))
		}
		return edges, nil
	}
	rows, err := g.store.RouteEdgesTo(ctx, dbsql.RouteEdgesToParams{Agents: level, At: g.at})
	if err != nil {
		return nil, fmt.Errorf("reading the routes to agents: %w", db.Classify(err))
	}
	edges := make([]dbsql.RouteEdgesFromRow, 0, len(rows))
	for _, row := range rows {
		edges = append(edges, dbsql.RouteEdgesFromRow(row))
	}
	return edges, nil
}

// meet adds agents to the graph.
func (g *graph) meet(ctx context.Context, ids []uuid.UUID, depth int) error {
	known, err := g.resources(ctx, []string{toAgent}, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		row, is := known[resourceKey{toAgent, id}]
		// The root was checked by whoever let the caller in: what nobody knows is nobody's.
		g.nodes[id] = &node{id: id, depth: depth, known: is, visible: depth == 0 || sees(g.caller, row), row: row}
	}
	return nil
}

func (g *graph) answer(ctx context.Context) (*pb.GetRouteGraphResponse, error) {
	resp := &pb.GetRouteGraphResponse{AsOf: timestamppb.New(g.at), Truncated: g.truncated}
	order, err := g.show(ctx, resp)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(g.edges, func(a, b dbsql.RouteEdgesFromRow) int {
		if order[a.Parent] != order[b.Parent] {
			return order[a.Parent] - order[b.Parent]
		}
		return order[a.Child] - order[b.Child]
	})
	circles := circlesOf(g.edges, order)
	for _, edge := range g.edges {
		told := &pb.RouteEdge{
			ParentUuid: edge.Parent.String(), ChildUuid: edge.Child.String(), ClosesCycle: circles.closing[[2]uuid.UUID{edge.Parent, edge.Child}],
		}
		if g.nodes[edge.Parent].visible { // the route is its parent's
			told.RouteName, told.IfCase, told.StartTime = edge.Name, edge.IfCase, timestamppb.New(edge.ValidFrom)
			if edge.OpenedBy != nil {
				told.OperationId = edge.OpenedBy.String()
			}
		}
		resp.Edges = append(resp.Edges, told)
	}
	for _, circle := range circles.found {
		told := &pb.RouteCycle{}
		for _, id := range circle {
			told.AgentUuids = append(told.AgentUuids, id.String())
		}
		resp.Cycles = append(resp.Cycles, told)
	}
	return resp, g.concealEdges(ctx, g.caller, resp.GetEdges())
}

// show tells of the agents, as they were then, and answers their places.
func (g *graph) show(ctx context.Context, resp *pb.GetRouteGraphResponse) (map[uuid.UUID]int, error) {
	ids := make([]uuid.UUID, 0, len(g.nodes))
	for id := range g.nodes {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int {
		if d := g.nodes[a].depth - g.nodes[b].depth; d != 0 {
			return d
		}
		return strings.Compare(a.String(), b.String())
	})
	states, err := g.store.AgentStatesAt(ctx, dbsql.AgentStatesAtParams{Agents: ids, At: g.at})
	if err != nil {
		return nil, fmt.Errorf("reading how agents were: %w", db.Classify(err))
	}
	then := make(map[uuid.UUID]dbsql.AgentState, len(states))
	for _, state := range states {
		then[state.AgentUUID] = state
	}
	order := make(map[uuid.UUID]int, len(ids))
	for i, id := range ids {
		order[id] = i
		state, was := then[id]
		told, err := g.nodes[id].told(state, was, g.at)
		if err != nil {
			return nil, err
		}
		resp.Nodes = append(resp.Nodes, told)
	}
	return order, nil
}

// told is what the caller may know of an agent at a moment, of which state tells if it was
// there.
func (n *node) told(state dbsql.AgentState, was bool, at time.Time) (*pb.RouteNode, error) {
	told := &pb.RouteNode{Agent: agentRef(n.id), Depth: int32(n.depth), State: pb.RouteNode_STATE_PRESENT}
	deleted := n.row.DeletedAt != nil && !n.row.DeletedAt.After(at)
	switch {
	case !n.visible:
		told.State = pb.RouteNode_STATE_HIDDEN // and not whether it is there
		return told, nil
	case !n.known && !was:
		told.State = pb.RouteNode_STATE_UNKNOWN
		return told, nil
	case deleted:
		told.State = pb.RouteNode_STATE_DELETED
	}
	told.Agent.Name, told.Team = n.row.Name, n.row.Team
	if !was {
		return told, nil
	}
	agent := &pb.Agent{}
	if err := proto.Unmarshal(state.Body, agent); err != nil {
		return nil, fmt.Errorf("reading a state of agent %s: %w", n.id, err)
	}
	told.Agent.Name, told.VersionHash = agent.GetName(), state.VersionHash
	return told, nil
}

func agentRef(id uuid.UUID) *pb.ResourceRef {
	return &pb.ResourceRef{Kind: agentKind, Uuid: id.String()}
}
