package operation

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// Resolve names the agents of a batch whose request has a filter, in the request itself,
// by what find answers for the filter. A call that repeats an earlier one by its
// idempotency key gets the agents of then: those that were changed need not match any more.
func (e *Engine) Resolve(
	ctx context.Context, caller identity.Caller, req *pb.BatchUpdateAgentsRequest, find func(ctx context.Context, filter string) ([]string, error),
) error {
	if req.GetFilter() == "" {
		return nil
	}
	before, err := e.sameFilter(ctx, caller, req)
	if err != nil {
		return err
	}
	if before != nil {
		req.Uuids = before
		return nil
	}
	if req.Uuids, err = find(ctx, req.GetFilter()); err != nil {
		return err
	}
	switch n := len(req.GetUuids()); {
	case n == 0:
		return fault.Precondition("no agent that you may see matches the filter: there is nothing to change")
	case n > maxBatch:
		return fault.Invalid("filter", "matches more than %d agents: narrow it, and call once for each part", maxBatch)
	}
	return nil
}

// sameFilter are the agents of the batch that the request repeats; nil if there is none.
func (e *Engine) sameFilter(ctx context.Context, caller identity.Caller, req *pb.BatchUpdateAgentsRequest) ([]string, error) {
	key := req.GetMutation().GetIdempotencyKey()
	if key == "" || req.GetMutation().GetValidateOnly() {
		return nil, nil
	}
	teams := caller.TeamIDs()
	if name := req.GetMutation().GetTeam(); name != "" && caller.Admin() {
		team, err := e.Store.TeamByName(ctx, name)
		if err != nil && !db.NoRows(err) {
			return nil, fmt.Errorf("looking for team %s: %w", name, err)
		}
		if err == nil {
			teams = append(teams, team.ID)
		}
	}
	m := e.api.ByRequest(req)
	bare := proto.CloneOf(req)
	clearOptions(bare)
	want, err := digest(m, req.GetMutation(), bare)
	if err != nil {
		return nil, err
	}
	rows, err := e.Store.BatchesByKey(ctx, dbsql.BatchesByKeyParams{IdempotencyKey: key, Method: string(m.Name), Teams: teams})
	if err != nil {
		return nil, fmt.Errorf("looking for an idempotency key: %w", db.Classify(err))
	}
	for _, row := range rows {
		if string(row.RequestDigest) != string(want) {
			continue
		}
		earlier := &pb.BatchUpdateAgentsRequest{}
		if err := proto.Unmarshal(row.Request, earlier); err != nil {
			return nil, fmt.Errorf("reading the request of batch %s: %w", row.ID, err)
		}
		return earlier.GetUuids(), nil
	}
	return nil, nil
}
