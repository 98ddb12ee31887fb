package mirror

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// Accounts are our copies of several vendor accounts, seen as one. What a call is about
// decides which of them answers: see [identity.Caller].Account.
//
// Rows of all accounts are in the same tables. A resource stays in the account that it was
// created in. What the vendor offers to all is copied from the default account alone.
type Accounts struct {
	// first is the default account's, which is always there.
	first *Mirror
	now   atomic.Pointer[configured]
}

// configured are the accounts that there are at a moment.
type configured struct {
	// all begins with the default account.
	all    across
	byName map[string]*Mirror
	// lost are accounts that we have no token for any more.
	lost []string
}

// NewAccounts joins copies that are kept in one store; the first is of the default account. The others
// and lost are as for [Accounts.Set].
func NewAccounts(lost []string, first *Mirror, others ...*Mirror) *Accounts {
	a := &Accounts{first: first}
	a.Set(lost, others...)
	return a
}

// Set says which accounts there are from now on, besides the default one. What the store has of accounts
// that are lost, because we have no token for them any more, is answered as stale.
func (a *Accounts) Set(lost []string, others ...*Mirror) {
	now := &configured{all: append(across{a.first}, others...), byName: map[string]*Mirror{}, lost: lost}
	for _, m := range now.all {
		now.byName[m.budget.Account()] = m
	}
	a.now.Store(now)
}

// across are copies of some accounts, of which there is at least one.
type across []*Mirror

// of the call's account; where it is in none, the one that all of the caller's teams create
// in, or else the default one.
func (a *Accounts) of(caller identity.Caller) (*Mirror, error) {
	for _, name := range []string{caller.Account, caller.Home()} {
		if name == "" {
			continue
		}
		if m := a.now.Load().byName[name]; m != nil {
			return m, nil
		}
		return nil, NotConfigured(name)
	}
	return a.first, nil
}

// NotConfigured is the fault of a call to a vendor account that we have no token for.
func NotConfigured(account string) error {
	return fault.New(pb.ErrorReason_ERROR_REASON_ACCOUNT_NOT_CONFIGURED,
		"the vendor account %q is not configured here: an administrator has to add its token, or let the team create in another account", account)
}

// holding are the copies of the accounts in which the caller may see one of a kind; stale,
// if there are some in an account that nobody can ask any more.
func (a *Accounts) holding(ctx context.Context, caller identity.Caller, k *kind) (some across, stale bool, err error) {
	h := a.now.Load()
	switch {
	case k.catalogue || len(h.all) == 1 && len(h.lost) == 0:
		return h.all[:1], false, nil
	case caller.Account != "": // it is about something in there
		m, err := a.of(caller)
		return across{m}, false, err
	}
	names, err := a.first.store.AccountsOf(ctx, dbsql.AccountsOfParams{Everything: caller.SeesAll(), Teams: caller.TeamIDs(), Kind: k.name})
	if err != nil {
		return nil, false, fmt.Errorf("looking which accounts the caller has something in: %w", db.Classify(err))
	}
	stale = slices.ContainsFunc(names, func(name string) bool { return slices.Contains(h.lost, name) })
	if caller.SeesAll() {
		return h.all, stale, nil
	}
	for _, m := range caller.Teams {
		names = append(names, m.Account)
	}
	some = slices.DeleteFunc(slices.Clone(h.all), func(m *Mirror) bool { return !slices.Contains(names, m.budget.Account()) })
	if len(some) == 0 {
		some = h.all[:1]
	}
	return some, stale, nil
}

// List is [Mirror.List] of the resources in all accounts that the caller may see.
func (a *Accounts) List(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	stale := false
	err := a.first.list(ctx, caller, req, resp, func(k *kind) (some across, err error) {
		some, stale, err = a.holding(ctx, caller, k)
		return some, err
	})
	if fresh, ok := resp.(interface{ GetFreshness() *pb.Freshness }); ok && err == nil && stale {
		fresh.GetFreshness().Stale = true
	}
	return err
}

// Get is [Mirror.Get] of a resource's account.
func (a *Accounts) Get(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	m, err := a.of(caller)
	if err != nil {
		return err
	}
	return m.Get(ctx, caller, req, resp)
}

// Fetch is [Mirror.Fetch] of the account that the call goes to.
func (a *Accounts) Fetch(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	m, err := a.of(caller)
	if err != nil {
		return err
	}
	return m.Fetch(ctx, caller, req, resp)
}

// Reveal is [Mirror.Reveal] of the account that the call goes to.
func (a *Accounts) Reveal(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	m, err := a.of(caller)
	if err != nil {
		return err
	}
	return m.Reveal(ctx, caller, req, resp)
}

