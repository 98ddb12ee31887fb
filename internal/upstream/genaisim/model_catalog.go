package genaisim

import (
	"cmp"
	"fmt"
	"strings"
)

// catalogView is what both shapes of the catalogue tell of a model. Its id is
// that of the model.
type catalogView struct {
	ID               string             `json:"id"`
	ModelID          string             `json:"model_id"`
	Name             string             `json:"name"`
	Creator          string             `json:"creator"`
	Provider         string             `json:"provider"`
	Type             string             `json:"type"`
	ShortDescription string             `json:"short_description"`
	Availability     []string           `json:"availability"`
	Badges           []string           `json:"badges"`
	Capabilities     []string           `json:"capabilities"`
	Benchmarks       map[string]float64 `json:"benchmark_score,omitempty"`
	ContextWindow    string             `json:"context_window"`
	MaxOutput        int64              `json:"max_output_tokens,omitempty,string"`
	ParameterCount   float64            `json:"parameter_count,omitempty"`
	HuggingFaceID    string             `json:"hugging_face_id,omitempty"`
	Pricing          modelPricing       `json:"pricing"`
}

// catalogEntry is a model in the list.
type catalogEntry struct {
	catalogView
	CreatedAt     string `json:"created_at"`
	ScaledPricing bool   `json:"scaled_pricing_enabled"`
}

// catalogCard is a model by itself.
type catalogCard struct {
	catalogView
	Description   string          `json:"description"`
	Modalities    modelModalities `json:"modalities"`
	CodeSnippets  codeSnippets    `json:"code_snippets"`
	PricingDetail pricingDetail   `json:"pricing_detail"`
}

type codeSnippets struct {
	Curl       string `json:"curl"`
	Python     string `json:"python"`
	JavaScript string `json:"javascript"`
	SDK        string `json:"sdk"`
}

// pricingDetail has a form of our own: the vendor does not document it.
type pricingDetail struct {
	Tiers []pricingTier `json:"tiers"`
}

type pricingTier struct {
	Tier        string `json:"tier"`
	BillingMode string `json:"billing_mode"`
	modelPricing
}

// listCatalog carries out GET /v2/gen-ai/models/catalog, whose pages have a
// limit and no links.
func listCatalog(c *call) (any, *apiError) {
	page, meta, _ := cut(c, c.st.catalog(), "limit")
	return struct {
		Data []catalogEntry `json:"data"`
		Meta pageMeta       `json:"meta"`
	}{mapped(page, func(m *model) catalogEntry {
		return catalogEntry{m.catalogView(), stamp(c.st.created), m.provider == providerDigitalOcean}
	}), meta}, nil
}

// getCatalogCard carries out GET /v2/gen-ai/models/catalog/{id}. A model_id in
// the query stands in for the id in the path.
func getCatalogCard(c *call) (any, *apiError) {
	id, modelID := c.params["id"], c.query.Get("model_id")
	for _, m := range c.st.catalog() {
		if modelID == "" && m.uuid == id || modelID != "" && m.id == modelID {
			return struct {
				Data catalogCard `json:"data"`
			}{m.card()}, nil
		}
	}
	return nil, notFound("The model", cmp.Or(modelID, id))
}

// catalog is the models that everybody may know of.
func (st *state) catalog() []*model {
	var public []*model
	for _, m := range st.models {
		if !m.internal {
			public = append(public, m)
		}
	}
	return public
}

func (m *model) catalogView() catalogView {
	view := catalogView{
		ID: m.uuid, ModelID: m.id, Name: m.name, Creator: m.creator, Provider: m.provider, Type: "text-to-text",
		ShortDescription: m.name + ", by " + m.creator, Availability: []string{"serverless"}, Badges: []string{},
		Capabilities: notNil(m.capabilities), Benchmarks: m.benchmarks, ContextWindow: m.contextWindow, MaxOutput: m.maxOutput,
		ParameterCount: m.parameters, HuggingFaceID: m.huggingFace, Pricing: modelPricing{m.inputPrice, m.outputPrice},
	}
	if m.embeds() {
		view.Type = "text-to-embedding"
	}
	if m.dedicated {
		view.Availability = append(view.Availability, "dedicated")
	}
	if m.huggingFace != "" {
		view.Badges = append(view.Badges, "open-weights")
	}
	return view
}

func (m *model) card() catalogCard {
	const tier, interactive = "MODEL_PRICING_TIER_STANDARD", "MODEL_BILLING_MODE_INTERACTIVE"
	return catalogCard{
		catalogView: m.catalogView(), Modalities: m.modalities(), CodeSnippets: m.snippets(),
		Description: fmt.Sprintf("%s is a model by %s. It takes %s tokens at once and turns %s into %s.", m.name, m.creator, m.contextWindow,
			strings.Join(m.modalities().Input, " and "), strings.Join(m.modalities().Output, " and ")),
		PricingDetail: pricingDetail{[]pricingTier{{tier, interactive, modelPricing{m.inputPrice, m.outputPrice}}}},
	}
}

func (m *model) snippets() codeSnippets {
	target := "https://inference.example.com" + m.endpoints()[0].Endpoint
	call, argument := "chat.completions", `messages=[{"role": "user", "content": "Hello"}]`
	if m.embeds() {
		call, argument = "embeddings", `input=["Hello"]`
	}
	object := `{` + strings.Replace(argument, "=", ": ", 1) + `}`
	return codeSnippets{
		Curl:       fmt.Sprintf("curl -H 'Authorization: Bearer $KEY' %s -d '{\"model\": %q, ...}'", target, m.id),
		Python:     fmt.Sprintf("client.%s.create(model=%q, %s)", call, m.id, argument),
		JavaScript: fmt.Sprintf("await client.%s.create({model: %q, ...%s})", call, m.id, object),
		SDK:        fmt.Sprintf("genai %s create --model %s", call, m.id),
	}
}
