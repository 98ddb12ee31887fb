package mirror

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// ListAgentRoutes answers the agents that an agent routes to, each with its route.
// Those that the caller may not see are given by uuid and route alone.
//
// How old the answer may be is asked of the agent and of each child. A child that is
// older is read again by itself, which every other reader of it profits from.
func (m *Mirror) ListAgentRoutes(
	ctx context.Context, caller identity.Caller, req *pb.ListAgentRoutesRequest,
) (*pb.ListAgentRoutesResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	k := m.kind(agentKind)
	parent, err := m.read(ctx, caller, k, id, req.GetMaxStaleness())
	if err != nil {
		return nil, err
	}
	agent, ok := parent.body.(*pb.Agent)
	if !ok {
		return nil, fmt.Errorf("the mirror holds a %T as an agent", parent.body)
	}
	ids := make([]uuid.UUID, 0, len(agent.GetChildAgents()))
	for _, child := range agent.GetChildAgents() {
		if id, err := uuid.Parse(child.GetUuid()); err == nil {
			ids = append(ids, id)
		}
	}
	known, err := m.rows(ctx, k, ids)
	if err != nil {
		return nil, err
	}
	children := agent.GetChildAgents()
	shown, ages := make([]*pb.Agent, len(children)), make([]*pb.Freshness, len(children))
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for i, child := range children {
		row, isKnown := known[child.GetUuid()]
		switch {
		case row.DeletedAt != nil:
		case !isKnown || !sees(caller, row.TeamID):
			show(caller, k, neighbour{uuid: k.columns.uuid, tied: routeFields()}, child.ProtoReflect(), row, isKnown)
			shown[i] = child
		default:
			group.Go(func() error {
				var err error
				shown[i], ages[i], err = m.child(ctx, caller, row, child, req.GetMaxStaleness())
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	resp := &pb.ListAgentRoutesResponse{Freshness: parent.freshness}
	for i, child := range shown {
		if child == nil {
			continue
		}
		resp.Children = append(resp.Children, child)
		if ages[i] != nil {
			merge(resp.GetFreshness(), ages[i])
		}
	}
	return resp, nil
}

// routeFields are the fields of a child that are about the route to it.
func routeFields() []string {
	return []string{"if_case", "route_name", "route_uuid", "route_created_at", "route_created_by"}
}

// child is an agent that another routes to, with the route's own fields; nil if it
// is no more. One that cannot be read shows as far as its list item tells.
func (m *Mirror) child(
	ctx context.Context, caller identity.Caller, row dbsql.Resource, route *pb.Agent, most *durationpb.Duration,
) (*pb.Agent, *pb.Freshness, error) {
	whole := &pb.Agent{}
	k := m.kind(agentKind)
	r, err := m.read(ctx, caller, k, row.UUID, most)
	switch {
	case err == nil:
		body, ok := r.body.(*pb.Agent)
		if !ok {
			return nil, nil, fmt.Errorf("the mirror holds a %T as an agent", r.body)
		}
		whole = body
	case fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_NOT_FOUND:
		return nil, nil, nil // it was deleted elsewhere
	case ctx.Err() != nil:
		return nil, nil, err
	default:
		item, decodeErr := decode(k.summary, row.Summary)
		if decodeErr != nil || item == nil {
			return nil, nil, err
		}
		take(whole, item)
		r.freshness = fresh(row.SummarySyncedAt, pb.Freshness_SOURCE_MIRROR, true)
	}
	whole.ChildAgents, whole.ParentAgents = nil, nil // routes further on are for ListAgentRoutes of the child
	take(whole, route, routeFields()...)
	return whole, r.freshness, m.hideNeighbours(ctx, caller, k, whole)
}

// merge makes a freshness that of two answers: as old as the older, and only from
// the vendor if both are.
func merge(into, other *pb.Freshness) {
	if older(other.GetSyncedAt(), into.GetSyncedAt()) {
		into.SyncedAt = proto.CloneOf(other.GetSyncedAt())
	}
	if other.GetSource() == pb.Freshness_SOURCE_MIRROR {
		into.Source = pb.Freshness_SOURCE_MIRROR
	}
	into.Stale = into.GetStale() || other.GetStale()
}

func older(a, b *timestamppb.Timestamp) bool {
	if a == nil || b == nil {
		return a == nil && b != nil
	}
	return a.AsTime().Before(b.AsTime())
}
