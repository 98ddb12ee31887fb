package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/history"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/service"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// prepareAccounts makes sure that each account has its budget and its queue, and answers
// those that have one and are not configured any more. The default account is always there,
// so a service that has no other also starts while its database is away.
func prepareAccounts(ctx context.Context, store *db.Store, accounts []config.Account, log *slog.Logger) (lost []string, err error) {
	var known []string
	err = store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		for _, account := range accounts[1:] {
			if err := ensureAccount(ctx, q, account.Name); err != nil {
				return err
			}
		}
		var err error
		known, err = q.AccountNames(ctx)
		return err
	})
	switch {
	case err != nil && len(accounts) > 1:
		return nil, fmt.Errorf("preparing the vendor accounts: %w", db.Classify(err))
	case err != nil:
		log.WarnContext(ctx, "looking for accounts that are not configured any more", slog.Any("error", err))
		return nil, nil
	}
	lost = without(known, accounts)
	for _, name := range lost {
		log.WarnContext(ctx, lostAccount, slog.String("account", name))
	}
	return lost, nil
}

const lostAccount = "a vendor account is not configured any more: what is in it cannot be changed or read anew"

// ensureAccount makes sure that an account has its budget and its queue.
func ensureAccount(ctx context.Context, q *db.Queries, name string) error {
	if _, err := q.EnsureAccount(ctx, name); err != nil {
		return err
	}
	return q.EnsureLanes(ctx, name)
}

// without are the names of accounts that are not among some.
func without(names []string, some []config.Account) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(some, func(a config.Account) bool { return a.Name == name })
	})
}

// perAccount is what the work for all vendor accounts has in common.
type perAccount struct {
	cfg    config.Config
	store  *db.Store
	ring   *seal.Ring
	tokens *listing.Tokens
	meters *sdkmetric.MeterProvider
	worker string
	log    *slog.Logger
}

// wire makes what works for one account, with its token and from its budget.
func (p perAccount) wire(account config.Account) (*mirror.Mirror, *operation.Engine, error) {
	log := p.log
	if account.Name != budget.DefaultAccount {
		log = log.With(slog.String("account", account.Name))
	}
	client, err := upstream.New(upstream.Config{
		BaseURL: p.cfg.UpstreamURL, Token: account.Token, Account: account.Name, UserAgent: "agentsvc/" + version, Log: log,
		Meter: p.meters.Meter("agentsvc"),
	})
	if err != nil {
		return nil, nil, err
	}
	limits := budget.Limits{
		PerMinute: p.cfg.PerMinute, PerHour: p.cfg.PerHour, Minute: p.cfg.MinuteWindow, Hour: p.cfg.HourWindow, Guard: p.cfg.RateGuard,
	}
	spent := budget.New(p.store, account.Name, limits, log)
	copied := mirror.New(mirror.Config{Store: p.store, Client: client, Budget: spent, Tokens: p.tokens, Log: log, SyncEvery: p.cfg.SyncEvery})
	engine, err := operation.New(operation.Config{
		Store: p.store, Vendor: client, Budget: spent, History: copied, Ring: p.ring, Log: log, Rules: service.Rules(copied),
		Aim:    history.New(p.store, copied, p.tokens).AimRollback,
		Worker: p.worker, Concurrency: max(p.cfg.Workers, 1), Lease: p.cfg.Lease, Backlog: p.cfg.Backlog,
	})
	return copied, engine, err
}
