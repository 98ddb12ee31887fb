package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/localpg"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/service"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// devDatabase is made anew at each start, because the simulated vendor is: a mirror
// and a history of agents that never existed would only confuse.
const devDatabase = "agentsvc_dev"

// runDev runs all in one process for a first look: Postgres, the simulated vendor,
// the service, demo teams and agents. Its tokens are known to everybody, so it
// listens on loopback alone.
func runDev(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("agentsvc dev", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8080", "loopback `address` of the service")
	simListen := flags.String("sim-listen", "127.0.0.1:8081", "loopback `address` of the simulated vendor")
	dataDir := flags.String("data-dir", filepath.Join(".agentsvc", "dev"), "`folder` for Postgres and keys")
	verbose := flags.Bool("verbose", false, "log everything")
	sim := genaisim.Config{}
	genaisim.BindFlags(flags, &sim)
	if err := flags.Parse(args); err != nil {
		return err
	}
	sim.Strict = true
	origins, err := config.Origins(getenv)
	if err != nil {
		return err
	}
	for _, address := range []string{*listen, *simListen} {
		if err := loopback(address); err != nil {
			return err
		}
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	sim.Log = log

	say := func(format string, a ...any) { _, _ = fmt.Fprintf(stdout, format+"\n", a...) }
	say("starting Postgres …")
	postgres, err := localpg.Start(ctx, localpg.Options{URL: getenv("DATABASE_URL"), DataDir: filepath.Join(*dataDir, "postgres"), Log: log, Fsync: true})
	if err != nil {
		return fmt.Errorf("starting Postgres: %w", err)
	}
	defer func() {
		if err := postgres.Stop(); err != nil {
			log.WarnContext(ctx, "stopping Postgres", slog.Any("error", err))
		}
	}()
	url, appURL, err := freshDatabase(ctx, postgres.URL(), log)
	if err != nil {
		return err
	}
	cfg := devConfig(sim)
	if err := devKeys(*dataDir, &cfg); err != nil {
		return err
	}
	urlFile := filepath.Join(*dataDir, "database.url")
	if err := writePrivate(urlFile, url); err != nil {
		return err
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *simListen)
	if err != nil {
		return fmt.Errorf("listening for the simulated vendor: %w", err)
	}
	vendor := genaisim.New(sim)
	simContext, stopSim := context.WithCancel(context.WithoutCancel(ctx)) // the vendor outlasts us, as it would
	simDone := make(chan error, 1)
	go func() { simDone <- genaisim.Serve(simContext, listener, vendor) }()
	defer func() {
		stopSim()
		if err := <-simDone; err != nil {
			log.WarnContext(ctx, "stopping the simulated vendor", slog.Any("error", err))
		}
	}()

	cfg.DatabaseURL, cfg.Listen, cfg.CORSOrigins = appURL, *listen, origins
	cfg.UpstreamURL = "http://" + listener.Addr().String()
	stopping := context.AfterFunc(ctx, func() { say("stopping: calls under way may finish …") })
	defer stopping()
	return runApp(ctx, cfg, devTokens, log, io.Discard, func(ctx context.Context, address string) error {
		say("Postgres: %s", postgres.How())
		d := demo{service: "http://" + address, vendor: cfg.UpstreamURL, http: &http.Transport{}}
		if err := d.teams(ctx, url); err != nil {
			return fmt.Errorf("making the demo teams: %w", err)
		}
		say("making demo agents …")
		if err := d.agents(ctx); err != nil {
			return fmt.Errorf("making the demo agents: %w", err)
		}
		say(`
service    %s   (gRPC, gRPC-Web and Connect; /healthz /readyz /metrics)
simulator  %s   (GET /_sim/requests shows what was sent to the vendor)
database   its URL is in %s, for agentsvc audit, account, team and token
tokens     dev-admin dev-auditor dev-payments-owner dev-payments-viewer dev-search-owner
agents     %s
ready`, d.service, d.vendor, urlFile, d.summary())
		return nil
	})
}

// devConfig is what does not depend on where things are.
func devConfig(sim genaisim.Config) config.Config {
	cfg := config.Default()
	cfg.Token, cfg.SyncEvery = "dev-vendor-token", 10*time.Second
	cfg.PerMinute, cfg.PerHour = sim.RatePerMinute, sim.RatePerHour
	if cfg.PerMinute == 0 || cfg.PerHour == 0 { // an unlimited simulator
		cfg.PerMinute, cfg.PerHour = 1_000_000, 1_000_000
	}
	return cfg
}

func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address such as 127.0.0.1:8080: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not a loopback address: the tokens of agentsvc dev are known to everybody", address)
	}
	return nil
}

// devRole is the role of the service, which owns nothing, as in production.
const devRole = "agentsvc_dev_app"

// freshDatabase makes the demo's database anew and answers its URL, for its owner and for
// the service. A server on which we may make no role has the service run as the owner.
func freshDatabase(ctx context.Context, server string, log *slog.Logger) (owner, app string, err error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", "", fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // it has done its work
	name := pgx.Identifier{devDatabase}.Sanitize()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", "", fmt.Errorf("making the demo's database: %w", err)
		}
	}
	if owner, err = withDatabase(server, devDatabase); err != nil {
		return "", "", err
	}
	if err := migrate.Up(ctx, owner); err != nil {
		return "", "", err
	}
	if err := migrate.Grant(ctx, owner, devRole); err != nil {
		log.WarnContext(ctx, "the service runs as the owner of its tables", slog.Any("error", err))
		return owner, owner, nil
	}
	app, err = withRole(owner, devRole)
	return owner, app, err
}

// devKeys are a seal key and a key for checkpoints, made at the first start.
func devKeys(dir string, cfg *config.Config) error {
	cfg.SealKeysFile, cfg.Audit.KeyFile = filepath.Join(dir, "seal.keys"), filepath.Join(dir, "audit.key")
	cfg.Audit.CheckpointEvery = 10 * time.Second
	sealKey, err := seal.NewKey("dev")
	if err != nil {
		return err
	}
	private, public, err := evidence.NewKey("agentsvc-dev")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for path, text := range map[string]string{cfg.SealKeysFile: sealKey, cfg.Audit.KeyFile: "# " + public + "\n" + private} {
		if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writePrivate leaves text in the file path, for us alone to read: it may hold a password.
func writePrivate(path, text string) error {
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(unfinished, []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// devTokens are callers whose tokens are their names.
func devTokens(store *db.Store, known *identity.Authenticator) service.Authenticator {
	subjects := make(map[string]string)
	for _, p := range demoPeople() {
		subjects[p.token] = p.subject
	}
	return identity.NewFixed(store, subjects, known)
}
