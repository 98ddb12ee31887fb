package genaisim

import (
	"slices"
	"time"
)

const (
	retrievalUnknown = "RETRIEVAL_METHOD_UNKNOWN"
	retrievalNone    = "RETRIEVAL_METHOD_NONE"
)

type agentAnswer struct {
	Agent agentView `json:"agent"`
}

// agent finds the agent a path parameter names and notes it as the resource of
// the call.
func (c *call) agent(param string) (*agent, *apiError) {
	id := c.params[param]
	a := c.st.agents[id]
	if a == nil {
		return nil, notFound("The agent", id)
	}
	c.resource = id
	return a, nil
}

func (c *call) agentAnswer(a *agent) agentAnswer {
	return agentAnswer{c.st.whole(a, c.now)}
}

func (a *agent) applied() *version { return a.versions[len(a.versions)-1] }

// listAgents carries out GET /v2/gen-ai/agents.
func listAgents(c *call) (any, *apiError) {
	agents := c.st.order
	if c.queryBool("only_deployed") {
		agents = nil
		for _, a := range c.st.order {
			if status, _ := c.st.deploymentOf(a, c.now); status == statusRunning {
				agents = append(agents, a)
			}
		}
	}
	page, links := paginate(c, agents)
	return struct {
		Agents []agentView `json:"agents"`
		paging
	}{mapped(page, func(a *agent) agentView { return c.st.listItem(a, c.now) }), links}, nil
}

// createAgent carries out POST /v2/gen-ai/agents.
func createAgent(c *call) (any, *apiError) {
	a, fail := c.st.create(c.body, owner(), c.now)
	if fail != nil {
		return nil, fail
	}
	c.resource = a.uuid
	c.didf("created agent %s", a.uuid)
	return c.agentAnswer(a), nil
}

// getAgent carries out GET /v2/gen-ai/agents/{uuid}.
func getAgent(c *call) (any, *apiError) {
	a, fail := c.agent("uuid")
	if fail != nil {
		return nil, fail
	}
	return c.agentAnswer(a), nil
}

// updateAgent carries out PUT /v2/gen-ai/agents/{uuid}.
func updateAgent(c *call) (any, *apiError) {
	a, fail := c.agent("uuid")
	if fail != nil {
		return nil, fail
	}
	changed, fail := c.st.update(a, c.body, owner(), c.now)
	if fail != nil {
		return nil, fail
	}
	if changed {
		c.didf("updated agent %s", a.uuid)
	}
	return c.agentAnswer(a), nil
}

// deleteAgent carries out DELETE /v2/gen-ai/agents/{uuid}. The answer shows the
// agent as it was, but for the status.
func deleteAgent(c *call) (any, *apiError) {
	a, fail := c.agent("uuid")
	if fail != nil {
		return nil, fail
	}
	answer := c.agentAnswer(a)
	answer.Agent.Deployment.Status, answer.Agent.Deployment.UpdatedAt = statusDeleted, stamp(c.now)
	c.st.remove(a, c.now)
	c.didf("deleted agent %s", a.uuid)
	return answer, nil
}

// viewRoutes carries out GET /v2/gen-ai/agents/{uuid}/child_agents.
func viewRoutes(c *call) (any, *apiError) {
	a, fail := c.agent("uuid")
	if fail != nil {
		return nil, fail
	}
	return struct {
		Children []agentView `json:"children"`
	}{c.st.children(a, c.now)}, nil
}

// create makes an agent from the fields of a creation.
func (st *state) create(given fields, by actor, now time.Time) (*agent, *apiError) {
	a := &agent{settings: settings{
		project: DefaultProject, region: DefaultRegion, retrievalMethod: retrievalNone,
		temperature: 0.7, topP: 0.9, k: 10, maxTokens: 512, conversationLogs: true,
	}}
	next, fail := st.merge(a.settings, given)
	if fail != nil {
		return nil, fail
	}
	if next.name == "" {
		return nil, badRequest("name is required")
	}
	if wanted, ok := given.text("region"); ok {
		if !slices.ContainsFunc(st.regions, func(r region) bool { return r.Region == wanted }) {
			return nil, badRequest("region %q does not exist", wanted)
		}
		next.region = wanted
	}
	set(&a.workspace)(given.id("workspace_uuid"))
	ids := given.ids("knowledge_base_uuid")
	if next.knowledgeBases, fail = st.attach(nil, ids, now); fail != nil {
		return nil, fail
	}
	a.uuid, a.settings = st.random.uuid(), next
	st.add(a, by, now)
	return a, nil
}

