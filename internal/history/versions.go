package history

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// DiffAgentVersions answers how two versions of an agent differ.
func (r *Reader) DiffAgentVersions(
	ctx context.Context, caller identity.Caller, req *pb.DiffAgentVersionsRequest,
) (*pb.DiffAgentVersionsResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	freshness, err := r.copied.RefreshVersions(ctx, caller, id, req.GetMaxStaleness())
	if err != nil {
		return nil, err
	}
	before, err := r.resolve(ctx, id, "before", req.GetBefore())
	if err != nil {
		return nil, err
	}
	var after string
	if req.GetAfter() != nil {
		after, err = r.resolve(ctx, id, "after", req.GetAfter())
	} else {
		after, err = r.current(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	resp := &pb.DiffAgentVersionsResponse{Freshness: freshness}
	if resp.Diff, err = r.diff(ctx, id, before, after); err != nil {
		return nil, err
	}
	if resp.Before, err = r.recorded(ctx, id, before); err != nil {
		return nil, err
	}
	if resp.After, err = r.recorded(ctx, id, after); err != nil {
		return nil, err
	}
	return resp, r.conceal(ctx, caller, resp.GetBefore().GetBy(), resp.GetAfter().GetBy())
}

// resolve is the hash of the version that a request's field names.
func (r *Reader) resolve(ctx context.Context, id uuid.UUID, field string, ref *pb.VersionRef) (string, error) {
	switch v := ref.GetVersion().(type) {
	case *pb.VersionRef_Hash:
		return v.Hash, nil // whether it is known shows where it is read
	case *pb.VersionRef_Label:
		label, err := r.store.AgentLabel(ctx, dbsql.AgentLabelParams{AgentUUID: id, Label: v.Label})
		if db.NoRows(err) {
			return "", noLabel(id, v.Label)
		}
		if err != nil {
			return "", fmt.Errorf("reading a label of agent %s: %w", id, db.Classify(err))
		}
		return label.VersionHash, nil
	case *pb.VersionRef_Number:
		number := int64(min(v.Number, math.MaxInt64))
		hash, err := r.store.AgentVersionByNumber(ctx, dbsql.AgentVersionByNumberParams{AgentUUID: id, VendorID: &number})
		if db.NoRows(err) {
			return "", noVersion(id, fmt.Sprintf("with the number %d", v.Number))
		}
		if err != nil {
			return "", fmt.Errorf("looking for a version of agent %s: %w", id, db.Classify(err))
		}
		return hash, nil
	}
	return "", fault.Invalid(field, "names no version")
}

func noVersion(id uuid.UUID, which string) error {
	return fault.New(pb.ErrorReason_ERROR_REASON_NOT_FOUND,
		"agent %s has no version %s that is known; a max_staleness of 0s has the vendor asked", id, which)
}

func noLabel(id uuid.UUID, label string) error {
	return fault.New(pb.ErrorReason_ERROR_REASON_NOT_FOUND, "agent %s has no label %q", id, label)
}

// current is the version that applies now, as far as we know.
func (r *Reader) current(ctx context.Context, id uuid.UUID) (string, error) {
	now, err := r.store.ClockNow(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the clock: %w", db.Classify(err))
	}
	states, err := r.store.AgentStatesAt(ctx, dbsql.AgentStatesAtParams{Agents: []uuid.UUID{id}, At: now})
	if err != nil {
		return "", fmt.Errorf("reading how agent %s is: %w", id, db.Classify(err))
	}
	if len(states) == 0 {
		return "", r.unknown(ctx, id, now)
	}
	if states[0].VersionHash == "" {
		return "", fault.Precondition("which version of agent %s a change made is not known yet: read the agent, and try again", id)
	}
	return states[0].VersionHash, nil
}

func (r *Reader) diff(ctx context.Context, id uuid.UUID, before, after string) (*pb.AgentDiff, error) {
	found, err := r.contents(ctx, id, []string{before, after})
	if err != nil {
		return nil, err
	}
	for _, hash := range []string{before, after} {
		if _, is := found[hash]; !is {
			return nil, noVersion(id, hash)
		}
	}
	return compare(found[before], found[after])
}

// recorded is a version with who is behind it.
func (r *Reader) recorded(ctx context.Context, id uuid.UUID, hash string) (*pb.RecordedVersion, error) {
	row, err := r.store.AgentVersionRecord(ctx, dbsql.AgentVersionRecordParams{AgentUUID: id, VersionHash: hash})
	if db.NoRows(err) {
		return nil, noVersion(id, hash)
	}
	if err != nil {
		return nil, fmt.Errorf("reading version %s of agent %s: %w", hash, id, db.Classify(err))
	}
	by, err := versionDeed(row.OperationID, row.Actor, row.Reason, row.Body)
	if err != nil {
		return nil, err
	}
	labels, err := r.store.AgentLabels(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading the labels of agent %s: %w", id, db.Classify(err))
	}
	var names []string // by name, as they are read
	for _, label := range labels {
		if label.VersionHash == hash {
			names = append(names, label.Label)
		}
	}
	return &pb.RecordedVersion{
		VersionHash: hash, Time: timestamppb.New(row.Began), By: by, Number: number(row.VendorID), Labels: names,
	}, nil
}

func number(vendorID *int64) uint64 {
	if vendorID == nil {
		return 0
	}
	return uint64(max(*vendorID, 0))
}

// versionDeed is who is behind a version. Of one that was made elsewhere the vendor names
// somebody; of ours it names the owner of our token, so we know better.
func versionDeed(operation *uuid.UUID, actor *string, reason string, body []byte) (*pb.Deed, error) {
	if operation != nil {
		return deed(operation, actor, reason), nil
	}
	version := &pb.AgentVersion{}
	if err := proto.Unmarshal(body, version); err != nil {
		return nil, fmt.Errorf("reading a version: %w", err)
	}
	return deed(nil, optional(version.GetCreatedByEmail()), ""), nil
}
