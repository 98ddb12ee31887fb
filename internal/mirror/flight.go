package mirror

import (
	"context"
	"fmt"
	"time"
)

// headroom is what is kept of a caller's deadline, to answer from what we hold when
// the vendor has not answered.
const headroom = 100 * time.Millisecond

// early is a context that ends shortly before its caller's deadline.
func early(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-headroom))
}

// shared does something that others may be doing right now, once for all of them. It
// goes on for whoever still waits when one of them has left, and until Patience ends
// it. Callers wait until shortly before their own deadline.
//
// Until it has ended, each of its callers counts as running, whether still there or not.
func shared[T any](ctx context.Context, m *Mirror, key string, do func(ctx context.Context) (T, error)) (T, error) {
	var none T
	m.running.Add(1) // here, not where it runs: that begins at a time of its own, perhaps after a Wait
	answer := m.flights.DoChan(key, func() (any, error) {
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.Patience)
		defer cancel()
		return do(detached)
	})
	wait, cancel := early(ctx)
	defer cancel()
	select {
	case <-wait.Done():
		go func() {
			defer m.running.Done()
			<-answer
		}()
		return none, wait.Err()
	case result := <-answer:
		m.running.Done()
		if result.Err != nil {
			return none, result.Err
		}
		value, ok := result.Val.(T)
		if !ok {
			return none, fmt.Errorf("sharing %s: it is a %T", key, result.Val)
		}
		return value, nil
	}
}
