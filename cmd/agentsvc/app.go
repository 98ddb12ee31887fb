package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"golang.org/x/sync/errgroup"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/history"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/resource"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/service"
	"github.com/agentsvc/agentsvc/internal/team"
)

const (
	// lameDuck is how long calls are still taken after health checks were told that
	// there will be no more, so that balancers can look elsewhere first.
	lameDuck = time.Second
	// finish is how long calls under way may take at the end. Streams end at once; halfway,
	// calls that still wait are told under which id their work goes on.
	finish = 20 * time.Second
	// partitionsEvery is how often the next months of the history are made ready.
	partitionsEvery = 12 * time.Hour
	// partitionsAgain is when it is tried again after an error: it gives way to whoever
	// reads the history for long.
	partitionsAgain = 10 * time.Minute
	// partitionMonths is how many of them.
	partitionMonths = 3
)

// app is the service, wired and not started.
type app struct {
	cfg      config.Config
	log      *slog.Logger
	store    *db.Store
	fleet    *fleet
	callers  *identity.Authenticator
	guard    *access.Guard
	sealing  *sealing
	server   *service.Server
	tls      *tls.Config
	listener net.Listener
}

// authenticator tells who a token speaks for; "agentsvc dev" knows others besides those
// that are known.
type authenticator func(store *db.Store, known *identity.Authenticator) service.Authenticator

// runApp serves until ctx is done, then stops in order: no new calls, calls under
// way, workers, database. started is called once calls are taken.
func runApp(
	ctx context.Context, cfg config.Config, auth authenticator, log *slog.Logger, stdout io.Writer,
	started func(ctx context.Context, address string) error,
) error {
	pool, err := db.Open(ctx, cfg.DatabaseURL, func(c *pgxpool.Config) { c.MaxConns = int32(cfg.DatabaseConns) })
	if err != nil {
		return err
	}
	defer pool.Close()
	accounts, err := cfg.Accounts(log)
	if err != nil {
		return err
	}
	lost, err := prepareAccounts(ctx, db.New(pool), accounts, log)
	if err != nil {
		return err
	}
	a, err := wire(cfg, pool, accounts, lost, auth, log)
	if err != nil {
		return err
	}
	if a.sealing, err = newSealing(cfg.Audit, a.store, log, stdout); err != nil {
		return err
	}
	if a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return a.run(ctx, started)
}

func wire(
	cfg config.Config, pool *pgxpool.Pool, accounts []config.Account, lost []string, auth authenticator, log *slog.Logger,
) (*app, error) {
	ring, err := seal.Load(cfg.SealKeysFile)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("preparing metrics: %w", err)
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	if need := config.ConnsFor(len(accounts)); cfg.DatabaseConns < need {
		return nil, fmt.Errorf("AGENTSVC_DATABASE_CONNS must be at least %d for %d vendor accounts", need, len(accounts))
	}
	store := db.New(pool)
	tokens := listing.NewTokens(ring.Derive("page tokens"))
	a := &app{cfg: cfg, log: log, store: store}
	shared := perAccount{cfg: cfg, store: store, ring: ring, tokens: tokens, meters: meters, worker: workerName(), log: log}
	if a.fleet, err = newFleet(shared, accounts, lost); err != nil {
		return nil, err
	}
	copied, engines := a.fleet.mirrors, a.fleet.engines
	past := history.New(store, copied, tokens)
	if a.tls, err = cfg.TLS(); err != nil {
		return nil, err
	}
	events := audit.NewReader(store, tokens)
	events.LimitExports(cfg.Exports())
	issuers, err := cfg.Issuers()
	if err != nil {
		return nil, err
	}
	a.guard = access.New(store, copied.Knows, log)
	a.callers = identity.New(store, identity.Config{Issuers: issuers, Log: log, Changed: a.guard.ForgetFreezes})
	rights := service.Rights{Authenticator: auth(store, a.callers), Guard: a.guard}
	a.server, err = service.New(service.Config{
		Services: append(service.Vendor(service.Backend{Mirror: copied, Operations: engines, Rights: rights, History: past}), service.Ours(
			&service.Operations{Operations: engines, Lister: operation.NewLister(store, tokens), Rights: rights},
			&service.Audit{Reader: events, Prover: ledger.NewProver(store), History: past},
			&service.Resources{Reader: resource.NewReader(store, tokens), Claimer: resource.NewClaimer(store, copied)},
			&service.Teams{Registry: team.New(store, tokens), Guard: a.guard},
		)...),
		Authenticator: rights.Authenticator,
		Guard:         rights.Guard,
		Exporter:      events,
		Resolve:       service.Resolve(copied, engines),
		Log:           log,
		Ready:         func(ctx context.Context) error { return schemaCurrent(ctx, pool) },
		Metrics:       promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		Meters:        meters,
		Origins:       cfg.CORSOrigins,
		Limits:        service.CallerLimits{PerSecond: cfg.CallerRate, Streams: cfg.CallerStreams},
	})
	return a, err
}

