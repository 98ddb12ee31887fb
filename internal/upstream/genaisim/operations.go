package genaisim

import "maps"

// operations says who carries out which operation of the contract. An
// operation that is in the contract and not here is answered 501.
func (s *Server) operations() map[string]handler {
	const agents = "/v2/gen-ai/agents"
	table := map[string]handler{
		"GET " + agents:                listAgents,
		"POST " + agents:               createAgent,
		"GET " + agents + "/{uuid}":    getAgent,
		"PUT " + agents + "/{uuid}":    updateAgent,
		"DELETE " + agents + "/{uuid}": deleteAgent,

		"GET " + agents + "/{agent_uuid}/api_keys":                           listKeys,
		"POST " + agents + "/{agent_uuid}/api_keys":                          createKey,
		"PUT " + agents + "/{agent_uuid}/api_keys/{api_key_uuid}":            updateKey,
		"DELETE " + agents + "/{agent_uuid}/api_keys/{api_key_uuid}":         deleteKey,
		"PUT " + agents + "/{agent_uuid}/api_keys/{api_key_uuid}/regenerate": regenerateKey,

		"POST " + agents + "/{agent_uuid}/functions":                   addFunction,
		"PUT " + agents + "/{agent_uuid}/functions/{function_uuid}":    updateFunction,
		"DELETE " + agents + "/{agent_uuid}/functions/{function_uuid}": deleteFunction,

		"POST " + agents + "/{agent_uuid}/guardrails":                    attachGuardrails,
		"DELETE " + agents + "/{agent_uuid}/guardrails/{guardrail_uuid}": detachGuardrail,

		"POST " + agents + "/{agent_uuid}/knowledge_bases":                         attachKnowledgeBases,
		"POST " + agents + "/{agent_uuid}/knowledge_bases/{knowledge_base_uuid}":   attachKnowledgeBase,
		"DELETE " + agents + "/{agent_uuid}/knowledge_bases/{knowledge_base_uuid}": detachKnowledgeBase,

		"POST " + agents + "/{parent_agent_uuid}/child_agents/{child_agent_uuid}":   addRoute,
		"PUT " + agents + "/{parent_agent_uuid}/child_agents/{child_agent_uuid}":    updateRoute,
		"DELETE " + agents + "/{parent_agent_uuid}/child_agents/{child_agent_uuid}": deleteRoute,
		"GET " + agents + "/{uuid}/child_agents":                                    viewRoutes,

		"GET " + agents + "/{uuid}/versions":              listVersions,
		"PUT " + agents + "/{uuid}/versions":              rollback,
		"PUT " + agents + "/{uuid}/deployment_visibility": setVisibility,
		"GET " + agents + "/{uuid}/usage":                 getUsage,
	}
	for _, more := range []map[string]handler{knowledgeOperations(), platformOperations(), evaluationOperations()} {
		maps.Copy(table, more)
	}
	return table
}
