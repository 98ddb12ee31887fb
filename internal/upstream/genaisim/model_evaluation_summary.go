package genaisim

import "slices"

const millionTokens = 1e6

// resultSummaryView sums up a run. Where the vendor does not document what is
// within, the fields are those its Go client has.
type resultSummaryView struct {
	StartTime            string               `json:"start_time"`
	EndTime              string               `json:"end_time"`
	TotalDurationSeconds int64                `json:"total_duration_seconds"`
	OverallScorePercent  float64              `json:"overall_score_percent"`
	MetricSummaries      []metricSummaryView  `json:"metric_summaries"`
	StarMetricSummary    *starSummaryView     `json:"star_metric_summary,omitempty"`
	Performance          performanceView      `json:"performance_metrics"`
	Pricing              evaluationPricesView `json:"pricing"`
	PerModel             *perModelView        `json:"per_model_summaries,omitempty"` // of routers
}

type metricSummaryView struct {
	MetricUUID   string  `json:"metric_uuid"`
	MetricName   string  `json:"metric_name"`
	Description  string  `json:"description"`
	PassCount    int     `json:"pass_count"`
	PassPercent  float64 `json:"pass_percent"`
	FailCount    int     `json:"fail_count"`
	FailPercent  float64 `json:"fail_percent"`
	SkippedCount int     `json:"skipped_count"`
	SkipPercent  float64 `json:"skip_percent"`
}

type starSummaryView struct {
	MetricUUID string  `json:"metric_uuid"`
	MetricName string  `json:"metric_name"`
	Threshold  float64 `json:"threshold"`
}

type performanceView struct {
	CandidateLatency latencyView    `json:"candidate_latency"`
	TokenUsage       tokenUsageView `json:"token_usage"`
}

type latencyView struct {
	Avg float64 `json:"avg_e2e_latency_ms"`
	Min float64 `json:"min_e2e_latency_ms"`
	Max float64 `json:"max_e2e_latency_ms"`
	P50 float64 `json:"p50_latency_ms"`
	P90 float64 `json:"p90_latency_ms"`
	P95 float64 `json:"p95_latency_ms"`
}

type tokenUsageView struct {
	CandidateInput  int64 `json:"total_candidate_input_tokens,string"`
	CandidateOutput int64 `json:"total_candidate_output_tokens,string"`
	Candidate       int64 `json:"total_candidate_tokens,string"`
	JudgeInput      int64 `json:"total_judge_input_tokens,string"`
	JudgeOutput     int64 `json:"total_judge_output_tokens,string"`
	Judge           int64 `json:"total_judge_tokens,string"`
}

type evaluationPricesView struct {
	Currency     string               `json:"currency"`
	TotalCost    float64              `json:"total_cost"`
	Judge        tokenCostView        `json:"judge_model_pricing"`
	PerCandidate []candidatePriceView `json:"per_candidate_model_pricing"`
}

type candidatePriceView struct {
	ModelUUID   string        `json:"model_uuid,omitempty"`
	ModelName   string        `json:"model_name,omitempty"`
	PromptCount int           `json:"prompt_count"`
	Pricing     tokenCostView `json:"pricing"`
}

type tokenCostView struct {
	InputCost  float64 `json:"input_cost"`
	OutputCost float64 `json:"output_cost"`
	TotalCost  float64 `json:"total_cost"`
}

type perModelView struct {
	Summaries []modelSummaryView `json:"summaries"`
}

type modelSummaryView struct {
	ModelName       string              `json:"model_name"`
	PromptCount     int                 `json:"prompt_count"`
	MetricSummaries []metricSummaryView `json:"metric_summaries"`
	Performance     performanceView     `json:"performance_metrics"`
}

// resultSummary sums up the rows of a run, of which there is at least one.
func (run *modelRun) resultSummary(rows []modelRow) *resultSummaryView {
	view := &resultSummaryView{
		StartTime: stamp(run.startsAt()), EndTime: stamp(run.endsAt()),
		TotalDurationSeconds: int64(run.endsAt().Sub(run.startsAt()).Seconds()),
		MetricSummaries:      run.metricSummaries(rows), Performance: performance(rows),
		Pricing: evaluationPricesView{Currency: "USD"},
	}
	view.OverallScorePercent = overallScore(rows)
	if run.star != nil {
		view.StarMetricSummary = run.starSummary()
	}
	for _, rows := range byModel(rows) {
		view.Pricing.add(rows)
		if run.candidate.source == candidateRouter {
			if view.PerModel == nil {
				view.PerModel = &perModelView{}
			}
			view.PerModel.Summaries = append(view.PerModel.Summaries, modelSummaryView{
				ModelName: rows[0].modelName, PromptCount: len(rows), MetricSummaries: run.metricSummaries(rows),
				Performance: performance(rows),
			})
		}
	}
	usage := view.Performance.TokenUsage
	view.Pricing.Judge = cost(usage.JudgeInput, usage.JudgeOutput, run.judge.inputPrice, run.judge.outputPrice)
	view.Pricing.TotalCost += view.Pricing.Judge.TotalCost
	return view
}

