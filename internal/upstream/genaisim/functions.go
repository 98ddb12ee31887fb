package genaisim

import "slices"

// addFunction carries out POST /v2/gen-ai/agents/{agent_uuid}/functions.
// Function names are unique within an agent.
func addFunction(c *call) (any, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, fail
	}
	added := function{
		uuid: c.st.random.uuid(), input: emptyObject(), output: emptyObject(), createdAt: c.now, updatedAt: c.now,
	}.merge(c.body)
	if added.name == "" {
		return nil, badRequest("function_name is required")
	}
	if fail := a.checkFunctionName(added); fail != nil {
		return nil, fail
	}
	next := a.settings
	next.functions = append(slices.Clip(next.functions), added)
	c.st.commit(a, next, "add_function", owner(), c.now)
	c.resource = added.uuid
	c.didf("added function %s to agent %s", added.uuid, a.uuid)
	return c.agentAnswer(a), nil
}

// updateFunction carries out PUT
// /v2/gen-ai/agents/{agent_uuid}/functions/{function_uuid}.
func updateFunction(c *call) (any, *apiError) {
	a, i, fail := c.function()
	if fail != nil {
		return nil, fail
	}
	changed := a.functions[i].merge(c.body)
	if fail := a.checkFunctionName(changed); fail != nil {
		return nil, fail
	}
	changed.updatedAt = c.now
	next := a.settings
	next.functions = replaceAt(next.functions, i, changed)
	if c.st.commit(a, next, "update_function", owner(), c.now) {
		c.didf("updated function %s of agent %s", changed.uuid, a.uuid)
	}
	return c.agentAnswer(a), nil
}

// deleteFunction carries out DELETE
// /v2/gen-ai/agents/{agent_uuid}/functions/{function_uuid}.
func deleteFunction(c *call) (any, *apiError) {
	a, i, fail := c.function()
	if fail != nil {
		return nil, fail
	}
	id := a.functions[i].uuid
	next := a.settings
	next.functions = removeAt(next.functions, i)
	c.st.commit(a, next, "delete_function", owner(), c.now)
	c.didf("deleted function %s of agent %s", id, a.uuid)
	return c.agentAnswer(a), nil
}

// merge returns a function with the fields set that are given.
func (f function) merge(given fields) function {
	set(&f.name)(given.text("function_name"))
	set(&f.description)(given.text("description"))
	set(&f.faasName)(given.text("faas_name"))
	set(&f.faasNamespace)(given.text("faas_namespace"))
	set(&f.input)(given.free("input_schema"))
	set(&f.output)(given.free("output_schema"))
	return f
}

// checkFunctionName refuses the name another function of the agent has.
func (a *agent) checkFunctionName(f function) *apiError {
	for _, other := range a.functions {
		if other.name == f.name && other.uuid != f.uuid {
			return conflict("agent %s already has a function named %q", a.uuid, f.name)
		}
	}
	return nil
}

// function finds the agent the path names, and the place of the function among
// its functions.
func (c *call) function() (*agent, int, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, 0, fail
	}
	id := c.params["function_uuid"]
	i := indexOf(a.functions, id, function.key)
	if i < 0 {
		return nil, 0, notFound("The function", id)
	}
	c.resource = id
	return a, i, nil
}
