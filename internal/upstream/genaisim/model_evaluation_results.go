package genaisim

import (
	"fmt"
	"slices"
	"strconv"
)

// modelRow is what became of one row of the dataset.
type modelRow struct {
	number                  int
	modelUUID, modelName    string  // who answered
	inputPrice, outputPrice float64 // of who answered, in US$ per million tokens
	scores                  []score
	input, output           int64 // tokens of the candidate
	judgeInput, judgeOutput int64
	latency                 float64 // milliseconds
}

type modelRowView struct {
	CandidateUUID string             `json:"candidate_model_uuid,omitempty"`
	CandidateName string             `json:"candidate_model_name,omitempty"`
	Input         string             `json:"input"`
	Output        string             `json:"output"`
	GroundTruth   string             `json:"ground_truth,omitempty"`
	Results       []metricResultView `json:"metric_results"`
}

// routable are the models that a router chooses from: those it names, or all
// for agents if the simulator does not have it.
func (st *state) routable(id string) []*model {
	r := st.router(id)
	var named []string
	if r != nil {
		named = slices.Clone(r.config.FallbackModels)
		for _, policy := range r.config.Policies {
			named = append(named, policy.Models...)
		}
	}
	var found []*model
	for _, m := range st.models {
		if slices.Contains(named, m.id) || r == nil && slices.Contains(m.usecases, usecaseAgent) && !m.internal {
			found = append(found, m)
		}
	}
	return found
}

// rows makes up what became of all rows.
func (run *modelRun) rows() []modelRow {
	rows := make([]modelRow, 0, run.dataset.rows)
	for i := range run.dataset.rows {
		number := i + 1
		random := dice(run.uuid, strconv.Itoa(number))
		row := modelRow{
			number: number, modelUUID: run.candidate.uuid, modelName: run.candidate.name,
			scores: scoreRow(run.uuid, number, run.scoredBy, run.dataset),
			input:  20 + random.Int64N(80), output: 50 + random.Int64N(200), latency: 200 + float64(random.IntN(2000)),
		}
		row.judgeInput, row.judgeOutput = row.input+row.output+100, 30*int64(len(row.scores))
		who := run.candidate.model
		if len(run.routed) > 0 {
			who = run.routed[random.IntN(len(run.routed))]
			row.modelUUID, row.modelName = who.uuid, who.id
		}
		if who != nil {
			row.inputPrice, row.outputPrice = who.inputPrice, who.outputPrice
		}
		rows = append(rows, row)
	}
	return rows
}

func (run *modelRun) rowView(row modelRow) modelRowView {
	return modelRowView{
		CandidateUUID: row.modelUUID, CandidateName: row.modelName, Input: question(row.number, run.dataset),
		Output:      fmt.Sprintf("What %s says to question %d.", row.modelName, row.number),
		GroundTruth: groundTruth(row.number, run.dataset), Results: mapped(row.scores, score.view),
	}
}
