package mirror

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// clocksDiffer is by how much the vendor's clock and ours may. DisownVersions and DisownStates know it, too.
const clocksDiffer = 30 * time.Second

// around says that what the vendor made at a time may have been made by it.
func (d deed) around(at *time.Time) bool {
	return at == nil || (d.sent == nil || !at.Before(d.sent.Add(-clocksDiffer))) && (d.finished == nil || !at.After(d.finished.Add(clocksDiffer)))
}

// cut parts states of ours from versions that were made after the change behind them had ended. A look that finds what the
// change was known to make takes the version that it sees for the change's own, though others may have undone and
// repeated it meanwhile. What was between is placed like all that was made elsewhere.
func (i *importing) cut(ctx context.Context, versions []dbsql.ListedVersionsRow) error {
	began := map[string]*time.Time{}
	for _, version := range versions {
		began[version.VersionHash] = version.VendorCreatedAt
	}
	for n := 0; n < len(i.states); n++ {
		state := i.states[n]
		at := began[state.VersionHash]
		if at == nil || state.Partial || state.OperationID == nil || !at.After(state.ValidFrom) || state.ValidTo != nil && !at.Before(*state.ValidTo) {
			continue
		}
		op, err := i.q.OperationByID(ctx, *state.OperationID)
		if err != nil {
			return fmt.Errorf("reading operation %s: %w", state.OperationID, err)
		}
		if op.FinishedAt == nil || !at.After(op.FinishedAt.Add(clocksDiffer)) {
			continue
		}
		if err := i.q.CutAgentState(ctx, dbsql.CutAgentStateParams{ID: state.ID, At: *at}); err != nil {
			return fmt.Errorf("cutting a state of agent %s: %w", i.id, err)
		}
		rest := state
		rest.ValidFrom, rest.OperationID, rest.Actor, rest.Reason = *at, nil, nil, ""
		rest.ID, err = i.q.ContinueAgentState(ctx, dbsql.ContinueAgentStateParams{ID: state.ID, Until: state.ValidTo, VersionHash: state.VersionHash})
		if err != nil {
			return fmt.Errorf("continuing a state of agent %s: %w", i.id, err)
		}
		i.states[n].ValidTo, i.states[n].VersionHash, i.states[n].VendorID = at, "", nil
		i.states = slices.Insert(i.states, n+1, rest)
	}
	return nil
}

// leave gives the states that are still without a version the one that applied when they began: their changes made none.
func (i *importing) leave(ctx context.Context, versions []dbsql.ListedVersionsRow, bodies []*pb.AgentVersion) error {
	before := int64(-1) // the newest version that is known of the states before
	for n, state := range i.states {
		if state.VendorID != nil {
			before = max(before, *state.VendorID)
		}
		if state.VersionHash != "" {
			continue
		}
		applied := -1
		for v, version := range versions {
			if *version.VendorID <= before || version.VendorCreatedAt != nil && !version.VendorCreatedAt.After(state.ValidFrom) {
				applied = v
			}
		}
		if applied < 0 || slices.ContainsFunc(i.states[n+1:], func(s dbsql.AgentTimelineRow) bool {
			return s.VendorID != nil && *s.VendorID < *versions[applied].VendorID
		}) {
			continue
		}
		if err := i.adopt(ctx, n, versions[applied], bodies[applied]); err != nil {
			return err
		}
		before = *versions[applied].VendorID
	}
	return nil
}
