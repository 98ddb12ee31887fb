package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
)

const (
	// lookEvery is how often it is looked which accounts have a token.
	lookEvery = 2 * time.Second
	// goneLooks is how often in a row a token must be missing: a file may be replaced by
	// removing it and writing another.
	goneLooks = 2
)

// fleet is the crews of all vendor accounts. Which there are follows the files with their tokens:
// a crew works while there is one.
type fleet struct {
	perAccount

	// crews are all that ever worked, the default account's first, which always does.
	crews   []*crew
	mirrors *mirror.Accounts
	engines *operation.Accounts
	gauge   metric.Int64Gauge
	// told is what the log has of files that are no accounts.
	told map[string]string
	// unshown says that calls are yet to be told who works.
	unshown bool
}

// crew is what works for one account. One whose account lost its token is kept, should it come back.
type crew struct {
	account config.Account
	mirror  *mirror.Mirror
	engine  *operation.Engine
	works   bool
	// stop ends its work, and over is closed once all of it has ended; nil before the first time.
	stop context.CancelFunc
	over chan struct{}
	// missed is how many looks in a row have not found its token.
	missed int
}

// newFleet wires a crew for each account that there is at first; lost are as for [mirror.Accounts.Set].
func newFleet(p perAccount, accounts []config.Account, lost []string) (*fleet, error) {
	f := &fleet{perAccount: p, told: map[string]string{}}
	var err error
	f.gauge, err = p.meters.Meter("agentsvc").Int64Gauge("agentsvc.account.working",
		metric.WithDescription("1 for a vendor account that this replica works for, 0 for one whose token was taken away."))
	if err != nil {
		return nil, fmt.Errorf("making the gauge of accounts: %w", err)
	}
	for _, account := range accounts {
		if _, err := f.hire(account); err != nil {
			return nil, err
		}
	}
	f.mirrors, f.engines = mirror.NewAccounts(lost, f.crews[0].mirror), operation.NewAccounts(f.crews[0].engine)
	f.set(lost)
	return f, nil
}

// hire wires a crew.
func (f *fleet) hire(account config.Account) (*crew, error) {
	copied, engine, err := f.wire(account)
	if err != nil {
		return nil, fmt.Errorf("vendor account %q: %w", account.Name, err)
	}
	c := &crew{account: account, mirror: copied, engine: engine, works: true}
	f.crews = append(f.crews, c)
	return c, nil
}

// start has all crews work until work is done.
func (f *fleet) start(work context.Context, workers *errgroup.Group) {
	for _, c := range f.crews {
		f.begin(work, workers, c)
	}
	if f.cfg.AccountsDir != "" {
		workers.Go(func() error { f.follow(work, workers); return nil })
	}
}

// begin has a crew work until it is stopped or work is done. Whoever waits for one of its changes hears of
// the others' results for as long as this process lives.
func (f *fleet) begin(work context.Context, workers *errgroup.Group, c *crew) {
	if c.over == nil {
		workers.Go(func() error { return c.engine.RunNotifications(work) })
	}
	ctx, stop := context.WithCancel(work)
	over := make(chan struct{})
	c.works, c.missed, c.stop, c.over = true, 0, stop, over
	f.gauge.Record(ctx, 1, metric.WithAttributes(attribute.String("account", c.account.Name)))
	workers.Go(func() error {
		defer close(over)
		var all errgroup.Group
		if f.cfg.Workers > 0 {
			all.Go(func() error { return c.engine.Run(ctx) })
			all.Go(func() error { return c.mirror.Run(ctx) })
		}
		<-ctx.Done()
		err := all.Wait()
		if work.Err() != nil {
			return err
		}
		f.log.WarnContext(work, "nothing works for a vendor account any more; its queue waits until its token is back",
			slog.String("account", c.account.Name), slog.Any("error", err)) // an error: changes under way were left
		return nil
	})
}

// idle returns once nobody asks the vendor anything any more; see [mirror.Mirror.Idle].
func (f *fleet) idle() {
	for _, c := range f.crews {
		c.mirror.Idle()
	}
}

