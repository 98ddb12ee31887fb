package genaisim

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// state is all the simulator knows about the account. The server's mutex
// guards it. Lists inside settings are never changed in place but replaced, so
// that versions and answers may share them.
type state struct {
	deployTime time.Duration
	random     source

	agents  map[string]*agent
	order   []*agent            // by creation
	parents map[string][]string // of a child, by the time of the route

	models         []*model
	guardrails     []*guardrail
	knowledgeBases []*knowledgeBase // by creation
	regions        []region
	created        time.Time // of the models and guardrails

	nextVersion uint64

	knowledge  knowledge
	platform   platform
	evaluation evaluation
}

// settings are what a version of an agent holds and what a rollback restores.
// Empty lists are nil, so that equal settings are deeply equal.
type settings struct {
	name, description, instruction            string
	model, modelRouter                        string // uuids, empty if none
	anthropicKey, openAIKey, modelProviderKey string // uuids, empty if none
	project, region                           string
	tags                                      []string
	temperature, topP                         float64
	k, maxTokens, thinkingTokenBudget         int64
	provideCitations                          bool
	retrievalMethod                           string
	reasoningEffort, routerPreset             string
	conversationLogs, insights                bool
	webSearch, webFetch                       bool
	mcpServers                                []mcpServer
	allowedDomains                            []string

	functions      []function
	guardrails     []attachedGuardrail
	knowledgeBases []attachedKnowledgeBase
	children       []route
}

type mcpServer struct {
	ServerLabel   string          `json:"server_label,omitempty"`
	ServerURL     string          `json:"server_url,omitempty"`
	Authorization string          `json:"authorization,omitempty"`
	AllowedTools  []string        `json:"allowed_tools,omitempty"`
	Headers       json.RawMessage `json:"headers,omitempty"`
}

type function struct {
	uuid, name, description, faasName, faasNamespace string
	input, output                                    json.RawMessage
	createdAt, updatedAt                             time.Time
}

type attachedGuardrail struct {
	uuid     string
	priority int64
	at       time.Time
}

type attachedKnowledgeBase struct {
	uuid string
	at   time.Time
}

type route struct {
	uuid, child, name, ifCase string
	createdBy                 string
	at                        time.Time
}

type agent struct {
	uuid, createdBy      string
	createdAt, updatedAt time.Time
	settings

	// workspace says where the agent is, empty if in none. It is not what the
	// agent is, and so does not belong to a version.
	workspace string

	// visibility belongs to the deployment and not to a version.
	visibility          string
	deployment, chatbot string    // uuids
	deployedAt          time.Time // when the deployment began
	insightsAt          time.Time // when insights were last enabled
	settled             bool      // seeded agents run, whatever the clock says

	versions []*version // oldest first; the last is the one applied
	keys     []*apiKey  // by creation
}

// version is a record of the settings after a change. It never changes.
type version struct {
	id        uint64
	hash      string
	trigger   string
	createdBy string // an e-mail address
	createdAt time.Time
	settings
}

type apiKey struct {
	uuid, name, createdBy string
	createdAt             time.Time
}

// actor is who makes a change.
type actor struct{ id, email string }

// owner is the user whom the clients' tokens stand for.
func owner() actor { return actor{OwnerID, OwnerEmail} }

// essence is the settings without what is only bookkeeping: when something was
// attached or changed, and under which id a route is kept. Settings that
// differ in nothing else are the same to a user.
func (s settings) essence() settings {
	s.functions = slices.Clone(s.functions)
	for i := range s.functions {
		s.functions[i].createdAt, s.functions[i].updatedAt = time.Time{}, time.Time{}
	}
	s.guardrails = slices.Clone(s.guardrails)
	for i := range s.guardrails {
		s.guardrails[i].at = time.Time{}
	}
	s.knowledgeBases = slices.Clone(s.knowledgeBases)
	for i := range s.knowledgeBases {
		s.knowledgeBases[i].at = time.Time{}
	}
	s.children = slices.Clone(s.children)
	for i := range s.children {
		s.children[i] = route{child: s.children[i].child, name: s.children[i].name, ifCase: s.children[i].ifCase}
	}
	return s
}

