package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// List answers a page of a kind, as far as the caller may see it: req is the request of a
// method that lists one, and resp its response. If the caller wants fresher than our
// copy, the vendor's whole list is gone through first.
//
// Where the method lists only some of the kind, or the request has filters of the
// vendor's, the vendor is asked which: see [Mirror.narrow].
func (m *Mirror) List(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	return m.list(ctx, caller, req, resp, func(*kind) (across, error) { return across{m}, nil })
}

// list is the same for what is in several accounts; which says in which one of a kind may be.
func (m *Mirror) list(ctx context.Context, caller identity.Caller, req, resp proto.Message, which func(*kind) (across, error)) error {
	if err := ownPages(req); err != nil {
		return err
	}
	method := m.api.ByRequest(req)
	k := m.listing(method)
	if k == nil {
		return fmt.Errorf("%s is not the request of a list", req.ProtoReflect().Descriptor().FullName())
	}
	ask, ok := req.(listing.Request)
	if !ok {
		return fmt.Errorf("%s has not the fields of our lists", method.Name)
	}
	page, err := m.tokens.Open(k.schema, ask)
	if err != nil {
		return err
	}
	mirrors, err := which(k)
	if err != nil {
		return err
	}
	q := query{kind: k, across: mirrors, method: method, caller: caller, page: page, which: db.ResourceList{
		Visible: db.Visible{All: caller.SeesAll(), Teams: caller.TeamIDs(), Shared: k.shared != nil}, Kind: k.name,
	}}
	if narrows(k, method, req) {
		return m.listNarrowed(ctx, q, req, resp)
	}
	return m.listCopy(ctx, q, req, resp)
}

// listPause is between two looks whether another replica has gone through a list.
const listPause = 50 * time.Millisecond

// listFresh makes the list of a kind as fresh as the caller wants it, or says that it
// is stale because the vendor could not be asked.
func (m *Mirror) listFresh(ctx context.Context, caller identity.Caller, k *kind, most *durationpb.Duration) (*pb.Freshness, error) {
	synced, asked, err := m.listedAt(ctx, k, "")
	if err != nil {
		return nil, err
	}
	if synced != nil && (most == nil || asked.Sub(*synced) <= most.AsDuration()) {
		return fresh(synced, pb.Freshness_SOURCE_MIRROR, false), nil
	}
	// A list that was gone through after the caller asked is fresh enough, however
	// little it allows.
	enough := asked
	if most != nil {
		enough = asked.Add(-most.AsDuration())
	}
	at, err := shared(ctx, m, "list "+k.name, func(ctx context.Context) (time.Time, error) {
		return m.listOnce(ctx, caller, k, enough)
	})
	if err != nil && unanswered(ctx, err) {
		m.log.WarnContext(ctx, "the vendor's list could not be read: answering from our copy", slog.String("kind", k.name),
			slog.Any("error", err))
		if synced == nil {
			return nil, fmt.Errorf("listing kind %s for the first time: %w", k.name, asFault(err))
		}
		return fresh(synced, pb.Freshness_SOURCE_MIRROR, true), nil
	}
	if err != nil {
		return nil, asFault(err)
	}
	return fresh(&at, pb.Freshness_SOURCE_VENDOR, false), nil
}

// listOnce goes through the list of a kind, or waits for the replica that does.
func (m *Mirror) listOnce(ctx context.Context, caller identity.Caller, k *kind, enough time.Time) (time.Time, error) {
	for {
		var at time.Time
		err := m.listAlone(ctx, k, func(ctx context.Context) error {
			synced, _, err := m.listedAt(ctx, k, "")
			if err != nil {
				return err
			}
			if synced != nil && !synced.Before(enough) {
				at = *synced
				return nil
			}
			at, err = m.listAll(ctx, m.waiting(budget.Read, teamOf(caller)), k)
			return err
		})
		if !errors.Is(err, errElsewhere) {
			return at, err
		}
		timer := time.NewTimer(listPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return time.Time{}, ctx.Err()
		case <-timer.C:
		}
	}
}

// listedAt is when a list was last gone through, nil if never, and the time now.
func (m *Mirror) listedAt(ctx context.Context, k *kind, scope string) (*time.Time, time.Time, error) {
	now, err := m.store.ClockNow(ctx)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading the clock: %w", db.Classify(err))
	}
	at, err := m.store.ScopeSyncedAt(ctx, dbsql.ScopeSyncedAtParams{Account: m.budget.Account(), Kind: k.name, Scope: scope})
	if db.NoRows(err) {
		return nil, now, nil
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading when kind %s was listed: %w", k.name, db.Classify(err))
	}
	return &at, now, nil
}

const (
	// mostReread is how many resources of a page are read again because we changed
	// them; a page with more is answered as stale.
	mostReread = 20
	// askAtOnce is how many questions one call asks the vendor at the same time.
	askAtOnce = 4
)

// reread reads a page whose rows show what we changed: rows known to be behind are
// read again from the vendor, and then the page, for they may have moved in it. What
// is behind and not on the page is not looked for.
func (m *Mirror) reread(ctx context.Context, q query, freshness *pb.Freshness) ([]db.ResourceRow, error) {
	page := func() ([]db.ResourceRow, error) { return m.store.ListResources(ctx, q.which, q.page) }
	rows, err := page()
	if err != nil {
		return nil, err
	}
	var behind []db.ResourceRow
	for _, row := range rows {
		if row.DirtySince != nil && (row.SummarySyncedAt == nil || row.SummarySyncedAt.Before(*row.DirtySince)) {
			behind = append(behind, row)
		}
	}
	if len(behind) == 0 {
		return rows, nil
	}
	switch {
	case q.kind.get == "": // what cannot be read alone is listed again
		listed, err := q.across.of(behind).listFresh(ctx, q.caller, q.kind, durationpb.New(0))
		if err != nil {
			return nil, err
		}
		proto.Reset(freshness)
		proto.Merge(freshness, listed)
	case len(behind) > mostReread:
		freshness.Stale = true
		return rows, nil
	default:
		var group errgroup.Group
		group.SetLimit(askAtOnce)
		for _, row := range behind {
			group.Go(func() error {
				_, err := q.across.of([]db.ResourceRow{row})[0].read(ctx, q.caller, q.kind, row.UUID, nil)
				return err
			})
		}
		if err := group.Wait(); err != nil && ctx.Err() != nil {
			return nil, err
		}
	}
	if rows, err = page(); err != nil {
		return nil, err
	}
	for _, row := range rows {
		freshness.Stale = freshness.GetStale() || row.DirtySince != nil &&
			(row.SummarySyncedAt == nil || row.SummarySyncedAt.Before(*row.DirtySince))
	}
	return rows, nil
}
