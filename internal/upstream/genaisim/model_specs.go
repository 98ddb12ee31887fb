package genaisim

import (
	"fmt"
	"slices"
)

// agreementID stands for the terms of all models that have any.
const agreementID = "6a1f2c30-51d0-4e6b-8f00-000000000b01"

type modelVersion struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
	Patch int `json:"patch"`
}

func (v modelVersion) text() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

type modelAgreement struct {
	UUID        string `json:"uuid"`
	Name        string `json:"name"`
	Description string `json:"description"`
	URL         string `json:"url"`
}

type modelEndpoint struct {
	Endpoint     string   `json:"endpoint"`
	Capabilities []string `json:"capabilities"`
}

type modelModalities struct {
	Input  []string `json:"input"`
	Output []string `json:"output"`
}

// modelSetting is one that the vendor's playground offers: a number within
// limits, or one of some texts.
type modelSetting struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	DefaultValue  *float64 `json:"default_value,omitempty"`
	Min           *float64 `json:"min,omitempty"`
	Max           *float64 `json:"max,omitempty"`
	Step          *float64 `json:"step,omitempty"`
	DefaultString string   `json:"default_string,omitempty"`
	Options       []string `json:"options,omitempty"`
}

func (m *model) embeds() bool { return m.typ == "embedding" }
func (m *model) sees() bool   { return slices.Contains(m.capabilities, "vision") }

// agreement is what users of a model agree to, nil if there is nothing.
func (m *model) agreement() *modelAgreement {
	if m.license == "" {
		return nil
	}
	return &modelAgreement{
		UUID: agreementID, Name: m.license, Description: "The terms under which " + m.creator + " gives the model away.",
		URL: "https://huggingface.co/" + m.huggingFace,
	}
}

func (m *model) modalities() modelModalities {
	switch {
	case m.embeds():
		return modelModalities{Input: []string{"text"}, Output: []string{"embedding"}}
	case m.sees():
		return modelModalities{Input: []string{"text", "image"}, Output: []string{"text"}}
	default:
		return modelModalities{Input: []string{"text"}, Output: []string{"text"}}
	}
}

func (m *model) endpoints() []modelEndpoint {
	switch {
	case m.embeds():
		return []modelEndpoint{{"/v1/embeddings", []string{"input_text"}}}
	case m.sees():
		return []modelEndpoint{{"/v1/chat/completions", []string{"input_text", "input_image", "output_text"}}}
	default:
		return []modelEndpoint{{"/v1/chat/completions", []string{"input_text", "output_text"}}}
	}
}

func (m *model) settings() []modelSetting {
	if m.embeds() {
		return []modelSetting{}
	}
	number := func(name string, fallback, low, high, step float64) modelSetting {
		return modelSetting{Name: name, Type: "number", DefaultValue: &fallback, Min: &low, Max: &high, Step: &step}
	}
	settings := []modelSetting{
		number("temperature", 0.7, 0, 1, 0.01), number("top_p", 0.9, 0, 1, 0.01),
		number("max_tokens", 512, 1, float64(m.maxOutput), 1),
	}
	if efforts := m.reasoningEfforts; len(efforts) > 0 {
		settings = append(settings, modelSetting{Name: "reasoning_effort", Type: "dropdown", DefaultString: efforts[0], Options: efforts})
	}
	return settings
}