// follow looks again and again which accounts have a token, until work is done.
func (f *fleet) follow(work context.Context, workers *errgroup.Group) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-work.Done():
			return
		case <-tick.C:
		}
		f.tell(work, "", f.look(work, workers))
	}
}

// look has those work whose accounts have a token, and those end who have none. What cannot be found out
// leaves all as it was.
func (f *fleet) look(work context.Context, workers *errgroup.Group) error {
	names, err := f.cfg.AccountNames()
	if err != nil {
		return err
	}
	for _, c := range f.crews[1:] {
		switch {
		case slices.Contains(names, c.account.Name):
			c.missed = 0
		case c.works:
			if c.missed++; c.missed == goneLooks {
				f.dismiss(work, c)
			}
		}
	}
	for _, name := range names {
		f.tell(work, name, f.employ(work, workers, name))
	}
	if !f.unshown {
		return nil
	}
	err = f.show(work)
	f.unshown = err != nil
	return err
}

// dismiss has a crew finish what is under way, and begin nothing more.
func (f *fleet) dismiss(work context.Context, c *crew) {
	f.log.WarnContext(work, lostAccount, slog.String("account", c.account.Name))
	f.gauge.Record(work, 0, metric.WithAttributes(attribute.String("account", c.account.Name)))
	c.works, f.unshown = false, true
	c.stop()
}

// employ has a crew work for the account of a file, unless one does. It says why it cannot.
func (f *fleet) employ(work context.Context, workers *errgroup.Group, name string) error {
	var there *crew
	accounts := make([]config.Account, 0, len(f.crews))
	for _, c := range f.crews {
		switch {
		case c.account.Name == name && (c.works || c.ends()):
			return nil // the latter is for the next look
		case c.account.Name == name:
			there = c
		case c.works:
			accounts = append(accounts, c.account)
		}
	}
	account, err := f.cfg.Account(name, accounts, f.log)
	if err != nil {
		return err
	}
	if need := config.ConnsFor(len(accounts) + 1); f.cfg.DatabaseConns < need {
		return fmt.Errorf("AGENTSVC_DATABASE_CONNS must be at least %d for %d vendor accounts", need, len(accounts)+1)
	}
	err = f.store.Tx(work, db.Durable, func(q *db.Queries) error { return ensureAccount(work, q, name) })
	if err != nil {
		return fmt.Errorf("preparing the vendor account: %w", err)
	}
	if there == nil {
		if there, err = f.hire(account); err != nil {
			return err
		}
	}
	f.begin(work, workers, there)
	f.unshown = true
	f.log.InfoContext(work, "a vendor account was added", slog.String("account", name))
	return nil
}

// ends says that it does not begin anything any more, and has not finished all yet.
func (c *crew) ends() bool {
	select {
	case <-c.over:
		return false
	default:
		return true
	}
}

// show tells calls who works.
func (f *fleet) show(ctx context.Context) error {
	known, err := f.store.AccountNames(ctx)
	if err != nil {
		return fmt.Errorf("looking which vendor accounts there were: %w", db.Classify(err))
	}
	var accounts []config.Account
	for _, c := range f.crews {
		if c.works {
			accounts = append(accounts, c.account)
		}
	}
	f.set(without(known, accounts))
	return nil
}

func (f *fleet) set(lost []string) {
	var mirrors []*mirror.Mirror
	var engines []*operation.Engine
	for _, c := range f.crews[1:] {
		if c.works {
			mirrors, engines = append(mirrors, c.mirror), append(engines, c.engine)
		}
	}
	f.mirrors.Set(lost, mirrors...)
	f.engines.Set(engines...)
}

// tell has the log know once why a file is no account, and again once there is another reason.
func (f *fleet) tell(ctx context.Context, name string, err error) {
	if err == nil {
		delete(f.told, name)
		return
	}
	if f.told[name] != err.Error() {
		f.log.WarnContext(ctx, "a vendor account cannot be added", slog.String("account", name), slog.Any("error", err))
		f.told[name] = err.Error()
	}
}
