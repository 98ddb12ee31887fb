package genaisim

import "slices"

type routeAnswer struct {
	ChildUUID  string `json:"child_agent_uuid"`
	ParentUUID string `json:"parent_agent_uuid"`
}

type routeUpdateAnswer struct {
	routeAnswer
	Rollback bool   `json:"rollback"`
	UUID     string `json:"uuid"`
}

// addRoute carries out POST
// /v2/gen-ai/agents/{parent_agent_uuid}/child_agents/{child_agent_uuid}.
// Agents may route to each other in a circle, but not to themselves.
func addRoute(c *call) (any, *apiError) {
	childID := c.params["child_agent_uuid"]
	child := c.st.agents[childID]
	parent, fail := c.agent("parent_agent_uuid")
	switch {
	case fail != nil:
		return nil, fail
	case child == nil:
		return nil, notFound("The agent", childID)
	case child == parent:
		return nil, badRequest("an agent cannot route to itself")
	case indexOf(parent.children, childID, route.key) >= 0:
		return nil, conflict("agent %s already routes to agent %s", parent.uuid, childID)
	}
	added := route{uuid: c.st.random.uuid(), child: childID, name: child.name, createdBy: OwnerID, at: c.now}
	set(&added.name)(c.body.text("route_name"))
	set(&added.ifCase)(c.body.text("if_case"))
	next := parent.settings
	next.children = append(slices.Clip(next.children), added)
	c.st.commit(parent, next, "add_agent_route", owner(), c.now)
	c.didf("added route from agent %s to agent %s", parent.uuid, childID)
	return routeAnswer{childID, parent.uuid}, nil
}

// updateRoute carries out PUT
// /v2/gen-ai/agents/{parent_agent_uuid}/child_agents/{child_agent_uuid}.
func updateRoute(c *call) (any, *apiError) {
	parent, i, fail := c.route()
	if fail != nil {
		return nil, fail
	}
	changed := parent.children[i]
	set(&changed.name)(c.body.text("route_name"))
	set(&changed.ifCase)(c.body.text("if_case"))
	next := parent.settings
	next.children = replaceAt(next.children, i, changed)
	if c.st.commit(parent, next, "update_agent_route", owner(), c.now) {
		c.didf("updated route from agent %s to agent %s", parent.uuid, changed.child)
	}
	return routeUpdateAnswer{routeAnswer{changed.child, parent.uuid}, false, changed.uuid}, nil
}

// deleteRoute carries out DELETE
// /v2/gen-ai/agents/{parent_agent_uuid}/child_agents/{child_agent_uuid}.
func deleteRoute(c *call) (any, *apiError) {
	parent, i, fail := c.route()
	if fail != nil {
		return nil, fail
	}
	childID := parent.children[i].child
	next := parent.settings
	next.children = removeAt(next.children, i)
	c.st.commit(parent, next, "delete_agent_route", owner(), c.now)
	c.didf("deleted route from agent %s to agent %s", parent.uuid, childID)
	return routeAnswer{childID, parent.uuid}, nil
}

// route finds the parent the path names, and the place of the route among its
// routes.
func (c *call) route() (*agent, int, *apiError) {
	parent, fail := c.agent("parent_agent_uuid")
	if fail != nil {
		return nil, 0, fail
	}
	id := c.params["child_agent_uuid"]
	i := indexOf(parent.children, id, route.key)
	if i < 0 {
		return nil, 0, notFound("The route to agent", id)
	}
	return parent, i, nil
}
