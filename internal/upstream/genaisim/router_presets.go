package genaisim

// routerPreset is a ready-made router of the vendor's.
type routerPreset struct {
	Slug             string       `json:"slug"`
	DisplayName      string       `json:"display_name"`
	ShortDescription string       `json:"short_description"`
	LongDescription  string       `json:"long_description"`
	Config           routerConfig `json:"config"`
}

// taskPreset is a task of the vendor's that policies of routers can name.
type taskPreset struct {
	TaskSlug        string          `json:"task_slug"`
	Name            string          `json:"name"`
	Description     string          `json:"description"`
	Category        string          `json:"category"`
	Tags            []string        `json:"tags"`
	Models          []string        `json:"models"`
	SelectionPolicy selectionPolicy `json:"selection_policy"`
}

// listRouterPresets carries out GET /v2/gen-ai/models/routers/presets.
func listRouterPresets(c *call) (any, *apiError) {
	page, links := paginate(c, routerPresets())
	return struct {
		Presets []routerPreset `json:"presets"`
		paging
	}{page, links}, nil
}

// listTaskPresets carries out GET /v2/gen-ai/models/routers/tasks/presets.
func listTaskPresets(c *call) (any, *apiError) {
	page, links := paginate(c, taskPresets())
	return struct {
		Tasks []taskPreset `json:"tasks"`
		paging
	}{page, links}, nil
}

func routerPresets() []routerPreset {
	policies := func(prefer string) []routerPolicy {
		var list []routerPolicy
		for _, task := range taskPresets() {
			list = append(list, routerPolicy{TaskSlug: task.TaskSlug, Models: task.Models, SelectionPolicy: &selectionPolicy{prefer}})
		}
		return list
	}
	return []routerPreset{
		{
			Slug: "balanced", DisplayName: "Balanced", ShortDescription: "The model that suits the task.",
			LongDescription: "Takes for every task the first of the models that suit it, whatever it costs.",
			Config:          routerConfig{policies("none"), []string{"llama3.3-70b-instruct"}},
		},
		{
			Slug: "cost-saver", DisplayName: "Cost saver", ShortDescription: "The cheapest model that suits the task.",
			LongDescription: "Takes for every task the cheapest of the models that suit it.",
			Config:          routerConfig{policies("cheapest"), []string{"llama3.3-70b-instruct"}},
		},
		{
			Slug: "low-latency", DisplayName: "Low latency", ShortDescription: "The fastest model that suits the task.",
			LongDescription: "Takes for every task the fastest of the models that suit it.",
			Config:          routerConfig{policies("fastest"), []string{"openai-gpt", "llama3.3-70b-instruct"}},
		},
	}
}

func taskPresets() []taskPreset {
	return []taskPreset{
		{
			TaskSlug: "summarization", Name: "Summarization", Description: "Makes long texts short.", Category: "writing",
			Tags: []string{"text", "long-context"}, Models: []string{"llama3.3-70b-instruct", "anthropic-claude-sonnet"},
			SelectionPolicy: selectionPolicy{"cheapest"},
		},
		{
			TaskSlug: "translation", Name: "Translation", Description: "Says the same in another language.", Category: "writing",
			Tags: []string{"text"}, Models: []string{"openai-gpt", "llama3.3-70b-instruct"}, SelectionPolicy: selectionPolicy{"cheapest"},
		},
		{
			TaskSlug: "code-generation", Name: "Code generation", Description: "Writes programs.", Category: "engineering",
			Tags: []string{"code"}, Models: []string{"anthropic-claude-sonnet", "openai-gpt"}, SelectionPolicy: selectionPolicy{"none"},
		},
		{
			TaskSlug: "reasoning", Name: "Reasoning", Description: "Works out what takes several steps.", Category: "analysis",
			Tags: []string{"math", "planning"}, Models: []string{"deepseek-r1-distill-llama-70b", "anthropic-claude-sonnet"},
			SelectionPolicy: selectionPolicy{"none"},
		},
		{
			TaskSlug: "classification", Name: "Classification", Description: "Says what kind a text is of.", Category: "analysis",
			Tags: []string{"text", "labels"}, Models: []string{"llama3.3-70b-instruct", "openai-gpt"},
			SelectionPolicy: selectionPolicy{"fastest"},
		},
	}
}
