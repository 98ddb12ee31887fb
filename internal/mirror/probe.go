package mirror

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

const (
	// probeEvery is how often it is looked whether a probe is due.
	probeEvery = time.Second
	// probeMethod is the cheapest question there is: a handful of regions.
	probeMethod = "PlatformService.ListRegions"
)

// probe asks a vendor that has not answered for a while whether it is there again, until
// ctx is done. The budget lets one replica ask at a time; see package budget.
func (m *Mirror) probe(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	method := m.api.ByName(probeMethod)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if due, err := m.budget.ProbeDue(ctx); err != nil || !due {
			continue
		}
		_, err := m.ask(ctx, m.spare, method, method.Input.New().Interface(), method.Output.New().Interface())
		if err != nil && !errors.Is(err, errNoRoom) && ctx.Err() == nil {
			m.log.InfoContext(ctx, "the vendor was asked whether it is there", slog.Any("error", err))
		}
	}
}
