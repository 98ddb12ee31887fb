package genaisim

import "time"

// workspace groups agents and the test cases that they are evaluated by. Which
// workspace an agent is in is told of the agent, so that it is in one at most.
type workspace struct {
	uuid, name, description string
	createdAt, updatedAt    time.Time
}

// workspaceView is a workspace as agents show theirs.
type workspaceView struct {
	UUID           string `json:"uuid"`
	Name           string `json:"name"`
	Description    string `json:"description"`
	CreatedBy      string `json:"created_by"`
	CreatedByEmail string `json:"created_by_email"`
	CreatedAt      string `json:"created_at"`
	UpdatedAt      string `json:"updated_at"`
}

// wholeWorkspaceView is a workspace with what is in it.
type wholeWorkspaceView struct {
	workspaceView
	Agents    []agentView `json:"agents"`
	TestCases []any       `json:"evaluation_test_cases"`
}

type workspaceAnswer struct {
	Workspace wholeWorkspaceView `json:"workspace"`
}

// listWorkspaces carries out GET /v2/gen-ai/workspaces, which has no pages.
func listWorkspaces(c *call) (any, *apiError) {
	return struct {
		Workspaces []wholeWorkspaceView `json:"workspaces"`
	}{mapped(c.st.platform.workspaces, c.wholeWorkspace)}, nil
}

// createWorkspace carries out POST /v2/gen-ai/workspaces. Names need not be
// unique.
func createWorkspace(c *call) (any, *apiError) {
	w := &workspace{createdAt: c.now, updatedAt: c.now}
	w.name, _ = c.body.text("name")
	w.description, _ = c.body.text("description")
	if w.name == "" {
		return nil, badRequest("name is required")
	}
	agents, fail := c.agentsInBody()
	if fail != nil {
		return nil, fail
	}
	w.uuid = c.st.random.uuid()
	c.st.platform.workspaces = append(c.st.platform.workspaces, w)
	c.move(agents, w)
	c.resource = w.uuid
	c.didf("created workspace %s", w.uuid)
	return workspaceAnswer{c.wholeWorkspace(w)}, nil
}

// getWorkspace carries out GET /v2/gen-ai/workspaces/{workspace_uuid}.
func getWorkspace(c *call) (any, *apiError) {
	w, fail := c.workspace()
	if fail != nil {
		return nil, fail
	}
	return workspaceAnswer{c.wholeWorkspace(w)}, nil
}

// updateWorkspace carries out PUT /v2/gen-ai/workspaces/{workspace_uuid}.
func updateWorkspace(c *call) (any, *apiError) {
	w, fail := c.workspace()
	if fail != nil {
		return nil, fail
	}
	next := *w
	set(&next.name)(c.body.text("name"))
	set(&next.description)(c.body.textOrEmpty("description"))
	if next != *w {
		next.updatedAt = c.now
		*w = next
		c.didf("updated workspace %s", w.uuid)
	}
	return workspaceAnswer{c.wholeWorkspace(w)}, nil
}

// deleteWorkspace carries out DELETE /v2/gen-ai/workspaces/{workspace_uuid}.
// Its agents are in none then.
func deleteWorkspace(c *call) (any, *apiError) {
	w, fail := c.workspace()
	if fail != nil {
		return nil, fail
	}
	c.st.platform.workspaces = without(c.st.platform.workspaces, w)
	c.st.forget(w.uuid, c.now)
	c.didf("deleted workspace %s", w.uuid)
	return struct {
		UUID string `json:"workspace_uuid"`
	}{w.uuid}, nil
}

// listWorkspaceAgents carries out GET
// /v2/gen-ai/workspaces/{workspace_uuid}/agents.
func listWorkspaceAgents(c *call) (any, *apiError) {
	w, fail := c.workspace()
	if fail != nil {
		return nil, fail
	}
	onlyDeployed := c.queryBool("only_deployed")
	return c.agentsAnswer(c.st.users(func(a *agent) bool {
		status, _ := c.st.deploymentOf(a, c.now)
		return a.workspace == w.uuid && (status == statusRunning || !onlyDeployed)
	})), nil
}

// moveAgents carries out PUT /v2/gen-ai/workspaces/{workspace_uuid}/agents.
// All the agents must exist, or none is moved.
func moveAgents(c *call) (any, *apiError) {
	w, fail := c.workspace()
	if fail != nil {
		return nil, fail
	}
	agents, fail := c.agentsInBody()
	if fail != nil {
		return nil, fail
	}
	if len(agents) == 0 {
		return nil, badRequest("agent_uuids is required")
	}
	if c.move(agents, w) {
		c.didf("moved agents to workspace %s", w.uuid)
	}
	return workspaceAnswer{c.wholeWorkspace(w)}, nil
}

// move puts agents into a workspace, without a version by that. It returns
// false if they are there already.
func (c *call) move(agents []*agent, to *workspace) (moved bool) {
	for _, a := range agents {
		if a.workspace != to.uuid {
			a.workspace, a.updatedAt, moved = to.uuid, c.now, true
		}
	}
	return moved
}

// agentsInBody finds the agents that the body names.
func (c *call) agentsInBody() ([]*agent, *apiError) {
	var agents []*agent
	for _, id := range c.body.ids("agent_uuids") {
		a := c.st.agents[id]
		if a == nil {
			return nil, notFound("The agent", id)
		}
		agents = append(agents, a)
	}
	return agents, nil
}

// workspace finds the workspace the path names and notes it as the resource of
// the call.
func (c *call) workspace() (*workspace, *apiError) {
	id := c.params["workspace_uuid"]
	w := c.st.workspace(id)
	if w == nil {
		return nil, notFound("The workspace", id)
	}
	c.resource = id
	return w, nil
}

func (st *state) workspace(id string) *workspace {
	return find(st.platform.workspaces, id, func(w *workspace) string { return w.uuid })
}

func (w *workspace) view() workspaceView {
	return workspaceView{
		UUID: w.uuid, Name: w.name, Description: w.description, CreatedBy: OwnerID, CreatedByEmail: OwnerEmail,
		CreatedAt: stamp(w.createdAt), UpdatedAt: stamp(w.updatedAt),
	}
}

func (c *call) wholeWorkspace(w *workspace) wholeWorkspaceView {
	agents := c.st.users(func(a *agent) bool { return a.workspace == w.uuid })
	return wholeWorkspaceView{
		workspaceView: w.view(), TestCases: c.st.testCasesOf(w.uuid),
		Agents: mapped(agents, func(a *agent) agentView { return c.st.flat(a, c.now) }),
	}
}
