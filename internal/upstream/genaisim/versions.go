package genaisim

import (
	"fmt"
	"slices"
)

type versionView struct {
	ID                 string                 `json:"id"`
	AgentUUID          string                 `json:"agent_uuid"`
	VersionHash        string                 `json:"version_hash"`
	TriggerAction      string                 `json:"trigger_action"`
	CurrentlyApplied   bool                   `json:"currently_applied"`
	CanRollback        bool                   `json:"can_rollback"`
	CreatedAt          string                 `json:"created_at"`
	CreatedByEmail     string                 `json:"created_by_email"`
	Name               string                 `json:"name"`
	Description        string                 `json:"description"`
	Instruction        string                 `json:"instruction"`
	ModelName          string                 `json:"model_name,omitempty"`
	K                  int64                  `json:"k"`
	MaxTokens          int64                  `json:"max_tokens"`
	Temperature        float64                `json:"temperature"`
	TopP               float64                `json:"top_p"`
	ProvideCitations   bool                   `json:"provide_citations"`
	RetrievalMethod    string                 `json:"retrieval_method"`
	Tags               []string               `json:"tags"`
	AttachedChildren   []versionChildView     `json:"attached_child_agents"`
	AttachedFunctions  []versionFunctionView  `json:"attached_functions"`
	AttachedGuardrails []versionGuardrailView `json:"attached_guardrails"`
	AttachedKnowledge  []versionKnowledgeView `json:"attached_knowledgebases"`
}

type versionChildView struct {
	AgentName string `json:"agent_name,omitempty"`
	ChildUUID string `json:"child_agent_uuid"`
	IfCase    string `json:"if_case"`
	RouteName string `json:"route_name"`
	IsDeleted bool   `json:"is_deleted"`
}

type versionFunctionView struct {
	Name          string `json:"name"`
	Description   string `json:"description"`
	FaasName      string `json:"faas_name"`
	FaasNamespace string `json:"faas_namespace"`
	IsDeleted     bool   `json:"is_deleted"`
}

type versionGuardrailView struct {
	UUID      string `json:"uuid"`
	Name      string `json:"name,omitempty"`
	Priority  int64  `json:"priority"`
	IsDeleted bool   `json:"is_deleted"`
}

type versionKnowledgeView struct {
	UUID      string `json:"uuid"`
	Name      string `json:"name,omitempty"`
	IsDeleted bool   `json:"is_deleted"`
}

type auditHeader struct {
	ActorID           string `json:"actor_id"`
	ActorIP           string `json:"actor_ip"`
	UserID            string `json:"user_id"`
	OriginApplication string `json:"origin_application"`
}

// listVersions carries out GET /v2/gen-ai/agents/{uuid}/versions, newest first.
func listVersions(c *call) (any, *apiError) {
	a, fail := c.agent("uuid")
	if fail != nil {
		return nil, fail
	}
	page, links := paginate(c, reversed(a.versions))
	return struct {
		Versions []versionView `json:"agent_versions"`
		paging
	}{mapped(page, func(v *version) versionView { return c.st.versionView(a, v) }), links}, nil
}

// rollback carries out PUT /v2/gen-ai/agents/{uuid}/versions. What the agent
// has been given since is not lost: the rollback is a version of its own.
func rollback(c *call) (any, *apiError) {
	a, fail := c.agent("uuid")
	if fail != nil {
		return nil, fail
	}
	hash, given := c.body.text("version_hash")
	if !given {
		return nil, badRequest("version_hash is required")
	}
	i := slices.IndexFunc(a.versions, func(v *version) bool { return v.hash == hash })
	if i < 0 {
		return nil, notFound("The version", hash)
	}
	target := a.versions[i]
	if target != a.applied() {
		if gone := c.st.gone(a, target); gone != "" {
			return nil, badRequest("version %s cannot be restored: %s no longer exists", hash, gone)
		}
		if c.st.commit(a, c.st.surviving(target.settings), "rollback", owner(), c.now) {
			c.didf("rolled back agent %s to version %s", a.uuid, hash)
		}
	}
	return struct {
		AuditHeader auditHeader `json:"audit_header"`
		VersionHash string      `json:"version_hash"`
	}{auditHeader{ActorID: OwnerID, ActorIP: "192.0.2.1", UserID: OwnerID, OriginApplication: "api"}, a.applied().hash}, nil
}

// gone names the first thing a version needs that no longer exists; empty if
// all of it does. What was merely detached exists; a deleted function route
// does not.
func (st *state) gone(a *agent, v *version) string {
	for _, k := range v.knowledgeBases {
		if st.knowledgeBase(k.uuid) == nil {
			return "knowledge base " + k.uuid
		}
	}
	for _, r := range v.children {
		if st.agents[r.child] == nil {
			return "child agent " + r.child
		}
	}
	for _, g := range v.guardrails {
		if st.guardrail(g.uuid) == nil {
			return "guardrail " + g.uuid
		}
	}
	for _, f := range v.functions {
		if indexOf(a.functions, f.uuid, function.key) < 0 {
			return fmt.Sprintf("function %q", f.name)
		}
	}
	return ""
}

func (st *state) versionView(a *agent, v *version) versionView {
	view := versionView{
		ID: v.idText(), AgentUUID: a.uuid, VersionHash: v.hash, TriggerAction: v.trigger,
		CurrentlyApplied: v == a.applied(), CanRollback: st.gone(a, v) == "",
		CreatedAt: stamp(v.createdAt), CreatedByEmail: v.createdBy,
		Name: v.name, Description: v.description, Instruction: v.instruction,
		K: v.k, MaxTokens: v.maxTokens, Temperature: v.temperature, TopP: v.topP,
		ProvideCitations: v.provideCitations, RetrievalMethod: v.retrievalMethod, Tags: notNil(v.tags),
	}
	if m := st.model(v.model); m != nil {
		view.ModelName = m.name
	}
	view.AttachedChildren = mapped(v.children, func(r route) versionChildView {
		child := versionChildView{ChildUUID: r.child, IfCase: r.ifCase, RouteName: r.name, IsDeleted: true}
		if agent := st.agents[r.child]; agent != nil {
			child.AgentName, child.IsDeleted = agent.name, false
		}
		return child
	})
	view.AttachedFunctions = mapped(v.functions, func(f function) versionFunctionView {
		return versionFunctionView{
			Name: f.name, Description: f.description, FaasName: f.faasName, FaasNamespace: f.faasNamespace,
			IsDeleted: indexOf(a.functions, f.uuid, function.key) < 0,
		}
	})
	view.AttachedGuardrails = mapped(v.guardrails, func(attached attachedGuardrail) versionGuardrailView {
		guard := versionGuardrailView{UUID: attached.uuid, Priority: attached.priority, IsDeleted: true}
		if g := st.guardrail(attached.uuid); g != nil {
			guard.Name, guard.IsDeleted = g.name, false
		}
		return guard
	})
	view.AttachedKnowledge = mapped(v.knowledgeBases, func(attached attachedKnowledgeBase) versionKnowledgeView {
		knowledge := versionKnowledgeView{UUID: attached.uuid, IsDeleted: true}
		if kb := st.knowledgeBase(attached.uuid); kb != nil {
			knowledge.Name, knowledge.IsDeleted = kb.name, false
		}
		return knowledge
	})
	return view
}
