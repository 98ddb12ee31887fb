package genaisim

import (
	"slices"
	"time"
)

// modelView is both shapes of a model: that inside an agent and that of the
// list of models, each with a few fields of its own.
type modelView struct {
	UUID             string   `json:"uuid"`
	Name             string   `json:"name"`
	Provider         string   `json:"provider"`
	Type             string   `json:"type"`
	LifecycleStatus  string   `json:"lifecycle_status"`
	IsFoundational   bool     `json:"is_foundational"`
	UploadComplete   bool     `json:"upload_complete"`
	Thinking         bool     `json:"thinking"`
	Capabilities     []string `json:"capabilities"`
	ReasoningEfforts []string `json:"reasoning_efforts"`
	ContextWindow    string   `json:"context_window"`
	ParameterCount   float64  `json:"parameter_count,omitempty"`
	ChunkMin         int64    `json:"kb_min_chunk_size,omitempty"`
	ChunkDefault     int64    `json:"kb_default_chunk_size,omitempty"`
	ChunkMax         int64    `json:"kb_max_chunk_size,omitempty"`
	CreatedAt        string   `json:"created_at"`
	UpdatedAt        string   `json:"updated_at"`

	Agreement  *modelAgreement    `json:"agreement,omitempty"`
	Benchmarks map[string]float64 `json:"benchmark_score,omitempty"`
	Endpoints  []modelEndpoint    `json:"endpoints"`
	Modalities modelModalities    `json:"modalities"`
	Settings   []modelSetting     `json:"settings"`
	Version    modelVersion       `json:"version"`

	// Inside an agent only.
	InferenceName    string   `json:"inference_name,omitempty"`
	InferenceVersion string   `json:"inference_version,omitempty"`
	Usecases         []string `json:"usecases,omitempty"`

	// In the list only.
	ID           string        `json:"id,omitempty"`
	Description  string        `json:"description,omitempty"`
	Availability string        `json:"model_availability,omitempty"`
	Pricing      *modelPricing `json:"pricing,omitempty"`
}

type modelPricing struct {
	Input  float64 `json:"input_price_per_million"`
	Output float64 `json:"output_price_per_million,omitempty"`
}

func (m *model) common(created time.Time) modelView {
	return modelView{
		UUID: m.uuid, Name: m.name, Provider: m.provider, Type: m.typ, LifecycleStatus: m.lifecycle,
		IsFoundational: true, UploadComplete: true, Thinking: m.thinking,
		Capabilities: notNil(m.capabilities), ReasoningEfforts: notNil(m.reasoningEfforts),
		ContextWindow: m.contextWindow, ParameterCount: m.parameters,
		ChunkMin: m.chunkMin, ChunkDefault: m.chunkDefault, ChunkMax: m.chunkMax,
		CreatedAt: stamp(created), UpdatedAt: stamp(created),
		Agreement: m.agreement(), Benchmarks: m.benchmarks, Endpoints: m.endpoints(), Modalities: m.modalities(),
		Settings: m.settings(), Version: m.version,
	}
}

// view is a model inside an agent, nil for an agent without one.
func (m *model) view(created time.Time) *modelView {
	if m == nil {
		return nil
	}
	view := m.common(created)
	view.InferenceName, view.InferenceVersion, view.Usecases = m.id, m.version.text(), m.usecases
	return &view
}

func (m *model) listView(created time.Time) modelView {
	view := m.common(created)
	view.ID, view.Availability = m.id, "serverless"
	view.Description = m.name + ", a model of type " + m.typ
	view.Pricing = &modelPricing{m.inputPrice, m.outputPrice}
	return view
}

// listModels carries out GET /v2/gen-ai/models. Of several use cases a model
// needs one.
func listModels(c *call) (any, *apiError) {
	const unset = "MODEL_USECASE_UNKNOWN"
	usecases, publicOnly := without(c.queryList("usecases"), unset), c.queryBool("public_only")
	var models []*model
	for _, m := range c.st.models {
		wanted := len(usecases) == 0 || slices.ContainsFunc(usecases, func(u string) bool { return slices.Contains(m.usecases, u) })
		if wanted && (!publicOnly || !m.internal) {
			models = append(models, m)
		}
	}
	page, links := paginate(c, models)
	return struct {
		Models []modelView `json:"models"`
		paging
	}{mapped(page, func(m *model) modelView { return m.listView(c.st.created) }), links}, nil
}

// listRegions carries out GET /v2/gen-ai/regions.
func listRegions(c *call) (any, *apiError) {
	inference, batch := c.queryBool("serves_inference"), c.queryBool("serves_batch")
	found := []region{}
	for _, r := range c.st.regions {
		if (r.ServesInference || !inference) && (r.ServesBatch || !batch) {
			found = append(found, r)
		}
	}
	return struct {
		Regions []region `json:"regions"`
	}{found}, nil
}
