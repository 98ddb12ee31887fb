package genaisim

import "time"

const (
	modelRunPrefix = "MODEL_EVALUATION_RUN_"

	deletionDone   = "DELETE_MODEL_EVALUATION_RUN_STATUS_SUCCESS"
	deletionFailed = "DELETE_MODEL_EVALUATION_RUN_STATUS_FAIL"
)

// defaultResultsPerPage is how many results of prompts an answer has, more than
// other answers have of anything.
const defaultResultsPerPage = "50"

// modelRun evaluates a model. Only its name ever changes.
type modelRun struct {
	uuid, name             string
	presetUUID, presetName string // empty if it has nothing to do with one
	modelEvaluation
	scoredBy []*metric // the metrics, as they were when it began
	routed   []*model  // which a router could choose from
	course
}

// modelRunSummary is a run as lists and changes show it.
type modelRunSummary struct {
	UUID            string       `json:"eval_run_uuid"`
	Name            string       `json:"name"`
	Status          string       `json:"status"`
	Progress        progressView `json:"progress"`
	CandidateUUID   string       `json:"candidate_model_uuid,omitempty"`
	CandidateName   string       `json:"candidate_model_name,omitempty"`
	CandidateSource string       `json:"candidate_model_source"`
	JudgeUUID       string       `json:"judge_model_uuid"`
	JudgeName       string       `json:"judge_model_name"`
	DatasetUUID     string       `json:"dataset_uuid"`
	DatasetName     string       `json:"dataset_name"`
	CreatedAt       string       `json:"created_at"`
}

type progressView struct {
	Answered int64 `json:"candidate_rows_evaluated"`
	Judged   int64 `json:"judge_rows_evaluated"`
	Total    int   `json:"total_rows"`
}

type modelRunView struct {
	modelRunSummary
	Inference        *inferenceView     `json:"candidate_inference_config,omitempty"`
	Metrics          []metricView       `json:"metrics"`
	StarMetric       *starMetric        `json:"star_metric,omitempty"`
	PresetUUID       string             `json:"eval_preset_uuid,omitempty"`
	PresetName       string             `json:"eval_preset_name,omitempty"`
	ErrorDescription string             `json:"error_description,omitempty"`
	StartedAt        string             `json:"started_at,omitempty"`
	CompletedAt      string             `json:"completed_at,omitempty"`
	ResultSummary    *resultSummaryView `json:"result_summary,omitempty"`
}

type modelRunAnswer struct {
	Run modelRunSummary `json:"run"`
}

// createModelRun carries out POST /v2/gen-ai/model_evaluation_runs. What the
// body gives wins over what the preset has.
func createModelRun(c *call) (any, *apiError) {
	name, given := c.body.text("name")
	if !given {
		return nil, badRequest("name is required")
	}
	var from *evaluationPreset
	var spec modelEvaluation
	if id, given := c.body.id("eval_preset_uuid"); given {
		if from = c.st.evaluationPreset(id); from == nil {
			return nil, notFound("The evaluation preset", id)
		}
		spec = from.modelEvaluation
	}
	spec, fail := c.modelEvaluation(spec)
	if fail != nil {
		return nil, fail
	}
	run := &modelRun{
		uuid: c.st.random.uuid(), name: name, modelEvaluation: spec, scoredBy: mapped(spec.metrics, c.st.metric),
		course: c.st.newCourse(spec.dataset, c.now),
	}
	if spec.candidate.source == candidateRouter {
		run.routed = c.st.routable(spec.candidate.uuid)
	}
	if sections := c.sectionsToSave(); from == nil && len(sections) > 0 {
		presetName := name
		set(&presetName)(c.body.text("preset_name"))
		from = c.savePreset(presetName, sections, spec)
	}
	if from != nil {
		run.presetUUID, run.presetName = from.uuid, from.name
	}
	c.st.evaluation.modelRuns = append(c.st.evaluation.modelRuns, run)
	c.resource = run.uuid
	c.didf("started model evaluation run %s", run.uuid)
	return struct {
		UUID string `json:"eval_run_uuid"`
	}{run.uuid}, nil
}