func (a *app) run(ctx context.Context, started func(ctx context.Context, address string) error) error {
	// Workers outlast the server: the calls it finishes wait for them.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	workers, work := errgroup.WithContext(work)
	workers.Go(func() error { return a.keepPartitions(work) })
	workers.Go(func() error { return a.callers.Run(work) })
	workers.Go(func() error { return a.guard.RunDenials(work) })
	workers.Go(func() error { warnOfOwnership(work, a.store, a.log); return nil })
	a.sealing.start(work, workers)
	a.fleet.start(work, workers)

	server := service.NewHTTPServer(a.server, a.tls, a.log)
	calls, endCalls := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endCalls(nil)
	server.BaseContext = func(net.Listener) context.Context { return calls }
	served := make(chan error, 1)
	go func() {
		if a.tls != nil {
			served <- server.ServeTLS(a.listener, "", "")
			return
		}
		served <- server.Serve(a.listener)
	}()
	a.log.InfoContext(ctx, "serving", slog.String("address", a.listener.Addr().String()), slog.String("version", version))

	var problem error
	if started != nil {
		problem = started(ctx, a.listener.Addr().String())
	}
	if problem == nil {
		select {
		case <-ctx.Done():
		case problem = <-served:
		case <-work.Done(): // a worker broke off
		}
	}
	a.stop(ctx, server, endCalls)
	stopWork()
	err := workers.Wait()
	a.fleet.idle()
	return errors.Join(problem, err)
}

// stop takes no new calls and lets those under way finish.
func (a *app) stop(ctx context.Context, server *http.Server, endCalls context.CancelCauseFunc) {
	a.log.InfoContext(ctx, "stopping")
	a.server.SetServing(false)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), lameDuck+finish)
	defer cancel()
	select {
	case <-grace.Done():
	case <-time.After(lameDuck):
	}
	a.server.EndStreams()
	halfway := time.AfterFunc(finish/2, func() { endCalls(service.ErrStopping) })
	defer halfway.Stop()
	if err := server.Shutdown(grace); err != nil {
		a.log.WarnContext(ctx, "calls were broken off", slog.Any("error", err))
		_ = server.Close() // Shutdown said already what is wrong
	}
}

// keepPartitions makes the history's next months ready. A month that is missed lands
// in the default partition, so an error only waits for the next time, which is soon.
func (a *app) keepPartitions(ctx context.Context) error {
	for {
		err := a.store.EnsureAuditPartitions(ctx, partitionMonths)
		if err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "making the history's next months ready", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(partitionsPause(err)):
		}
	}
}

// partitionsPause is how long to wait after an attempt that ended so.
func partitionsPause(err error) time.Duration {
	if err != nil {
		return partitionsAgain
	}
	return partitionsEvery
}

func schemaCurrent(ctx context.Context, pool *pgxpool.Pool) error {
	have, err := migrate.Current(ctx, pool)
	if err != nil {
		return db.Classify(err)
	}
	if want := migrate.Latest(); have < want {
		return &fault.Error{
			Reason: pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE,
			Public: fmt.Sprintf("the database's schema is at version %d, this program needs %d: run agentsvc migrate up", have, want),
		}
	}
	return nil
}

// workerName tells replicas apart for people who look at leases.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + strconv.Itoa(os.Getpid()) + "/" + strconv.FormatInt(time.Now().UnixNano(), 36) //nolint:forbidigo // a name, not a decision
}
