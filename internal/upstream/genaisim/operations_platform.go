package genaisim

// platformOperations are those about models, routers, keys, workspaces and regions.
func platformOperations() map[string]handler {
	const (
		models     = "/v2/gen-ai/models"
		modelKeys  = models + "/api_keys"
		routers    = models + "/routers"
		custom     = "/v2/gen-ai/custom_models"
		workspaces = "/v2/gen-ai/workspaces"
	)
	table := map[string]handler{
		"GET " + models:                   listModels,
		"GET " + models + "/catalog":      listCatalog,
		"GET " + models + "/catalog/{id}": getCatalogCard,
		"GET /v2/gen-ai/regions":          listRegions,

		"GET " + modelKeys:                                listModelKeys,
		"POST " + modelKeys:                               createModelKey,
		"PUT " + modelKeys + "/{api_key_uuid}":            updateModelKey,
		"DELETE " + modelKeys + "/{api_key_uuid}":         deleteModelKey,
		"PUT " + modelKeys + "/{api_key_uuid}/regenerate": regenerateModelKey,

		"GET " + routers:                    listRouters,
		"POST " + routers:                   createRouter,
		"GET " + routers + "/{uuid}":        getRouter,
		"PUT " + routers + "/{uuid}":        updateRouter,
		"DELETE " + routers + "/{uuid}":     deleteRouter,
		"GET " + routers + "/presets":       listRouterPresets,
		"GET " + routers + "/tasks/presets": listTaskPresets,

		"GET " + custom:                        listCustomModels,
		"POST " + custom + "/import":           importCustomModel,
		"GET " + custom + "/{uuid}":            getCustomModel,
		"DELETE " + custom + "/{uuid}":         deleteCustomModel,
		"PATCH " + custom + "/{uuid}/metadata": updateCustomModel,

		"GET " + workspaces:                              listWorkspaces,
		"POST " + workspaces:                             createWorkspace,
		"GET " + workspaces + "/{workspace_uuid}":        getWorkspace,
		"PUT " + workspaces + "/{workspace_uuid}":        updateWorkspace,
		"DELETE " + workspaces + "/{workspace_uuid}":     deleteWorkspace,
		"GET " + workspaces + "/{workspace_uuid}/agents": listWorkspaceAgents,
		"PUT " + workspaces + "/{workspace_uuid}/agents": moveAgents,

		"GET /v2/gen-ai/oauth2/url":             getOAuthURL,
		"POST /v2/gen-ai/oauth2/dropbox/tokens": createDropboxTokens,
	}
	for path, p := range map[string]provider{"/v2/gen-ai/anthropic/keys": anthropic(), "/v2/gen-ai/openai/keys": openAI()} {
		table["GET "+path] = p.listKeys
		table["POST "+path] = p.createKey
		table["GET "+path+"/{api_key_uuid}"] = p.getKey
		table["PUT "+path+"/{api_key_uuid}"] = p.updateKey
		table["DELETE "+path+"/{api_key_uuid}"] = p.deleteKey
		table["GET "+path+"/{uuid}/agents"] = p.listAgents
	}
	return table
}
