package genaisim

import (
	"reflect"
	"time"
)

// testCase is what agents are evaluated by. There is no operation to delete one.
type testCase struct {
	uuid, workspace string // the workspace is empty if none was named
	createdAt       time.Time
	versions        []*testCaseVersion // oldest first; the last is the current one
}

// testCaseVersion is a test case as it was after a change. It never changes.
type testCaseVersion struct {
	number int
	at     time.Time
	testCaseSettings
}

type testCaseSettings struct {
	name, description string
	dataset           *dataset
	metrics           []string    // ids
	star              *starMetric // nil if there is none
}

type testCaseView struct {
	UUID        string       `json:"test_case_uuid"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Version     int          `json:"version"`
	Dataset     datasetView  `json:"dataset"`
	DatasetName string       `json:"dataset_name"`
	DatasetUUID string       `json:"dataset_uuid"`
	Metrics     []metricView `json:"metrics"`
	StarMetric  *starMetric  `json:"star_metric,omitempty"`
	TotalRuns   int          `json:"total_runs"`
	LatestRuns  int          `json:"latest_version_number_of_runs"`

	CreatedAt      string `json:"created_at"`
	CreatedByID    string `json:"created_by_user_id"`
	CreatedByEmail string `json:"created_by_user_email"`
	UpdatedAt      string `json:"updated_at"`
	UpdatedByID    string `json:"updated_by_user_id"`
	UpdatedByEmail string `json:"updated_by_user_email"`
}

type testCasesAnswer struct {
	TestCases []any `json:"evaluation_test_cases"`
}

// listTestCases carries out GET /v2/gen-ai/evaluation_test_cases.
func listTestCases(c *call) (any, *apiError) {
	return testCasesAnswer{mapped(c.st.evaluation.testCases, c.st.currentTestCase)}, nil
}

// listWorkspaceTestCases carries out GET
// /v2/gen-ai/workspaces/{workspace_uuid}/evaluation_test_cases.
func listWorkspaceTestCases(c *call) (any, *apiError) {
	id := c.params["workspace_uuid"]
	if c.st.platform.deleted[id] {
		return nil, notFound("The workspace", id)
	}
	return testCasesAnswer{c.st.testCasesOf(id)}, nil
}

// testCasesOf are the views of the test cases of a workspace.
func (st *state) testCasesOf(workspace string) []any {
	found := []any{}
	for _, tc := range st.evaluation.testCases {
		if tc.workspace == workspace {
			found = append(found, st.currentTestCase(tc))
		}
	}
	return found
}

// getTestCase carries out GET
// /v2/gen-ai/evaluation_test_cases/{test_case_uuid}.
func getTestCase(c *call) (any, *apiError) {
	tc, fail := c.testCase("test_case_uuid")
	if fail != nil {
		return nil, fail
	}
	version, fail := c.testCaseVersion(tc)
	if fail != nil {
		return nil, fail
	}
	if version == nil {
		version = tc.latest()
	}
	return struct {
		TestCase testCaseView `json:"evaluation_test_case"`
	}{c.st.testCaseView(tc, version)}, nil
}

// createTestCase carries out POST /v2/gen-ai/evaluation_test_cases.
func createTestCase(c *call) (any, *apiError) {
	ids := c.body.ids("metrics")
	settings, fail := c.testCaseSettings(testCaseSettings{}, ids)
	if fail != nil {
		return nil, fail
	}
	if settings.name == "" || settings.dataset == nil || len(settings.metrics) == 0 {
		return nil, badRequest("name, dataset_uuid and metrics are required")
	}
	workspace, fail := c.workspaceInBody()
	if fail != nil {
		return nil, fail
	}
	tc := &testCase{uuid: c.st.random.uuid(), workspace: workspace, createdAt: c.now}
	tc.versions = []*testCaseVersion{{number: 1, at: c.now, testCaseSettings: settings}}
	c.st.evaluation.testCases = append(c.st.evaluation.testCases, tc)
	c.resource = tc.uuid
	c.didf("created test case %s", tc.uuid)
	return struct {
		UUID string `json:"test_case_uuid"`
	}{tc.uuid}, nil
}

// updateTestCase carries out PUT
// /v2/gen-ai/evaluation_test_cases/{test_case_uuid}. A change makes a version.
func updateTestCase(c *call) (any, *apiError) {
	tc, fail := c.testCase("test_case_uuid")
	if fail != nil {
		return nil, fail
	}
	ids := c.body.ids("metrics")
	if object, ok := c.body["metrics"].(map[string]any); ok {
		ids = fields(object).ids("metric_uuids")
	}
	settings, fail := c.testCaseSettings(tc.latest().testCaseSettings, ids)
	if fail != nil {
		return nil, fail
	}
	if !reflect.DeepEqual(settings, tc.latest().testCaseSettings) {
		tc.versions = append(tc.versions, &testCaseVersion{number: len(tc.versions) + 1, at: c.now, testCaseSettings: settings})
		c.didf("updated test case %s to version %d", tc.uuid, tc.latest().number)
	}
	return struct {
		UUID    string `json:"test_case_uuid"`
		Version int    `json:"version"`
	}{tc.uuid, tc.latest().number}, nil
}

// testCaseSettings are settings with what the body gives; the ids are those of
// the metrics, none if they are not given. A star metric stays unless another
// is given, so it must be among the metrics.
func (c *call) testCaseSettings(s testCaseSettings, ids []string) (testCaseSettings, *apiError) {
	set(&s.name)(c.body.text("name"))
	set(&s.description)(c.body.text("description"))
	if id, given := c.body.id("dataset_uuid"); given {
		if s.dataset = c.st.dataset(id); s.dataset == nil {
			return s, notFound("The evaluation dataset", id)
		}
	}
	if len(ids) > 0 {
		if _, fail := c.st.metricsFor(scopeAgent, ids); fail != nil {
			return s, fail
		}
		s.metrics = ids
	}
	metrics := mapped(s.metrics, c.st.metric)
	star, fail := c.star(metrics)
	if fail != nil {
		return s, fail
	}
	if star != nil {
		s.star = star
	}
	if s.star != nil && indexOf(metrics, s.star.UUID, (*metric).id) < 0 {
		return s, badRequest("the star metric, %s, must be one of the metrics", s.star.UUID)
	}
	return s, nil
}

// workspaceInBody is the id of the workspace that the body names, by its id or
// its name, empty if it names none. As elsewhere, an id the simulator has never
// heard of is taken as it comes.
func (c *call) workspaceInBody() (string, *apiError) {
	if id, given := c.body.id("workspace_uuid"); given {
		if c.st.platform.deleted[id] {
			return "", badRequest("workspace_uuid: %s no longer exists", id)
		}
		return id, nil
	}
	name, given := c.body.text("agent_workspace_name")
	if !given {
		return "", nil
	}
	w := find(c.st.platform.workspaces, name, func(w *workspace) string { return w.name })
	if w == nil {
		return "", notFound("The workspace", name)
	}
	return w.uuid, nil
}

// testCase finds the test case a path parameter names and notes it as the
// resource of the call.
func (c *call) testCase(param string) (*testCase, *apiError) {
	id := c.params[param]
	tc := c.st.testCase(id)
	if tc == nil {
		return nil, notFound("The evaluation test case", id)
	}
	c.resource = id
	return tc, nil
}

// testCaseVersion finds the version the query names, nil if it names none.
func (c *call) testCaseVersion(tc *testCase) (*testCaseVersion, *apiError) {
	number := c.queryInt("evaluation_test_case_version", 0)
	switch {
	case number == 0:
		return nil, nil
	case number > len(tc.versions):
		return nil, notFound("The version of evaluation test case "+tc.uuid, c.query.Get("evaluation_test_case_version"))
	}
	return tc.versions[number-1], nil
}

func (st *state) testCase(id string) *testCase {
	return find(st.evaluation.testCases, id, func(tc *testCase) string { return tc.uuid })
}

func (tc *testCase) latest() *testCaseVersion { return tc.versions[len(tc.versions)-1] }

func (st *state) currentTestCase(tc *testCase) any { return st.testCaseView(tc, tc.latest()) }

func (st *state) testCaseView(tc *testCase, version *testCaseVersion) testCaseView {
	view := testCaseView{
		UUID: tc.uuid, Name: version.name, Description: version.description, Version: version.number,
		Dataset: version.dataset.view(), DatasetName: version.dataset.name, DatasetUUID: version.dataset.uuid,
		Metrics: st.metricViews(mapped(version.metrics, st.metric)), StarMetric: version.star,
		CreatedAt: stamp(tc.createdAt), CreatedByID: OwnerID, CreatedByEmail: OwnerEmail,
		UpdatedAt: stamp(version.at), UpdatedByID: OwnerID, UpdatedByEmail: OwnerEmail,
	}
	for _, run := range st.evaluation.runs {
		if run.testCase != tc {
			continue
		}
		view.TotalRuns++
		if run.version == tc.latest() {
			view.LatestRuns++
		}
	}
	return view
}
