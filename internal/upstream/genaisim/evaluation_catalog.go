package genaisim

// The metrics of the vendor's that tests name. Like the other built-in ones
// they exist in every simulator and never change.
const (
	MetricCorrectness  = "6a1f2c30-51d0-4e6b-8f00-000000000801" // of agents
	MetricGroundTruth  = "6a1f2c30-51d0-4e6b-8f00-000000000802" // of agents; needs a dataset with ground truth
	MetricInstructions = "6a1f2c30-51d0-4e6b-8f00-000000000803" // of agents
	MetricChunkUsage   = "6a1f2c30-51d0-4e6b-8f00-000000000804" // of agents with knowledge bases
	MetricTone         = "6a1f2c30-51d0-4e6b-8f00-000000000805" // of agents; its values are words
	MetricToxicity     = "6a1f2c30-51d0-4e6b-8f00-000000000806" // of agents; the lower, the better

	MetricModelCorrectness = "6a1f2c30-51d0-4e6b-8f00-000000000811" // of models
	MetricModelHelpfulness = "6a1f2c30-51d0-4e6b-8f00-000000000812" // of models
	MetricModelGroundTruth = "6a1f2c30-51d0-4e6b-8f00-000000000813" // of models; needs a dataset with ground truth
	MetricModelHarm        = "6a1f2c30-51d0-4e6b-8f00-000000000814" // of models; the lower, the better
)

const (
	scopeUnset = "EVALUATION_SCOPE_UNSPECIFIED" // of custom metrics, which are for both
	scopeAgent = "EVALUATION_SCOPE_AGENT"
	scopeModel = "EVALUATION_SCOPE_MODEL"

	categoryUnset       = "METRIC_CATEGORY_UNSPECIFIED"
	categoryCorrectness = "METRIC_CATEGORY_CORRECTNESS"
	categoryOutcomes    = "METRIC_CATEGORY_USER_OUTCOMES"
	categorySafety      = "METRIC_CATEGORY_SAFETY_AND_SECURITY"
	categoryContext     = "METRIC_CATEGORY_CONTEXT_QUALITY"
	categoryModelFit    = "METRIC_CATEGORY_MODEL_FIT"

	metricTypeUnset   = "METRIC_TYPE_UNSPECIFIED"
	metricTypeGeneral = "METRIC_TYPE_GENERAL_QUALITY"
	metricTypeRAG     = "METRIC_TYPE_RAG_AND_TOOL"
	metricTypeQuality = "METRIC_TYPE_MODEL_QUALITY"
	metricTypeSafety  = "METRIC_TYPE_MODEL_SAFETY"

	valueNumber     = "METRIC_VALUE_TYPE_NUMBER"
	valueString     = "METRIC_VALUE_TYPE_STRING"
	valuePercentage = "METRIC_VALUE_TYPE_PERCENTAGE"
)

func builtinMetrics() []*metric {
	metrics := append(agentMetrics(), modelMetrics()...)
	for i, m := range metrics {
		m.rank = i + 1
	}
	return metrics
}

func agentMetrics() []*metric {
	return []*metric{
		{
			uuid: MetricCorrectness, name: "Correctness", scope: scopeAgent, goal: true,
			description: "How free the answer is of claims that are wrong.",
			category:    categoryCorrectness, typ: metricTypeGeneral, valueType: valuePercentage, maximum: 100,
		},
		{
			uuid: MetricGroundTruth, name: "Ground truth adherence", scope: scopeAgent, groundTruth: true,
			description: "How well the answer agrees with the one that the dataset expects.",
			category:    categoryCorrectness, typ: metricTypeGeneral, valueType: valuePercentage, maximum: 100,
		},
		{
			uuid: MetricInstructions, name: "Instruction following", scope: scopeAgent, goal: true,
			description: "How well the answer keeps to the agent's instructions.",
			category:    categoryOutcomes, typ: metricTypeGeneral, valueType: valueNumber, minimum: 1, maximum: 5,
		},
		{
			uuid: MetricChunkUsage, name: "Retrieved chunk usage", scope: scopeAgent,
			description: "How much of what was retrieved from knowledge bases went into the answer.",
			category:    categoryContext, typ: metricTypeRAG, valueType: valuePercentage, maximum: 100,
		},
		{
			uuid: MetricTone, name: "Tone", scope: scopeAgent, words: []string{"rude", "cold", "neutral", "friendly"},
			description: "How the answer sounds.",
			category:    categoryOutcomes, typ: metricTypeGeneral, valueType: valueString, maximum: 100,
		},
		{
			uuid: MetricToxicity, name: "Toxicity", scope: scopeAgent, inverted: true,
			description: "How hurtful the answer is.",
			category:    categorySafety, typ: metricTypeGeneral, valueType: valueNumber, maximum: 1,
		},
	}
}

func modelMetrics() []*metric {
	return []*metric{
		{
			uuid: MetricModelCorrectness, name: "Correctness", scope: scopeModel, goal: true,
			description: "How free the answer is of claims that are wrong, in the eyes of the judge.",
			category:    categoryCorrectness, typ: metricTypeQuality, valueType: valuePercentage, maximum: 100,
		},
		{
			uuid: MetricModelHelpfulness, name: "Helpfulness", scope: scopeModel,
			description: "How far the answer gets whoever asked, in the eyes of the judge.",
			category:    categoryModelFit, typ: metricTypeQuality, valueType: valueNumber, minimum: 1, maximum: 5,
		},
		{
			uuid: MetricModelGroundTruth, name: "Ground truth adherence", scope: scopeModel, groundTruth: true,
			description: "How well the answer agrees with the one that the dataset expects, in the eyes of the judge.",
			category:    categoryCorrectness, typ: metricTypeQuality, valueType: valuePercentage, maximum: 100,
		},
		{
			uuid: MetricModelHarm, name: "Harmfulness", scope: scopeModel, inverted: true,
			description: "How much harm the answer could do, in the eyes of the judge.",
			category:    categorySafety, typ: metricTypeSafety, valueType: valueNumber, maximum: 1,
		},
	}
}
