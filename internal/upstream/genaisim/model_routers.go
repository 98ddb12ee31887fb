package genaisim

import (
	"reflect"
	"slices"
	"time"
)

// router chooses a model for each task.
type router struct {
	uuid                 string
	createdAt, updatedAt time.Time
	routerSettings
}

// routerSettings are what an update of a router can change. Lists are never
// changed in place.
type routerSettings struct {
	name, description string
	regions           []string
	config            routerConfig
}

// routerConfig is how a router chooses. Models go by the names that calls of
// them use.
type routerConfig struct {
	Policies       []routerPolicy `json:"policies"`
	FallbackModels []string       `json:"fallback_models"`
}

// routerPolicy names the models for one task, which is either one of the
// vendor's or described here.
type routerPolicy struct {
	TaskSlug        string           `json:"task_slug,omitempty"`
	CustomTask      *customTask      `json:"custom_task,omitempty"`
	Models          []string         `json:"models"`
	SelectionPolicy *selectionPolicy `json:"selection_policy,omitempty"`
}

type customTask struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type selectionPolicy struct {
	Prefer string `json:"prefer"`
}

type routerView struct {
	UUID        string       `json:"uuid"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Regions     []string     `json:"regions"`
	Config      routerConfig `json:"config"`
	CreatedAt   string       `json:"created_at"`
	UpdatedAt   string       `json:"updated_at"`
}

type routerAnswer struct {
	Router routerView `json:"model_router"`
}

// listRouters carries out GET /v2/gen-ai/models/routers.
func listRouters(c *call) (any, *apiError) {
	page, links := paginate(c, c.st.platform.routers)
	return struct {
		Routers []routerView `json:"model_routers"`
		paging
	}{mapped(page, (*router).view), links}, nil
}

// createRouter carries out POST /v2/gen-ai/models/routers. Names need not be
// unique.
func createRouter(c *call) (any, *apiError) {
	settings, fail := c.routerSettings(routerSettings{regions: []string{DefaultRegion}})
	if fail != nil {
		return nil, fail
	}
	r := &router{uuid: c.st.random.uuid(), createdAt: c.now, updatedAt: c.now, routerSettings: settings}
	c.st.platform.routers = append(c.st.platform.routers, r)
	c.resource = r.uuid
	c.didf("created model router %s", r.uuid)
	return routerAnswer{r.view()}, nil
}

// getRouter carries out GET /v2/gen-ai/models/routers/{uuid}.
func getRouter(c *call) (any, *apiError) {
	r, fail := c.router()
	if fail != nil {
		return nil, fail
	}
	return routerAnswer{r.view()}, nil
}

// updateRouter carries out PUT /v2/gen-ai/models/routers/{uuid}.
func updateRouter(c *call) (any, *apiError) {
	r, fail := c.router()
	if fail != nil {
		return nil, fail
	}
	next, fail := c.routerSettings(r.routerSettings)
	if fail != nil {
		return nil, fail
	}
	if !reflect.DeepEqual(next, r.routerSettings) {
		r.routerSettings, r.updatedAt = next, c.now
		c.didf("updated model router %s", r.uuid)
	}
	return routerAnswer{r.view()}, nil
}

// deleteRouter carries out DELETE /v2/gen-ai/models/routers/{uuid}. Agents that
// use the router lose it.
func deleteRouter(c *call) (any, *apiError) {
	r, fail := c.router()
	if fail != nil {
		return nil, fail
	}
	c.st.platform.routers = without(c.st.platform.routers, r)
	c.st.forget(r.uuid, c.now)
	c.didf("deleted model router %s", r.uuid)
	return struct {
		UUID string `json:"uuid"`
	}{r.uuid}, nil
}

// routerSettings are settings with the fields set that the body gives. The
// names of models and of tasks are taken as they come: the vendor has more of
// them than the simulator.
func (c *call) routerSettings(s routerSettings) (routerSettings, *apiError) {
	set(&s.name)(c.body.text("name"))
	set(&s.description)(c.body.textOrEmpty("description"))
	set(&s.regions)(c.body.texts("regions"))
	set(&s.config.FallbackModels)(c.body.texts("fallback_models"))
	if _, given := c.body.list("policies"); given {
		s.config.Policies = nil
		for _, object := range c.body.objects("policies") {
			policy, fail := readPolicy(object, c.op.body.fields["policies"].of)
			if fail != nil {
				return s, fail
			}
			s.config.Policies = append(s.config.Policies, policy)
		}
	}
	if s.name == "" {
		return s, badRequest("name is required")
	}
	for _, wanted := range s.regions {
		if !slices.ContainsFunc(c.st.regions, func(r region) bool { return r.Region == wanted }) {
			return s, badRequest("region %q does not exist", wanted)
		}
	}
	hasModels := func(policy routerPolicy) bool { return len(policy.Models) > 0 }
	if len(s.config.FallbackModels) == 0 && !slices.ContainsFunc(s.config.Policies, hasModels) {
		return s, badRequest("a router needs a model, in fallback_models or in a policy")
	}
	return s, nil
}

// readPolicy reads the policy that an object of schema sc describes.
func readPolicy(given fields, sc *schema) (routerPolicy, *apiError) {
	var policy routerPolicy
	set(&policy.TaskSlug)(given.text("task_slug"))
	set(&policy.Models)(given.texts("models"))
	policy.Models = notNil(policy.Models)
	if object := given.inner("custom_task", sc); object != nil {
		policy.CustomTask = &customTask{}
		set(&policy.CustomTask.Name)(object.text("name"))
		set(&policy.CustomTask.Description)(object.text("description"))
	}
	if object := given.inner("selection_policy", sc); object != nil {
		policy.SelectionPolicy = &selectionPolicy{Prefer: "none"}
		set(&policy.SelectionPolicy.Prefer)(object.text("prefer"))
	}
	switch {
	case (policy.TaskSlug == "") == (policy.CustomTask == nil):
		return policy, badRequest("a policy is for one task, by its task_slug or a custom_task")
	case policy.CustomTask != nil && policy.CustomTask.Name == "":
		return policy, badRequest("a custom_task needs a name")
	case policy.SelectionPolicy != nil && !slices.Contains([]string{"none", "cheapest", "fastest"}, policy.SelectionPolicy.Prefer):
		return policy, badRequest("prefer must be none, cheapest or fastest, not %q", policy.SelectionPolicy.Prefer)
	}
	return policy, nil
}

// router finds the router the path names and notes it as the resource of the
// call.
func (c *call) router() (*router, *apiError) {
	id := c.params["uuid"]
	r := c.st.router(id)
	if r == nil {
		return nil, notFound("The model router", id)
	}
	c.resource = id
	return r, nil
}

func (st *state) router(id string) *router {
	return find(st.platform.routers, id, func(r *router) string { return r.uuid })
}

func (r *router) view() routerView {
	return routerView{
		UUID: r.uuid, Name: r.name, Description: r.description, Regions: notNil(r.regions),
		Config:    routerConfig{Policies: notNil(r.config.Policies), FallbackModels: notNil(r.config.FallbackModels)},
		CreatedAt: stamp(r.createdAt), UpdatedAt: stamp(r.updatedAt),
	}
}
