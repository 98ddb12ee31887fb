package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/service"
)

// gcPercent has the collector run a quarter as often as by default: what lives for longer than
// a request is little, and what each request makes is much. GOGC says otherwise.
const gcPercent = 400

func runServe(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("agentsvc serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	cfg, err := config.Read(args, getenv, flags)
	if err != nil {
		return fmt.Errorf("the configuration is wrong:\n%w", err)
	}
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
	return runApp(ctx, cfg, knownCallers, log, stdout, nil)
}

// knownCallers are the callers of production.
func knownCallers(_ *db.Store, known *identity.Authenticator) service.Authenticator { return known }
