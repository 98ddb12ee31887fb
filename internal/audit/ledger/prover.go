package ledger

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// Prover answers what the log says, and proofs of it.
type Prover struct{ store *db.Store }

// NewProver reads from the store.
func NewProver(store *db.Store) *Prover { return &Prover{store: store} }

// Checkpoint answers a signed checkpoint.
func (p *Prover) Checkpoint(ctx context.Context, req *pb.GetCheckpointRequest) (*pb.GetCheckpointResponse, error) {
	row, err := p.signed(ctx, "size", req.GetSize())
	if err != nil {
		return nil, err
	}
	return &pb.GetCheckpointResponse{Checkpoint: checkpointToProto(row)}, nil
}

// Event proves that an event which the caller may see is in the log. One that they may not
// see is NOT_FOUND, like one that is not there.
func (p *Prover) Event(ctx context.Context, caller identity.Caller, req *pb.ProveAuditEventRequest) (*pb.ProveAuditEventResponse, error) {
	id, err := uuid.Parse(req.GetEventId())
	if err != nil {
		return nil, fault.Invalid("event_id", "is not a UUID")
	}
	missing := fault.NotFound("sealed audit event", req.GetEventId())
	leaf, err := p.store.LeafOfEvent(ctx, id)
	if db.NoRows(err) {
		return nil, missing
	}
	if err != nil {
		return nil, fmt.Errorf("looking for an event's place: %w", db.Classify(err))
	}
	event, err := p.store.EventAt(ctx, dbsql.EventAtParams{RecordedAt: leaf.RecordedAt, ID: id, SeesAll: caller.SeesAll(), Teams: caller.TeamIDs()})
	if db.NoRows(err) {
		return nil, missing
	}
	if err != nil {
		return nil, fmt.Errorf("reading an event: %w", db.Classify(err))
	}
	row, err := p.signed(ctx, "size", req.GetSize())
	if err != nil {
		return nil, err
	}
	if leaf.Index >= row.Size {
		return nil, fault.Precondition("the event is sealed at place %d and the checkpoint covers %d events: try again after the next one, or name a later one",
			leaf.Index, row.Size)
	}
	proof, err := tlog.ProveRecord(row.Size, leaf.Index, hashReader(ctx, p.store.Queries))
	if err != nil {
		return nil, fmt.Errorf("proving an event: %w", db.Classify(err))
	}
	return &pb.ProveAuditEventResponse{
		Index: leaf.Index, Event: audit.AppendCanonical(nil, event), Leaf: leaf.Hash, Proof: toBytes(proof), Checkpoint: checkpointToProto(row),
	}, nil
}

// Consistency proves that the log of a newer checkpoint begins with that of an older size.
func (p *Prover) Consistency(ctx context.Context, req *pb.ProveConsistencyRequest) (*pb.ProveConsistencyResponse, error) {
	row, err := p.signed(ctx, "new_size", req.GetNewSize())
	if err != nil {
		return nil, err
	}
	if req.GetOldSize() > row.Size {
		return nil, fault.Invalid("old_size", "is more than the %d events of the newer checkpoint; if it was signed, the history was cut", row.Size)
	}
	proof, err := tlog.ProveTree(row.Size, req.GetOldSize(), hashReader(ctx, p.store.Queries))
	if err != nil {
		return nil, fmt.Errorf("proving consistency: %w", db.Classify(err))
	}
	return &pb.ProveConsistencyResponse{Proof: toBytes(proof), Checkpoint: checkpointToProto(row)}, nil
}

// signed is the checkpoint of a size, or the latest for 0.
func (p *Prover) signed(ctx context.Context, field string, size int64) (dbsql.AuditCheckpoint, error) {
	var row dbsql.AuditCheckpoint
	var err error
	if size == 0 {
		if row, err = p.store.LatestCheckpoint(ctx); db.NoRows(err) {
			return row, fault.Precondition("no checkpoint was signed yet: see AGENTSVC_AUDIT_KEY_FILE in docs/operating.md")
		}
	} else if row, err = p.store.CheckpointOf(ctx, size); db.NoRows(err) {
		return row, fault.Invalid(field, "there is no checkpoint of %d events", size)
	}
	if err != nil {
		return row, fmt.Errorf("reading a checkpoint: %w", db.Classify(err))
	}
	return row, nil
}

func checkpointToProto(row dbsql.AuditCheckpoint) *pb.AuditCheckpoint {
	return &pb.AuditCheckpoint{
		Origin: evidence.OriginOf(row.Note), Size: row.Size, Root: row.Root, Note: row.Note, SignedAt: timestamppb.New(row.SignedAt),
	}
}

func toBytes(hashes []tlog.Hash) [][]byte {
	all := make([][]byte, 0, len(hashes))
	for _, h := range hashes {
		all = append(all, h[:])
	}
	return all
}