// getModelRun carries out GET /v2/gen-ai/model_evaluation_runs/{eval_run_uuid}.
// There are no results until the run has ended.
func getModelRun(c *call) (any, *apiError) {
	run, fail := c.modelRun()
	if fail != nil {
		return nil, fail
	}
	view := modelRunView{
		modelRunSummary: run.summary(c.now), Inference: run.inference.orNone(), Metrics: c.st.metricViews(run.scoredBy),
		StarMetric: run.star, PresetUUID: run.presetUUID, PresetName: run.presetName,
		ErrorDescription: run.problem(c.now, run.dataset),
	}
	if run.started(c.now) {
		view.StartedAt = stamp(run.startsAt())
	}
	if run.finished(c.now) {
		view.CompletedAt = stamp(run.endsAt())
	}
	var rows []modelRow
	if run.succeeded(c.now) {
		rows = run.rows()
		view.ResultSummary = run.resultSummary(rows)
	}
	if c.queryInt("per_page", 0) == 0 {
		c.query.Set("per_page", defaultResultsPerPage)
	}
	page, links := paginate(c, rows)
	return struct {
		Run     modelRunView   `json:"run"`
		Results []modelRowView `json:"results"`
		paging
	}{view, mapped(page, run.rowView), links}, nil
}

// renameModelRun carries out PATCH
// /v2/gen-ai/model_evaluation_runs/{eval_run_uuid}.
func renameModelRun(c *call) (any, *apiError) {
	run, fail := c.modelRun()
	if fail != nil {
		return nil, fail
	}
	if name, given := c.body.text("name"); given && name != run.name {
		run.name = name
		c.didf("renamed model evaluation run %s", run.uuid)
	}
	return modelRunAnswer{run.summary(c.now)}, nil
}

// cancelModelRun carries out PUT
// /v2/gen-ai/model_evaluation_runs/{eval_run_uuid}/cancel. To cancel a run that
// is being cancelled changes nothing.
func cancelModelRun(c *call) (any, *apiError) {
	run, fail := c.modelRun()
	if fail != nil {
		return nil, fail
	}
	if run.finished(c.now) {
		return nil, badRequest("model evaluation run %s has ended as %s and cannot be cancelled", run.uuid, run.status(c.now))
	}
	if !run.cancelled() {
		run.cancelledAt = c.now
		c.didf("cancelled model evaluation run %s", run.uuid)
	}
	return modelRunAnswer{run.summary(c.now)}, nil
}

// deleteModelRun carries out DELETE
// /v2/gen-ai/model_evaluation_runs/{eval_run_uuid}. That the run has not ended
// is told in a success.
func deleteModelRun(c *call) (any, *apiError) {
	run, fail := c.modelRun()
	if fail != nil {
		return nil, fail
	}
	answer := struct {
		Status string `json:"status"`
		Error  string `json:"error,omitempty"`
	}{Status: deletionDone}
	if !run.finished(c.now) {
		answer.Status = deletionFailed
		answer.Error = "model evaluation run " + run.uuid + " is " + run.status(c.now) + " and cannot be deleted until it has ended"
		return answer, nil
	}
	c.st.evaluation.modelRuns = without(c.st.evaluation.modelRuns, run)
	c.didf("deleted model evaluation run %s", run.uuid)
	return answer, nil
}

// getModelRunURL carries out GET
// /v2/gen-ai/model_evaluation_runs/{eval_run_uuid}/results/download_url.
func getModelRunURL(c *call) (any, *apiError) {
	run, fail := c.modelRun()
	if fail != nil {
		return nil, fail
	}
	if !run.succeeded(c.now) {
		return nil, badRequest("model evaluation run %s is %s and has no results", run.uuid, run.status(c.now))
	}
	return c.download("model-evaluation-runs/" + run.uuid + ".json.gz"), nil
}

// modelRun finds the run the path names and notes it as the resource of the
// call.
func (c *call) modelRun() (*modelRun, *apiError) {
	id := c.params["eval_run_uuid"]
	run := find(c.st.evaluation.modelRuns, id, func(r *modelRun) string { return r.uuid })
	if run == nil {
		return nil, notFound("The model evaluation run", id)
	}
	c.resource = id
	return run, nil
}

func (run *modelRun) status(now time.Time) string { return modelRunPrefix + string(run.stage(now)) }

func (run *modelRun) summary(now time.Time) modelRunSummary {
	rows := run.dataset.rows
	return modelRunSummary{
		UUID: run.uuid, Name: run.name, Status: run.status(now),
		Progress:      progressView{Answered: run.answered(rows, now), Judged: run.judged(rows, now), Total: rows},
		CandidateUUID: run.candidate.uuid, CandidateName: run.candidate.name, CandidateSource: run.candidate.source,
		JudgeUUID: run.judge.uuid, JudgeName: run.judge.name,
		DatasetUUID: run.dataset.uuid, DatasetName: run.dataset.name, CreatedAt: stamp(run.queuedAt),
	}
}
