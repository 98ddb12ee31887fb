package service

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
)

// change makes the change that req asks for: all of a handler for the methods that
// have no rule of their own.
func change[Req, Resp proto.Message](ctx context.Context, engine *operation.Engine, req Req, resp Resp) (Resp, error) {
	var none Resp
	if err := engine.Change(ctx, caller(ctx), req, resp); err != nil {
		return none, err
	}
	return resp, nil
}

// fetch answers req by asking the vendor: all of a handler for reads that are not
// mirrored.
func fetch[Req, Resp proto.Message](ctx context.Context, m *mirror.Mirror, req Req, resp Resp) (Resp, error) {
	var none Resp
	if err := m.Fetch(ctx, caller(ctx), req, resp); err != nil {
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