// Wait is [Mirror.Wait] for a resource in its account, for as long as we have that one's token.
func (a *Accounts) Wait(
	ctx context.Context, caller identity.Caller, who Who, req, resp proto.Message, tell func(proto.Message) error,
) error {
	m, err := a.of(caller)
	if err != nil {
		return err
	}
	still := func(ctx context.Context) (identity.Caller, error) {
		now, err := who(ctx)
		if err == nil {
			_, err = a.of(now)
		}
		return now, err
	}
	return m.Wait(ctx, still, req, resp, tell)
}

// ListAgentVersions is [Mirror.ListAgentVersions] of the agent's account.
func (a *Accounts) ListAgentVersions(
	ctx context.Context, caller identity.Caller, req *pb.ListAgentVersionsRequest,
) (*pb.ListAgentVersionsResponse, error) {
	m, err := a.of(caller)
	if err != nil {
		return nil, err
	}
	return m.ListAgentVersions(ctx, caller, req)
}

// ListAgentRoutes is [Mirror.ListAgentRoutes] of the agent's account, which its children are in.
func (a *Accounts) ListAgentRoutes(
	ctx context.Context, caller identity.Caller, req *pb.ListAgentRoutesRequest,
) (*pb.ListAgentRoutesResponse, error) {
	m, err := a.of(caller)
	if err != nil {
		return nil, err
	}
	return m.ListAgentRoutes(ctx, caller, req)
}

// RefreshVersions is [Mirror.RefreshVersions] of the agent's account; where we have no token
// for that any more, what we know is stale.
func (a *Accounts) RefreshVersions(
	ctx context.Context, caller identity.Caller, id uuid.UUID, most *durationpb.Duration,
) (*pb.Freshness, error) {
	m, err := a.of(caller)
	if fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_ACCOUNT_NOT_CONFIGURED {
		return fresh(nil, pb.Freshness_SOURCE_MIRROR, true), nil
	}
	if err != nil {
		return nil, err
	}
	return m.RefreshVersions(ctx, caller, id, most)
}

// ShowAgents is [Mirror.ShowAgents].
func (a *Accounts) ShowAgents(ctx context.Context, caller identity.Caller, shown ...*pb.Agent) error {
	return a.first.ShowAgents(ctx, caller, shown...)
}

// Knows is [Mirror.Knows] of all accounts: what is in none of the copies does not exist.
func (a *Accounts) Knows(ctx context.Context, caller identity.Caller, name string) (bool, error) {
	all := a.now.Load().all
	if k := all[0].kind(name); k != nil && k.catalogue {
		all = all[:1]
	}
	for _, m := range all {
		if knows, err := m.Knows(ctx, caller, name); err != nil || !knows {
			return knows, err
		}
	}
	return true, nil
}

// Ownable is [Mirror.Ownable].
func (a *Accounts) Ownable(name string) error { return a.first.Ownable(name) }

// Parents is [Mirror.Parents].
func (a *Accounts) Parents(ctx context.Context, id uuid.UUID) ([]audit.Ref, error) {
	return a.first.Parents(ctx, id)
}

// of are the copies of the accounts of some rows, as far as they are among these.
func (a across) of(rows []db.ResourceRow) across {
	accounts := map[string]bool{}
	for _, row := range rows {
		accounts[row.Account] = true
	}
	some := slices.DeleteFunc(slices.Clone(a), func(m *Mirror) bool { return !accounts[m.budget.Account()] })
	if len(some) == 0 {
		return a[:1]
	}
	return some
}

// listFresh is that of all of them: as old as the oldest.
func (a across) listFresh(ctx context.Context, caller identity.Caller, k *kind, most *durationpb.Duration) (*pb.Freshness, error) {
	ages := make([]*pb.Freshness, len(a))
	group, ctx := errgroup.WithContext(ctx)
	for i, m := range a {
		group.Go(func() (err error) {
			ages[i], err = m.listFresh(ctx, caller, k, most)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, age := range ages[1:] {
		merge(ages[0], age)
	}
	return ages[0], nil
}

// narrow is what all of them answer; what they say beside their items is the first one's.
func (a across) narrow(ctx context.Context, q query, ask proto.Message, key string) (narrowed, error) {
	answers := make([]narrowed, len(a))
	group, ctx := errgroup.WithContext(ctx)
	for i, m := range a {
		group.Go(func() (err error) {
			answers[i], err = shared(ctx, m, key, func(ctx context.Context) (narrowed, error) { return m.narrow(ctx, q, ask) })
			return err
		})
	}
	if err := group.Wait(); err != nil || len(a) == 1 {
		return answers[0], err
	}
	all := narrowed{begun: answers[0].begun, items: map[uuid.UUID]proto.Message{}, beside: answers[0].beside}
	for _, answer := range answers {
		maps.Copy(all.items, answer.items)
		if answer.begun.Before(all.begun) {
			all.begun = answer.begun
		}
	}
	return all, nil
}