// update merges the fields of an update into the settings of an agent. It
// returns false if they were so before.
func (st *state) update(a *agent, given fields, by actor, now time.Time) (bool, *apiError) {
	next, fail := st.merge(a.settings, given)
	if fail != nil {
		return false, fail
	}
	return st.commit(a, next, "update_agent", by, now), nil
}

// merge returns settings with the fields set that are given.
func (st *state) merge(s settings, given fields) (settings, *apiError) {
	set(&s.name)(given.text("name"))
	set(&s.instruction)(given.text("instruction"))
	set(&s.description)(given.textOrEmpty("description"))
	set(&s.reasoningEffort)(given.text("reasoning_effort"))
	set(&s.routerPreset)(given.text("router_preset_slug"))
	set(&s.model)(given.id("model_uuid"))
	set(&s.modelRouter)(given.id("model_router_uuid"))
	set(&s.anthropicKey)(given.id("anthropic_key_uuid"))
	set(&s.openAIKey)(given.id("open_ai_key_uuid"))
	set(&s.modelProviderKey)(given.id("model_provider_key_uuid"))
	set(&s.project)(given.id("project_id"))
	set(&s.provideCitations)(given.boolean("provide_citations"))
	set(&s.conversationLogs)(given.boolean("conversation_logs_enabled"))
	set(&s.insights)(given.boolean("agent_log_insights_enabled"))
	set(&s.webSearch)(given.boolean("web_search_enabled"))
	set(&s.webFetch)(given.boolean("web_fetch_enabled"))
	set(&s.k)(given.integer("k"))
	set(&s.maxTokens)(given.integer("max_tokens"))
	set(&s.thinkingTokenBudget)(given.integer("thinking_token_budget"))
	set(&s.temperature)(given.number("temperature"))
	set(&s.topP)(given.number("top_p"))
	set(&s.tags)(given.texts("tags"))
	set(&s.allowedDomains)(given.texts("allowed_domains"))
	if value, ok := given.text("retrieval_method"); ok && value != retrievalUnknown {
		s.retrievalMethod = value
	}
	s.mcpServers = mergeMCPServers(s.mcpServers, given)
	switch {
	case s.temperature < 0 || s.temperature > 1:
		return s, badRequest("temperature must be between 0 and 1")
	case s.topP < 0 || s.topP > 1:
		return s, badRequest("top_p must be between 0 and 1")
	case s.k < 0 || s.maxTokens < 0 || s.thinkingTokenBudget < 0:
		return s, badRequest("k, max_tokens and thinking_token_budget must not be negative")
	}
	if fail := st.checkReferences(given); fail != nil {
		return s, fail
	}
	return s, st.checkModel(given)
}

// set returns a function that sets a target to a value that is given.
func set[T any](target *T) func(value T, given bool) {
	return func(value T, given bool) {
		if given {
			*target = value
		}
	}
}

// checkModel refuses a model that is given and cannot be that of an agent.
func (st *state) checkModel(given fields) *apiError {
	id, ok := given.id("model_uuid")
	if !ok {
		return nil
	}
	m := st.model(id)
	if m == nil {
		return badRequest("model %s does not exist", id)
	}
	if !slices.Contains(m.usecases, usecaseAgent) {
		return badRequest("model %s (%s) is not for agents", id, m.id)
	}
	return nil
}

// mergeMCPServers replaces the servers by those that are given. Only the flag
// for it removes them all; an empty list does not.
func mergeMCPServers(servers []mcpServer, given fields) []mcpServer {
	if wanted, ok := given.boolean("clear_mcp_servers"); ok && wanted {
		servers = nil
	}
	list := given.objects("mcp_servers")
	if len(list) == 0 {
		return servers
	}
	servers = make([]mcpServer, 0, len(list))
	for _, object := range list {
		var server mcpServer
		set(&server.ServerLabel)(object.text("server_label"))
		set(&server.ServerURL)(object.text("server_url"))
		set(&server.Authorization)(object.text("authorization"))
		set(&server.AllowedTools)(object.texts("allowed_tools"))
		set(&server.Headers)(object.free("headers"))
		servers = append(servers, server)
	}
	return servers
}
