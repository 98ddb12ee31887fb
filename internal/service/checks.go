package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// checkStage runs the checks on every request. That of a server stream is received
// here and handed on, so that the handler finds the same context as that of a
// unary call; it goes on for as long as its caller may. There are no streams of requests in
// the API, and none gets through.
type checkStage struct {
	checks []requestCheck
	rights Rights
}

func (s *checkStage) run(ctx context.Context, spec connect.Spec, message any) (context.Context, error) {
	req, ok := message.(proto.Message)
	if !ok {
		return ctx, fmt.Errorf("a request of type %T", message)
	}
	m := methods.API().ByProcedure(spec.Procedure)
	if m == nil {
		return ctx, fmt.Errorf("%s is not part of the API", spec.Procedure)
	}
	for _, c := range s.checks {
		var err error
		if ctx, err = c.check(ctx, m, req); err != nil {
			return ctx, err
		}
	}
	return ctx, nil
}

// WrapUnary implements [connect.Interceptor].
func (s *checkStage) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, err := s.run(ctx, req.Spec(), req.Any())
		if err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// WrapStreamingClient implements [connect.Interceptor]; we are no client.
func (s *checkStage) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (s *checkStage) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		m := methods.API().ByProcedure(conn.Spec().Procedure)
		if m == nil || conn.Spec().StreamType != connect.StreamTypeServer {
			return fmt.Errorf("%s is a stream of a kind that is not checked", conn.Spec().Procedure)
		}
		req := m.Input.New().Interface()
		if err := conn.Receive(req); err != nil {
			return unreceived(err)
		}
		ctx, err := s.run(ctx, conn.Spec(), req)
		if err != nil {
			return err
		}
		ctx, release := s.rights.while(ctx, m, req)
		defer release()
		ended := func() error { return context.Cause(ctx) }
		return whyEnded(ctx, next(ctx, &received{StreamingHandlerConn: conn, req: req, ended: ended}))
	}
}

// unreceived is why a stream's request did not come. That it breaks off is its sender's doing: the
// error alone could as well be one of our connection to the database.
func unreceived(err error) error {
	var network net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) {
		return fault.Invalid("body", "is no whole message: before it come a byte of flags, which is 0, and its length in four bytes")
	}
	return err
}

// received is a stream whose request has been read already.
type received struct {
	connect.StreamingHandlerConn

	req   proto.Message // nil once handed on
	ended func() error  // why nothing is sent any more; nil if it is
}

// Send implements [connect.StreamingHandlerConn]. What a handler has ready when its stream has
// ended stays here.
func (r *received) Send(message any) error {
	if err := r.ended(); err != nil {
		return err
	}
	return r.StreamingHandlerConn.Send(message)
}

// Receive implements [connect.StreamingHandlerConn].
func (r *received) Receive(message any) error {
	if r.req == nil {
		return r.StreamingHandlerConn.Receive(message)
	}
	into, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("a request of type %T", message)
	}
	proto.Merge(into, r.req)
	r.req = nil
	return nil
}

// checkValid holds a request against the limits of the API's description.
func checkValid(validator protovalidate.Validator) func(context.Context, *methods.Method, proto.Message) (context.Context, error) {
	return func(ctx context.Context, m *methods.Method, req proto.Message) (context.Context, error) {
		err := validator.Validate(req, protovalidate.WithFilter(beside(m)))
		var invalid *protovalidate.ValidationError
		switch {
		case err == nil:
			return ctx, nil
		case !errors.As(err, &invalid):
			return ctx, fmt.Errorf("validating a request of %s: %w", m.Name, err)
		}
		e := fault.New(pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, "the request is not valid")
		for i, v := range invalid.Violations {
			field, description := violated(m, v), v.Proto.GetMessage()
			if description == "" {
				description = "breaks the rule " + v.Proto.GetRuleId()
			}
			if i == 0 {
				e.Public = field + ": " + description
			}
			e.Violations = append(e.Violations, fault.Violation{Field: field, Description: description})
		}
		if more := len(e.Violations) - 1; more > 0 {
			e.Public = fmt.Sprintf("%s; and %d more, see the details", e.Public, more)
		}
		return ctx, e
	}
}

// beside leaves out what the requests within a batch do not have: whom they are about is
// beside them.
func beside(m *methods.Method) protovalidate.Filter {
	of := methods.API().BatchOf(m)
	return protovalidate.FilterFunc(func(_ protoreflect.Message, d protoreflect.Descriptor) bool {
		return of == nil || d.Parent() != protoreflect.Descriptor(of.Input.Descriptor()) || string(d.Name()) != of.Access.GetTargets()[0].GetField()
	})
}

// violated is the field that breaks a rule. A rule about a whole request is called after
// the field that it is about most, as in "fallback_models.some".
func violated(m *methods.Method, v *protovalidate.Violation) string {
	if path := protovalidate.FieldPathString(v.Proto.GetField()); path != "" {
		return path
	}
	field, _, _ := strings.Cut(v.Proto.GetRuleId(), ".")
	if m.Input.Descriptor().Fields().ByName(protoreflect.Name(field)) == nil {
		return "body"
	}
	return field
}
