package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// versionScope is the kind under which it is noted when an agent's versions were listed.
const versionScope = "agent_version"

// ListAgentVersions answers the versions of an agent, the newest first.
func (m *Mirror) ListAgentVersions(
	ctx context.Context, caller identity.Caller, req *pb.ListAgentVersionsRequest,
) (*pb.ListAgentVersionsResponse, error) {
	if err := ownPages(req); err != nil {
		return nil, err
	}
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	before, size, scope, err := m.openVersions(req)
	if err != nil {
		return nil, err
	}
	freshness, err := m.versionsFresh(ctx, caller, id, req)
	if err != nil {
		return nil, err
	}
	rows, err := m.store.AgentVersions(ctx, dbsql.AgentVersionsParams{AgentUUID: id, Before: &before, AtMost: int32(size) + 1})
	if err != nil {
		return nil, fmt.Errorf("reading the versions of agent %s: %w", id, db.Classify(err))
	}
	total, err := m.store.CountAgentVersions(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("counting the versions of agent %s: %w", id, db.Classify(err))
	}
	resp := &pb.ListAgentVersionsResponse{TotalSize: int32(min(total, math.MaxInt32)), Freshness: freshness}
	if len(rows) > size {
		rows = rows[:size]
		resp.NextPageToken = m.tokens.Encode(scope, strconv.FormatInt(*rows[size-1].VendorID, 10))
	}
	for _, row := range rows {
		version := &pb.AgentVersion{}
		if err := proto.Unmarshal(row.Body, version); err != nil {
			return nil, fmt.Errorf("reading version %s of agent %s: %w", row.VersionHash, id, err)
		}
		if err := m.hideAround(ctx, caller, aroundVersions(), version); err != nil {
			return nil, err
		}
		resp.AgentVersions = append(resp.AgentVersions, version)
	}
	return resp, nil
}

// aroundVersions are what a version says to be attached to an agent.
func aroundVersions() []neighbour {
	return []neighbour{
		{path: "attached_child_agents", kinds: []string{agentKind}, uuid: "child_agent_uuid", telling: []string{"agent_name"}},
		{path: "attached_knowledgebases", kinds: []string{knowledgeBaseKind}, uuid: "uuid", telling: []string{"name"}},
	}
}

// openVersions is the place in the list at which a page begins: before the version
// with the number.
func (m *Mirror) openVersions(req *pb.ListAgentVersionsRequest) (before int64, size int, scope string, err error) {
	size, scope, before = int(req.GetPageSize()), listing.ScopeOf(req), math.MaxInt64
	switch {
	case size == 0:
		size = listing.DefaultSize
	case size < 0 || size > listing.MaxSize:
		return 0, 0, "", fault.Invalid("page_size", "must be 1 to %d, or 0 for %d", listing.MaxSize, listing.DefaultSize)
	}
	if req.GetPageToken() == "" {
		return before, size, scope, nil
	}
	values, err := m.tokens.Decode(req.GetPageToken(), scope)
	if err != nil {
		return 0, 0, "", err
	}
	if len(values) == 1 {
		before, err = strconv.ParseInt(values[0], 10, 64)
	}
	if len(values) != 1 || err != nil {
		return 0, 0, "", fault.Invalid("page_token", "is of another version; start again without it")
	}
	return before, size, scope, nil
}