// commit gives an agent new settings and records them as a version. If they
// are what the agent has, nothing happens and commit returns false.
func (st *state) commit(a *agent, next settings, trigger string, by actor, now time.Time) bool {
	if reflect.DeepEqual(a.settings.essence(), next.essence()) {
		return false
	}
	st.relink(a.uuid, a.children, next.children)
	if next.insights && !a.insights {
		a.insightsAt = now
	}
	a.settings = next
	st.record(a, trigger, by, now)
	return true
}

// record makes a version of the settings an agent has.
func (st *state) record(a *agent, trigger string, by actor, now time.Time) {
	a.updatedAt = now
	a.versions = append(a.versions, &version{
		id: st.nextVersion, hash: st.random.hex(32), trigger: trigger, createdBy: by.email, createdAt: now, settings: a.settings,
	})
	st.nextVersion++
}

// relink keeps the index of parents in step with the routes of one of them.
func (st *state) relink(parent string, before, after []route) {
	for _, r := range before {
		if indexOf(after, r.child, route.key) < 0 {
			st.parents[r.child] = without(st.parents[r.child], parent)
		}
	}
	for _, r := range after {
		if indexOf(before, r.child, route.key) < 0 {
			st.parents[r.child] = append(slices.Clone(st.parents[r.child]), parent)
		}
	}
}

// add puts a new agent with its first version into the account.
func (st *state) add(a *agent, by actor, now time.Time) {
	a.createdBy, a.createdAt, a.deployedAt = by.id, now, now
	a.deployment, a.chatbot = st.random.uuid(), st.random.uuid()
	a.visibility = visibilityPrivate
	if a.insights {
		a.insightsAt = now
	}
	st.record(a, "create_agent", by, now)
	st.agents[a.uuid] = a
	st.order = append(st.order, a)
}

// remove takes an agent out of the account and out of the routes of others,
// which get no new version by that.
func (st *state) remove(a *agent, now time.Time) {
	delete(st.agents, a.uuid)
	st.order = slices.DeleteFunc(st.order, func(other *agent) bool { return other == a })
	for _, id := range st.parents[a.uuid] {
		if parent := st.agents[id]; parent != nil {
			i := indexOf(parent.children, a.uuid, route.key)
			parent.children = removeAt(parent.children, i)
			parent.updatedAt = now
		}
	}
	delete(st.parents, a.uuid)
	st.relink(a.uuid, a.children, nil)
}

func (st *state) model(id string) *model {
	return find(st.models, id, func(m *model) string { return m.uuid })
}

func (st *state) guardrail(id string) *guardrail {
	return find(st.guardrails, id, func(g *guardrail) string { return g.uuid })
}

func (st *state) knowledgeBase(id string) *knowledgeBase {
	return find(st.knowledgeBases, id, func(kb *knowledgeBase) string { return kb.uuid })
}

func (r route) key() string                 { return r.child }
func (f function) key() string              { return f.uuid }
func (g attachedGuardrail) key() string     { return g.uuid }
func (k attachedKnowledgeBase) key() string { return k.uuid }

func find[T any](list []*T, id string, key func(*T) string) *T {
	for _, element := range list {
		if key(element) == id {
			return element
		}
	}
	return nil
}

// indexOf is the place of the element with a key, or -1.
func indexOf[T any](list []T, id string, key func(T) string) int {
	return slices.IndexFunc(list, func(element T) bool { return key(element) == id })
}

// removeAt is a copy of a list without one element, nil if none is left.
func removeAt[T any](list []T, i int) []T {
	if i < 0 {
		return list
	}
	if len(list) == 1 {
		return nil
	}
	return slices.Concat(list[:i], list[i+1:])
}

// replaceAt is a copy of a list with another element in one place.
func replaceAt[T any](list []T, i int, element T) []T {
	list = slices.Clone(list)
	list[i] = element
	return list
}

// without is a copy of a list without one element, nil if none is left.
func without[T comparable](list []T, element T) []T {
	return removeAt(list, slices.Index(list, element))
}

func (v *version) idText() string { return strconv.FormatUint(v.id, 10) }
