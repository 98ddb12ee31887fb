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

	// DefaultProject is the project of agents and knowledge bases created without one.
	DefaultProject = "6a1f2c30-51d0-4e6b-8f00-000000000401"
	// DefaultRegion is the region of agents and knowledge bases created without one.
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

	providerDigitalOcean = "MODEL_PROVIDER_DIGITALOCEAN"
	providerAnthropic    = "MODEL_PROVIDER_ANTHROPIC"
	providerOpenAI       = "MODEL_PROVIDER_OPENAI"
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
	chunkMin, chunkDefault, chunkMax         int64
	internal                                 bool

	// What catalogues tell beside.
	creator, huggingFace, license string // empty if there is none
	version                       modelVersion
	maxOutput                     int64
	benchmarks                    map[string]float64
	dedicated                     bool // can be had on machines of one's own
}

func models() []*model {
	agent := []string{usecaseAgent, usecaseServerless}
	return []*model{
		{
			uuid: ModelLlama, id: "llama3.3-70b-instruct", name: "Llama 3.3 Instruct (70B)", provider: providerDigitalOcean, typ: "chat",
			lifecycle: "active", usecases: agent, capabilities: []string{"streaming", "tool_calling"}, contextWindow: "128000",
			parameters: 70, inputPrice: 0.65, outputPrice: 0.65,
			creator: "Meta", huggingFace: "meta-llama/Llama-3.3-70B-Instruct", license: "Llama 3.3 Community License",
			version: modelVersion{Major: 3, Minor: 3}, maxOutput: 8192, benchmarks: map[string]float64{"mmlu": 86}, dedicated: true,
		},
		{
			uuid: ModelClaude, id: "anthropic-claude-sonnet", name: "Anthropic Claude Sonnet", provider: providerAnthropic, typ: "chat",
			lifecycle: "active", usecases: append(slices.Clone(agent), usecaseReasoning),
			capabilities:  []string{"streaming", "tool_calling", "vision"},
			contextWindow: "200000", inputPrice: 3, outputPrice: 15, thinking: true,
			creator: "Anthropic", version: modelVersion{Major: 4}, maxOutput: 64_000, benchmarks: map[string]float64{"gpqa": 75.4},
		},
		{
			uuid: ModelGPT, id: "openai-gpt", name: "OpenAI GPT", provider: providerOpenAI, typ: "chat",
			lifecycle: "active", usecases: agent, capabilities: []string{"streaming", "tool_calling", "vision"}, contextWindow: "400000",
			inputPrice: 1.25, outputPrice: 10, reasoningEfforts: []string{"low", "medium", "high"},
			creator: "OpenAI", version: modelVersion{Major: 5}, maxOutput: 128_000, benchmarks: map[string]float64{"gpqa": 85.7},
		},
		{
			uuid: ModelDeepSeek, id: "deepseek-r1-distill-llama-70b", name: "DeepSeek R1 Distill Llama 70B", provider: providerDigitalOcean,
			typ: "reasoning", lifecycle: "active", usecases: append(slices.Clone(agent), usecaseReasoning),
			capabilities:  []string{"streaming"},
			contextWindow: "32000", parameters: 70, inputPrice: 0.99, outputPrice: 0.99, reasoningEfforts: []string{"low", "high"},
			creator: "DeepSeek", huggingFace: "deepseek-ai/DeepSeek-R1-Distill-Llama-70B", license: "MIT License",
			version: modelVersion{Major: 1}, maxOutput: 8192, benchmarks: map[string]float64{"math500": 94.5}, dedicated: true,
		},
		{
			uuid: ModelEmbedding, id: "gte-large-en-v1.5", name: "GTE Large EN v1.5", provider: providerDigitalOcean, typ: "embedding",
			lifecycle: "active", usecases: []string{usecaseKnowledgeBase}, contextWindow: "8192", parameters: 0.434, inputPrice: 0.09,
			chunkMin: 1, chunkDefault: 750, chunkMax: 8192,
			creator: "Alibaba", huggingFace: "Alibaba-NLP/gte-large-en-v1.5", license: "Apache License 2.0",
			version: modelVersion{Major: 1, Minor: 5}, benchmarks: map[string]float64{"mteb": 65.4},
		},
		{
			uuid: ModelEmbeddingSmall, id: "all-minilm-l6-v2", name: "All MiniLM L6 v2", provider: providerDigitalOcean, typ: "embedding",
			lifecycle: "active", usecases: []string{usecaseKnowledgeBase}, contextWindow: "256", parameters: 0.022, inputPrice: 0.009,
			chunkMin: 1, chunkDefault: 256, chunkMax: 256,
			creator: "Microsoft", huggingFace: "sentence-transformers/all-MiniLM-L6-v2", license: "Apache License 2.0",
			version: modelVersion{Major: 2}, benchmarks: map[string]float64{"mteb": 56.3},
		},
		{
			uuid: ModelInternal, id: "internal-preview", name: "Internal Preview", provider: providerDigitalOcean, typ: "chat",
			lifecycle: "internal", usecases: []string{usecaseAgent}, contextWindow: "64000", parameters: 8, internal: true,
			maxOutput: 4096,
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
