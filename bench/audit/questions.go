package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// question is a page that somebody wants, in both languages.
type question struct {
	sort, filter, where string
	args                []any
}

// asker makes up questions, the same ones each time.
type asker struct {
	*world

	random *rand.Rand
	events int
	now    time.Time
}

// questions are what auditors ask, one sort after the other: of a team, a person, a resource and a week, of what is rare, and of
// words of reasons: frequent and rare ones, within a week or a team and in all of the history, and some that nobody wrote.
func (b *bench) questions(n int) []question {
	a := &asker{world: b.w, random: rand.New(rand.NewPCG(seed, 1)), events: b.o.events, now: time.Now().UTC()} //nolint:gosec // not secret
	sorts := a.sorts()
	all := make([]question, n)
	for i := range all {
		all[i] = sorts[i%len(sorts)]()
	}
	return all
}

func (a *asker) sorts() []func() question {
	return []func() question{
		func() question {
			name, id := a.team()
			return a.within(question{"a team's week", fmt.Sprintf("team = %q", name), "team_id = $1", []any{id}})
		},
		func() question {
			actor := a.person()
			return question{"a person", fmt.Sprintf("actor = %q", actor), "actor = $1", []any{actor}}
		},
		func() question {
			actor := a.person()
			return question{
				"what a person failed at", fmt.Sprintf("actor = %q AND outcome = FAILED", actor), "actor = $1 AND outcome = 'FAILED'", []any{actor},
			}
		},
		func() question {
			agent := a.agent()
			return question{"an agent", fmt.Sprintf("resource_uuid = %q", agent.String()), "resource_uuid = $1", []any{agent}}
		},
		func() question {
			agent := a.agent()
			return question{
				"an agent and its parts", fmt.Sprintf("(resource_uuid = %q OR parent_uuid = %q) AND outcome = SUCCEEDED", agent.String(), agent.String()),
				"(resource_uuid = $1 OR parent_uuid = $1) AND outcome = 'SUCCEEDED'", []any{agent},
			}
		},
		func() question {
			return a.within(question{"a week's denials", "outcome = DENIED", "outcome = 'DENIED'", nil})
		},
		func() question {
			name, id := a.team()
			return question{"a team's revelations", fmt.Sprintf("team = %q AND action = REVEAL", name), "team_id = $1 AND action = 'REVEAL'", []any{id}}
		},
		func() question {
			name, id := a.team()
			return question{
				"a team's failures", fmt.Sprintf("team = %q AND action = UPDATE AND outcome = FAILED", name),
				"team_id = $1 AND action = 'UPDATE' AND outcome = 'FAILED'", []any{id},
			}
		},
		func() question {
			name, id := a.team()
			return question{
				"a team's keys", fmt.Sprintf("team = %q AND method = \"AgentKeyService.CreateAgentApiKey\" AND outcome = SUCCEEDED", name),
				"team_id = $1 AND method = 'agentsvc.v1.AgentKeyService.CreateAgentApiKey' AND outcome = 'SUCCEEDED'", []any{id},
			}
		},
		func() question { return a.within(question{"a week", "", "TRUE", nil}) },
		func() question { return a.wording("a word", a.words.wanted(a.random)) },
		func() question { return a.within(a.wording("a week's word", a.words.wanted(a.random))) },
		func() question {
			return a.wording("two words", a.words.wanted(a.random)+" "+a.words.wanted(a.random))
		},
		func() question {
			return a.within(a.wording("a week's two words", a.words.wanted(a.random)+" "+a.words.wanted(a.random)))
		},
		func() question {
			name, id := a.team()
			q := a.wording("a team's word", a.words.wanted(a.random))
			q.filter, q.args = fmt.Sprintf("team = %q AND ", name)+q.filter, append(q.args, id)
			q.where += fmt.Sprintf(" AND team_id = $%d", len(q.args))
			return q
		},
		func() question { return a.wording("a ticket", ticket(a.random.IntN(tickets(a.events)))) },
		func() question { return a.wording("an unknown word", a.words.wanted(a.random)+" unheard") },
	}
}

func (a *asker) team() (string, uuid.UUID) {
	n := a.random.IntN(len(a.teams))
	return a.names[n], a.teams[n]
}

func (a *asker) person() string {
	return a.people[a.random.IntN(len(a.teams))][a.random.IntN(peoplePerTeam)]
}

func (a *asker) agent() uuid.UUID {
	return a.agents[a.random.IntN(len(a.teams))][a.random.IntN(agentsPerTeam)]
}

func (a *asker) wording(sort, words string) question {
	return question{sort, fmt.Sprintf("words:%q", words), "to_tsvector('simple', reason) @@ plainto_tsquery('simple', $1)", []any{words}}
}

// within is the question of one week of the past.
func (a *asker) within(q question) question {
	from := a.now.AddDate(0, -a.random.IntN(a.months), 0).Truncate(24*time.Hour).AddDate(0, 0, -3)
	until := from.AddDate(0, 0, 7)
	if q.filter != "" {
		q.filter += " AND "
	}
	q.filter += fmt.Sprintf("time >= %q AND time < %q", from.Format(time.RFC3339), until.Format(time.RFC3339))
	q.args = append(q.args, from, until)
	q.where += fmt.Sprintf(" AND recorded_at >= $%d AND recorded_at < $%d", len(q.args)-1, len(q.args))
	return q
}
