package genaisim

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strconv"
)

const (
	resultCompleted = "EVALUATION_METRIC_RESULT_STATUS_COMPLETED"
	resultSkipped   = "EVALUATION_METRIC_RESULT_STATUS_SKIPPED"
)

// score is what a metric says of an answer, or of all answers of a run.
type score struct {
	metric  *metric
	good    float64 // from 0 for the worst to 1 for the best
	skipped bool    // for lack of ground truth
}

type metricResultView struct {
	MetricUUID       string   `json:"metric_uuid"`
	MetricName       string   `json:"metric_name"`
	ValueType        string   `json:"metric_value_type"`
	Status           string   `json:"status"`
	NumberValue      *float64 `json:"number_value,omitempty"`
	StringValue      string   `json:"string_value,omitempty"`
	Reasoning        string   `json:"reasoning,omitempty"`
	ErrorDescription string   `json:"error_description,omitempty"`
}

// dice fall the same way for the same words, so that what is made up about
// something stays so.
func dice(words ...string) *rand.Rand {
	hash := fnv.New64a()
	for _, word := range words {
		_, _ = hash.Write([]byte(word + "\n")) // never fails
	}
	return rand.New(rand.NewPCG(hash.Sum64(), 0)) //nolint:gosec // G404: repeatable on purpose
}

// scoreRow makes up what metrics say of the answer to one row of a dataset.
// Some runs do better than others.
func scoreRow(run string, row int, metrics []*metric, d *dataset) []score {
	const worstRun, spread = 0.6, 0.3
	quality := worstRun + (1-worstRun)*dice(run).Float64()
	scores := make([]score, 0, len(metrics))
	for _, m := range metrics {
		luck := dice(run, m.uuid, strconv.Itoa(row)).Float64() - 0.5
		scores = append(scores, score{
			metric: m, good: round(min(max(quality+spread*luck, 0), 1)), skipped: m.groundTruth && !d.groundTruth,
		})
	}
	return scores
}

// averages are the scores of a run, from those of its rows. There is at least
// one row, and all have scores of the same metrics.
func averages(rows [][]score) []score {
	result := make([]score, 0, len(rows[0]))
	for i, first := range rows[0] {
		sum := 0.0
		for _, scores := range rows {
			sum += scores[i].good
		}
		result = append(result, score{metric: first.metric, good: round(sum / float64(len(rows))), skipped: first.skipped})
	}
	return result
}

// passes says whether a score is good enough. The star, which may be nil, says
// what that means for its metric.
func (s score) passes(star *starMetric) bool {
	const rounding = 1e-9
	return !s.skipped && s.good >= s.metric.bar(star)-rounding
}

// value is the score on the metric's scale.
func (s score) value() float64 {
	width := s.metric.maximum - s.metric.minimum
	if s.metric.inverted {
		return round(s.metric.maximum - width*s.good)
	}
	return round(s.metric.minimum + width*s.good)
}

// word is the score in words, of a metric that has some.
func (s score) word() string {
	words := s.metric.words
	return words[min(int(s.good*float64(len(words))), len(words)-1)]
}

func (s score) view() metricResultView {
	view := metricResultView{
		MetricUUID: s.metric.uuid, MetricName: s.metric.name, ValueType: s.metric.valueType, Status: resultCompleted,
	}
	switch {
	case s.skipped:
		view.Status, view.ErrorDescription = resultSkipped, "the dataset has no ground truth"
		return view
	case s.metric.valueType == valueString:
		view.StringValue = s.word()
	default:
		view.NumberValue = new(s.value())
	}
	view.Reasoning = "Made up: " + strconv.FormatFloat(100*s.good, 'f', 0, 64) + " percent of the best there could be."
	return view
}

// round keeps four digits, so that sums of what is shown add up.
func round(value float64) float64 {
	const digits = 1e4
	return math.Round(value*digits) / digits
}