// versionsFresh makes the versions as fresh as the caller wants them. They are known
// to be behind if the agent is, or if the version that it has is not among them.
func (m *Mirror) versionsFresh(
	ctx context.Context, caller identity.Caller, id uuid.UUID, req *pb.ListAgentVersionsRequest,
) (*pb.Freshness, error) {
	k := m.kind(agentKind)
	row, _, err := m.held(ctx, k, id)
	if err != nil {
		return nil, err
	}
	synced, now, err := m.versionsAt(ctx, id)
	if err != nil {
		return nil, err
	}
	known := synced != nil && (row.DirtySince == nil || row.DirtySince.Before(*synced))
	if known && row.VersionHash != "" {
		known, err = m.store.AgentVersionIsListed(ctx, dbsql.AgentVersionIsListedParams{AgentUUID: id, VersionHash: row.VersionHash})
		if err != nil {
			return nil, fmt.Errorf("looking for a version of agent %s: %w", id, db.Classify(err))
		}
	}
	if known && (req.GetMaxStaleness() == nil || now.Sub(*synced) <= req.GetMaxStaleness().AsDuration()) {
		return fresh(synced, pb.Freshness_SOURCE_MIRROR, false), nil
	}
	var at time.Time
	for n := 1; ; n++ {
		at, err = shared(ctx, m, "versions/"+id.String(), func(ctx context.Context) (time.Time, error) {
			return m.listVersions(ctx, m.waiting(budget.Read, teamOf(caller)), id)
		})
		// A question that was asked for somebody else before a change that we know of is
		// asked again.
		if err != nil || n >= maxLooks || row.DirtySince == nil || !at.Before(*row.DirtySince) {
			break
		}
	}
	var refusal *upstream.Error
	switch {
	case err == nil:
		return fresh(&at, pb.Freshness_SOURCE_VENDOR, false), nil
	case errors.As(err, &refusal) && refusal.NotFound():
		return nil, fault.NotFound(agentKind, id.String())
	case unanswered(ctx, err) && synced != nil:
		m.log.WarnContext(ctx, "the versions could not be read: answering from our copy", slog.String("uuid", id.String()),
			slog.Any("error", err))
		return fresh(synced, pb.Freshness_SOURCE_MIRROR, true), nil
	}
	return nil, fmt.Errorf("reading the versions of agent %s: %w", id, asFault(err))
}

func (m *Mirror) versionsAt(ctx context.Context, id uuid.UUID) (*time.Time, time.Time, error) {
	return m.listedAt(ctx, &kind{name: versionScope}, id.String())
}

// listVersions asks the vendor for all versions of an agent and stores them: which of
// them is applied can change with any other. It answers the time as of which they are.
func (m *Mirror) listVersions(ctx context.Context, granted grant, id uuid.UUID) (time.Time, error) {
	method := m.api.ByName("AgentService.ListAgentVersions")
	var all []*pb.AgentVersion
	list, err := m.pages(ctx, granted, method, &pb.ListAgentVersionsRequest{Uuid: id.String()}, "agent_versions",
		func(_ time.Time, items []proto.Message, _ proto.Message) error {
			for _, item := range items {
				if version, ok := item.(*pb.AgentVersion); ok && version.GetVersionHash() != "" {
					all = append(all, version)
				}
			}
			return nil
		})
	if err != nil {
		return time.Time{}, err
	}
	begun := list.begun
	err = m.store.Tx(ctx, db.Loose, func(q *db.Queries) error {
		scope := dbsql.ScopeSyncedAtParams{Account: m.budget.Account(), Kind: versionScope, Scope: id.String()}
		// The agent's row is the lock of what hangs on it.
		row, err := m.lock(ctx, q, m.kind(agentKind), id)
		if err != nil {
			return err
		}
		at, err := q.ScopeSyncedAt(ctx, scope)
		if err != nil && !db.NoRows(err) {
			return fmt.Errorf("reading when the versions were listed: %w", err)
		}
		if err == nil && at.After(begun) {
			return nil // another question was asked later, and answered before
		}
		for _, version := range all {
			if err := keepVersion(ctx, q, id, version); err != nil {
				return err
			}
		}
		if done, err := m.imports(ctx, q, row, id, begun); err != nil || !done {
			return err
		}
		return q.SetScopeSynced(ctx, dbsql.SetScopeSyncedParams{Account: scope.Account, Kind: scope.Kind, Scope: scope.Scope, SyncedAt: begun})
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("storing the versions of agent %s: %w", id, err)
	}
	return begun, nil
}

func keepVersion(ctx context.Context, q *db.Queries, id uuid.UUID, version *pb.AgentVersion) error {
	body, err := encode(version)
	if err != nil {
		return err
	}
	number := int64(min(version.GetId(), math.MaxInt64))
	params := dbsql.UpsertAgentVersionParams{
		AgentUUID: id, VersionHash: version.GetVersionHash(), Body: body, VendorID: &number,
		VendorCreatedAt: moment(version, "created_at"),
	}
	if err := q.UpsertAgentVersion(ctx, params); err != nil {
		return fmt.Errorf("storing version %s: %w", version.GetVersionHash(), err)
	}
	return nil
}
