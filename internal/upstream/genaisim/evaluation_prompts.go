package genaisim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

const (
	spanLLM       = "TRACE_SPAN_TYPE_LLM"
	spanRetriever = "TRACE_SPAN_TYPE_RETRIEVER"
	spanAgent     = "TRACE_SPAN_TYPE_AGENT"
)

type promptView struct {
	ID           int                `json:"prompt_id"`
	TraceID      string             `json:"trace_id"`
	Input        string             `json:"input"`
	Output       string             `json:"output"`
	GroundTruth  string             `json:"ground_truth,omitempty"`
	InputTokens  int64              `json:"input_tokens,string"`
	OutputTokens int64              `json:"output_tokens,string"`
	Chunks       []promptChunkView  `json:"prompt_chunks"`
	Results      []metricResultView `json:"prompt_level_metric_results"`
	TraceSpans   []traceSpanView    `json:"evaluation_trace_spans"`
}

type promptChunkView struct {
	IndexUUID  string  `json:"index_uuid"` // of the knowledge base
	SourceName string  `json:"source_name"`
	Text       string  `json:"text"`
	Used       bool    `json:"chunk_used"`
	UsagePct   float64 `json:"chunk_usage_pct"`
}

type traceSpanView struct {
	Name      string             `json:"name"`
	Type      string             `json:"type"`
	CreatedAt string             `json:"created_at"`
	Input     json.RawMessage    `json:"input"`
	Output    json.RawMessage    `json:"output"`
	Chunks    []promptChunkView  `json:"retriever_chunks"`
	Results   []metricResultView `json:"span_level_metric_results"`
	Spans     []childSpanView    `json:"spans"`
}

type childSpanView struct {
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	CreatedAt string          `json:"created_at"`
	Input     json.RawMessage `json:"input"`
	Output    json.RawMessage `json:"output"`
	LLM       json.RawMessage `json:"llm,omitempty"`
	Retriever json.RawMessage `json:"retriever,omitempty"`
}

// prompt makes up what the agent answered to one row of the dataset, and how
// that was judged.
func (run *evaluationRun) prompt(number int) promptView {
	d, random := run.version.dataset, dice(run.uuid, strconv.Itoa(number))
	view := promptView{
		ID: number, TraceID: seededSource(random).uuid(), Input: question(number, d),
		Output: fmt.Sprintf("What %s says to question %d.", run.agentName, number), GroundTruth: groundTruth(number, d),
		InputTokens: 20 + random.Int64N(80), OutputTokens: 50 + random.Int64N(200), Chunks: []promptChunkView{},
	}
	for _, id := range run.knowledgeBases {
		used := random.IntN(3) > 0
		chunk := promptChunkView{
			IndexUUID: id, SourceName: "document-" + strconv.Itoa(1+random.IntN(20)) + ".txt",
			Text: fmt.Sprintf("What a document says to question %d.", number), Used: used,
		}
		if used {
			chunk.UsagePct = round(100 * random.Float64())
		}
		view.Chunks = append(view.Chunks, chunk)
	}
	for _, s := range scoreRow(run.uuid, number, run.metrics, d) {
		view.Results = append(view.Results, s.view())
	}
	rows := time.Duration(d.rows)
	view.TraceSpans = []traceSpanView{run.span(view, run.startsAt().Add(run.takes/stageShare*time.Duration(number-1)/rows))}
	return view
}

// span is the trace of one answer: that of the agent, in which it retrieved
// chunks, if it has any knowledge bases, and asked its model.
func (run *evaluationRun) span(prompt promptView, at time.Time) traceSpanView {
	input, output := freeForm("content", prompt.Input), freeForm("content", prompt.Output)
	span := traceSpanView{
		Name: run.agentName, Type: spanAgent, CreatedAt: stamp(at), Input: input, Output: output, Chunks: prompt.Chunks,
		Results: []metricResultView{},
	}
	for i, m := range run.metrics {
		if m.typ == metricTypeRAG {
			span.Results = append(span.Results, prompt.Results[i])
		}
	}
	if len(prompt.Chunks) > 0 {
		span.Spans = append(span.Spans, childSpanView{
			Name: "retrieval", Type: spanRetriever, CreatedAt: stamp(at), Input: input,
			Output: freeForm("chunks", len(prompt.Chunks)), Retriever: freeForm("knowledge_base_uuids", run.knowledgeBases),
		})
	}
	span.Spans = append(span.Spans, childSpanView{
		Name: "answer", Type: spanLLM, CreatedAt: stamp(at), Input: input, Output: output, LLM: freeForm("model", run.model),
	})
	return span
}

// question and groundTruth make up a row of a dataset.
func question(number int, d *dataset) string {
	return fmt.Sprintf("Question %d of %s?", number, d.name)
}

func groundTruth(number int, d *dataset) string {
	if !d.groundTruth {
		return ""
	}
	return fmt.Sprintf("The right answer to question %d of %s.", number, d.name)
}

// freeForm is a free-form object with one field.
func freeForm(name string, value any) json.RawMessage {
	return json.RawMessage(encode(map[string]any{name: value}))
}
