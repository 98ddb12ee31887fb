package genaisim

import "strings"

const (
	candidateServerless = "CANDIDATE_MODEL_SOURCE_SERVERLESS"
	candidateDedicated  = "CANDIDATE_MODEL_SOURCE_DEDICATED"
	candidateRouter     = "CANDIDATE_MODEL_SOURCE_ROUTER"
)

// modelEvaluation says what to evaluate, by what, and how. A run has all of it,
// a preset some. It never changes.
type modelEvaluation struct {
	candidate candidateModel
	inference inferenceView
	judge     *model
	dataset   *dataset
	metrics   []string    // ids
	star      *starMetric // nil if there is none
}

// candidateModel is what is evaluated. Only a serverless one is known to be a
// model; others are taken as they come.
type candidateModel struct {
	uuid, name, source string
	model              *model // of serverless ones
}

// inferenceView is the way in which the candidate is asked. What is pointed to
// never changes.
type inferenceView struct {
	MaxTokens    *int64   `json:"max_tokens,omitempty"`
	StopToken    string   `json:"stop_token,omitempty"`
	SystemPrompt string   `json:"system_prompt,omitempty"`
	Temperature  *float64 `json:"temperature,omitempty"`
}

// modelEvaluation merges what the body gives into what comes from a preset.
func (c *call) modelEvaluation(spec modelEvaluation) (modelEvaluation, *apiError) {
	var fail *apiError
	if spec.candidate, fail = c.candidate(spec.candidate); fail != nil {
		return spec, fail
	}
	if spec.inference, fail = spec.inference.merge(c.body.inner("candidate_inference_config", c.op.body)); fail != nil {
		return spec, fail
	}
	if id, given := c.body.id("judge_model_uuid"); given {
		if spec.judge, fail = c.st.answering(id); fail != nil {
			return spec, fail
		}
	}
	if id, given := c.body.id("dataset_uuid"); given {
		if spec.dataset = c.st.dataset(id); spec.dataset == nil {
			return spec, notFound("The evaluation dataset", id)
		}
	}
	if ids := c.body.ids("metric_uuids"); len(ids) > 0 {
		spec.metrics = ids
	}
	if spec.candidate.source == "" || spec.judge == nil || spec.dataset == nil || len(spec.metrics) == 0 {
		return spec, badRequest("a candidate model, judge_model_uuid, dataset_uuid and metric_uuids are required," +
			" from the body or from a preset")
	}
	metrics, fail := c.st.metricsFor(scopeModel, spec.metrics)
	if fail != nil {
		return spec, fail
	}
	star, fail := c.star(metrics)
	if fail != nil {
		return spec, fail
	}
	if star != nil {
		spec.star = star
	}
	if spec.star != nil && indexOf(metrics, spec.star.UUID, (*metric).id) < 0 {
		return spec, badRequest("the star metric, %s, must be one of the metrics", spec.star.UUID)
	}
	return spec, nil
}

// candidate is what the body names as such, or fallback if it names none.
func (c *call) candidate(fallback candidateModel) (candidateModel, *apiError) {
	wanted := candidateModel{source: candidateServerless}
	set(&wanted.source)(c.body.text("candidate_model_source"))
	id, byID := c.body.id("candidate_model_uuid")
	name, byName := c.body.text("candidate_model_name")
	if !byID && !byName {
		return fallback, nil
	}
	wanted.uuid, wanted.name = id, name
	if wanted.source != candidateServerless {
		return c.st.elsewhere(wanted)
	}
	if !byID {
		m := find(c.st.models, strings.ToLower(name), func(m *model) string { return m.id })
		if m == nil {
			return wanted, badRequest("model %q does not exist", name)
		}
		id = m.uuid
	}
	m, fail := c.st.answering(id)
	if fail != nil {
		return wanted, fail
	}
	return candidateModel{uuid: m.uuid, name: m.id, source: wanted.source, model: m}, nil
}

// elsewhere is a candidate that is no serverless model. The simulator may know
// its name.
func (st *state) elsewhere(wanted candidateModel) (candidateModel, *apiError) {
	if st.platform.deleted[wanted.uuid] {
		return wanted, badRequest("candidate_model_uuid: %s no longer exists", wanted.uuid)
	}
	if wanted.name != "" {
		return wanted, nil
	}
	if r := st.router(wanted.uuid); r != nil {
		wanted.name = r.name
	}
	if m := find(st.platform.customModels, wanted.uuid, func(m *customModel) string { return m.uuid }); m != nil {
		wanted.name = m.name
	}
	return wanted, nil
}

// answering is a model that can answer questions.
func (st *state) answering(id string) (*model, *apiError) {
	m := st.model(id)
	switch {
	case m == nil:
		return nil, badRequest("model %s does not exist", id)
	case m.typ == "embedding":
		return nil, badRequest("model %s is for embeddings and answers no questions", id)
	}
	return m, nil
}

// merge is a config with the fields set that are given.
func (v inferenceView) merge(given fields) (inferenceView, *apiError) {
	set(&v.StopToken)(given.text("stop_token"))
	set(&v.SystemPrompt)(given.text("system_prompt"))
	if tokens, ok := given.integer("max_tokens"); ok {
		v.MaxTokens = &tokens
		if tokens < 1 {
			return v, badRequest("max_tokens must be positive")
		}
	}
	if temperature, ok := given.number("temperature"); ok {
		v.Temperature = &temperature
		if onScale := temperature >= 0 && temperature <= 2; !onScale {
			return v, badRequest("temperature must be between 0 and 2")
		}
	}
	return v, nil
}

// orNone is nil if nothing is set.
func (v inferenceView) orNone() *inferenceView {
	if v == (inferenceView{}) {
		return nil
	}
	return &v
}
