package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// RefreshVersions makes what we know of an agent's versions as fresh as a caller wants it.
// Without a limit, the vendor is asked only where our copy has something to be explained: it
// is behind, or a version was seen that none of our changes made. If the vendor cannot be
// asked, what we know is stale and still answered. An agent that was deleted has no list.
func (m *Mirror) RefreshVersions(
	ctx context.Context, caller identity.Caller, id uuid.UUID, most *durationpb.Duration,
) (*pb.Freshness, error) {
	synced, now, err := m.versionsAt(ctx, id)
	if err != nil {
		return nil, err
	}
	row, _, err := m.held(ctx, m.kind(agentKind), id)
	if fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_NOT_FOUND {
		return fresh(synced, pb.Freshness_SOURCE_MIRROR, false), nil
	}
	if err != nil {
		return nil, err
	}
	if synced != nil && row.DirtySince == nil && (most == nil || now.Sub(*synced) <= most.AsDuration()) {
		whole, err := m.store.AgentHistoryIsWhole(ctx, dbsql.AgentHistoryIsWholeParams{AgentUUID: id, At: *synced})
		if err != nil {
			return nil, fmt.Errorf("looking for gaps in the history of agent %s: %w", id, db.Classify(err))
		}
		if whole {
			return fresh(synced, pb.Freshness_SOURCE_MIRROR, false), nil
		}
	}
	at, err := m.readAndList(ctx, caller, id, most)
	var refusal *upstream.Error
	switch {
	case err == nil:
		return fresh(&at, pb.Freshness_SOURCE_VENDOR, false), nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("reading the versions of agent %s: %w", id, asFault(err))
	case errors.As(err, &refusal) && refusal.NotFound(), fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_NOT_FOUND:
		return fresh(synced, pb.Freshness_SOURCE_MIRROR, false), nil // it is gone, and what we know of it stays
	}
	m.log.WarnContext(ctx, "the versions could not be read: answering from what we know", slog.String("uuid", id.String()), slog.Any("error", err))
	return fresh(synced, pb.Freshness_SOURCE_MIRROR, true), nil
}

// readAndList reads an agent, so that what applies now is known, and then its versions.
func (m *Mirror) readAndList(ctx context.Context, caller identity.Caller, id uuid.UUID, most *durationpb.Duration) (time.Time, error) {
	if _, err := m.read(ctx, caller, m.kind(agentKind), id, most); err != nil {
		return time.Time{}, err
	}
	return shared(ctx, m, "versions/"+id.String(), func(ctx context.Context) (time.Time, error) {
		return m.listVersions(ctx, m.waiting(budget.Read, teamOf(caller)), id)
	})
}

// ShowAgents shows of the resources around agents what the caller may see, under the names
// of now.
func (m *Mirror) ShowAgents(ctx context.Context, caller identity.Caller, shown ...*pb.Agent) error {
	bodies := make([]proto.Message, 0, len(shown))
	for _, agent := range shown {
		bodies = append(bodies, agent)
	}
	return m.hideNeighbours(ctx, caller, m.kind(agentKind), bodies...)
}

// Settings is a copy of an agent with what its states keep.
func Settings(agent *pb.Agent) *pb.Agent { return settings(agent) }

// versionListsPerRound bounds how many lists of versions a round of the sync reads.
const versionListsPerRound = 10

// syncVersions reads the versions of agents that were changed elsewhere, so that it is known
// who did it and what came in between.
func (m *Mirror) syncVersions(ctx context.Context, k *kind) error {
	if k.name != agentKind {
		return nil
	}
	ids, err := m.store.AgentsChangedElsewhere(ctx, dbsql.AgentsChangedElsewhereParams{
		Account: m.budget.Account(), ScopeKind: versionScope, AtMost: versionListsPerRound,
	})
	if err != nil {
		return fmt.Errorf("looking for agents that were changed elsewhere: %w", db.Classify(err))
	}
	for _, id := range ids {
		_, err := m.listVersions(ctx, m.spare, id)
		var refusal *upstream.Error
		if errors.As(err, &refusal) && !refusal.Temporary() && ctx.Err() == nil {
			m.log.WarnContext(ctx, "the vendor does not list an agent's versions", slog.String("uuid", id.String()), slog.Any("error", err))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Unkept are the fields of an agent that its states do not keep: they change by themselves,
// are secrets, or are told by other means.
func Unkept() []string {
	k := agents()
	return append(slices.Clone(k.volatile), k.stamps...)
}
