package genaisim

import "time"

// provider is another company whose models agents use, with a key that it gave.
type provider struct{ name, id string }

func anthropic() provider { return provider{"Anthropic", providerAnthropic} }
func openAI() provider    { return provider{"OpenAI", providerOpenAI} }

// providerKey is a key of a provider's. The secret is not kept: nothing can be
// done with it here.
type providerKey struct {
	uuid, provider, name string
	createdAt, updatedAt time.Time
}

// providerKeyView is the shape of a key of either provider.
type providerKeyView struct {
	UUID      string      `json:"uuid"`
	Name      string      `json:"name"`
	Models    []modelView `json:"models,omitempty"` // of OpenAI only
	CreatedBy string      `json:"created_by"`
	CreatedAt string      `json:"created_at"`
	UpdatedAt string      `json:"updated_at"`
	DeletedAt string      `json:"deleted_at,omitempty"`
}

// agentProviderKeyView is the shape of the key that an agent has for whatever
// provider.
type agentProviderKeyView struct {
	UUID      string      `json:"api_key_uuid"`
	Name      string      `json:"name,omitempty"`
	Provider  string      `json:"provider,omitempty"`
	Models    []modelView `json:"models,omitempty"`
	CreatedBy string      `json:"created_by,omitempty"`
	CreatedAt string      `json:"created_at,omitempty"`
	UpdatedAt string      `json:"updated_at,omitempty"`
}

type providerKeyAnswer struct {
	Key providerKeyView `json:"api_key_info"`
}

// listKeys carries out GET /v2/gen-ai/anthropic/keys, and that of OpenAI.
func (p provider) listKeys(c *call) (any, *apiError) {
	var keys []*providerKey
	for _, key := range c.st.platform.providerKeys {
		if key.provider == p.id {
			keys = append(keys, key)
		}
	}
	page, links := paginate(c, keys)
	return struct {
		Keys []providerKeyView `json:"api_key_infos"`
		paging
	}{mapped(page, c.st.providerKeyView), links}, nil
}

// createKey carries out POST /v2/gen-ai/anthropic/keys, and that of OpenAI.
// Names need not be unique. Whether the key is good is not found out.
func (p provider) createKey(c *call) (any, *apiError) {
	if _, given := c.body.text("api_key"); !given {
		return nil, badRequest("api_key is required")
	}
	name, given := c.body.text("name")
	if !given {
		return nil, badRequest("name is required")
	}
	key := &providerKey{uuid: c.st.random.uuid(), provider: p.id, name: name, createdAt: c.now, updatedAt: c.now}
	c.st.platform.providerKeys = append(c.st.platform.providerKeys, key)
	c.resource = key.uuid
	c.didf("created %s key %s", p.name, key.uuid)
	return providerKeyAnswer{c.st.providerKeyView(key)}, nil
}

// getKey carries out GET /v2/gen-ai/anthropic/keys/{api_key_uuid}, and that of
// OpenAI.
func (p provider) getKey(c *call) (any, *apiError) {
	key, fail := p.key(c, "api_key_uuid")
	if fail != nil {
		return nil, fail
	}
	return providerKeyAnswer{c.st.providerKeyView(key)}, nil
}

// updateKey carries out PUT /v2/gen-ai/anthropic/keys/{api_key_uuid}, and that
// of OpenAI. A secret that is given is a change, as nobody knows the old one.
func (p provider) updateKey(c *call) (any, *apiError) {
	key, fail := p.key(c, "api_key_uuid")
	if fail != nil {
		return nil, fail
	}
	name := key.name
	set(&name)(c.body.text("name"))
	if _, replaced := c.body.text("api_key"); replaced || name != key.name {
		key.name, key.updatedAt = name, c.now
		c.didf("updated %s key %s", p.name, key.uuid)
	}
	return providerKeyAnswer{c.st.providerKeyView(key)}, nil
}

// deleteKey carries out DELETE /v2/gen-ai/anthropic/keys/{api_key_uuid}, and
// that of OpenAI. Agents that use the key lose it.
func (p provider) deleteKey(c *call) (any, *apiError) {
	key, fail := p.key(c, "api_key_uuid")
	if fail != nil {
		return nil, fail
	}
	c.st.platform.providerKeys = without(c.st.platform.providerKeys, key)
	c.st.forget(key.uuid, c.now)
	c.didf("deleted %s key %s", p.name, key.uuid)
	view := c.st.providerKeyView(key)
	view.DeletedAt = stamp(c.now)
	return providerKeyAnswer{view}, nil
}

// listAgents carries out GET /v2/gen-ai/anthropic/keys/{uuid}/agents, and that
// of OpenAI.
func (p provider) listAgents(c *call) (any, *apiError) {
	key, fail := p.key(c, "uuid")
	if fail != nil {
		return nil, fail
	}
	return c.agentsAnswer(c.st.users(func(a *agent) bool {
		return a.anthropicKey == key.uuid || a.openAIKey == key.uuid || a.modelProviderKey == key.uuid
	})), nil
}

// key finds the key a path parameter names and notes it as the resource of the
// call. A key of another provider is not found.
func (p provider) key(c *call, param string) (*providerKey, *apiError) {
	id := c.params[param]
	key := c.st.providerKey(id)
	if key == nil || key.provider != p.id {
		return nil, notFound("The "+p.name+" API key", id)
	}
	c.resource = id
	return key, nil
}

func (st *state) providerKey(id string) *providerKey {
	return find(st.platform.providerKeys, id, func(key *providerKey) string { return key.uuid })
}

func (st *state) providerKeyView(key *providerKey) providerKeyView {
	view := providerKeyView{
		UUID: key.uuid, Name: key.name, CreatedBy: OwnerID, CreatedAt: stamp(key.createdAt), UpdatedAt: stamp(key.updatedAt),
	}
	if key.provider == providerOpenAI {
		view.Models = st.modelsOf(key.provider)
	}
	return view
}

// agentProviderKey is the key that an agent has for whatever provider, nil if
// it has none.
func (st *state) agentProviderKey(id string) *agentProviderKeyView {
	if id == "" {
		return nil
	}
	key := st.providerKey(id)
	if key == nil {
		return &agentProviderKeyView{UUID: id}
	}
	return &agentProviderKeyView{
		UUID: id, Name: key.name, Provider: key.provider, Models: st.modelsOf(key.provider),
		CreatedBy: OwnerID, CreatedAt: stamp(key.createdAt), UpdatedAt: stamp(key.updatedAt),
	}
}

// modelsOf are the models of a provider.
func (st *state) modelsOf(provider string) []modelView {
	var views []modelView
	for _, m := range st.models {
		if m.provider == provider {
			views = append(views, *m.view(st.created))
		}
	}
	return views
}