// overallScore is the mean of all scores that are not skipped, 0 if all are.
func overallScore(rows []modelRow) float64 {
	sum, count := 0.0, 0
	for _, row := range rows {
		for _, s := range row.scores {
			if !s.skipped {
				sum += s.good
				count++
			}
		}
	}
	return round(100 * sum / float64(max(count, 1)))
}

func (run *modelRun) metricSummaries(rows []modelRow) []metricSummaryView {
	views := make([]metricSummaryView, 0, len(run.scoredBy))
	for i, m := range run.scoredBy {
		view := metricSummaryView{MetricUUID: m.uuid, MetricName: m.name, Description: m.description}
		for _, row := range rows {
			switch s := row.scores[i]; {
			case s.skipped:
				view.SkippedCount++
			case s.passes(run.star):
				view.PassCount++
			default:
				view.FailCount++
			}
		}
		percent := func(count int) float64 { return round(100 * float64(count) / float64(len(rows))) }
		view.PassPercent, view.FailPercent = percent(view.PassCount), percent(view.FailCount)
		view.SkipPercent = percent(view.SkippedCount)
		views = append(views, view)
	}
	return views
}

// starSummary tells the threshold as it was given, or in percent.
func (run *modelRun) starSummary() *starSummaryView {
	view := &starSummaryView{MetricUUID: run.star.UUID, MetricName: run.star.Name, Threshold: 100 * usualBar}
	switch {
	case run.star.Threshold != nil:
		view.Threshold = *run.star.Threshold
	case run.star.ThresholdPct != nil:
		view.Threshold = float64(*run.star.ThresholdPct)
	}
	return view
}

func performance(rows []modelRow) performanceView {
	var view performanceView
	latencies := make([]float64, 0, len(rows))
	usage := &view.TokenUsage
	for _, row := range rows {
		latencies = append(latencies, row.latency)
		view.CandidateLatency.Avg += row.latency / float64(len(rows))
		usage.CandidateInput += row.input
		usage.CandidateOutput += row.output
		usage.JudgeInput += row.judgeInput
		usage.JudgeOutput += row.judgeOutput
	}
	usage.Candidate, usage.Judge = usage.CandidateInput+usage.CandidateOutput, usage.JudgeInput+usage.JudgeOutput
	slices.Sort(latencies)
	percentile := func(p int) float64 { return latencies[(len(latencies)*p-1)/100] }
	view.CandidateLatency.Avg = round(view.CandidateLatency.Avg)
	view.CandidateLatency.Min, view.CandidateLatency.Max = latencies[0], latencies[len(latencies)-1]
	view.CandidateLatency.P50, view.CandidateLatency.P90, view.CandidateLatency.P95 = percentile(50), percentile(90), percentile(95)
	return view
}

// add adds the price of rows that one model answered.
func (v *evaluationPricesView) add(rows []modelRow) {
	usage := performance(rows).TokenUsage
	price := candidatePriceView{
		ModelUUID: rows[0].modelUUID, ModelName: rows[0].modelName, PromptCount: len(rows),
		Pricing: cost(usage.CandidateInput, usage.CandidateOutput, rows[0].inputPrice, rows[0].outputPrice),
	}
	v.PerCandidate = append(v.PerCandidate, price)
	v.TotalCost += price.Pricing.TotalCost
}

// cost is that of tokens at prices per million.
func cost(input, output int64, inputPrice, outputPrice float64) tokenCostView {
	view := tokenCostView{
		InputCost: float64(input) * inputPrice / millionTokens, OutputCost: float64(output) * outputPrice / millionTokens,
	}
	view.TotalCost = view.InputCost + view.OutputCost
	return view
}

// byModel groups rows by the model that answered, in the order of their first
// answers.
func byModel(rows []modelRow) [][]modelRow {
	var groups [][]modelRow
	for _, row := range rows {
		i := slices.IndexFunc(groups, func(group []modelRow) bool { return group[0].modelName == row.modelName })
		if i < 0 {
			groups, i = append(groups, nil), len(groups)
		}
		groups[i] = append(groups[i], row)
	}
	return groups
}
