package genaisim

import (
	"encoding/json"
	"slices"
	"time"
)

// The views are the vendor's shapes, as answers have them. Only what the
// simulator has anything to say about is in them.

type agentView struct {
	UUID                string  `json:"uuid"`
	Name                string  `json:"name"`
	Description         string  `json:"description"`
	Instruction         string  `json:"instruction"`
	ProjectID           string  `json:"project_id"`
	Region              string  `json:"region"`
	UserID              string  `json:"user_id"`
	VersionHash         string  `json:"version_hash"`
	CreatedAt           string  `json:"created_at"`
	UpdatedAt           string  `json:"updated_at"`
	URL                 string  `json:"url,omitempty"`
	Temperature         float64 `json:"temperature"`
	TopP                float64 `json:"top_p"`
	K                   int64   `json:"k"`
	MaxTokens           int64   `json:"max_tokens"`
	ThinkingTokenBudget int64   `json:"thinking_token_budget"`
	ReasoningEffort     string  `json:"reasoning_effort,omitempty"`
	RetrievalMethod     string  `json:"retrieval_method"`
	ProvideCitations    bool    `json:"provide_citations"`
	WebSearchEnabled    bool    `json:"web_search_enabled"`
	WebFetchEnabled     bool    `json:"web_fetch_enabled"`

	Tags               []string        `json:"tags"`
	MCPServers         []mcpServer     `json:"mcp_servers"`
	Chatbot            chatbotView     `json:"chatbot"`
	ChatbotIdentifiers []chatbotIDView `json:"chatbot_identifiers"`
	Deployment         deploymentView  `json:"deployment"`
	Model              *modelView      `json:"model,omitempty"`
	ModelRouter        any             `json:"model_router,omitempty"`

	// Of an agent seen as the child of another.
	RouteUUID      string `json:"route_uuid,omitempty"`
	RouteName      string `json:"route_name,omitempty"`
	IfCase         string `json:"if_case,omitempty"`
	RouteCreatedAt string `json:"route_created_at,omitempty"`
	RouteCreatedBy string `json:"route_created_by,omitempty"`

	*agentDetails // nil in lists of agents
}

// agentDetails are the fields an Agent has and an AgentListItem has not.
type agentDetails struct {
	ConversationLogs bool                  `json:"conversation_logs_enabled"`
	LoggingConfig    loggingView           `json:"logging_config"`
	APIKeyInfos      []apiKeyView          `json:"api_key_infos"`
	APIKeys          []struct{}            `json:"api_keys"` // secrets are never shown again
	Functions        []functionView        `json:"functions"`
	Guardrails       []guardrailView       `json:"guardrails"`
	KnowledgeBases   []knowledgeBaseView   `json:"knowledge_bases"`
	AnthropicKey     any                   `json:"anthropic_api_key,omitempty"`
	OpenAIKey        any                   `json:"openai_api_key,omitempty"`
	ModelProviderKey *agentProviderKeyView `json:"model_provider_key,omitempty"`
	Workspace        any                   `json:"workspace,omitempty"`
	ChildAgents      []agentView           `json:"child_agents,omitempty"`  // one level
	ParentAgents     []agentView           `json:"parent_agents,omitempty"` // one level
}

type chatbotView struct {
	Name            string   `json:"name"`
	StartingMessage string   `json:"starting_message"`
	PrimaryColor    string   `json:"primary_color"`
	SecondaryColor  string   `json:"secondary_color"`
	ButtonColor     string   `json:"button_background_color"`
	Logo            string   `json:"logo"`
	AllowedDomains  []string `json:"allowed_domains"`
}

type chatbotIDView struct {
	Identifier string `json:"agent_chatbot_identifier"`
}

type deploymentView struct {
	UUID       string `json:"uuid"`
	Name       string `json:"name"`
	Status     string `json:"status"`
	Visibility string `json:"visibility"`
	URL        string `json:"url,omitempty"`
	CreatedAt  string `json:"created_at"`
	UpdatedAt  string `json:"updated_at"`
}

type loggingView struct {
	InsightsEnabled   bool   `json:"insights_enabled"`
	InsightsEnabledAt string `json:"insights_enabled_at,omitempty"`
}

type apiKeyView struct {
	UUID      string `json:"uuid"`
	Name      string `json:"name"`
	CreatedBy string `json:"created_by"`
	CreatedAt string `json:"created_at"`
	DeletedAt string `json:"deleted_at,omitempty"`
	SecretKey string `json:"secret_key,omitempty"`
}

type functionView struct {
	UUID          string          `json:"uuid"`
	Name          string          `json:"name"`
	Description   string          `json:"description"`
	FaasName      string          `json:"faas_name"`
	FaasNamespace string          `json:"faas_namespace"`
	InputSchema   json.RawMessage `json:"input_schema"`
	OutputSchema  json.RawMessage `json:"output_schema"`
	CreatedBy     string          `json:"created_by"`
	CreatedAt     string          `json:"created_at"`
	UpdatedAt     string          `json:"updated_at"`
}

type guardrailView struct {
	UUID            string `json:"uuid"`
	GuardrailUUID   string `json:"guardrail_uuid"`
	AgentUUID       string `json:"agent_uuid"`
	Name            string `json:"name"`
	Description     string `json:"description"`
	Type            string `json:"type"`
	DefaultResponse string `json:"default_response"`
	Priority        int64  `json:"priority"`
	IsAttached      bool   `json:"is_attached"`
	IsDefault       bool   `json:"is_default"`
	CreatedAt       string `json:"created_at"`
	UpdatedAt       string `json:"updated_at"`
}

