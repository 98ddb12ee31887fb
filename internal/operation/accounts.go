package operation

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// Accounts are the engines of several vendor accounts, each with a queue and a budget of its
// own. What a call is about decides which one takes it: see [identity.Caller].Account. An
// operation is in the store that all share, so any of them can tell how it stands and hears
// of its end; only its own knows when it may start.
type Accounts struct {
	// first is the default account's, which is always there.
	first  *Engine
	byName atomic.Pointer[map[string]*Engine]
}

// NewAccounts joins engines; the first is the default account's.
func NewAccounts(first *Engine, others ...*Engine) *Accounts {
	a := &Accounts{first: first}
	a.Set(others...)
	return a
}

// Set says which engines there are from now on, besides the default account's.
func (a *Accounts) Set(others ...*Engine) {
	byName := map[string]*Engine{}
	for _, e := range append([]*Engine{a.first}, others...) {
		byName[e.Budget.Account()] = e
	}
	a.byName.Store(&byName)
}

// named is the engine of an account; nil if there is none.
func (a *Accounts) named(account string) *Engine { return (*a.byName.Load())[account] }

// of is the engine that takes a change.
func (a *Accounts) of(caller identity.Caller) (*Engine, error) {
	if caller.Account == "" {
		return a.first, nil
	}
	if e := a.named(caller.Account); e != nil {
		return e, nil
	}
	return nil, mirror.NotConfigured(caller.Account)
}

// telling is the engine that tells of an operation: its own, or any.
func (a *Accounts) telling(caller identity.Caller) *Engine {
	if e := a.named(caller.Account); e != nil {
		return e
	}
	return a.first
}

// Change is [Engine.Change] of the account that the call goes to.
func (a *Accounts) Change(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	e, err := a.of(caller)
	if err != nil {
		return err
	}
	return e.Change(ctx, caller, req, resp)
}

// BatchUpdateAgents is [Engine.BatchUpdateAgents]. Each change goes to the account that its
// agent is in.
func (a *Accounts) BatchUpdateAgents(
	ctx context.Context, caller identity.Caller, req *pb.BatchUpdateAgentsRequest, resp *pb.BatchUpdateAgentsResponse,
) error {
	e, err := a.of(caller)
	if err != nil {
		return err
	}
	return e.BatchUpdateAgents(ctx, caller, req, resp)
}

// Resolve is [Engine.Resolve].
func (a *Accounts) Resolve(
	ctx context.Context, caller identity.Caller, req *pb.BatchUpdateAgentsRequest, find func(ctx context.Context, filter string) ([]string, error),
) error {
	return a.first.Resolve(ctx, caller, req, find)
}

// Rest is [Engine.Rest].
func (a *Accounts) Rest(ctx context.Context, id uuid.UUID, reason string) (*pb.BatchUpdateAgentsRequest, error) {
	return a.first.Rest(ctx, id, reason)
}

// Get is [Engine.Get].
func (a *Accounts) Get(ctx context.Context, caller identity.Caller, id uuid.UUID) (*pb.Operation, error) {
	return a.telling(caller).Get(ctx, id)
}

// Wait is [Engine.Wait].
func (a *Accounts) Wait(ctx context.Context, caller identity.Caller, id uuid.UUID, most time.Duration) (*pb.Operation, error) {
	return a.telling(caller).Wait(ctx, id, most)
}

// Watch is [Engine.Watch].
func (a *Accounts) Watch(ctx context.Context, caller identity.Caller, id uuid.UUID, tell func(*pb.Operation) error) error {
	return a.telling(caller).Watch(ctx, id, tell)
}

// Cancel is [Engine.Cancel].
func (a *Accounts) Cancel(ctx context.Context, caller identity.Caller, id uuid.UUID, reason string) (*pb.Operation, error) {
	return a.telling(caller).Cancel(ctx, caller, id, reason)
}

// Approve is [Engine.Approve].
func (a *Accounts) Approve(ctx context.Context, caller identity.Caller, id uuid.UUID, reason string) (*pb.Operation, error) {
	return a.telling(caller).Approve(ctx, caller, id, reason)
}

// Decline is [Engine.Decline].
func (a *Accounts) Decline(ctx context.Context, caller identity.Caller, id uuid.UUID, reason string) (*pb.Operation, error) {
	return a.telling(caller).Decline(ctx, caller, id, reason)
}

// QueueStatus is [Engine.QueueStatus] of the named account; if none is named, of the one that
// all of the caller's teams create in, or of the default one.
func (a *Accounts) QueueStatus(ctx context.Context, caller identity.Caller, account string) (*pb.QueueStatus, error) {
	e, err := a.queue(caller, account)
	if err != nil {
		return nil, err
	}
	return e.QueueStatus(ctx, caller)
}

// WatchQueue is [Engine.WatchQueue], of the account as for [Accounts.QueueStatus], for as long as there
// is that one.
func (a *Accounts) WatchQueue(
	ctx context.Context, who mirror.Who, account string, every time.Duration, tell func(*pb.QueueStatus) error,
) error {
	caller, err := who(ctx)
	if err != nil {
		return err
	}
	e, err := a.queue(caller, account)
	if err != nil {
		return err
	}
	still := func(ctx context.Context) (identity.Caller, error) {
		now, err := who(ctx)
		if err == nil {
			_, err = a.queue(now, account)
		}
		return now, err
	}
	return e.WatchQueue(ctx, still, every, tell)
}

// queue is the engine whose queue a caller may ask about. Which accounts there are is for
// those whose teams create in them.
func (a *Accounts) queue(caller identity.Caller, account string) (*Engine, error) {
	if account == "" {
		caller.Account = caller.Home()
		return a.of(caller)
	}
	theirs := slices.ContainsFunc(caller.Teams, func(m identity.Membership) bool { return m.Account == account })
	e := a.named(account)
	switch {
	case e != nil && (theirs || caller.SeesAll()):
		return e, nil
	case theirs:
		return nil, mirror.NotConfigured(account)
	}
	return nil, fault.NotFound("account", account)
}
