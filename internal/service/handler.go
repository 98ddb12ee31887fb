package service

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/history"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
)

// Backend is what handlers work with.
type Backend struct {
	Mirror     *mirror.Accounts
	Operations *operation.Accounts
	// Rights is asked again by calls that last.
	Rights Rights
	// History answers how agents were, and keeps labels on their versions.
	History *history.Reader
}

// change makes the change that req asks for: all of a handler for the methods that
// have no rule of their own.
func change[Req, Resp proto.Message](ctx context.Context, engines *operation.Accounts, req Req, resp Resp) (Resp, error) {
	return answer(resp, engines.Change(ctx, caller(ctx), req, resp))
}

// fetch answers req by asking the vendor: all of a handler for reads that are not
// mirrored.
func fetch[Req, Resp proto.Message](ctx context.Context, m *mirror.Accounts, req Req, resp Resp) (Resp, error) {
	return answer(resp, m.Fetch(ctx, caller(ctx), req, resp))
}

// list answers a page of a mirrored kind: all of a handler.
func list[Req, Resp proto.Message](ctx context.Context, m *mirror.Accounts, req Req, resp Resp) (Resp, error) {
	return answer(resp, m.List(ctx, caller(ctx), req, resp))
}

// get answers one mirrored resource: all of a handler.
func get[Req, Resp proto.Message](ctx context.Context, m *mirror.Accounts, req Req, resp Resp) (Resp, error) {
	return answer(resp, m.Get(ctx, caller(ctx), req, resp))
}

// reveal asks the vendor for something that is as good as a secret: all of a handler.
func reveal[Req, Resp proto.Message](ctx context.Context, m *mirror.Accounts, req Req, resp Resp) (Resp, error) {
	return answer(resp, m.Reveal(ctx, caller(ctx), req, resp))
}

// wait streams how far a mirrored resource is, for as long as the caller may see it: all of
// a handler.
func wait[Req proto.Message, Resp any](ctx context.Context, b Backend, req Req, stream *connect.ServerStream[Resp]) error {
	prototype, ok := any(new(Resp)).(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no Protobuf message", prototype)
	}
	who := b.Rights.still(caller(ctx), identity.CredentialsFrom(ctx), req)
	return b.Mirror.Wait(ctx, caller(ctx), who, req, prototype, func(message proto.Message) error {
		typed, ok := any(message).(*Resp)
		if !ok {
			return fmt.Errorf("a wait told a %T", message)
		}
		return stream.Send(typed)
	})
}

// answer is the response, unless there is an error.
func answer[Resp proto.Message](resp Resp, err error) (Resp, error) {
	if err != nil {
		var none Resp
		return none, err
	}
	return resp, nil
}

// caller is who calls. The chain lets nobody through unidentified, and the zero
// caller may do nothing.
func caller(ctx context.Context) identity.Caller {
	c, _ := identity.From(ctx)
	return c
}
