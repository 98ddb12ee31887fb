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
)

// paceSlowest is how much slower than at first the vendor is asked at the most.
const paceSlowest = 30

// pace is the pause before the vendor is asked again, when nothing has happened for a
// while: half as long, so that what was just begun is looked at often, and what takes
// hours is not.
func (m *Mirror) pace(quiet time.Duration) time.Duration {
	return min(max(quiet/2, m.cfg.PollEvery), paceSlowest*m.cfg.PollEvery)
}

// poll pauses, and then has our copy of a resource that somebody waits for as fresh as the
// pause was long. Where the list of its kind shows the state, the whole list is read, once
// for all who wait, on whichever replica comes first; otherwise the resource itself is,
// once for all who wait for it here, and the more seldom the more of its kind are waited for.
// The calls are spare ones: when nobody can have one, or the vendor does not answer, the wait
// goes on.
func (m *Mirror) poll(ctx context.Context, k *kind, id uuid.UUID, row dbsql.Resource, pace time.Duration) error {
	alone := !k.listsState() || row.DirtySince != nil || row.BodySyncedAt == nil
	if alone {
		// As many together take no more calls than one does at first.
		many, leave := m.lone.enter(k.name, id)
		defer leave()
		pace = max(pace, time.Duration(many)*m.cfg.PollEvery)
	} else {
		// A list of many pages is read as much more seldom.
		count, err := m.store.CountKind(ctx, dbsql.CountKindParams{Kind: k.name, Account: m.budget.Account()})
		if err != nil {
			return fmt.Errorf("counting kind %s: %w", k.name, db.Classify(err))
		}
		pace = max(pace, time.Duration(count/vendorPage+1)*m.cfg.PollEvery)
	}
	timer := time.NewTimer(pace)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil // the caller of poll looks why
	case <-timer.C:
	}
	what := "poll " + k.name
	if alone {
		what += "/" + id.String()
	}
	_, err := shared(ctx, m, what, func(ctx context.Context) (struct{}, error) {
		if alone {
			return struct{}{}, m.pollOne(ctx, k, id, pace)
		}
		return struct{}{}, m.pollList(ctx, k, pace)
	})
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, errNoRoom), errors.Is(err, errElsewhere):
		return nil
	case unanswered(ctx, err):
		m.log.InfoContext(ctx, "the vendor does not tell how far something is", slog.String("kind", k.name), slog.Any("error", err))
		return nil
	}
	return err
}

// lone counts the resources that are polled by themselves, by kind.
type lone struct {
	mu    sync.Mutex
	kinds map[string]map[uuid.UUID]int // how many wait for each
}

// enter adds one who waits, and answers how many of the kind are waited for.
func (l *lone) enter(kind string, id uuid.UUID) (many int, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[string]map[uuid.UUID]int{}
	}
	if l.kinds[kind] == nil {
		l.kinds[kind] = map[uuid.UUID]int{}
	}
	waits := l.kinds[kind]
	waits[id]++
	return len(waits), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if waits[id]--; waits[id] == 0 {
			delete(waits, id)
		}
	}
}

// pollOne reads one resource, unless it was read within the pace.
func (m *Mirror) pollOne(ctx context.Context, k *kind, id uuid.UUID, pace time.Duration) error {
	held, now, err := m.held(ctx, k, id)
	if err != nil {
		return nil //nolint:nilerr // gone, or found out by the waiter itself
	}
	if held.DirtySince == nil && held.BodySyncedAt != nil && now.Sub(*held.BodySyncedAt) < pace {
		return nil
	}
	_, err = m.look(ctx, m.spare, k, id, m.miss)
	return err
}

// pollList reads the list of a kind, unless it was read within the pace.
func (m *Mirror) pollList(ctx context.Context, k *kind, pace time.Duration) error {
	return m.listAlone(ctx, k, func(ctx context.Context) error {
		synced, now, err := m.listedAt(ctx, k, "")
		if err != nil {
			return err
		}
		if synced != nil && now.Sub(*synced) < pace {
			return nil
		}
		_, err = m.listAll(ctx, m.spare, k)
		return err
	})
}
