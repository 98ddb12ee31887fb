package genaisim

import (
	"slices"
	"time"
)

const (
	sourceBuiltin = "EVALUATION_METRIC_SOURCE_BUILTIN"
	sourceCustom  = "EVALUATION_METRIC_SOURCE_CUSTOM"
)

// metric is a way to score an answer. It never changes: an update of a custom
// one puts another in its place, so that runs may keep the one they began with.
type metric struct {
	uuid, name, description         string
	scope, category, typ, valueType string
	minimum, maximum                float64
	inverted, goal, groundTruth     bool
	rank                            int
	words                           []string  // from the worst to the best; of metrics whose values are words
	prompt                          string    // for the judge; of custom metrics
	createdAt, updatedAt, deletedAt time.Time // of custom metrics; not deleted if zero
}

type metricView struct {
	UUID              string          `json:"metric_uuid"`
	Name              string          `json:"metric_name"`
	Description       string          `json:"description"`
	Category          string          `json:"category"`
	EvaluationScope   string          `json:"evaluation_scope"`
	Type              string          `json:"metric_type"`
	ValueType         string          `json:"metric_value_type"`
	Rank              int             `json:"metric_rank"`
	RangeMin          float64         `json:"range_min"`
	RangeMax          float64         `json:"range_max"`
	Inverted          bool            `json:"inverted"`
	IsGoal            bool            `json:"is_metric_goal"`
	Source            string          `json:"source"`
	CustomConfig      *judgingView    `json:"custom_eval_config,omitempty"`
	AssociatedPresets []presetRefView `json:"associated_presets"`
}

type judgingView struct {
	ScoringPrompt       string `json:"scoring_prompt"`
	RequiresGroundTruth bool   `json:"requires_ground_truth"`
	CreatedAt           string `json:"created_at"`
	UpdatedAt           string `json:"updated_at"`
	DeletedAt           string `json:"deleted_at,omitempty"`
}

type presetRefView struct {
	UUID string `json:"eval_preset_uuid"`
	Name string `json:"name"`
}

// listAgentMetrics carries out GET /v2/gen-ai/evaluation_metrics.
func listAgentMetrics(c *call) (any, *apiError) { return c.listMetrics(scopeAgent), nil }

// listModelMetrics carries out GET /v2/gen-ai/model_evaluation_metrics.
func listModelMetrics(c *call) (any, *apiError) { return c.listMetrics(scopeModel), nil }

// listMetrics lists the vendor's metrics of a scope, and all custom ones.
func (c *call) listMetrics(scope string) any {
	found := []metricView{}
	for _, m := range c.st.evaluation.metrics {
		if m.usable(scope) {
			found = append(found, c.st.metricView(m))
		}
	}
	return struct {
		Metrics []metricView `json:"metrics"`
	}{found}
}

func (m *metric) custom() bool { return !m.createdAt.IsZero() }

// usable says whether new evaluations of a scope can have the metric.
func (m *metric) usable(scope string) bool {
	return m.deletedAt.IsZero() && (m.custom() || m.scope == scope)
}

func (m *metric) id() string { return m.uuid }

// metric is the metric with an id as it is now, deleted or not, nil if there is
// none.
func (st *state) metric(id string) *metric {
	return find(st.evaluation.metrics, id, (*metric).id)
}

// metricsFor are the metrics with some ids. All must be usable in a scope.
func (st *state) metricsFor(scope string, ids []string) ([]*metric, *apiError) {
	metrics := make([]*metric, 0, len(ids))
	for _, id := range ids {
		m := st.metric(id)
		if m == nil || !m.usable(scope) {
			return nil, notFound("The evaluation metric", id)
		}
		metrics = append(metrics, m)
	}
	return metrics, nil
}

func (st *state) metricViews(metrics []*metric) []metricView { return mapped(metrics, st.metricView) }

func (st *state) metricView(m *metric) metricView {
	view := metricView{
		UUID: m.uuid, Name: m.name, Description: m.description, Category: m.category, EvaluationScope: m.scope, Type: m.typ,
		ValueType: m.valueType, Rank: m.rank, RangeMin: m.minimum, RangeMax: m.maximum, Inverted: m.inverted, IsGoal: m.goal,
		Source: sourceBuiltin, AssociatedPresets: []presetRefView{},
	}
	if m.custom() {
		view.Source = sourceCustom
		view.CustomConfig = &judgingView{
			ScoringPrompt: m.prompt, RequiresGroundTruth: m.groundTruth, CreatedAt: stamp(m.createdAt), UpdatedAt: stamp(m.updatedAt),
		}
		if !m.deletedAt.IsZero() {
			view.CustomConfig.DeletedAt = stamp(m.deletedAt)
		}
	}
	for _, preset := range st.evaluation.presets {
		if slices.Contains(preset.metrics, m.uuid) {
			view.AssociatedPresets = append(view.AssociatedPresets, presetRefView{preset.uuid, preset.name})
		}
	}
	return view
}
