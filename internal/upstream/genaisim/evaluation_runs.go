package genaisim

import (
	"strconv"
	"time"
)

// evaluationRun is a test case carried out on an agent, as both were when it
// began.
type evaluationRun struct {
	uuid, name string
	testCase   *testCase
	version    *testCaseVersion
	metrics    []*metric

	agent, agentName, hash, workspace, model string
	knowledgeBases                           []string // uuids
	course
}

type evaluationRunView struct {
	UUID                string             `json:"evaluation_run_uuid"`
	Name                string             `json:"run_name"`
	Status              string             `json:"status"`
	ErrorDescription    string             `json:"error_description,omitempty"`
	AgentUUID           string             `json:"agent_uuid"`
	AgentName           string             `json:"agent_name"`
	AgentDeploymentName string             `json:"agent_deployment_name"`
	AgentVersionHash    string             `json:"agent_version_hash"`
	AgentWorkspaceUUID  string             `json:"agent_workspace_uuid,omitempty"`
	AgentDeleted        bool               `json:"agent_deleted"`
	TestCaseUUID        string             `json:"test_case_uuid"`
	TestCaseVersion     int                `json:"test_case_version"`
	TestCaseName        string             `json:"test_case_name"`
	TestCaseDescription string             `json:"test_case_description"`
	TestCaseWorkspace   string             `json:"evaluation_test_case_workspace_uuid,omitempty"`
	PassStatus          *bool              `json:"pass_status,omitempty"`
	StarMetricResult    *metricResultView  `json:"star_metric_result,omitempty"`
	MetricResults       []metricResultView `json:"run_level_metric_results"`
	CreatedByID         string             `json:"created_by_user_id"`
	CreatedByEmail      string             `json:"created_by_user_email"`
	QueuedAt            string             `json:"queued_at"`
	StartedAt           string             `json:"started_at,omitempty"`
	FinishedAt          string             `json:"finished_at,omitempty"`
}

// runTestCase carries out POST /v2/gen-ai/evaluation_runs: one run for each of
// the agents.
func runTestCase(c *call) (any, *apiError) {
	id, given := c.body.id("test_case_uuid")
	if !given {
		return nil, badRequest("test_case_uuid is required")
	}
	tc := c.st.testCase(id)
	if tc == nil {
		return nil, notFound("The evaluation test case", id)
	}
	agents, fail := c.agentsToEvaluate()
	if fail != nil {
		return nil, fail
	}
	version := tc.latest()
	metrics, fail := c.st.metricsFor(scopeAgent, version.metrics)
	if fail != nil {
		return nil, fail
	}
	name := version.name
	set(&name)(c.body.text("run_name"))
	ids := make([]string, 0, len(agents))
	for _, a := range agents {
		run := &evaluationRun{
			uuid: c.st.random.uuid(), name: name, testCase: tc, version: version, metrics: metrics,
			agent: a.uuid, agentName: a.name, hash: a.applied().hash, workspace: a.workspace,
			knowledgeBases: mapped(a.knowledgeBases, attachedKnowledgeBase.key), course: c.st.newCourse(version.dataset, c.now),
		}
		if m := c.st.model(a.model); m != nil {
			run.model = m.id
		}
		c.st.evaluation.runs = append(c.st.evaluation.runs, run)
		ids = append(ids, run.uuid)
	}
	c.resource = ids[0]
	c.didf("started %d runs of test case %s", len(ids), tc.uuid)
	return struct {
		UUIDs []string `json:"evaluation_run_uuids"`
	}{ids}, nil
}

// agentsToEvaluate are the agents that the body names, by their ids or by the
// names of their deployments, which are their own names. Each comes once.
func (c *call) agentsToEvaluate() ([]*agent, *apiError) {
	var agents []*agent
	add := func(a *agent) {
		if indexOf(agents, a.uuid, func(a *agent) string { return a.uuid }) < 0 {
			agents = append(agents, a)
		}
	}
	for _, id := range c.body.ids("agent_uuids") {
		a := c.st.agents[id]
		if a == nil {
			return nil, notFound("The agent", id)
		}
		add(a)
	}
	names, _ := c.body.texts("agent_deployment_names")
	for _, name := range names {
		a := find(c.st.order, name, func(a *agent) string { return a.name })
		if a == nil {
			return nil, notFound("The agent deployment", name)
		}
		add(a)
	}
	if len(agents) == 0 {
		return nil, badRequest("agent_uuids or agent_deployment_names is required")
	}
	return agents, nil
}

