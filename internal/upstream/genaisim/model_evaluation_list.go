package genaisim

import (
	"cmp"
	"slices"
	"strings"
)

// modelRunStages are all stages, in the order in which lists are sorted by
// status.
func modelRunStages() []stage {
	return []stage{
		stageQueued, stageRunning, stageJudging, stageCancelling, stageCancelled, stageSuccessful, stagePartial, stageFailed,
	}
}

func candidateSources() []string {
	return []string{candidateServerless, candidateDedicated, candidateRouter}
}

// listModelRuns carries out GET /v2/gen-ai/model_evaluation_runs. It always
// tells what can be filtered by, whatever runs there are.
func listModelRuns(c *call) (any, *apiError) {
	found := []*modelRun{}
	wanted := c.modelRunFilter()
	for _, run := range c.st.evaluation.modelRuns {
		if wanted(run) {
			found = append(found, run)
		}
	}
	if fail := c.sortModelRuns(found); fail != nil {
		return nil, fail
	}
	page, links := paginate(c, found)
	return struct {
		Runs           []modelRunSummary `json:"runs"`
		CandidateTypes []string          `json:"available_candidate_types"`
		Statuses       []string          `json:"available_statuses"`
		paging
	}{
		mapped(page, func(run *modelRun) modelRunSummary { return run.summary(c.now) }), candidateSources(),
		mapped(modelRunStages(), func(s stage) string { return modelRunPrefix + string(s) }), links,
	}, nil
}

// modelRunFilter says which runs the query wants. A run needs one of the states
// given, in either parameter.
func (c *call) modelRunFilter() func(*modelRun) bool {
	preset, search := strings.ToLower(c.query.Get("eval_preset_uuid")), strings.ToLower(c.query.Get("search"))
	types, statuses := c.queryList("candidate_types"), c.queryList("statuses")
	if status := c.query.Get("status"); status != "" {
		statuses = append(statuses, status)
	}
	statuses = without(statuses, modelRunPrefix+"STATUS_UNSPECIFIED")
	return func(run *modelRun) bool {
		words := strings.ToLower(strings.Join([]string{run.name, run.candidate.name, run.dataset.name}, "\n"))
		return (preset == "" || run.presetUUID == preset) && strings.Contains(words, search) &&
			(len(types) == 0 || slices.Contains(types, run.candidate.source)) &&
			(len(statuses) == 0 || slices.Contains(statuses, run.status(c.now)))
	}
}

// sortModelRuns puts runs into the order that the query wants: by creation if
// it does not say.
func (c *call) sortModelRuns(runs []*modelRun) *apiError {
	field, fail := c.queryChoice("sort_by", "model_evaluation_run_sort_field_", "created_at", "status")
	if fail != nil {
		return fail
	}
	direction, fail := c.queryChoice("sort_direction", "sort_direction_", "asc", "desc")
	if fail != nil {
		return fail
	}
	if direction == "desc" {
		slices.Reverse(runs)
	}
	if field == "status" {
		stages := modelRunStages()
		slices.SortStableFunc(runs, func(a, b *modelRun) int {
			order := cmp.Compare(slices.Index(stages, a.stage(c.now)), slices.Index(stages, b.stage(c.now)))
			if direction == "desc" {
				return -order
			}
			return order
		})
	}
	return nil
}

// queryChoice reads a parameter that has one of some values, in capitals or
// not, with a prefix or not. It is empty if it is not given.
func (c *call) queryChoice(name, prefix string, values ...string) (string, *apiError) {
	value := strings.TrimPrefix(strings.ToLower(c.query.Get(name)), prefix)
	if value == "" || value == "unspecified" {
		return "", nil
	}
	if !slices.Contains(values, value) {
		return "", badRequest("%s must be one of %s", name, strings.Join(values, ", "))
	}
	return value, nil
}
