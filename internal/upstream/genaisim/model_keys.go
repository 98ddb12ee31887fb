package genaisim

import "net/http"

// listModelKeys carries out GET /v2/gen-ai/models/api_keys.
func listModelKeys(c *call) (any, *apiError) {
	page, links := paginate(c, c.st.platform.modelKeys)
	return struct {
		Keys []apiKeyView `json:"api_key_infos"`
		paging
	}{mapped(page, (*apiKey).view), links}, nil
}

// createModelKey carries out POST /v2/gen-ai/models/api_keys, which the vendor
// gave up in August 2026.
func createModelKey(*call) (any, *apiError) {
	return nil, &apiError{
		status: http.StatusGone, ID: "gone", Message: "Model API keys can no longer be created here. Existing keys go on working.",
	}
}

// updateModelKey carries out PUT /v2/gen-ai/models/api_keys/{api_key_uuid}.
func updateModelKey(c *call) (any, *apiError) {
	key, fail := c.modelKey()
	if fail != nil {
		return nil, fail
	}
	if name, given := c.body.text("name"); given && name != key.name {
		key.name = name
		c.didf("renamed model api key %s", key.uuid)
	}
	return keyAnswer{key.view()}, nil
}

// deleteModelKey carries out DELETE
// /v2/gen-ai/models/api_keys/{api_key_uuid}.
func deleteModelKey(c *call) (any, *apiError) {
	key, fail := c.modelKey()
	if fail != nil {
		return nil, fail
	}
	c.st.platform.modelKeys = without(c.st.platform.modelKeys, key)
	c.didf("deleted model api key %s", key.uuid)
	view := key.view()
	view.DeletedAt = stamp(c.now)
	return keyAnswer{view}, nil
}

// regenerateModelKey carries out PUT
// /v2/gen-ai/models/api_keys/{api_key_uuid}/regenerate. The key keeps its id
// and gets another secret.
func regenerateModelKey(c *call) (any, *apiError) {
	key, fail := c.modelKey()
	if fail != nil {
		return nil, fail
	}
	c.didf("regenerated model api key %s", key.uuid)
	return keyAnswer{c.withSecret(key)}, nil
}

// modelKey finds the key the path names and notes it as the resource of the
// call.
func (c *call) modelKey() (*apiKey, *apiError) {
	id := c.params["api_key_uuid"]
	key := find(c.st.platform.modelKeys, id, (*apiKey).id)
	if key == nil {
		return nil, notFound("The model API key", id)
	}
	c.resource = id
	return key, nil
}
