package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/audit/sink"
	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
)

// history is what seals the history and tells others of it: one replica at a time does each.
type history struct {
	sealer *ledger.Sealer
	sinks  []*sink.Sink
	file   *sink.File // nil: none
}

// newHistory prepares what the configuration asks for. stdout is for the history alone; the
// log goes elsewhere.
func newHistory(cfg config.Audit, store *db.Store, log *slog.Logger, stdout io.Writer) (*history, error) {
	sealing := ledger.Config{Store: store, Log: log, CheckpointEvery: cfg.CheckpointEvery}
	if cfg.KeyFile != "" {
		var err error
		if sealing.Signers, err = evidence.LoadSigners(cfg.KeyFile); err != nil {
			return nil, err
		}
	}
	h := &history{sealer: ledger.NewSealer(sealing)}
	if cfg.CheckpointFile != "" {
		h.file = &sink.File{Path: cfg.CheckpointFile, Store: store, Log: log}
	}
	if cfg.WebhookURL != "" {
		secret, err := cfg.WebhookSecret()
		if err != nil {
			return nil, err
		}
		h.sinks = append(h.sinks, &sink.Sink{Name: "webhook", Store: store, Target: sink.NewWebhook(cfg.WebhookURL, secret), Log: log})
	}
	if cfg.Stdout {
		h.sinks = append(h.sinks, &sink.Sink{Name: "stdout", Store: store, Target: &sink.Writer{W: stdout}, Log: log})
	}
	return h, nil
}

// start has workers run it all until ctx is done.
func (h *history) start(ctx context.Context, workers *errgroup.Group) {
	workers.Go(func() error { return h.sealer.Run(ctx) })
	for _, s := range h.sinks {
		workers.Go(func() error { return s.Run(ctx) })
	}
	if h.file != nil {
		workers.Go(func() error { return h.file.Run(ctx) })
	}
}

// warnOfOwnership says in the log when the service's role could undo the history's refusals.
func warnOfOwnership(ctx context.Context, store *db.Store, log *slog.Logger) {
	owner, err := store.OwnsHistory(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		log.WarnContext(ctx, "asking what the database role may do", slog.Any("error", fmt.Errorf("reading its rights: %w", err)))
	case owner:
		log.InfoContext(ctx, "the database role owns the history's tables: give the service a role of its own with `agentsvc migrate up --app-role`")
	}
}
