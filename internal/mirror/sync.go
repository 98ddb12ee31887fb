package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

const (
	// dirtyPerRound and unreadPerRound bound how many resources of a kind a round of
	// the sync reads again, so that no kind waits for ever behind another.
	dirtyPerRound  = 100
	unreadPerRound = 25
)

// Idle returns once every question to the vendor that this mirror asks, for readers too, has
// ended: so the server must have stopped before.
func (m *Mirror) Idle() { m.running.Wait() }

// Run keeps our copy current with calls that nobody else wants, until ctx is done. One
// replica at a time does it.
func (m *Mirror) Run(ctx context.Context) error {
	var probing sync.WaitGroup
	defer probing.Wait()
	probing.Go(func() { m.probe(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := m.round(ctx); err != nil && ctx.Err() == nil {
			m.log.WarnContext(ctx, "the sync broke off; it goes on in the next round", slog.Any("error", err))
		}
		timer.Reset(m.cfg.SyncEvery)
	}
}

// round is one pass of the sync. It breaks off, without an error, when there is no
// room in the budget or another replica is at it.
func (m *Mirror) round(ctx context.Context) error {
	err := m.alone(ctx, "sync", func(ctx context.Context) error {
		for _, pass := range []func(context.Context, *kind) error{m.syncDirty, m.syncList, m.syncUnread, m.syncPassing, m.syncVersions} {
			for _, k := range m.kinds {
				if k.catalogue && m.secondary {
					continue
				}
				if err := m.oneKind(ctx, k, pass); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if errors.Is(err, errNoRoom) || errors.Is(err, errElsewhere) {
		return nil
	}
	return err
}

// oneKind does a pass for a kind. What the vendor refuses or cannot do for one kind, such
// as what our token has no scope for, keeps no other from being synced; a vendor that does
// not answer at all does.
func (m *Mirror) oneKind(ctx context.Context, k *kind, pass func(context.Context, *kind) error) error {
	err := pass(ctx, k)
	var refusal *upstream.Error
	if errors.As(err, &refusal) && refusal.Status != 0 && !refusal.Throttled() && ctx.Err() == nil {
		m.log.WarnContext(ctx, "a kind could not be synced", slog.String("kind", k.name), slog.Any("error", err))
		return nil
	}
	return err
}

// syncDirty reads again what we changed without being shown the result.
func (m *Mirror) syncDirty(ctx context.Context, k *kind) error {
	if k.get == "" {
		return nil
	}
	ids, err := m.store.DirtyResources(ctx, dbsql.DirtyResourcesParams{Kind: k.name, Account: m.budget.Account(), AtMost: dirtyPerRound})
	if err != nil {
		return fmt.Errorf("looking for what was changed: %w", db.Classify(err))
	}
	return m.lookAll(ctx, k, ids)
}

// syncUnread reads what changed elsewhere, and what was never read.
func (m *Mirror) syncUnread(ctx context.Context, k *kind) error {
	if k.get == "" {
		return nil
	}
	ids, err := m.store.UnreadResources(ctx, dbsql.UnreadResourcesParams{Kind: k.name, Account: m.budget.Account(), AtMost: unreadPerRound})
	if err != nil {
		return fmt.Errorf("looking for what was not read: %w", db.Classify(err))
	}
	return m.lookAll(ctx, k, ids)
}

// syncPassing reads what is different by now without anybody having changed it.
func (m *Mirror) syncPassing(ctx context.Context, k *kind) error {
	if k.get == "" || len(k.passing) == 0 {
		return nil
	}
	ids, err := m.store.PassingResources(ctx, dbsql.PassingResourcesParams{
		Kind: k.name, Account: m.budget.Account(), Statuses: k.passing, AtMost: unreadPerRound,
	})
	if err != nil {
		return fmt.Errorf("looking for what goes on by itself: %w", db.Classify(err))
	}
	return m.lookAll(ctx, k, ids)
}

// lookAll reads resources one after the other. One that the vendor refuses to show
// does not keep the others from being read; a vendor that is away does.
func (m *Mirror) lookAll(ctx context.Context, k *kind, ids []uuid.UUID) error {
	for _, id := range ids {
		_, err := m.look(ctx, m.spare, k, id, m.miss)
		var refusal *upstream.Error
		if errors.As(err, &refusal) && !refusal.Temporary() && ctx.Err() == nil {
			m.log.WarnContext(ctx, "the vendor does not show a resource", slog.String("kind", k.name), slog.String("uuid", id.String()),
				slog.Any("error", err))
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s %s: %w", k.name, id, err)
		}
	}
	return nil
}

// syncList goes through the list of a kind, if it is time to.
func (m *Mirror) syncList(ctx context.Context, k *kind) error {
	if k.list == "" {
		return nil
	}
	due, err := m.due(ctx, k)
	if err != nil || !due {
		return err
	}
	err = m.listAlone(ctx, k, func(ctx context.Context) error {
		_, err := m.listAll(ctx, m.spare, k)
		return err
	})
	if errors.Is(err, errElsewhere) {
		return nil // a reader is at it
	}
	return err
}

// due says whether it is time to go through the list of a kind: the more pages it takes,
// the longer ago it must have been. What we changed and cannot be read alone does not wait.
func (m *Mirror) due(ctx context.Context, k *kind) (bool, error) {
	account := m.budget.Account()
	synced, err := m.store.ScopeSyncedAt(ctx, dbsql.ScopeSyncedAtParams{Account: account, Kind: k.name})
	if db.NoRows(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading when kind %s was listed: %w", k.name, db.Classify(err))
	}
	if k.get == "" {
		dirty, err := m.store.DirtyResources(ctx, dbsql.DirtyResourcesParams{Kind: k.name, Account: account, AtMost: 1})
		if err != nil || len(dirty) > 0 {
			return len(dirty) > 0, db.Classify(err)
		}
	}
	count, err := m.store.CountKind(ctx, dbsql.CountKindParams{Kind: k.name, Account: account})
	if err != nil {
		return false, fmt.Errorf("counting kind %s: %w", k.name, db.Classify(err))
	}
	now, err := m.store.ClockNow(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the clock: %w", db.Classify(err))
	}
	pages := count/vendorPage + 1
	return now.Sub(synced) >= max(time.Duration(pages)*m.cfg.SyncPageEvery, time.Duration(k.slow)*m.cfg.SyncEvery), nil
}
