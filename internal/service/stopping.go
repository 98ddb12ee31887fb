package service

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// ErrStopping is the cause with which the contexts of calls end that take longer than this
// process lives. Their callers are told that, and not that they gave up themselves.
var ErrStopping = fault.New(pb.ErrorReason_ERROR_REASON_STOPPING,
	"this replica is stopping; call again, and another takes the call (a change: with the same idempotency key)")

// EndStreams ends all streams with [ErrStopping]. A stream lasts as long as its caller
// cares, so none would end by itself; and it can be opened again elsewhere at no loss.
func (s *Server) EndStreams() { s.endStreams(ErrStopping) }

// streamStage has streams end when the server says so.
type streamStage struct{ open context.Context } //nolint:containedctx // the life of all streams, which no call's context knows

// WrapUnary implements [connect.Interceptor]; unary calls end by themselves.
func (*streamStage) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

// WrapStreamingClient implements [connect.Interceptor]; we are no client.
func (*streamStage) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (s *streamStage) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		ctx, release := whileOpen(ctx, s.open)
		defer release()
		return whyEnded(ctx, next(ctx, conn))
	}
}

// whileOpen is a context that also ends, with the same cause, when open does.
func whileOpen(ctx, open context.Context) (both context.Context, release func()) {
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(open, func() { cancel(context.Cause(open)) })
	return both, func() { stop(); cancel(nil) }
}
