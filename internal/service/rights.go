package service

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/access"
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
