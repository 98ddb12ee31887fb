package genaisim

import (
	"encoding/json"
	"slices"
)

// What exists in every simulator from the start, whatever its seed.
const (
	ModelLlama          = "6a1f2c30-51d0-4e6b-8f00-000000000101" // for agents
	ModelClaude         = "6a1f2c30-51d0-4e6b-8f00-000000000102" // for agents, of Anthropic
	ModelGPT            = "6a1f2c30-51d0-4e6b-8f00-000000000103" // for agents, of OpenAI
	ModelDeepSeek       = "6a1f2c30-51d0-4e6b-8f00-000000000104" // for agents, reasoning
	ModelEmbedding      = "6a1f2c30-51d0-4e6b-8f00-000000000105" // for knowledge bases
	ModelEmbeddingSmall = "6a1f2c30-51d0-4e6b-8f00-000000000106" // for knowledge bases
	ModelInternal       = "6a1f2c30-51d0-4e6b-8f00-000000000107" // for agents, not public

	GuardrailJailbreak         = "6a1f2c30-51d0-4e6b-8f00-000000000201"
	GuardrailSensitiveData     = "6a1f2c30-51d0-4e6b-8f00-000000000202"
	GuardrailContentModeration = "6a1f2c30-51d0-4e6b-8f00-000000000203"

	KnowledgeBaseA = "6a1f2c30-51d0-4e6b-8f00-000000000301" // its database is ONLINE
	KnowledgeBaseB = "6a1f2c30-51d0-4e6b-8f00-000000000302" // its database is ONLINE
	// KnowledgeBaseCreating has a database that never gets past CREATING, so
	// it cannot be attached.
	KnowledgeBaseCreating = "6a1f2c30-51d0-4e6b-8f00-000000000303"

	// DefaultProject is the project of agents created without one.
	DefaultProject = "6a1f2c30-51d0-4e6b-8f00-000000000401"
	// DefaultRegion is the region of agents created without one.
	DefaultRegion = "tor1"

	// OwnerID and OwnerEmail are the user whom the token stands for, whatever
	// the token; ConsoleID and ConsoleEmail the one who makes changes by the
	// control API.
	OwnerID      = "4217001"
	OwnerEmail   = "owner@example.com"
	ConsoleID    = "4217002"
	ConsoleEmail = "console@example.com"
)

const (
	usecaseAgent         = "MODEL_USECASE_AGENT"
	usecaseServerless    = "MODEL_USECASE_SERVERLESS"
	usecaseReasoning     = "MODEL_USECASE_REASONING"
	usecaseKnowledgeBase = "MODEL_USECASE_KNOWLEDGEBASE"
	databaseOnline       = "ONLINE"
	databaseCreating     = "CREATING"
)

// model is a foundation model of the vendor's. Models never change.
type model struct {
	uuid, id, name, provider, typ, lifecycle string
	usecases, capabilities                   []string
	contextWindow                            string
	parameters                               float64
	inputPrice, outputPrice                  float64 // US$ per million tokens
	reasoningEfforts                         []string
	thinking                                 bool
	chunkDefault, chunkMax                   int64
	internal                                 bool
}

