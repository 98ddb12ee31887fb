package identity

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// channel is told by triggers of every change of tokens, principals, memberships, teams and freezes.
	channel = "agentsvc_identity"
	// relisten is the pause before listening again after the connection broke.
	relisten = time.Second
	// refreshEvery is how often it is looked whose keys are old.
	refreshEvery = time.Minute
	// touchEvery is how often it is written which tokens were used.
	touchEvery = 15 * time.Second
	// lastTouch bounds that at the end.
	lastTouch = 2 * time.Second
)

// Run listens for what changes, keeps the keys of issuers fresh and writes down which
// tokens were used, until ctx is done. Without it the authenticator works, and asks the
// database for each call.
func (a *Authenticator) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.listen(ctx) })
	group.Go(func() error {
		every(ctx, refreshEvery, func() { a.issuers.Refresh(ctx) })
		return nil
	})
	group.Go(func() error {
		every(ctx, touchEvery, func() { a.touch(ctx) })
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTouch)
		defer cancel()
		a.touch(last)
		return nil
	})
	return group.Wait()
}

// listen has callers remembered as long as changes are heard of.
func (a *Authenticator) listen(ctx context.Context) error {
	for {
		err := a.store.ListenAlive(ctx, channel, func() { a.cache.listen(true) }, func(string) {
			a.cache.forget()
			a.changed()
		})
		a.cache.listen(false)
		if ctx.Err() == nil {
			a.log.WarnContext(ctx, "changes of who may what are not heard of: nobody is remembered until they are", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(relisten):
		}
	}
}

// touch writes down which tokens were used. What cannot be written is forgotten: the
// next use tells the same.
func (a *Authenticator) touch(ctx context.Context) {
	ids := a.cache.takeUsed()
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	if err := a.store.TouchTokens(ctx, ids); err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "writing when tokens were used", slog.Any("error", err))
	}
}

// every does something again and again until ctx is done.
func every(ctx context.Context, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}
