// Package access decides what a caller may do: a method's access rule, which is
// part of the API's description, held against who owns what the request names.
//
// The default is no. Another team's resource is NOT_FOUND, in the same words as
// one that never was. Denials go into the audit history before they are answered.
package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// PlatformTeam is the name of the team that changes of unowned resources belong to.
const PlatformTeam = "platform"

// Guard decides.
type Guard struct {
	store  *db.Store
	knows  Knows
	log    *slog.Logger
	frozen freezes
}

// Knows says whether every resource of a kind is known to us, so that one that is not
// does not exist.
type Knows func(ctx context.Context, caller identity.Caller, kind string) (bool, error)

// New makes a guard that looks up owners in store.
func New(store *db.Store, knows Knows, log *slog.Logger) *Guard {
	return &Guard{store: store, knows: knows, log: log}
}

// Decision is what was found out on the way to a yes.
type Decision struct {
	// Team is what the call belongs to: the owner of its first target, or the team
	// that is to own what is created. Zero where nothing belongs to anybody: lists,
	// and reads of what is unowned.
	Team identity.Team
	// Target is the first thing the request names.
	Target identity.Target
	// changed are the teams of all that the call changes or needs a say over, for freezes.
	changed []identity.Team
	// Account is the vendor account that the call goes to: where what it names is, or else
	// where the team creates. "" if it names nothing that is in one.
	Account string
}

// Check answers whether the caller may call m with req, which must be valid. The
// error is a *[fault.Error] with reason PERMISSION_DENIED, NOT_FOUND, FROZEN or
// INVALID_REQUEST (a team that has to be named), or what kept us from deciding.
func (g *Guard) Check(ctx context.Context, c identity.Caller, m *methods.Method, req proto.Message) (Decision, error) {
	return g.answer(ctx, request{Guard: g, caller: c, method: m, message: req})
}

// Again is [Guard.Check] for a call that was let through and lasts. That what it is about was deleted
// since takes no right away: its handler tells.
func (g *Guard) Again(ctx context.Context, c identity.Caller, m *methods.Method, req proto.Message) error {
	_, err := g.answer(ctx, request{Guard: g, caller: c, method: m, message: req, again: true})
	return err
}

func (g *Guard) answer(ctx context.Context, r request) (Decision, error) {
	c, m, req := r.caller, r.method, r.message
	decision, err := r.decide(ctx)
	var no *refusal
	switch {
	case err == nil:
		return decision, g.frozen.check(ctx, g.store, m, decision)
	case !errors.As(err, &no):
		return Decision{}, db.Classify(err)
	}
	if err := g.record(ctx, c, m, req, no); err != nil {
		// What cannot be recorded is not answered: history has no gaps.
		return Decision{}, fmt.Errorf("recording a denial: %w", err)
	}
	g.log.LogAttrs(ctx, slog.LevelWarn, "access denied", slog.String("caller", c.Name), slog.String("request_id", c.RequestID),
		slog.String("method", methodName(m)), slog.String("resource_kind", no.resource.Kind), slog.String("error", no.fault.Public))
	return Decision{}, no.fault
}

func (r request) decide(ctx context.Context) (Decision, error) {
	c, m := r.caller, r.method
	if m == nil || m.Access == nil || m.Access.GetAction() == pb.Action_ACTION_UNSPECIFIED {
		return Decision{}, denied("this method has no access rule, so nobody may call it")
	}
	if len(m.Access.GetTargets()) > 0 {
		return r.decideByTargets(ctx)
	}
	switch m.Access.GetScope() {
	case pb.Scope_SCOPE_VISIBLE, pb.Scope_SCOPE_SELF:
		return Decision{}, nil
	case pb.Scope_SCOPE_ADMIN:
		if c.Admin() {
			return Decision{}, nil
		}
		return Decision{}, denied("this takes a platform administrator")
	case pb.Scope_SCOPE_AUDITOR:
		if c.SeesAll() {
			return Decision{}, nil
		}
		return Decision{}, denied("this takes an auditor or a platform administrator")
	case pb.Scope_SCOPE_UNSPECIFIED:
	}
	return Decision{}, denied("this method has no access rule, so nobody may call it")
}

// decideByTargets wants a yes for everything that the request names. The first
// target decides whom the call belongs to, so it must be there.
func (r request) decideByTargets(ctx context.Context) (Decision, error) {
	var decision Decision
	var named []thing
	var changed []identity.Team
	for i, target := range r.method.Access.GetTargets() {
		found, err := r.check(ctx, target)
		if err != nil {
			return Decision{}, err
		}
		named = append(named, found...)
		if target.GetRole() > pb.Role_ROLE_VIEWER {
			for _, t := range found {
				changed = append(changed, t.team)
			}
		}
		if i > 0 {
			continue
		}
		if len(found) == 0 {
			return Decision{}, fault.Invalid(target.GetField(), "is required")
		}
		decision = Decision{Team: found[0].team, Target: found[0].Target}
	}
	var err error
	decision.changed = changed
	decision.Account, err = r.account(named)
	return decision, err
}
