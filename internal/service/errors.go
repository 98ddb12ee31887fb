package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// present is the only place that decides what a caller gets to see of an error.
// The id in ErrorInfo's metadata is the one that our log lines carry.
func present(err error, requestID string) *connect.Error {
	wire := fault.Connect(db.Classify(err))
	out := connect.NewError(wire.Code(), errors.New(wire.Message()))
	for _, detail := range wire.Details() {
		value, err := detail.Value()
		if info, ok := value.(*errdetails.ErrorInfo); err == nil && ok {
			if info.Metadata == nil {
				info.Metadata = map[string]string{}
			}
			info.Metadata["request_id"] = requestID
			if with, err := connect.NewErrorDetail(info); err == nil {
				detail = with
			}
		}
		out.AddDetail(detail)
	}
	return out
}

// errorStage turns whatever a handler returned into what its caller may see, and
// logs one line for it: handlers just return err.
type errorStage struct{ log *slog.Logger }

func (s *errorStage) fail(ctx context.Context, spec connect.Spec, peer connect.Peer, header http.Header, err error) error {
	if err == nil {
		return nil
	}
	err = db.Classify(whyEnded(ctx, err))
	id := header.Get(requestIDHeader)
	out := present(err, id)
	if peer.Protocol != connect.ProtocolConnect {
		// There, an error's metadata are trailers, which is where clients look. In the
		// Connect protocol they would double the header that is set for every answer.
		out.Meta().Set(requestIDHeader, id)
	}
	caller, _ := identity.From(ctx)
	s.log.LogAttrs(ctx, levelOf(out.Code()), "rpc failed",
		procedureAttr(spec), slog.String("protocol", peer.Protocol), slog.String("code", out.Code().String()),
		slog.String("reason", fault.ReasonOf(err).String()), slog.String("request_id", id),
		slog.String("caller", caller.Name), slog.Any("error", err))
	return out
}

// WrapUnary implements [connect.Interceptor].
func (s *errorStage) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		resp, err := next(ctx, req)
		return resp, s.fail(ctx, req.Spec(), req.Peer(), req.Header(), err)
	}
}

// WrapStreamingClient implements [connect.Interceptor]; we are no client.
func (s *errorStage) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (s *errorStage) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return s.fail(ctx, conn.Spec(), conn.Peer(), conn.RequestHeader(), next(ctx, conn))
	}
}

// whyEnded is the reason of ours for which a call's context was ended, if that is what err
// is about; else err.
func whyEnded(ctx context.Context, err error) error {
	if reason, ours := errors.AsType[*fault.Error](context.Cause(ctx)); ours && errors.Is(err, context.Canceled) {
		return reason
	}
	return err
}

// levelOf says whose problem a code is: ours is an error, the world's a warning,
// the caller's own a matter of record.
func levelOf(code connect.Code) slog.Level {
	switch code {
	case connect.CodeInternal, connect.CodeUnknown, connect.CodeDataLoss, connect.CodeUnimplemented:
		return slog.LevelError
	case connect.CodeUnavailable, connect.CodeResourceExhausted, connect.CodeDeadlineExceeded:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

// recoverStage turns a panic into a plain error, with the stack in the log.
type recoverStage struct{ log *slog.Logger }

func (s *recoverStage) recovered(ctx context.Context, spec connect.Spec, header http.Header, err *error) {
	r := recover()
	if r == nil {
		return
	}
	logPanic(ctx, s.log, r, procedureAttr(spec), slog.String("request_id", header.Get(requestIDHeader)))
	*err = fmt.Errorf("panic: %v", r)
}

// WrapUnary implements [connect.Interceptor].
func (s *recoverStage) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (_ connect.AnyResponse, err error) {
		defer s.recovered(ctx, req.Spec(), req.Header(), &err)
		return next(ctx, req)
	}
}

// WrapStreamingClient implements [connect.Interceptor]; we are no client.
func (s *recoverStage) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (s *recoverStage) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
		defer s.recovered(ctx, conn.Spec(), conn.RequestHeader(), &err)
		return next(ctx, conn)
	}
}

// logPanic must be called by the deferred function, for the stack to be that of the panic.
func logPanic(ctx context.Context, log *slog.Logger, recovered any, attrs ...slog.Attr) {
	attrs = append(attrs, slog.Any("panic", recovered), slog.String("stack", string(debug.Stack())))
	log.LogAttrs(ctx, slog.LevelError, "panic", attrs...)
}
