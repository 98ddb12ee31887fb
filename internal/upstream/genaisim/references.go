package genaisim

import "time"

// Agents refer to provider keys, model routers and workspaces by id. An id the
// simulator has never heard of is taken as it comes; what was deleted is gone.

// references are the ids in settings of what can be deleted under them.
func references(s *settings) []*string {
	return []*string{&s.modelRouter, &s.anthropicKey, &s.openAIKey, &s.modelProviderKey}
}

// checkReferences refuses what is given and was deleted, and keys of a provider
// for which they are not.
func (st *state) checkReferences(given fields) *apiError {
	for _, reference := range []struct{ field, provider string }{
		{"model_router_uuid", ""},
		{"anthropic_key_uuid", providerAnthropic},
		{"open_ai_key_uuid", providerOpenAI},
		{"model_provider_key_uuid", ""},
		{"workspace_uuid", ""},
	} {
		id, ok := given.id(reference.field)
		if !ok {
			continue
		}
		if st.platform.deleted[id] {
			return badRequest("%s: %s no longer exists", reference.field, id)
		}
		if key := st.providerKey(id); key != nil && reference.provider != "" && key.provider != reference.provider {
			return badRequest("%s: %s is a key of %s", reference.field, id, key.provider)
		}
	}
	return nil
}

// forget notes that something was deleted. The agents that refer to it lose it,
// without a version by that.
func (st *state) forget(id string, now time.Time) {
	st.platform.deleted[id] = true
	for _, a := range st.order {
		lost := a.workspace == id
		if lost {
			a.workspace = ""
		}
		for _, reference := range references(&a.settings) {
			if *reference == id {
				*reference, lost = "", true
			}
		}
		if lost {
			a.updatedAt = now
		}
	}
}

// surviving are settings without references to what was deleted since.
func (st *state) surviving(s settings) settings {
	for _, reference := range references(&s) {
		if st.platform.deleted[*reference] {
			*reference = ""
		}
	}
	return s
}

// users are the agents of which something is true, by creation.
func (st *state) users(uses func(*agent) bool) []*agent {
	var users []*agent
	for _, a := range st.order {
		if uses(a) {
			users = append(users, a)
		}
	}
	return users
}

type agentsAnswer struct {
	Agents []agentView `json:"agents"`
	paging
}

// agentsAnswer is a page of agents, each whole.
func (c *call) agentsAnswer(agents []*agent) agentsAnswer {
	page, links := paginate(c, agents)
	return agentsAnswer{mapped(page, func(a *agent) agentView { return c.st.whole(a, c.now) }), links}
}

// refView stands for what an agent refers to and the simulator does not have.
type refView struct {
	UUID string `json:"uuid"`
}

// shown is what an answer has in the place of an id: the view of what it
// refers to, the id alone if there is no such thing, nothing for an empty id.
func shown[T any](id string, found *T, view func(*T) any) any {
	switch {
	case id == "":
		return nil
	case found == nil:
		return refView{id}
	}
	return view(found)
}

// shownKey is what an agent shows of the key that it has for a provider.
func (st *state) shownKey(id string) any {
	return shown(id, st.providerKey(id), func(key *providerKey) any { return st.providerKeyView(key) })
}