// stamp writes a time as the vendor's examples do: UTC, whole seconds.
func stamp(t time.Time) string {
	return t.UTC().Format(time.RFC3339)
}

// listItem is an agent as lists show it.
func (st *state) listItem(a *agent, now time.Time) agentView {
	status, since := st.deploymentOf(a, now)
	deployment := deploymentView{
		UUID: a.deployment, Name: a.name, Status: status, Visibility: a.visibility,
		CreatedAt: stamp(a.deployedAt), UpdatedAt: stamp(since),
	}
	if status == statusRunning {
		deployment.URL = "https://" + a.deployment + ".agents.example.com"
	}
	return agentView{
		UUID: a.uuid, Name: a.name, Description: a.description, Instruction: a.instruction,
		ProjectID: a.project, Region: a.region, UserID: a.createdBy, VersionHash: a.applied().hash,
		CreatedAt: stamp(a.createdAt), UpdatedAt: stamp(a.updatedAt), URL: deployment.URL,
		Temperature: a.temperature, TopP: a.topP, K: a.k, MaxTokens: a.maxTokens,
		ThinkingTokenBudget: a.thinkingTokenBudget, ReasoningEffort: a.reasoningEffort,
		RetrievalMethod: a.retrievalMethod, ProvideCitations: a.provideCitations,
		WebSearchEnabled: a.webSearch, WebFetchEnabled: a.webFetch,
		Tags: notNil(a.tags), MCPServers: notNil(a.mcpServers),
		Chatbot: chatbotView{
			Name: a.name, StartingMessage: "Hello! How can I help you today?", PrimaryColor: "#031b4e",
			SecondaryColor: "#e5e8ed", ButtonColor: "#0061eb", AllowedDomains: notNil(a.allowedDomains),
		},
		ChatbotIdentifiers: []chatbotIDView{{a.chatbot}},
		Deployment:         deployment,
		Model:              st.model(a.model).view(st.created),
		ModelRouter:        shown(a.modelRouter, st.router(a.modelRouter), func(r *router) any { return r.view() }),
	}
}

// flat is a whole agent without its children and parents.
func (st *state) flat(a *agent, now time.Time) agentView {
	view := st.listItem(a, now)
	view.agentDetails = &agentDetails{
		ConversationLogs: a.conversationLogs,
		LoggingConfig:    loggingView{InsightsEnabled: a.insights},
		APIKeys:          []struct{}{},
		APIKeyInfos:      mapped(a.keys, (*apiKey).view),
		Functions:        mapped(a.functions, function.view),
		Guardrails:       mapped(a.guardrails, func(g attachedGuardrail) guardrailView { return st.attachedGuardrail(a, g) }),
		KnowledgeBases: mapped(a.knowledgeBases, func(k attachedKnowledgeBase) knowledgeBaseView {
			view := st.knowledgeBaseView(st.knowledgeBase(k.uuid), now)
			view.AddedToAgentAt = stamp(k.at)
			return view
		}),
		AnthropicKey:     st.shownKey(a.anthropicKey),
		OpenAIKey:        st.shownKey(a.openAIKey),
		ModelProviderKey: st.agentProviderKey(a.modelProviderKey),
		Workspace:        shown(a.workspace, st.workspace(a.workspace), func(w *workspace) any { return w.view() }),
	}
	if a.insights {
		view.LoggingConfig.InsightsEnabledAt = stamp(a.insightsAt)
	}
	return view
}

// whole is an agent with its children and parents, each flat.
func (st *state) whole(a *agent, now time.Time) agentView {
	view := st.flat(a, now)
	view.ChildAgents = st.children(a, now)
	for _, id := range st.parents[a.uuid] {
		view.ParentAgents = append(view.ParentAgents, st.flat(st.agents[id], now))
	}
	return view
}

// children are the agents an agent routes to, with their routes.
func (st *state) children(a *agent, now time.Time) []agentView {
	return mapped(a.children, func(r route) agentView {
		view := st.flat(st.agents[r.child], now)
		view.RouteUUID, view.RouteName, view.IfCase = r.uuid, r.name, r.ifCase
		view.RouteCreatedAt, view.RouteCreatedBy = stamp(r.at), r.createdBy
		return view
	})
}

func (k *apiKey) view() apiKeyView {
	return apiKeyView{UUID: k.uuid, Name: k.name, CreatedBy: k.createdBy, CreatedAt: stamp(k.createdAt)}
}

func (f function) view() functionView {
	return functionView{
		UUID: f.uuid, Name: f.name, Description: f.description, FaasName: f.faasName, FaasNamespace: f.faasNamespace,
		InputSchema: f.input, OutputSchema: f.output,
		CreatedBy: OwnerID, CreatedAt: stamp(f.createdAt), UpdatedAt: stamp(f.updatedAt),
	}
}

func (st *state) attachedGuardrail(a *agent, attached attachedGuardrail) guardrailView {
	g := st.guardrail(attached.uuid)
	return guardrailView{
		UUID: g.uuid, GuardrailUUID: g.uuid, AgentUUID: a.uuid, Name: g.name, Description: g.description, Type: g.typ,
		DefaultResponse: g.response, Priority: attached.priority, IsAttached: true, IsDefault: true,
		CreatedAt: stamp(attached.at), UpdatedAt: stamp(attached.at),
	}
}

// notNil makes an empty list show as [] and not as null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func mapped[From, To any](list []From, view func(From) To) []To {
	views := make([]To, 0, len(list))
	for _, element := range list {
		views = append(views, view(element))
	}
	return views
}

// reversed is a list from its end to its start.
func reversed[T any](list []T) []T {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
