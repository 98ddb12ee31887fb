package genaisim

// usualBar is how good a value must be, between 0 and 1, where nothing says so.
const usualBar = 0.8

// starMetric is the metric that decides whether an evaluation has passed. It
// never changes.
type starMetric struct {
	UUID         string   `json:"metric_uuid"`
	Name         string   `json:"name"`
	Threshold    *float64 `json:"success_threshold,omitempty"`
	ThresholdPct *int64   `json:"success_threshold_pct,omitempty"`
}

// star reads a star metric, named by its id or its name, which must be one of
// some metrics. It is nil if none is given.
func (c *call) star(metrics []*metric) (*starMetric, *apiError) {
	given := c.body.inner("star_metric", c.op.body)
	if len(given) == 0 {
		return nil, nil
	}
	id, byID := given.id("metric_uuid")
	name, _ := given.text("name")
	for _, m := range metrics {
		if byID && m.uuid != id || !byID && m.name != name {
			continue
		}
		star := &starMetric{UUID: m.uuid, Name: m.name}
		if threshold, ok := given.number("success_threshold"); ok {
			star.Threshold = &threshold
			if onScale := threshold >= m.minimum && threshold <= m.maximum; !onScale {
				return nil, badRequest("success_threshold must be between %v and %v", m.minimum, m.maximum)
			}
		}
		if pct, ok := given.integer("success_threshold_pct"); ok {
			star.ThresholdPct = &pct
			if pct < 0 || pct > 100 {
				return nil, badRequest("success_threshold_pct must be between 0 and 100")
			}
		}
		return star, nil
	}
	return nil, badRequest("star_metric must be one of the metrics")
}

// bar is how good a value of a metric must be to pass, between 0 and 1. The
// star, which may be nil, says so for its own metric.
func (m *metric) bar(star *starMetric) float64 {
	switch {
	case star == nil || star.UUID != m.uuid:
		return usualBar
	case star.Threshold != nil:
		return m.goodness(*star.Threshold)
	case star.ThresholdPct != nil:
		return float64(*star.ThresholdPct) / 100
	}
	return usualBar
}

// goodness is how good a value is, from 0 for the worst to 1 for the best.
func (m *metric) goodness(value float64) float64 {
	if m.inverted {
		return (m.maximum - value) / (m.maximum - m.minimum)
	}
	return (value - m.minimum) / (m.maximum - m.minimum)
}
