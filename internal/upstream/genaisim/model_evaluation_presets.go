package genaisim

import (
	"slices"
	"time"
)

const (
	sectionCandidate    = "PRESET_SAVE_SECTION_CANDIDATE"
	sectionMetrics      = "PRESET_SAVE_SECTION_METRICS"
	sectionJudge        = "PRESET_SAVE_SECTION_JUDGE"
	sectionDataset      = "PRESET_SAVE_SECTION_DATASET"
	sectionSystemPrompt = "PRESET_SAVE_SECTION_SYSTEM_PROMPT"
)

func presetSections() []string {
	return []string{sectionCandidate, sectionMetrics, sectionJudge, sectionDataset, sectionSystemPrompt}
}

// evaluationPreset is the part of a run that was saved for others. It never
// changes.
type evaluationPreset struct {
	uuid, name string
	sections   []string
	createdAt  time.Time
	modelEvaluation
}

type presetView struct {
	UUID          string       `json:"eval_preset_uuid"`
	Name          string       `json:"name"`
	SavedSections []string     `json:"saved_sections"`
	DatasetUUID   string       `json:"dataset_uuid,omitempty"`
	DatasetName   string       `json:"dataset_name,omitempty"`
	JudgeUUID     string       `json:"judge_model_uuid,omitempty"`
	JudgeName     string       `json:"judge_model_name,omitempty"`
	Metrics       []metricView `json:"metrics"`
	StarMetric    *starMetric  `json:"star_metric,omitempty"`
	CreatedAt     string       `json:"created_at"`

	CandidateUUID   string         `json:"candidate_model_uuid,omitempty"`
	CandidateName   string         `json:"candidate_model_name,omitempty"`
	CandidateSource string         `json:"candidate_model_source,omitempty"`
	Inference       *inferenceView `json:"candidate_inference_config,omitempty"`
	SystemPrompt    string         `json:"candidate_system_prompt,omitempty"`
}

// listPresets carries out GET /v2/gen-ai/model_evaluation_presets.
func listPresets(c *call) (any, *apiError) {
	return struct {
		Presets []presetView `json:"presets"`
	}{mapped(c.st.evaluation.presets, c.st.presetView)}, nil
}

// getPreset carries out GET
// /v2/gen-ai/model_evaluation_presets/{eval_preset_uuid}.
func getPreset(c *call) (any, *apiError) {
	preset, fail := c.preset()
	if fail != nil {
		return nil, fail
	}
	return struct {
		Preset presetView `json:"preset"`
	}{c.st.presetView(preset)}, nil
}

// deletePreset carries out DELETE
// /v2/gen-ai/model_evaluation_presets/{eval_preset_uuid}. Runs that were made
// with it still name it.
func deletePreset(c *call) (any, *apiError) {
	preset, fail := c.preset()
	if fail != nil {
		return nil, fail
	}
	c.st.evaluation.presets = without(c.st.evaluation.presets, preset)
	c.didf("deleted evaluation preset %s", preset.uuid)
	return struct{}{}, nil
}

// preset finds the preset the path names and notes it as the resource of the
// call.
func (c *call) preset() (*evaluationPreset, *apiError) {
	id := c.params["eval_preset_uuid"]
	preset := c.st.evaluationPreset(id)
	if preset == nil {
		return nil, notFound("The evaluation preset", id)
	}
	c.resource = id
	return preset, nil
}

func (st *state) evaluationPreset(id string) *evaluationPreset {
	return find(st.evaluation.presets, id, func(p *evaluationPreset) string { return p.uuid })
}

// sectionsToSave are the parts of a run that the body wants saved: those it
// names, or all with the deprecated flag.
func (c *call) sectionsToSave() []string {
	given, _ := c.body.texts("preset_save_sections")
	all, _ := c.body.boolean("save_as_preset")
	var sections []string
	for _, section := range presetSections() {
		if slices.Contains(given, section) || all && len(given) == 0 {
			sections = append(sections, section)
		}
	}
	return sections
}

// savePreset saves some parts of an evaluation. There is at least one.
func (c *call) savePreset(name string, sections []string, spec modelEvaluation) *evaluationPreset {
	preset := &evaluationPreset{uuid: c.st.random.uuid(), name: name, sections: sections, createdAt: c.now}
	for _, section := range sections {
		switch section {
		case sectionCandidate:
			prompt := preset.inference.SystemPrompt
			preset.candidate, preset.inference = spec.candidate, spec.inference
			preset.inference.SystemPrompt = prompt
		case sectionSystemPrompt:
			preset.inference.SystemPrompt = spec.inference.SystemPrompt
		case sectionMetrics:
			preset.metrics, preset.star = spec.metrics, spec.star
		case sectionJudge:
			preset.judge = spec.judge
		case sectionDataset:
			preset.dataset = spec.dataset
		}
	}
	c.st.evaluation.presets = append(c.st.evaluation.presets, preset)
	return preset
}

func (st *state) presetView(preset *evaluationPreset) presetView {
	view := presetView{
		UUID: preset.uuid, Name: preset.name, SavedSections: preset.sections,
		Metrics: st.metricViews(mapped(preset.metrics, st.metric)), StarMetric: preset.star, CreatedAt: stamp(preset.createdAt),
		CandidateUUID: preset.candidate.uuid, CandidateName: preset.candidate.name, CandidateSource: preset.candidate.source,
		Inference: preset.inference.orNone(), SystemPrompt: preset.inference.SystemPrompt,
	}
	if preset.judge != nil {
		view.JudgeUUID, view.JudgeName = preset.judge.uuid, preset.judge.name
	}
	if preset.dataset != nil {
		view.DatasetUUID, view.DatasetName = preset.dataset.uuid, preset.dataset.name
	}
	return view
}
