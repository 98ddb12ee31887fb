package genaisim

import (
	"fmt"
	"slices"
	"time"
)

// schedule indexes a knowledge base on some days of the week.
type schedule struct {
	uuid         string
	days         []int64 // as in cron: 1 is Monday; 0 and 7 are both Sunday
	hour, minute int     // UTC
	createdAt    time.Time
	lastRan      time.Time // zero if it has started no job yet
	checked      time.Time // up to when it is known which jobs it has started
}

type scheduleView struct {
	UUID              string  `json:"uuid"`
	KnowledgeBaseUUID string  `json:"knowledge_base_uuid"`
	Days              []int64 `json:"days"`
	Time              string  `json:"time"`
	IsActive          bool    `json:"is_active"`
	NextRunAt         string  `json:"next_run_at,omitempty"`
	LastRanAt         string  `json:"last_ran_at,omitempty"`
	CreatedAt         string  `json:"created_at"`
	UpdatedAt         string  `json:"updated_at"`
	DeletedAt         string  `json:"deleted_at,omitempty"`
}

type scheduleAnswer struct {
	Schedule scheduleView `json:"indexing_info"`
}

// createSchedule carries out POST /v2/gen-ai/scheduled-indexing. A knowledge
// base has one schedule at most.
func createSchedule(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBaseInBody()
	if fail != nil {
		return nil, fail
	}
	added := &schedule{uuid: c.st.random.uuid(), createdAt: c.now, checked: c.now}
	if fail := added.read(c.body); fail != nil {
		return nil, fail
	}
	if kb.schedule != nil {
		return nil, conflict("knowledge base %s has schedule %s already", kb.uuid, kb.schedule.uuid)
	}
	kb.schedule = added
	c.resource = added.uuid
	c.didf("scheduled indexing of knowledge base %s", kb.uuid)
	return scheduleAnswer{added.view(kb, c.now)}, nil
}

// getSchedule carries out GET
// /v2/gen-ai/scheduled-indexing/knowledge-base/{knowledge_base_uuid}.
func getSchedule(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBase("knowledge_base_uuid")
	if fail != nil {
		return nil, fail
	}
	if kb.schedule == nil {
		return nil, notFound("A schedule of knowledge base", kb.uuid)
	}
	c.resource = kb.schedule.uuid
	return scheduleAnswer{kb.schedule.view(kb, c.now)}, nil
}

// deleteSchedule carries out DELETE /v2/gen-ai/scheduled-indexing/{uuid}. Jobs
// that it has started go on.
func deleteSchedule(c *call) (any, *apiError) {
	id := c.params["uuid"]
	for _, kb := range c.st.knowledgeBases {
		if kb.schedule == nil || kb.schedule.uuid != id {
			continue
		}
		c.st.catchUp(kb, c.now)
		view := kb.schedule.view(kb, c.now)
		view.IsActive, view.NextRunAt = false, ""
		view.UpdatedAt, view.DeletedAt = stamp(c.now), stamp(c.now)
		kb.schedule = nil
		c.resource = id
		c.didf("deleted the schedule of knowledge base %s", kb.uuid)
		return scheduleAnswer{view}, nil
	}
	return nil, notFound("The schedule", id)
}

// knowledgeBaseInBody finds the knowledge base that the body names.
func (c *call) knowledgeBaseInBody() (*knowledgeBase, *apiError) {
	id, given := c.body.id("knowledge_base_uuid")
	if !given {
		return nil, badRequest("knowledge_base_uuid is required")
	}
	kb := c.st.knowledgeBase(id)
	if kb == nil {
		return nil, notFound("The knowledge base", id)
	}
	c.st.catchUp(kb, c.now)
	return kb, nil
}

// read takes days and time from the fields of a creation.
func (s *schedule) read(given fields) *apiError {
	list, _ := given.list("days")
	for _, element := range list {
		day, ok := (fields{"": element}).integer("")
		if !ok || day < 0 || day > 7 {
			return badRequest("days are as in cron, from 0 to 7")
		}
		if !slices.Contains(s.days, day) {
			s.days = append(s.days, day)
		}
	}
	if len(s.days) == 0 {
		return badRequest("days is required")
	}
	slices.Sort(s.days)
	const layout = "15:04"
	text, _ := given.text("time")
	at, err := time.Parse(layout, text)
	if err != nil || len(text) != len(layout) {
		return badRequest("time %q is not of the form HH:MM", text)
	}
	s.hour, s.minute = at.Hour(), at.Minute()
	return nil
}

// next is the first time after t at which a schedule is due.
func (s *schedule) next(t time.Time) time.Time {
	year, month, day := t.UTC().Date()
	for {
		due := time.Date(year, month, day, s.hour, s.minute, 0, 0, time.UTC)
		wanted := slices.ContainsFunc(s.days, func(d int64) bool { return time.Weekday(d%7) == due.Weekday() })
		if wanted && due.After(t) {
			return due
		}
		day++
	}
}

// catchUp starts the jobs that the schedule of a knowledge base has started
// since it was last looked at. A run finds nothing to do if there are no data
// sources, or if a job is not finished. Whatever shows or changes the jobs and
// data sources of a knowledge base does this first, so that nothing has to run
// meanwhile.
func (st *state) catchUp(kb *knowledgeBase, now time.Time) {
	s := kb.schedule
	if s == nil {
		return
	}
	for due := s.next(s.checked); !due.After(now); due = s.next(due) {
		s.checked = due
		if len(kb.sources) > 0 && kb.unfinished(due) == nil {
			st.index(kb, kb.sources, due)
			s.lastRan = due
		}
	}
}

func (s *schedule) view(kb *knowledgeBase, now time.Time) scheduleView {
	view := scheduleView{
		UUID: s.uuid, KnowledgeBaseUUID: kb.uuid, Days: s.days, Time: fmt.Sprintf("%02d:%02d:00", s.hour, s.minute), IsActive: true,
		NextRunAt: stamp(s.next(now)), CreatedAt: stamp(s.createdAt), UpdatedAt: stamp(s.createdAt),
	}
	if !s.lastRan.IsZero() {
		view.LastRanAt = stamp(s.lastRan)
	}
	return view
}
