package service

import (
	"context"
	"fmt"
	"log/slog"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"connectrpc.com/otelconnect"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// The way of a call, outermost first. Each stage says why it stands where it does;
// nothing else depends on the order.
//
// On HTTP (see server.go):
//
//	request id   first, so that whatever goes wrong below can be found in the log
//	recover      a panic of any handler or middleware ends its call, not the process
//	CORS         before identity: a browser's preflight carries no token
//	slow bodies  around identity: a stranger's body is thrown away, and must not take for ever
//	identity     before the body is read: strangers cost us no decoding
//	caller       how often one caller may call; after identity, since it is about callers
//	body limit   around the body that the RPC layer reads
//
// In the RPC layer: the stages of [chain], then the checks of [requestChecks].
func chain(streams context.Context, cfg Config, checks []requestCheck) ([]connect.Interceptor, error) {
	telemetry, err := telemetryInterceptor(cfg.Meters, cfg.Tracer)
	if err != nil {
		return nil, err
	}
	stages := []struct {
		why         string
		interceptor connect.Interceptor
	}{
		{"measures all that follows, and sees the codes that callers see", telemetry},
		{"turns every error of the stages below into what its caller may see, and logs it once", &errorStage{log: cfg.Log}},
		{"turns a panic into an error, which the stage above treats like any other", &recoverStage{log: cfg.Log}},
		{"ends streams when the process stops, with an error that the stages above present", &streamStage{open: streams}},
		{"lets only readable, valid, allowed requests through to the handlers, and ends streams that are not allowed any more",
			&checkStage{checks: checks, rights: Rights{Authenticator: cfg.Authenticator, Guard: cfg.Guard}}},
	}
	interceptors := make([]connect.Interceptor, 0, len(stages))
	for _, stage := range stages {
		interceptors = append(interceptors, stage.interceptor)
	}
	return interceptors, nil
}

// requestCheck looks at a request before its handler does. It may pass on what it
// found out in the context, which is for the caller's identity alone.
type requestCheck struct {
	why   string
	check func(ctx context.Context, m *methods.Method, req proto.Message) (context.Context, error)
}

// requestChecks are in the only order that works: access reads the ids of resources
// out of the request, so it has to be well-formed; and what is invalid is told to
// strangers too, since it says nothing about what exists.
func requestChecks(validator protovalidate.Validator, resolve Resolver, guard *access.Guard) []requestCheck {
	return []requestCheck{
		{"what could not be read is not looked at any further", checkDecoded},
		{"the limits of the API's description, before anybody relies on them", checkValid(validator)},
		{"uuids in one form, since whoever comes now compares them", normalise},
		{"names what a filter finds, so that access is decided for each", checkResolved(resolve)},
		{"deny by default; tells the handler whose resource it works on", checkAccess(guard)},
	}
}

// checkAccess asks the guard, and adds what it found to the caller's identity.
func checkAccess(guard *access.Guard) func(context.Context, *methods.Method, proto.Message) (context.Context, error) {
	return func(ctx context.Context, m *methods.Method, req proto.Message) (context.Context, error) {
		caller, ok := identity.From(ctx)
		if !ok {
			return ctx, fmt.Errorf("%s was reached without an identity", m.Name)
		}
		decision, err := guard.Check(ctx, caller, m, req)
		if err != nil {
			return ctx, err
		}
		caller.ActingTeam, caller.Target, caller.Account = decision.Team, decision.Target, decision.Account
		return identity.With(ctx, caller), nil
	}
}

// telemetryInterceptor measures calls. Callers' trace ids are linked to, not
// adopted: who calls does not decide what we sample. Peers' addresses are left out,
// there are too many of them.
func telemetryInterceptor(meters metric.MeterProvider, tracer trace.TracerProvider) (connect.Interceptor, error) {
	if meters == nil {
		meters = metricnoop.NewMeterProvider()
	}
	options := []otelconnect.Option{otelconnect.WithMeterProvider(meters), otelconnect.WithPropagator(propagation.TraceContext{})}
	if tracer == nil {
		options = append(options, otelconnect.WithoutTracing())
	} else {
		options = append(options, otelconnect.WithTracerProvider(tracer))
	}
	interceptor, err := otelconnect.NewInterceptor(options...)
	if err != nil {
		return nil, fmt.Errorf("making the telemetry of calls: %w", err)
	}
	return interceptor, nil
}

// procedureAttr names a call in the log.
func procedureAttr(spec connect.Spec) slog.Attr { return slog.String("procedure", spec.Procedure) }
