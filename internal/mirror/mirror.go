// Package mirror keeps our copy of what exists at the vendor, and answers reads
// from it.
//
// The copy changes in three ways: a change of ours is brought in by [Mirror.Apply]
// in the transaction that settles it; a read that wants fresher than the copy asks
// the vendor and stores the answer; and [Mirror.Run] goes through the vendor's lists
// with what is left of the budget.
//
// What a read or the sync finds different, and no change of ours explains, is
// written into the history as a change made elsewhere (drift).
//
// # Which answer is newer
//
// An answer of the vendor is as old as the moment before it was asked for: its
// "begun", by the database's clock. A row's body_synced_at is the begun of what it
// holds, or the moment at which a change was settled. An answer is stored only if
// the row was neither stored, changed nor deleted after its begun, and if no change
// of the row is under way (sent and not settled): that change's settling tells what
// it did, and attributes it. Rows are locked while this is decided.
package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// Vendor makes calls to the vendor: an [*upstream.Client].
type Vendor interface {
	Do(ctx context.Context, m *methods.Method, req, resp proto.Message) (upstream.Reply, error)
}

// Config is what a mirror needs. Fields without a default are required.
type Config struct {
	Store  *db.Store
	Client Vendor
	Budget *budget.Budget
	Tokens *listing.Tokens
	Log    *slog.Logger

	// SyncEvery is the pause between two rounds of the sync; 0: 60 s.
	SyncEvery time.Duration
	// SyncPageEvery is how much time must have passed since the last listing of a
	// kind for each page that it takes, so that listing a large account over and over
	// does not use up the hour. 0: 7 s, about a tenth of 5,000 calls.
	SyncPageEvery time.Duration
	// Patience is how long a question to the vendor may take, the wait for the budget
	// included, whoever of its callers is still there; 0: 30 s.
	Patience time.Duration
	// PollEvery is how often the vendor is asked at first about what somebody waits for;
	// 0: 1 s.
	PollEvery time.Duration
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	set(&c.SyncEvery, time.Minute)
	set(&c.SyncPageEvery, 7*time.Second)
	set(&c.Patience, 30*time.Second)
	set(&c.PollEvery, time.Second)
	return c
}

// Mirror is our copy of one vendor account.
type Mirror struct {
	cfg    Config
	store  *db.Store
	client Vendor
	budget *budget.Budget
	tokens *listing.Tokens
	log    *slog.Logger
	api    *methods.Table
	kinds  []*kind
	// secondary says that another account's copy has what the vendor offers to all. It is known from
	// the first: an account that comes while we run is synced before others hear of it.
	secondary bool

	// places are taken by those who go through a list.
	places chan struct{}

	// lone are the resources that somebody waits for and that are polled by themselves.
	lone lone

	// flights are the questions being asked right now, so that none is asked twice
	// at once; running counts their goroutines.
	flights singleflight.Group
	running sync.WaitGroup
}

// New makes a mirror of the account that the budget is of.
func New(cfg Config) *Mirror {
	cfg = cfg.withDefaults()
	return &Mirror{
		cfg: cfg, store: cfg.Store, client: cfg.Client, budget: cfg.Budget, tokens: cfg.Tokens, log: cfg.Log,
		api: methods.API(), kinds: kinds(), places: make(chan struct{}, listsAtOnce),
		secondary: cfg.Budget.Account() != budget.DefaultAccount,
	}
}

// Knows says whether our copy has every resource of a kind, so that one that it does not
// have does not exist. A kind that was never listed is, first.
func (m *Mirror) Knows(ctx context.Context, caller identity.Caller, name string) (bool, error) {
	k := m.kind(name)
	if k == nil || k.list == "" {
		return false, nil
	}
	synced, _, err := m.listedAt(ctx, k, "")
	if err == nil && synced == nil {
		_, err = m.listFresh(ctx, caller, k, nil)
	}
	return err == nil, err
}

// Ownable says whether a resource of a kind can be given to a team by itself; if not,
// why.
func (m *Mirror) Ownable(name string) error {
	k := m.kind(name)
	switch {
	case k == nil:
		return nil
	case k.catalogue:
		return fault.Invalid("kind", "%s is for every caller: nobody can own one", name)
	case k.part != nil:
		return fault.Invalid("kind", "%s belongs to the team of the %s that it is a part of: claim that", name, k.part.kind)
	}
	return nil
}

// kind finds a mirrored kind by name; nil if it is not mirrored.
func (m *Mirror) kind(name string) *kind {
	for _, k := range m.kinds {
		if k.name == name {
			return k
		}
	}
	return nil
}

// addRouteMethod is the method whose operations add routes between agents.
const addRouteMethod = "agentsvc.v1.AgentRouteService.AddAgentRoute"

// createMethod is the method whose operations make agents.
const createMethod = "agentsvc.v1.AgentService.CreateAgent"

// deleteMethod is the method whose operations delete agents.
const deleteMethod = "agentsvc.v1.AgentService.DeleteAgent"

// deleteRouteMethod is the method whose operations take such routes away.
const deleteRouteMethod = "agentsvc.v1.AgentRouteService.DeleteAgentRoute"

// WouldCircle says whether a route from parent to child would let a conversation
// come back to where it was: by the routes of now and, where an operation asks that
// has been claimed, by those that operations claimed before it are about to add.
func (m *Mirror) WouldCircle(ctx context.Context, operation, parent, child uuid.UUID) (bool, error) {
	if parent == child {
		return true, nil
	}
	circle, err := m.store.RoutePath(ctx, dbsql.RoutePathParams{
		FromAgent: child, ToAgent: parent, OperationID: operation, AddingMethod: addRouteMethod,
	})
	if err != nil {
		return false, fmt.Errorf("looking for a circle of routes: %w", db.Classify(err))
	}
	return circle, nil
}

// Parents are the agents that route to the agent now.
func (m *Mirror) Parents(ctx context.Context, id uuid.UUID) ([]audit.Ref, error) {
	rows, err := m.store.ParentsOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading which agents route to %s: %w", id, db.Classify(err))
	}
	parents := make([]audit.Ref, 0, len(rows))
	for _, row := range rows {
		parents = append(parents, audit.Ref{Kind: agentKind, UUID: &row.AgentUUID, Name: row.Name})
	}
	return parents, nil
}
