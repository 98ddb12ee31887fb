// Package history answers how agents were, what changed and who did it: from their states
// and routes, which have a beginning and an end each, their versions, and the audit events.
//
// # Which clock
//
// The database's. What a change of ours did counts from when the change was settled, and what
// was made elsewhere from when we saw it. Of versions that were made elsewhere between two
// looks the vendor's list tells: these count from the vendor's own time, where that lies
// between what we saw before and after; where it does not, the clocks differ by more than
// that, and what was made elsewhere counts from when we saw it. The vendor's times are whole
// seconds, so of what happened elsewhere within the second of a change of ours the order is
// by the vendor's numbers, and the time that when we saw it.
//
// Intervals hold their beginning and not their end: at the moment of a change, what it made
// is what was.
package history

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

const agentKind = "agent"

// upstreamActor is who made what the vendor names nobody for.
const upstreamActor = "upstream"

// Copy is our copy of the vendor: a [*mirror.Mirror].
type Copy interface {
	// RefreshVersions makes what is known of an agent's versions as fresh as is wanted.
	RefreshVersions(ctx context.Context, caller identity.Caller, id uuid.UUID, most *durationpb.Duration) (*pb.Freshness, error)
	// ShowAgents shows of the resources around agents what the caller may see.
	ShowAgents(ctx context.Context, caller identity.Caller, shown ...*pb.Agent) error
}

// Reader answers questions about the past. Whether the caller may see the agent that a
// request names is asked before.
type Reader struct {
	store  *db.Store
	copied Copy
	tokens *listing.Tokens
}

// New reads from the store, and makes the copy fresh where a caller wants it.
func New(store *db.Store, copied Copy, tokens *listing.Tokens) *Reader {
	return &Reader{store: store, copied: copied, tokens: tokens}
}

// parse reads the uuid of a request, which validation has seen already.
func parse(field, text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, fault.Invalid(field, "is not a uuid")
	}
	return id, nil
}

// page reads the size and the place of a list request.
func (r *Reader) page(size int32, token, scope string, values int) (int, []string, error) {
	n := int(size)
	switch {
	case n == 0:
		n = listing.DefaultSize
	case n < 0 || n > listing.MaxSize:
		return 0, nil, fault.Invalid("page_size", "must be 1 to %d, or 0 for %d", listing.MaxSize, listing.DefaultSize)
	}
	if token == "" {
		return n, nil, nil
	}
	place, err := r.tokens.Decode(token, scope)
	if err != nil {
		return 0, nil, err
	}
	if len(place) != values {
		return 0, nil, otherVersion()
	}
	return n, place, nil
}

func otherVersion() error {
	return fault.Invalid("page_token", "is of another version; start again without it")
}

// Bounds of time within which Postgres and Protobuf agree.
func begin() time.Time { return time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC) }
func end() time.Time   { return time.Date(9999, 12, 30, 0, 0, 0, 0, time.UTC) }

// within is a time of a request, or the fallback if it is absent.
func within(field string, at *timestamppb.Timestamp, fallback time.Time) (time.Time, error) {
	if at == nil {
		return fallback, nil
	}
	if !at.IsValid() {
		return time.Time{}, fault.Invalid(field, "is not a time")
	}
	t := at.AsTime()
	if t.Before(begin()) {
		return begin(), nil
	}
	if t.After(end()) {
		return end(), nil
	}
	return t, nil
}

// deed is who is behind something, nil pointers where nobody of ours is.
func deed(operation *uuid.UUID, actor *string, reason string) *pb.Deed {
	d := &pb.Deed{Actor: upstreamActor, Origin: pb.Deed_ORIGIN_UPSTREAM, Reason: reason}
	if actor != nil && *actor != "" {
		d.Actor = *actor
	}
	if operation != nil {
		d.OperationId, d.Origin = operation.String(), pb.Deed_ORIGIN_API
	}
	return d
}

// deeds are who asked for operations; one that is not known any more is not among them.
func (r *Reader) deeds(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]dbsql.DeedsRow, error) {
	known := make(map[uuid.UUID]dbsql.DeedsRow, len(ids))
	if len(ids) == 0 {
		return known, nil
	}
	rows, err := r.store.Deeds(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading who asked for operations: %w", db.Classify(err))
	}
	for _, row := range rows {
		known[row.ID] = row
	}
	return known, nil
}

// deedOf is who is behind an operation; what none is behind was made elsewhere.
func deedOf(known map[uuid.UUID]dbsql.DeedsRow, operation *uuid.UUID) *pb.Deed {
	if operation == nil {
		return deed(nil, nil, "")
	}
	row := known[*operation]
	return deed(operation, &row.Actor, row.Reason)
}

func stamp(at *time.Time) *timestamppb.Timestamp {
	if at == nil {
		return nil
	}
	return timestamppb.New(*at)
}
