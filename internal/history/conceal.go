package history

import (
	"context"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// conceal takes out who did something, and why, where that was another team's operation: its
// deletion of an agent or a knowledge base changes agents that used it.
func (r *Reader) conceal(ctx context.Context, caller identity.Caller, deeds ...*pb.Deed) error {
	if caller.SeesAll() {
		return nil
	}
	others, err := r.others(ctx, caller, func(tell func(operation string)) {
		for _, d := range deeds {
			tell(d.GetOperationId())
		}
	})
	if err != nil {
		return err
	}
	for _, d := range deeds {
		if others[d.GetOperationId()] {
			d.Actor, d.Reason, d.OperationId = "", "", ""
		}
	}
	return nil
}

func (r *Reader) concealRoutes(ctx context.Context, caller identity.Caller, routes ...*pb.RouteInterval) error {
	var deeds []*pb.Deed
	for _, route := range routes {
		for _, d := range []*pb.Deed{route.GetOpened(), route.GetClosed()} {
			if d != nil {
				deeds = append(deeds, d)
			}
		}
	}
	return r.conceal(ctx, caller, deeds...)
}

func (r *Reader) concealEntries(ctx context.Context, caller identity.Caller, entries []*pb.AgentHistoryEntry) error {
	var deeds []*pb.Deed
	for _, entry := range entries {
		for _, d := range []*pb.Deed{
			entry.GetBy(), entry.GetRoute().GetOpened(), entry.GetRoute().GetClosed(), entry.GetRouteBefore().GetOpened(), entry.GetRouteBefore().GetClosed(),
		} {
			if d != nil {
				deeds = append(deeds, d)
			}
		}
	}
	return r.conceal(ctx, caller, deeds...)
}

func (r *Reader) concealEdges(ctx context.Context, caller identity.Caller, edges []*pb.RouteEdge) error {
	if caller.SeesAll() {
		return nil
	}
	others, err := r.others(ctx, caller, func(tell func(operation string)) {
		for _, edge := range edges {
			tell(edge.GetOperationId())
		}
	})
	if err != nil {
		return err
	}
	for _, edge := range edges {
		if others[edge.GetOperationId()] {
			edge.OperationId = ""
		}
	}
	return nil
}

// others are those of some operations that are not of the caller's teams.
func (r *Reader) others(ctx context.Context, caller identity.Caller, named func(tell func(operation string))) (map[string]bool, error) {
	others := map[string]bool{}
	var ids []uuid.UUID
	named(func(operation string) {
		if id, err := uuid.Parse(operation); err == nil {
			ids = append(ids, id)
		}
	})
	rows, err := r.deeds(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		others[id.String()] = !ofTheirs(caller, rows[id])
	}
	return others, nil
}

func ofTheirs(caller identity.Caller, row dbsql.DeedsRow) bool {
	return caller.Role(row.TeamID) != pb.Role_ROLE_UNSPECIFIED
}
