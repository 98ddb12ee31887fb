package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/service"
)

// unlimited is how many calls a second a caller may make: more than there will be.
const unlimited = 1_000_000

// anybody takes every call for the same caller's, and looks at nothing.
type anybody struct{}

// Authenticate implements [service.Authenticator].
func (anybody) Authenticate(context.Context, identity.Credentials) (identity.Caller, error) {
	return identity.Caller{Name: "anybody", Teams: []identity.Membership{{Team: "bench", Role: pb.Role_ROLE_OPERATOR, Account: "default"}}}, nil
}

// empty answers WhoAmI with nothing, so that all there is to a call is what it takes to
// let it in.
type empty struct{ *service.Teams }

// WhoAmI is the empty call.
func (empty) WhoAmI(context.Context, *pb.WhoAmIRequest) (*pb.WhoAmIResponse, error) {
	return &pb.WhoAmIResponse{}, nil
}

// serve serves the whole edge of the service, as it is but for who knows callers, and
// with nothing behind it.
func serve(ctx context.Context, store *db.Store, callers service.Authenticator) (url string, stop func(), err error) {
	log := slog.New(slog.DiscardHandler)
	knows := func(context.Context, identity.Caller, string) (bool, error) { return true, nil }
	ours := service.Ours(nil, nil, nil, nil)
	server, err := service.New(service.Config{
		Services: append(append(service.Vendor(service.Backend{}), ours[:len(ours)-1]...), // without TeamService, the last
			service.Serve[agentsvcv1connect.TeamServiceHandler](agentsvcv1connect.TeamServiceName, agentsvcv1connect.NewTeamServiceHandler, empty{})),
		Authenticator: callers, Guard: access.New(store, knows, log), Log: log, Ready: store.Ping,
		Limits: service.CallerLimits{PerSecond: unlimited}, Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())),
	})
	if err != nil {
		return "", nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	serving, done := service.NewHTTPServer(server, nil, log), make(chan error, 1)
	go func() { done <- serving.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() {
		_ = serving.Close() // calls are over by now
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			log.WarnContext(ctx, "serving ended", slog.Any("error", err))
		}
	}, nil
}
