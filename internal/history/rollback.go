package history

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// now has the vendor asked.
func now() *durationpb.Duration { return durationpb.New(0) }

// AimRollback gives a rollback that names a label, or another rollback to be undone, the
// version that this stands for. It is asked once, when the change is accepted.
func (r *Reader) AimRollback(ctx context.Context, caller identity.Caller, req proto.Message) error {
	rollback, ok := req.(*pb.RollbackAgentVersionRequest)
	if !ok || rollback.GetVersionHash() != "" {
		return nil
	}
	id, err := parse("uuid", rollback.GetUuid())
	if err != nil {
		return err
	}
	var hash string
	if label := rollback.GetVersionLabel(); label != "" {
		hash, err = r.resolve(ctx, id, "version_label", &pb.VersionRef{Version: &pb.VersionRef_Label{Label: label}})
	} else {
		hash, err = r.replaced(ctx, caller, id, rollback.GetUndoOperationId())
	}
	if err != nil {
		return err
	}
	rollback.VersionHash = &hash
	return nil
}

// replaced is the version that a rollback replaced, unless the agent was changed since.
func (r *Reader) replaced(ctx context.Context, caller identity.Caller, id uuid.UUID, operation string) (string, error) {
	op, err := parse("undo_operation_id", operation)
	if err != nil {
		return "", err
	}
	row, err := r.store.Rollback(ctx, op)
	if db.NoRows(err) || err == nil && row.AgentUUID != id {
		return "", fault.New(pb.ErrorReason_ERROR_REASON_NOT_FOUND, "operation %s is no rollback of agent %s that succeeded", op, id)
	}
	if err != nil {
		return "", fmt.Errorf("reading what operation %s replaced: %w", op, db.Classify(err))
	}
	// Somebody may have changed it elsewhere.
	if _, err := r.copied.RefreshVersions(ctx, caller, id, now()); err != nil {
		return "", err
	}
	current, err := r.current(ctx, id)
	if err != nil {
		return "", err
	}
	if current != row.MadeHash {
		return "", fault.Precondition("agent %s was changed after that rollback: it is at version %s, not %s; to lose those changes, "+
			"too, name the version that is wanted", id, current, row.MadeHash)
	}
	hash := row.ReplacedHash
	if hash == "" {
		hash, err = r.store.AgentVersionBefore(ctx, beforeParams(id, row.MadeHash))
		if db.NoRows(err) {
			return "", fault.Precondition("which version that rollback replaced is not known: name the version that is wanted")
		}
		if err != nil {
			return "", fmt.Errorf("looking for what operation %s replaced: %w", op, db.Classify(err))
		}
	}
	if hash == row.MadeHash {
		return "", fault.Precondition("that rollback changed nothing, so there is nothing to undo")
	}
	return hash, nil
}

func beforeParams(id uuid.UUID, hash string) dbsql.AgentVersionBeforeParams {
	return dbsql.AgentVersionBeforeParams{AgentUUID: id, VersionHash: hash}
}
