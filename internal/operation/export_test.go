package operation

import "context"

// EndStrandedOnce is what a worker does now and then.
func (e *Engine) EndStrandedOnce(ctx context.Context) error { return e.endStrandedOnce(ctx) }
