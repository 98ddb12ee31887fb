package service

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// Rights says who calls and whether they may, as the chain does before a call begins.
type Rights struct {
	Authenticator Authenticator
	Guard         *access.Guard
}

// still asks again for a call that lasts: a token may be revoked and a role taken away
// meanwhile. Where the call came from stays as it was.
func (r Rights) still(begun identity.Caller, shown identity.Credentials, req proto.Message) mirror.Who {
	method := methods.API().ByRequest(req)
	return func(ctx context.Context) (identity.Caller, error) {
		now, err := r.Authenticator.Authenticate(ctx, shown)
		if err != nil {
			return identity.Caller{}, err
		}
		now.RequestID, now.Address, now.UserAgent = begun.RequestID, begun.Address, begun.UserAgent
		ctx, err = checkAccess(r.Guard)(identity.With(ctx, now), method, req)
		return caller(ctx), err
	}
}

// askAgain is how often it is asked whether a stream may go on. Callers are remembered, and
// changes told, so that mostly costs nothing; see [identity.Authenticator].
const askAgain = time.Second

// while is the context of a stream, which also ends, with why, once its caller may not call it
// any more, or may see less than when it began: what it shows was decided then.
func (r Rights) while(ctx context.Context, m *methods.Method, req proto.Message) (allowed context.Context, release func()) {
	allowed, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(askAgain)
		defer tick.Stop()
		for {
			select {
			case <-allowed.Done():
				return
			case <-tick.C:
			}
			if why := r.lost(allowed, m, req); why != nil {
				cancel(why)
				return
			}
		}
	}()
	return allowed, func() { cancel(nil); <-done }
}

// lost is why the caller of a stream may not call it any more; nil if they may. So it is while
// that cannot be found out: the database will be back, and what it has can be shown as little.
func (r Rights) lost(ctx context.Context, m *methods.Method, req proto.Message) error {
	begun := caller(ctx)
	now, err := r.Authenticator.Authenticate(ctx, identity.CredentialsFrom(ctx))
	if err == nil {
		now.RequestID, now.Address, now.UserAgent = begun.RequestID, begun.Address, begun.UserAgent
		err = r.Guard.Again(ctx, now, m, req)
	}
	// Where the request names what it is about, that was asked just now.
	if err == nil && len(m.Access.GetTargets()) == 0 && seesLess(now, begun) {
		err = fault.New(pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED, "you may not see all any more that this shows: call again for what you may")
	}
	switch fault.ReasonOf(err) {
	case pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED, pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED, pb.ErrorReason_ERROR_REASON_NOT_FOUND:
		return err
	default:
		return nil
	}
}

// seesLess says that a caller does not see something any more that they saw when they had begun.
func seesLess(now, begun identity.Caller) bool {
	if now.SeesAll() {
		return false
	}
	return begun.SeesAll() || slices.ContainsFunc(begun.Teams, func(m identity.Membership) bool {
		return now.Role(m.TeamID) == pb.Role_ROLE_UNSPECIFIED
	})
}
