package genaisim

import (
	"reflect"
	"slices"
)

type metricAnswer struct {
	Metric metricView `json:"metric"`
}

// createMetric carries out POST /v2/gen-ai/custom_evaluation_metrics. Names may
// repeat.
func createMetric(c *call) (any, *apiError) {
	m := metric{
		scope: scopeUnset, category: categoryUnset, typ: metricTypeUnset, valueType: valuePercentage, maximum: 100,
		rank: len(c.st.evaluation.metrics) + 1, createdAt: c.now, updatedAt: c.now,
	}
	m.merge(c.body, c.op.body)
	if m.name == "" || m.prompt == "" {
		return nil, badRequest("metric_name and config.scoring_prompt are required")
	}
	m.uuid = c.st.random.uuid()
	c.st.evaluation.metrics = append(c.st.evaluation.metrics, &m)
	c.resource = m.uuid
	c.didf("created custom metric %s", m.uuid)
	return metricAnswer{c.st.metricView(&m)}, nil
}

// updateMetric carries out PUT
// /v2/gen-ai/custom_evaluation_metrics/{metric_uuid}.
func updateMetric(c *call) (any, *apiError) {
	i, fail := c.customMetric()
	if fail != nil {
		return nil, fail
	}
	metrics := c.st.evaluation.metrics
	next := *metrics[i]
	next.merge(c.body, c.op.body)
	if !reflect.DeepEqual(next, *metrics[i]) {
		next.updatedAt = c.now
		c.st.evaluation.metrics = replaceAt(metrics, i, &next)
		c.didf("updated custom metric %s", next.uuid)
	}
	return metricAnswer{c.st.metricView(&next)}, nil
}

// deleteMetric carries out DELETE
// /v2/gen-ai/custom_evaluation_metrics/{metric_uuid}. Runs and old versions of
// test cases still show the metric.
func deleteMetric(c *call) (any, *apiError) {
	i, fail := c.customMetric()
	if fail != nil {
		return nil, fail
	}
	next := *c.st.evaluation.metrics[i]
	if user := c.st.userOfMetric(next.uuid); user != "" {
		return nil, conflict("custom metric %s is in use by %s", next.uuid, user)
	}
	next.deletedAt = c.now
	c.st.evaluation.metrics = replaceAt(c.st.evaluation.metrics, i, &next)
	c.didf("deleted custom metric %s", next.uuid)
	return struct{}{}, nil
}

// merge sets the fields that are given.
func (m *metric) merge(given fields, sc *schema) {
	set(&m.name)(given.text("metric_name"))
	set(&m.description)(given.text("description"))
	config := given.inner("config", sc)
	set(&m.prompt)(config.text("scoring_prompt"))
	set(&m.groundTruth)(config.boolean("requires_ground_truth"))
}

// customMetric finds the place of the metric the path names. The vendor's own
// cannot be changed.
func (c *call) customMetric() (int, *apiError) {
	id := c.params["metric_uuid"]
	i := indexOf(c.st.evaluation.metrics, id, (*metric).id)
	switch {
	case i < 0 || !c.st.evaluation.metrics[i].deletedAt.IsZero():
		return 0, notFound("The custom evaluation metric", id)
	case !c.st.evaluation.metrics[i].custom():
		return 0, badRequest("metric %s is built in and cannot be changed", id)
	}
	c.resource = id
	return i, nil
}

// userOfMetric names a test case or a preset that new runs would take a metric
// from, empty if there is none.
func (st *state) userOfMetric(id string) string {
	for _, tc := range st.evaluation.testCases {
		if slices.Contains(tc.latest().metrics, id) {
			return "test case " + tc.uuid
		}
	}
	for _, preset := range st.evaluation.presets {
		if slices.Contains(preset.metrics, id) {
			return "preset " + preset.uuid
		}
	}
	return ""
}
