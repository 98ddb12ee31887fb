package operation

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// Rest is the request of a batch for what a batch that has ended did not change. The
// caller's access to it is to be checked anew, as that of any request, before it is handed
// to [Engine.BatchUpdateAgents].
//
// Its idempotency key is made of the batch, so that a batch is resumed once and asking
// again finds the new one.
func (e *Engine) Rest(ctx context.Context, id uuid.UUID, reason string) (*pb.BatchUpdateAgentsRequest, error) {
	row, err := e.Store.OperationByID(ctx, id)
	if err != nil {
		return nil, e.missing(id, err)
	}
	switch {
	case row.BatchTotal == nil:
		return nil, fault.Precondition("operation %s is no batch: make the call again", id)
	case row.FinishedAt == nil:
		return nil, fault.Precondition("batch %s goes on: wait for its end, or cancel it", id)
	case row.BatchSealed:
		return nil, fault.Precondition("batch %s had secrets, which are erased when a change ends: call BatchUpdateAgents again with them", id)
	}
	req := &pb.BatchUpdateAgentsRequest{}
	if err := proto.Unmarshal(row.Request, req); err != nil {
		return nil, fmt.Errorf("reading the request of batch %s: %w", id, err)
	}
	unmade, err := e.Store.UnmadeChanges(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("looking what batch %s did not change: %w", id, db.Classify(err))
	}
	if len(unmade) == 0 {
		return nil, fault.Precondition("batch %s changed all of its agents: there is nothing to resume", id)
	}
	req.Filter, req.Uuids = "", nil
	for _, agent := range unmade {
		req.Uuids = append(req.Uuids, agent.String())
	}
	req.Mutation = &pb.MutationOptions{
		Reason: reason, Lane: pb.MutationOptions_Lane(row.Lane), IdempotencyKey: "resume:" + id.String(), Async: true,
	}
	return req, nil
}
