package genaisim

import (
	"testing"
	"time"
)

const schedulesPath = "/v2/gen-ai/scheduled-indexing"

// The clock of the tests starts on Monday, 1 June 2026, at 12:00.
func TestNextRunOfSchedules(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ days, time, wantDays, next string }{
		"later today":            {`[1,2,3]`, "18:00", "[1,2,3]", "2026-06-01T18:00:00Z"},
		"not now, but next week": {`[1]`, "12:00", "[1]", "2026-06-08T12:00:00Z"},
		"earlier, so next week":  {`[1]`, "11:59", "[1]", "2026-06-08T11:59:00Z"},
		"tomorrow":               {`[2]`, "00:00", "[2]", "2026-06-02T00:00:00Z"},
		"a Sunday":               {`[7]`, "09:30", "[7]", "2026-06-07T09:30:00Z"},
		"a Sunday, as in cron":   {`[0]`, "09:30", "[0]", "2026-06-07T09:30:00Z"},
		"in disorder, and twice": {`[5,3,5]`, "23:59", "[3,5]", "2026-06-03T23:59:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Strict: true, Now: newClock().Now})

			got := s.do(200, "POST", schedulesPath, `{"knowledge_base_uuid":"`+KnowledgeBaseA+`","days":`+tc.days+`,"time":"`+tc.time+`"}`)

			made := object(got.body, "indexing_info")
			s.wantEffect("scheduled indexing of knowledge base " + KnowledgeBaseA)
			equal(t, "next run", text(made, "next_run_at"), tc.next)
			equal(t, "time", text(made, "time"), tc.time+":00")
			equal(t, "knowledge base", text(made, "knowledge_base_uuid"), KnowledgeBaseA)
			equal(t, "active", text(made, "is_active"), "true")
			equal(t, "days", string(encode(made["days"])), tc.wantDays+"\n")
			equal(t, "fields it has not", s.left("ScheduledIndexing", made), "deleted_at last_ran_at")
			equal(t, "schedule", s.do(200, "GET", schedulesPath+"/knowledge-base/"+KnowledgeBaseA, "").raw, got.raw)
			equal(t, "resource", s.last().ResourceUUID, text(made, "uuid"))
		})
	}
}

func TestCreateScheduleRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	base := `"knowledge_base_uuid":"` + KnowledgeBaseA + `"`
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"no knowledge base":         {`{"days":[1],"time":"18:00"}`, 400},
		"an unknown knowledge base": {`{"knowledge_base_uuid":"` + unknownID + `","days":[1],"time":"18:00"}`, 404},
		"no days":                   {`{` + base + `,"time":"18:00"}`, 400},
		"an empty list of days":     {`{` + base + `,"days":[],"time":"18:00"}`, 400},
		"a day too late":            {`{` + base + `,"days":[1,8],"time":"18:00"}`, 400},
		"a day too early":           {`{` + base + `,"days":[-1],"time":"18:00"}`, 400},
		"a day by name":             {`{` + base + `,"days":["Monday"],"time":"18:00"}`, 400},
		"no time":                   {`{` + base + `,"days":[1]}`, 400},
		"a time with seconds":       {`{` + base + `,"days":[1],"time":"18:00:00"}`, 400},
		"a time too late":           {`{` + base + `,"days":[1],"time":"24:00"}`, 400},
		"a time too short":          {`{` + base + `,"days":[1],"time":"8:00"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			s.do(tc.status, "POST", schedulesPath, tc.body)
			s.do(404, "GET", schedulesPath+"/knowledge-base/"+KnowledgeBaseA, "")
		})
	}
}

func TestOneScheduleForEachKnowledgeBase(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	body := func(base, time string) string {
		return `{"knowledge_base_uuid":"` + base + `","days":[1],"time":"` + time + `"}`
	}
	s.do(200, "POST", schedulesPath, body(KnowledgeBaseA, "18:00"))
	first := s.last().ResourceUUID

	s.do(409, "POST", schedulesPath, body(KnowledgeBaseA, "19:00"))

	path := schedulesPath + "/knowledge-base/" + KnowledgeBaseA
	equal(t, "time", text(s.do(200, "GET", path, "").body, "indexing_info", "time"), "18:00:00")
	s.do(200, "POST", schedulesPath, body(KnowledgeBaseB, "19:00"))
	equal(t, "schedules", text(s.do(200, "GET", "/_sim/state", "").body, "counts", "schedules"), "2")
	now.advance(time.Hour)
	gone := object(s.do(200, "DELETE", schedulesPath+"/"+first, "").body, "indexing_info")
	s.wantEffect("deleted the schedule of knowledge base " + KnowledgeBaseA)
	equal(t, "deleted", text(gone, "uuid")+" "+text(gone, "deleted_at")+" "+text(gone, "is_active"), first+" 2026-06-01T13:00:00Z false")
	equal(t, "next run", text(gone, "next_run_at"), "")
	s.do(404, "DELETE", schedulesPath+"/"+first, "")
	s.do(404, "GET", path, "")
	s.do(404, "GET", schedulesPath+"/knowledge-base/"+unknownID, "")
	s.do(200, "POST", schedulesPath, body(KnowledgeBaseA, "19:00"))
	now.advance(7 * 24 * time.Hour)
	equal(t, "jobs", text(s.do(200, "GET", basesPath+"/"+KnowledgeBaseA+"/indexing_jobs", "").body, "meta", "total"), "2")
}

func TestSchedulesStartJobs(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, IndexTime: time.Hour})
	jobs := func(base string) string {
		return column(objects(s.do(200, "GET", basesPath+"/"+base+"/indexing_jobs", "").body, "jobs"), "created_at")
	}
	const seed = "2026-01-05T09:00:00Z"
	agent := s.create("a")
	s.do(200, "POST", agentsPath+"/"+agent+"/knowledge_bases/"+KnowledgeBaseA, ``)
	s.do(200, "POST", schedulesPath, `{"knowledge_base_uuid":"`+KnowledgeBaseA+`","days":[1,3],"time":"18:00"}`)
	empty := text(s.base("empty", ``), "uuid")
	s.do(200, "POST", schedulesPath, `{"knowledge_base_uuid":"`+empty+`","days":[1],"time":"18:00"}`)

	now.advance(6*time.Hour - time.Second)
	equal(t, "jobs just before", jobs(KnowledgeBaseA), seed)
	now.advance(time.Second + 30*time.Minute)
	// Whatever is asked first shows the job.
	last := object(objects(s.agent(agent), "knowledge_bases")[0], "last_indexing_job")
	equal(t, "job", text(last, "created_at")+" "+text(last, "status"), "2026-06-01T18:00:00Z "+jobInProgress)
	equal(t, "jobs without data sources", jobs(empty), "")
	s.do(409, "POST", jobsPath, `{"knowledge_base_uuid":"`+KnowledgeBaseA+`"}`)
	schedule := object(s.do(200, "GET", schedulesPath+"/knowledge-base/"+KnowledgeBaseA, "").body, "indexing_info")
	equal(t, "runs", text(schedule, "last_ran_at")+" "+text(schedule, "next_run_at"), "2026-06-01T18:00:00Z 2026-06-03T18:00:00Z")

	// A run that finds a job not finished is left out.
	now.advance(47 * time.Hour) // Wednesday, 17:30
	s.index(KnowledgeBaseA)
	now.advance(time.Hour)
	equal(t, "jobs on Wednesday", jobs(KnowledgeBaseA), "2026-06-03T17:30:00Z 2026-06-01T18:00:00Z "+seed)
	// Nobody looks for a week and some; a data source that is added then was
	// not there for the runs before.
	now.advance(8 * 24 * time.Hour) // Thursday, 18:30
	s.do(200, "POST", basesPath+"/"+KnowledgeBaseA+"/data_sources", `{"spaces_data_source":{"bucket_name":"b"}}`)
	s.do(200, "POST", basesPath+"/"+empty+"/data_sources", `{"spaces_data_source":{"bucket_name":"b"}}`)
	list := objects(s.do(200, "GET", basesPath+"/"+KnowledgeBaseA+"/indexing_jobs", "").body, "jobs")
	equal(t, "jobs after a week", column(list[:3], "created_at"), "2026-06-10T18:00:00Z 2026-06-08T18:00:00Z 2026-06-03T17:30:00Z")
	equal(t, "data sources of the latest", text(list[0], "total_datasources"), "1")
	equal(t, "jobs of what had no data sources", jobs(empty), "")
	schedule = object(s.do(200, "GET", schedulesPath+"/knowledge-base/"+KnowledgeBaseA, "").body, "indexing_info")
	equal(t, "fields it has not", s.left("ScheduledIndexing", schedule), "deleted_at")
}