// listRuns carries out GET
// /v2/gen-ai/evaluation_test_cases/{evaluation_test_case_uuid}/evaluation_runs.
func listRuns(c *call) (any, *apiError) {
	tc, fail := c.testCase("evaluation_test_case_uuid")
	if fail != nil {
		return nil, fail
	}
	version, fail := c.testCaseVersion(tc)
	if fail != nil {
		return nil, fail
	}
	found := []evaluationRunView{}
	for _, run := range c.st.evaluation.runs {
		if run.testCase == tc && (version == nil || run.version == version) {
			found = append(found, c.st.evaluationRunView(run, c.now))
		}
	}
	return struct {
		Runs []evaluationRunView `json:"evaluation_runs"`
	}{found}, nil
}

// getRun carries out GET /v2/gen-ai/evaluation_runs/{evaluation_run_uuid}.
func getRun(c *call) (any, *apiError) {
	run, fail := c.run()
	if fail != nil {
		return nil, fail
	}
	return struct {
		Run evaluationRunView `json:"evaluation_run"`
	}{c.st.evaluationRunView(run, c.now)}, nil
}

// listResults carries out GET
// /v2/gen-ai/evaluation_runs/{evaluation_run_uuid}/results. There are none
// until the run has ended.
func listResults(c *call) (any, *apiError) {
	run, fail := c.run()
	if fail != nil {
		return nil, fail
	}
	var ids []int
	if run.succeeded(c.now) {
		for i := range run.version.dataset.rows {
			ids = append(ids, i+1)
		}
	}
	page, links := paginate(c, ids)
	return struct {
		Run     evaluationRunView `json:"evaluation_run"`
		Prompts []promptView      `json:"prompts"`
		paging
	}{c.st.evaluationRunView(run, c.now), mapped(page, run.prompt), links}, nil
}

// getResult carries out GET
// /v2/gen-ai/evaluation_runs/{evaluation_run_uuid}/results/{prompt_id}.
func getResult(c *call) (any, *apiError) {
	run, fail := c.run()
	if fail != nil {
		return nil, fail
	}
	number, err := strconv.Atoi(c.params["prompt_id"])
	if err != nil || !run.succeeded(c.now) || number < 1 || number > run.version.dataset.rows {
		return nil, notFound("The prompt", c.params["prompt_id"])
	}
	return struct {
		Prompt promptView `json:"prompt"`
	}{run.prompt(number)}, nil
}

// run finds the run the path names and notes it as the resource of the call.
func (c *call) run() (*evaluationRun, *apiError) {
	id := c.params["evaluation_run_uuid"]
	run := find(c.st.evaluation.runs, id, func(r *evaluationRun) string { return r.uuid })
	if run == nil {
		return nil, notFound("The evaluation run", id)
	}
	c.resource = id
	return run, nil
}

func (st *state) evaluationRunView(run *evaluationRun, now time.Time) evaluationRunView {
	version := run.version
	view := evaluationRunView{
		UUID: run.uuid, Name: run.name, Status: "EVALUATION_RUN_" + string(run.stage(now)),
		ErrorDescription: run.problem(now, version.dataset),
		AgentUUID:        run.agent, AgentName: run.agentName, AgentDeploymentName: run.agentName, AgentVersionHash: run.hash,
		AgentWorkspaceUUID: run.workspace, AgentDeleted: st.agents[run.agent] == nil,
		TestCaseUUID: run.testCase.uuid, TestCaseVersion: version.number, TestCaseName: version.name,
		TestCaseDescription: version.description, TestCaseWorkspace: run.testCase.workspace,
		MetricResults: []metricResultView{}, CreatedByID: OwnerID, CreatedByEmail: OwnerEmail, QueuedAt: stamp(run.queuedAt),
	}
	if run.started(now) {
		view.StartedAt = stamp(run.startsAt())
	}
	if run.finished(now) {
		view.FinishedAt = stamp(run.endsAt())
	}
	if !run.succeeded(now) {
		return view
	}
	for _, s := range run.scores() {
		result := s.view()
		view.MetricResults = append(view.MetricResults, result)
		if version.star != nil && version.star.UUID == s.metric.uuid {
			view.StarMetricResult, view.PassStatus = &result, new(s.passes(version.star))
		}
	}
	return view
}

// scores are those of all answers together.
func (run *evaluationRun) scores() []score {
	rows := make([][]score, 0, run.version.dataset.rows)
	for i := range run.version.dataset.rows {
		rows = append(rows, scoreRow(run.uuid, i+1, run.metrics, run.version.dataset))
	}
	return averages(rows)
}
