package genaisim

type keyAnswer struct {
	Key apiKeyView `json:"api_key_info"`
}

// listKeys carries out GET /v2/gen-ai/agents/{agent_uuid}/api_keys.
func listKeys(c *call) (any, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, fail
	}
	page, links := paginate(c, a.keys)
	return struct {
		Keys []apiKeyView `json:"api_key_infos"`
		paging
	}{mapped(page, (*apiKey).view), links}, nil
}

// createKey carries out POST /v2/gen-ai/agents/{agent_uuid}/api_keys. Names
// need not be unique.
func createKey(c *call) (any, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, fail
	}
	name, given := c.body.text("name")
	if !given {
		return nil, badRequest("name is required")
	}
	key := &apiKey{uuid: c.st.random.uuid(), name: name, createdBy: OwnerID, createdAt: c.now}
	a.keys = append(a.keys, key)
	c.resource = key.uuid
	c.didf("created api key %s of agent %s", key.uuid, a.uuid)
	return keyAnswer{c.withSecret(key)}, nil
}

// updateKey carries out PUT /v2/gen-ai/agents/{agent_uuid}/api_keys/{api_key_uuid}.
func updateKey(c *call) (any, *apiError) {
	a, key, fail := c.key()
	if fail != nil {
		return nil, fail
	}
	if name, given := c.body.text("name"); given && name != key.name {
		key.name = name
		c.didf("renamed api key %s of agent %s", key.uuid, a.uuid)
	}
	return keyAnswer{key.view()}, nil
}

// deleteKey carries out DELETE /v2/gen-ai/agents/{agent_uuid}/api_keys/{api_key_uuid}.
func deleteKey(c *call) (any, *apiError) {
	a, key, fail := c.key()
	if fail != nil {
		return nil, fail
	}
	a.keys = removeAt(a.keys, indexOf(a.keys, key.uuid, (*apiKey).id))
	c.didf("deleted api key %s of agent %s", key.uuid, a.uuid)
	view := key.view()
	view.DeletedAt = stamp(c.now)
	return keyAnswer{view}, nil
}

// regenerateKey carries out PUT
// /v2/gen-ai/agents/{agent_uuid}/api_keys/{api_key_uuid}/regenerate. The key
// keeps its id and gets another secret.
func regenerateKey(c *call) (any, *apiError) {
	a, key, fail := c.key()
	if fail != nil {
		return nil, fail
	}
	c.didf("regenerated api key %s of agent %s", key.uuid, a.uuid)
	return keyAnswer{c.withSecret(key)}, nil
}

// withSecret shows a key with a new secret. The simulator does not keep
// secrets: nothing can be done with them here.
func (c *call) withSecret(key *apiKey) apiKeyView {
	view := key.view()
	view.SecretKey = c.st.random.hex(24)
	return view
}

func (k *apiKey) id() string { return k.uuid }

// key finds the agent and the key the path names.
func (c *call) key() (*agent, *apiKey, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, nil, fail
	}
	id := c.params["api_key_uuid"]
	i := indexOf(a.keys, id, (*apiKey).id)
	if i < 0 {
		return nil, nil, notFound("The API key", id)
	}
	c.resource = id
	return a, a.keys[i], nil
}