func models() []*model {
	const digitalOcean, anthropic, openAI = "MODEL_PROVIDER_DIGITALOCEAN", "MODEL_PROVIDER_ANTHROPIC", "MODEL_PROVIDER_OPENAI"
	agent := []string{usecaseAgent, usecaseServerless}
	return []*model{
		{
			uuid: ModelLlama, id: "llama3.3-70b-instruct", name: "Llama 3.3 Instruct (70B)", provider: digitalOcean, typ: "chat",
			lifecycle: "active", usecases: agent, capabilities: []string{"streaming", "tool_calling"}, contextWindow: "128000",
			parameters: 70, inputPrice: 0.65, outputPrice: 0.65,
		},
		{
			uuid: ModelClaude, id: "anthropic-claude-sonnet", name: "Anthropic Claude Sonnet", provider: anthropic, typ: "chat",
			lifecycle: "active", usecases: append(slices.Clone(agent), usecaseReasoning),
			capabilities:  []string{"streaming", "tool_calling", "vision"},
			contextWindow: "200000", inputPrice: 3, outputPrice: 15, thinking: true,
		},
		{
			uuid: ModelGPT, id: "openai-gpt", name: "OpenAI GPT", provider: openAI, typ: "chat",
			lifecycle: "active", usecases: agent, capabilities: []string{"streaming", "tool_calling", "vision"}, contextWindow: "400000",
			inputPrice: 1.25, outputPrice: 10, reasoningEfforts: []string{"low", "medium", "high"},
		},
		{
			uuid: ModelDeepSeek, id: "deepseek-r1-distill-llama-70b", name: "DeepSeek R1 Distill Llama 70B", provider: digitalOcean,
			typ: "reasoning", lifecycle: "active", usecases: append(slices.Clone(agent), usecaseReasoning),
			capabilities:  []string{"streaming"},
			contextWindow: "32000", parameters: 70, inputPrice: 0.99, outputPrice: 0.99, reasoningEfforts: []string{"low", "high"},
		},
		{
			uuid: ModelEmbedding, id: "gte-large-en-v1.5", name: "GTE Large EN v1.5", provider: digitalOcean, typ: "embedding",
			lifecycle: "active", usecases: []string{usecaseKnowledgeBase}, contextWindow: "8192", parameters: 0.434, inputPrice: 0.09,
			chunkDefault: 750, chunkMax: 8192,
		},
		{
			uuid: ModelEmbeddingSmall, id: "all-minilm-l6-v2", name: "All MiniLM L6 v2", provider: digitalOcean, typ: "embedding",
			lifecycle: "active", usecases: []string{usecaseKnowledgeBase}, contextWindow: "256", parameters: 0.022, inputPrice: 0.009,
			chunkDefault: 256, chunkMax: 256,
		},
		{
			uuid: ModelInternal, id: "internal-preview", name: "Internal Preview", provider: digitalOcean, typ: "chat",
			lifecycle: "internal", usecases: []string{usecaseAgent}, contextWindow: "64000", parameters: 8, internal: true,
		},
	}
}

// guardrail is one of those the vendor offers; there is no operation to make
// one. Guardrails never change, but the control API can remove one.
type guardrail struct {
	uuid, name, description, typ, response string
}

func guardrails() []*guardrail {
	return []*guardrail{
		{
			uuid: GuardrailJailbreak, name: "Jailbreak", typ: "GUARDRAIL_TYPE_JAILBREAK",
			description: "Keeps users from talking the agent out of its instructions.", response: "I cannot help with that request.",
		},
		{
			uuid: GuardrailSensitiveData, name: "Sensitive Data", typ: "GUARDRAIL_TYPE_SENSITIVE_DATA",
			description: "Keeps personal data out of prompts and answers.", response: "I cannot work with personal data.",
		},
		{
			uuid: GuardrailContentModeration, name: "Content Moderation", typ: "GUARDRAIL_TYPE_CONTENT_MODERATION",
			description: "Keeps harmful content out of prompts and answers.", response: "I cannot talk about that.",
		},
	}
}

// knowledgeBase can be attached to agents once its database is online.
// Knowledge bases never change, but the control API can remove one.
type knowledgeBase struct {
	uuid, name, database, databaseStatus, embeddingModel string
	tags                                                 []string
}

func knowledgeBases() []*knowledgeBase {
	return []*knowledgeBase{
		{
			uuid: KnowledgeBaseA, name: "product-manuals", database: "6a1f2c30-51d0-4e6b-8f00-000000000501",
			databaseStatus: databaseOnline, embeddingModel: ModelEmbedding, tags: []string{"manuals"},
		},
		{
			uuid: KnowledgeBaseB, name: "support-tickets", database: "6a1f2c30-51d0-4e6b-8f00-000000000502",
			databaseStatus: databaseOnline, embeddingModel: ModelEmbeddingSmall,
		},
		{
			uuid: KnowledgeBaseCreating, name: "new-handbook", database: "6a1f2c30-51d0-4e6b-8f00-000000000503",
			databaseStatus: databaseCreating, embeddingModel: ModelEmbedding,
		},
	}
}

type region struct {
	Region             string `json:"region"`
	InferenceURL       string `json:"inference_url"`
	StreamInferenceURL string `json:"stream_inference_url"`
	ServesInference    bool   `json:"serves_inference"`
	ServesBatch        bool   `json:"serves_batch"`
}

func regions() []region {
	return []region{
		{
			Region: "tor1", InferenceURL: "https://inference.tor1.example.com", StreamInferenceURL: "https://stream.tor1.example.com",
			ServesInference: true, ServesBatch: true,
		},
		{
			Region: "nyc2", InferenceURL: "https://inference.nyc2.example.com", StreamInferenceURL: "https://stream.nyc2.example.com",
			ServesInference: true,
		},
		{Region: "ams3", ServesBatch: true},
	}
}

// emptyObject is what free-form JSON is when nothing was given.
func emptyObject() json.RawMessage { return json.RawMessage(`{}`) }
