package mirror

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const (
	metricKind      = "evaluation_metric"
	modelMetricKind = "model_evaluation_metric"
)

// metrics are the vendor's, which everybody sees, and teams' own.
func metrics(name, list string) *kind {
	return &kind{
		name: name, summary: (*pb.EvaluationMetric)(nil), full: (*pb.EvaluationMetric)(nil), list: list, items: "metrics",
		columns: columns{
			uuid: "metric_uuid", name: "metric_name", created: "custom_eval_config.created_at", updated: "custom_eval_config.updated_at",
			deleted: "custom_eval_config.deleted_at",
		},
		attributes: map[string]string{
			"category": "category", "metric_type": "metric_type", "source": "source", "evaluation_scope": "evaluation_scope",
		},
		volatile: []string{"associated_presets", "metric_rank", "vendor_extra"},
		stamps:   []string{"custom_eval_config.updated_at"},
		shared:   builtIn,
		mentions: map[string]string{"associated_presets": presetKind}, // the vendor tells all teams' of its own metrics
	}
}

// builtIn says that a metric is the vendor's. Where the vendor does not say whose it is, one
// that is judged by somebody's own words is not.
func builtIn(m proto.Message) bool {
	metric, ok := m.(*pb.EvaluationMetric)
	switch metric.GetSource() {
	case pb.EvaluationMetric_EVALUATION_METRIC_SOURCE_BUILTIN:
		return ok
	case pb.EvaluationMetric_EVALUATION_METRIC_SOURCE_UNSPECIFIED:
		return ok && metric.GetCustomEvalConfig() == nil && len(metric.GetVendorExtra().GetFields()) == 0
	default:
		return false
	}
}

// agentMetrics are the metrics for agents, and the row by which a team owns one of its own.
func agentMetrics() *kind {
	k := metrics(metricKind, "EvaluationService.ListEvaluationMetrics")
	k.parts = metricParts{}
	return k
}

// modelMetrics are those for models. A team's own is in both lists, and owned and told of
// once.
func modelMetrics() *kind {
	k := metrics(modelMetricKind, "ModelEvaluationService.ListModelEvaluationMetrics")
	k.part, k.untold = &partOf{kind: metricKind, path: "metric_uuid"}, true
	return k
}

// metricParts keeps the other row of a team's own metric, so that it can be used for models
// without their list being read again.
type metricParts struct{}

func (metricParts) stored(ctx context.Context, q *db.Queries, s storing) error {
	metric, ok := s.after.(*pb.EvaluationMetric)
	if !ok {
		return fmt.Errorf("a %T is no metric", s.after)
	}
	k := modelMetrics()
	if k.shared(metric) || metric.GetEvaluationScope() == pb.EvaluationMetric_EVALUATION_SCOPE_AGENT {
		return nil // the vendor's list says which of its own are for models
	}
	own, err := q.Resource(ctx, dbsql.ResourceParams{Kind: metricKind, UUID: s.id})
	if err != nil {
		return fmt.Errorf("reading metric %s: %w", s.id, err)
	}
	row, err := q.LockResource(ctx, dbsql.LockResourceParams{Kind: k.name, UUID: s.id})
	switch {
	case db.NoRows(err):
	case err != nil:
		return fmt.Errorf("locking the row for models of metric %s: %w", s.id, err)
	case newer(&row, s.at):
		return nil
	}
	params, err := k.row(s.id, metric)
	if err != nil {
		return err
	}
	params.Account, params.Body, params.Summary = own.Account, s.text, s.text
	params.BodySyncedAt, params.SummarySyncedAt = &s.at, &s.at
	if _, err := q.UpsertResource(ctx, params); err != nil {
		return fmt.Errorf("storing metric %s for models: %w", s.id, err)
	}
	return nil
}

func (metricParts) removed(context.Context, *db.Queries, uuid.UUID, cause) error {
	return nil // it goes as every part does
}

func (metricParts) applied(context.Context, *db.Queries, Change, target) (Effect, bool, error) {
	return Effect{}, false, nil
}

func (metricParts) told(Change, target, proto.Message, proto.Message) (Effect, bool, error) {
	return Effect{}, false, nil
}
