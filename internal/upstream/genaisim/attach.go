package genaisim

import (
	"slices"
	"time"
)

// attachGuardrails carries out POST /v2/gen-ai/agents/{agent_uuid}/guardrails.
// A guardrail that is attached already takes the priority given, if any.
func attachGuardrails(c *call) (any, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, fail
	}
	list := c.body.objects("guardrails")
	if len(list) == 0 {
		return nil, badRequest("guardrails is required")
	}
	next := a.settings
	for _, object := range list {
		id, _ := object.id("guardrail_uuid")
		if c.st.guardrail(id) == nil {
			return nil, notFound("The guardrail", id)
		}
		attached := attachedGuardrail{uuid: id, priority: int64(len(next.guardrails) + 1), at: c.now}
		priority, given := object.integer("priority")
		if given {
			attached.priority = priority
		}
		switch i := indexOf(next.guardrails, id, attachedGuardrail.key); {
		case i < 0:
			next.guardrails = append(slices.Clone(next.guardrails), attached)
		case given:
			attached.at = next.guardrails[i].at
			next.guardrails = replaceAt(next.guardrails, i, attached)
		}
	}
	if c.st.commit(a, next, "attach_guardrails", owner(), c.now) {
		c.didf("attached guardrails to agent %s", a.uuid)
	}
	return c.agentAnswer(a), nil
}

// detachGuardrail carries out DELETE
// /v2/gen-ai/agents/{agent_uuid}/guardrails/{guardrail_uuid}.
func detachGuardrail(c *call) (any, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, fail
	}
	id := c.params["guardrail_uuid"]
	i := indexOf(a.guardrails, id, attachedGuardrail.key)
	if i < 0 {
		return nil, notFound("The guardrail", id)
	}
	next := a.settings
	next.guardrails = removeAt(next.guardrails, i)
	c.st.commit(a, next, "detach_guardrail", owner(), c.now)
	c.didf("detached guardrail %s from agent %s", id, a.uuid)
	return c.agentAnswer(a), nil
}

// attachKnowledgeBases carries out POST
// /v2/gen-ai/agents/{agent_uuid}/knowledge_bases.
func attachKnowledgeBases(c *call) (any, *apiError) {
	ids := c.body.ids("knowledge_base_uuids")
	return c.attachKnowledgeBases(ids)
}

// attachKnowledgeBase carries out POST
// /v2/gen-ai/agents/{agent_uuid}/knowledge_bases/{knowledge_base_uuid}.
func attachKnowledgeBase(c *call) (any, *apiError) {
	return c.attachKnowledgeBases([]string{c.params["knowledge_base_uuid"]})
}

func (c *call) attachKnowledgeBases(ids []string) (any, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, fail
	}
	if len(ids) == 0 {
		return nil, badRequest("knowledge_base_uuids is required")
	}
	next := a.settings
	if next.knowledgeBases, fail = c.st.attach(a.knowledgeBases, ids, c.now); fail != nil {
		return nil, fail
	}
	if c.st.commit(a, next, "attach_knowledge_bases", owner(), c.now) {
		c.didf("attached knowledge bases to agent %s", a.uuid)
	}
	return c.agentAnswer(a), nil
}

// detachKnowledgeBase carries out DELETE
// /v2/gen-ai/agents/{agent_uuid}/knowledge_bases/{knowledge_base_uuid}.
func detachKnowledgeBase(c *call) (any, *apiError) {
	a, fail := c.agent("agent_uuid")
	if fail != nil {
		return nil, fail
	}
	id := c.params["knowledge_base_uuid"]
	i := indexOf(a.knowledgeBases, id, attachedKnowledgeBase.key)
	if i < 0 {
		return nil, notFound("The knowledge base", id)
	}
	next := a.settings
	next.knowledgeBases = removeAt(next.knowledgeBases, i)
	c.st.commit(a, next, "detach_knowledge_base", owner(), c.now)
	c.didf("detached knowledge base %s from agent %s", id, a.uuid)
	return c.agentAnswer(a), nil
}

// attach adds knowledge bases to those attached. All must exist with their
// databases online, or none is added.
func (st *state) attach(attached []attachedKnowledgeBase, ids []string, now time.Time) ([]attachedKnowledgeBase, *apiError) {
	attached = slices.Clip(attached)
	for _, id := range ids {
		kb := st.knowledgeBase(id)
		if kb == nil {
			return nil, notFound("The knowledge base", id)
		}
		if status := st.databaseStatus(kb, now); status != databaseOnline {
			return nil, badRequest("the database of knowledge base %s is %s, not %s", id, status, databaseOnline)
		}
		if indexOf(attached, id, attachedKnowledgeBase.key) < 0 {
			attached = append(attached, attachedKnowledgeBase{uuid: id, at: now})
		}
	}
	return attached, nil
}
