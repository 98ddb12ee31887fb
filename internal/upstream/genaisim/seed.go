package genaisim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// seedEpoch is when the seeded account came into being. It is fixed, so that
// the seeds are the same whenever a simulator starts.
func seedEpoch() time.Time { return time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC) }

// newState returns an account with the catalogue and the seeded agents.
func newState(cfg Config) *state {
	random := rand.New(rand.NewPCG(cfg.Seed, seedStream)) //nolint:gosec // G404: repeatable on purpose
	st := &state{
		deployTime: cfg.DeployTime,
		random:     seededSource(random),
		agents:     make(map[string]*agent, cfg.SeedAgents),
		parents:    make(map[string][]string),
		models:     models(), guardrails: guardrails(), knowledgeBases: knowledgeBases(), regions: regions(),
		knowledge:   newKnowledge(cfg),
		platform:    newPlatform(cfg),
		evaluation:  newEvaluation(cfg),
		created:     seedEpoch(),
		nextVersion: 1_000_001,
	}
	if cfg.Empty {
		st.knowledgeBases, st.platform.modelKeys = nil, nil
	}
	for i := range cfg.SeedAgents {
		st.plant(i, random)
	}
	st.random = systemSource
	return st
}

// plant adds one seeded agent with a short history: some have a knowledge
// base, some a guardrail, a key, a second version or a route.
func (st *state) plant(i int, random *rand.Rand) {
	topics := []string{"orders", "billing", "travel", "weather", "returns", "onboarding", "shipping", "accounts"}
	topic := topics[random.IntN(len(topics))]
	now := seedEpoch().Add(time.Duration(i+1) * time.Minute)
	agentModels := []string{ModelLlama, ModelClaude, ModelGPT, ModelDeepSeek}
	a := &agent{uuid: st.random.uuid(), settled: true, settings: settings{
		name:        fmt.Sprintf("%s-assistant-%04d", topic, i+1),
		description: "Answers questions about " + topic + ".",
		instruction: "You help customers with " + topic + ". Be brief, and say so when you do not know.",
		model:       agentModels[random.IntN(len(agentModels))],
		project:     DefaultProject, region: DefaultRegion, tags: []string{"seeded", topic},
		temperature: float64(random.IntN(11)) / 10, topP: 0.9, k: 10, maxTokens: 512,
		provideCitations: random.IntN(2) == 0, retrievalMethod: retrievalNone, conversationLogs: true,
	}}
	if random.IntN(2) == 0 {
		a.knowledgeBases = []attachedKnowledgeBase{{uuid: KnowledgeBaseA, at: now}}
	}
	if random.IntN(3) == 0 {
		a.guardrails = []attachedGuardrail{{uuid: GuardrailJailbreak, priority: 1, at: now}}
	}
	st.add(a, owner(), now)
	if random.IntN(2) == 0 {
		a.keys = []*apiKey{{uuid: st.random.uuid(), name: topic + "-key", createdBy: OwnerID, createdAt: now}}
	}
	if random.IntN(3) == 0 {
		next := a.settings
		next.instruction += " Answer in the language of the question."
		st.commit(a, next, "update_agent", owner(), now.Add(10*time.Second))
	}
	if i > 0 && random.IntN(5) == 0 {
		next := a.settings
		child := st.order[random.IntN(i)]
		next.children = []route{{
			uuid: st.random.uuid(), child: child.uuid, name: "to-" + child.name,
			ifCase: "the question is about what " + child.name + " knows", createdBy: OwnerID, at: now.Add(20 * time.Second),
		}}
		st.commit(a, next, "add_agent_route", owner(), now.Add(20*time.Second))
	}
}
