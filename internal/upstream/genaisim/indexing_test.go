package genaisim

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const jobsPath = "/v2/gen-ai/indexing_jobs"

func (s *sim) job(id string) map[string]any {
	s.t.Helper()
	return object(s.do(200, "GET", jobsPath+"/"+id, "").body, "job")
}

// index starts a job for all data sources of a knowledge base and returns its
// uuid.
func (s *sim) index(base string) string {
	s.t.Helper()
	return text(s.do(200, "POST", jobsPath, `{"knowledge_base_uuid":"`+base+`"}`).body, "job", "uuid")
}

// TestIndexingTakesItsTime: of 90 seconds, a job is pending for 30 and then
// gives 20 to each of three data sources.
func TestIndexingTakesItsTime(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, IndexTime: 90 * time.Second})
	kb := s.base("a", webSites("one.example.com", "two.example.com", "three.example.com"))
	id := text(kb, "last_indexing_job", "uuid")
	begun := now.Now()
	var tokens, indexed int64 = -1, -1
	marks := strings.NewReplacer(indexedUnknown, ".", indexedInProgress, ">", indexedUpdated, "+", " ", "")
	for _, tc := range []struct {
		at        int // seconds after the beginning
		status    string
		completed string
		sources   string // a mark for the status of each
		updated   int    // seconds after the beginning
	}{
		{0, jobPending, "0", "...", 0},
		{29, jobPending, "0", "...", 0},
		{40, jobInProgress, "0", ">..", 30},
		{50, jobInProgress, "1", "+>.", 50},
		{65, jobInProgress, "1", "+>.", 50},
		{80, jobInProgress, "2", "++>", 70},
		{90, jobCompleted, "3", "+++", 90},
		{900, jobCompleted, "3", "+++", 90},
	} {
		now.advance(begun.Add(time.Duration(tc.at) * time.Second).Sub(now.Now()))
		job := s.job(id)
		what := fmt.Sprintf(" after %d seconds", tc.at)
		equal(t, "status"+what, text(job, "status"), tc.status)
		phase := map[string]string{jobPending: phasePending, jobInProgress: phaseRunning, jobCompleted: phaseSucceeded}[tc.status]
		equal(t, "phase"+what, text(job, "phase"), phase)
		equal(t, "completed"+what, text(job, "completed_datasources"), tc.completed)
		equal(t, "report"+what, text(job, "is_report_available"), strconv.FormatBool(tc.status == jobCompleted))
		equal(t, "update"+what, text(job, "updated_at"), stamp(begun.Add(time.Duration(tc.updated)*time.Second)))
		parts := objects(s.do(200, "GET", jobsPath+"/"+id+"/data_sources", "").body, "indexed_data_sources")
		equal(t, "statuses"+what, marks.Replace(column(parts, "status")), tc.sources)
		equal(t, "statuses within"+what, column(objects(job, "data_source_jobs"), "status"), column(parts, "status"))
		last := object(s.do(200, "GET", basesPath+"/"+text(kb, "uuid"), "").body, "knowledge_base", "last_indexing_job")
		equal(t, "status shown by the knowledge base"+what, text(last, "status"), tc.status)

		var files int64
		for _, part := range parts {
			n, err := strconv.ParseInt(text(part, "indexed_file_count"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			files += n
		}
		used, err := strconv.ParseInt(text(job, "total_tokens"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if used < tokens || files < indexed {
			t.Errorf("%d tokens and %d files%s, %d and %d before", used, files, what, tokens, indexed)
		}
		tokens, indexed = used, files
	}
	job := s.job(id)
	equal(t, "fields it has not", s.left("IndexingJob", job), "")
	equal(t, "started and finished", text(job, "started_at")+" "+text(job, "finished_at"), "2026-06-01T12:00:30Z 2026-06-01T12:01:30Z")
	first := objects(job, "data_source_jobs")[0]
	equal(t, "fields it has not", s.left("IndexedDataSource", first), "error_details error_msg")
	equal(t, "its turn", text(first, "started_at")+" "+text(first, "completed_at"), "2026-06-01T12:00:30Z 2026-06-01T12:00:50Z")
	equal(t, "files indexed", text(first, "indexed_file_count"), text(first, "total_file_count"))
	equal(t, "bytes indexed", text(first, "total_bytes_indexed"), text(first, "total_bytes"))
	if indexed == 0 || tokens == 0 {
		t.Errorf("%d tokens and %d files in the end", tokens, indexed)
	}
}

func TestIndexingWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Now: now.Now, DatabaseTime: time.Hour, IndexTime: time.Minute})
	kb := s.base("a", webSites("example.com"))
	id := text(kb, "last_indexing_job", "uuid")
	now.advance(time.Hour + 10*time.Second)
	equal(t, "status with the database just online", text(s.job(id), "status"), jobPending)
	now.advance(10 * time.Second)
	equal(t, "status after the first third", text(s.job(id), "status"), jobInProgress)
	now.advance(40 * time.Second)
	equal(t, "status", text(s.job(id), "status"), jobCompleted)

	stuck := text(s.base("b", `,"database_id":"`+DatabaseCreating+`"`+webSites("example.com")), "last_indexing_job", "uuid")
	now.advance(1000 * time.Hour)
	equal(t, "status without a database", text(s.job(stuck), "status"), jobPending)
	s.do(200, "PUT", jobsPath+"/"+stuck+"/cancel", ``)
	equal(t, "status", text(s.job(stuck), "status"), jobCancelled)
}

func TestIndexingAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	for range 2 { // one job after the other
		job := object(s.do(200, "POST", jobsPath, `{"knowledge_base_uuid":"`+KnowledgeBaseA+`"}`).body, "job")
		equal(t, "status", text(job, "status"), jobCompleted)
		equal(t, "completed", text(job, "completed_datasources"), "1")
		equal(t, "indexed", text(objects(job, "data_source_jobs")[0], "status"), indexedUpdated)
		s.wantEffect("started indexing job " + text(job, "uuid") + " of knowledge base " + KnowledgeBaseA)
		equal(t, "resource", s.last().ResourceUUID, text(job, "uuid"))
		s.do(400, "PUT", jobsPath+"/"+text(job, "uuid")+"/cancel", ``)
	}
	for _, seed := range []string{IndexingJobA, IndexingJobB} {
		equal(t, "status of a seed", text(s.job(seed), "status"), jobCompleted)
	}
}

func TestStartJobRefusals(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Now: now.Now, IndexTime: time.Minute})
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"no knowledge base":                       {`{}`, 400},
		"an unknown knowledge base":               {`{"knowledge_base_uuid":"` + unknownID + `"}`, 404},
		"no data sources":                         {`{"knowledge_base_uuid":"` + KnowledgeBaseCreating + `"}`, 400},
		"an unknown data source":                  {`{"knowledge_base_uuid":"` + KnowledgeBaseA + `","data_source_uuids":["` + unknownID + `"]}`, 404},
		"a data source of another knowledge base": {`{"knowledge_base_uuid":"` + KnowledgeBaseA + `","data_source_uuids":["` + DataSourceB + `"]}`, 404},
	} {
		t.Run(name, func(t *testing.T) {
			s.do(tc.status, "POST", jobsPath, tc.body)
			equal(t, "jobs", text(s.do(200, "GET", jobsPath, "").body, "meta", "total"), "2")
		})
	}
	first := s.index(KnowledgeBaseA)
	s.do(409, "POST", jobsPath, `{"knowledge_base_uuid":"`+KnowledgeBaseA+`"}`)
	s.index(KnowledgeBaseB)
	now.advance(59 * time.Second)
	s.do(409, "POST", jobsPath, `{"knowledge_base_uuid":"`+KnowledgeBaseA+`"}`)
	s.do(200, "PUT", jobsPath+"/"+first+"/cancel", ``)
	s.index(KnowledgeBaseA)
	now.advance(time.Minute)
	s.index(KnowledgeBaseA)
	for _, request := range [][2]string{{"GET", ""}, {"PUT", "/cancel"}, {"GET", "/data_sources"}, {"GET", "/details_signed_url"}} {
		s.do(404, request[0], jobsPath+"/"+unknownID+request[1], "")
	}
}

func TestIndexingOfSomeDataSources(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Strict: true})
	kb := text(s.base("a", webSites("one.example.com", "two.example.com", "three.example.com")), "uuid")
	path := basesPath + "/" + kb + "/data_sources"
	sources := objects(s.do(200, "GET", path, "").body, "knowledge_base_data_sources")
	chosen := text(sources[2], "uuid") + `","` + text(sources[0], "uuid")

	job := object(s.do(200, "POST", jobsPath, `{"knowledge_base_uuid":"`+kb+`","data_source_uuids":["`+chosen+`","`+chosen+`"]}`).body, "job")

	equal(t, "data sources", column(objects(job, "data_source_jobs"), "data_source_uuid"), strings.ReplaceAll(chosen, `","`, " "))
	equal(t, "total", text(job, "total_datasources"), "2")
}

// TestCancelledJobStaysAsItWas: cancelled after 55 of 90 seconds, amid the
// second of three data sources.
func TestCancelledJobStaysAsItWas(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now, IndexTime: 90 * time.Second})
	kb := s.base("a", webSites("one.example.com", "two.example.com", "three.example.com"))
	id := text(kb, "last_indexing_job", "uuid")
	s.do(400, "GET", jobsPath+"/"+id+"/details_signed_url", "")
	now.advance(55 * time.Second)

	got := s.do(200, "PUT", jobsPath+"/"+id+"/cancel", `{"uuid":"`+id+`"}`)

	s.wantEffect("cancelled indexing job " + id)
	now.advance(time.Hour)
	equal(t, "job an hour later", s.do(200, "GET", jobsPath+"/"+id, "").raw, got.raw)
	job := object(got.body, "job")
	equal(t, "status", text(job, "status")+" "+text(job, "phase"), jobCancelled+" "+phaseCancelled)
	equal(t, "end", text(job, "finished_at")+" "+text(job, "updated_at"), "2026-06-01T12:00:55Z 2026-06-01T12:00:55Z")
	equal(t, "completed", text(job, "completed_datasources"), "1")
	parts := objects(job, "data_source_jobs")
	equal(t, "statuses", column(parts, "status"), indexedUpdated+" "+indexedCancelled+" "+indexedCancelled)
	if files := text(parts[1], "indexed_file_count"); files == "0" || files == text(parts[1], "total_file_count") {
		t.Errorf("%s of %s files were indexed", files, text(parts[1], "total_file_count"))
	}
	equal(t, "files of the third", text(parts[2], "indexed_file_count"), "0")
	equal(t, "start of the third", text(parts[2], "started_at"), "")
	s.do(400, "PUT", jobsPath+"/"+id+"/cancel", ``)
	report := text(s.do(200, "GET", jobsPath+"/"+id+"/details_signed_url", "").body, "signed_url")
	if !strings.Contains(report, id) || !strings.Contains(report, "Signature=") {
		t.Errorf("the report is at %q", report)
	}
}

func TestUnreachableDataSourcesFail(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hosts         []string
		status, phase string
	}{
		"none":     {[]string{"example.com", "invalid.example.com"}, jobCompleted, phaseSucceeded},
		"some":     {[]string{"example.com", "nowhere.invalid"}, jobPartial, phaseSucceeded},
		"all":      {[]string{"nowhere.invalid", "invalid"}, jobFailed, phaseFailed},
		"the last": {[]string{"nowhere.invalid:8080"}, jobFailed, phaseFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Config{Strict: true})
			job := object(s.base("a", webSites(tc.hosts...)), "last_indexing_job")
			equal(t, "status", text(job, "status")+" "+text(job, "phase"), tc.status+" "+tc.phase)
			parts := objects(job, "data_source_jobs")
			last := parts[len(parts)-1]
			if tc.status == jobCompleted {
				equal(t, "error", text(last, "error_msg"), "")
				return
			}
			equal(t, "status of the last", text(last, "status"), indexedFailed)
			equal(t, "items", text(last, "failed_item_count")+" "+text(last, "indexed_item_count"), "1 0")
			equal(t, "fields it has not", s.left("IndexedDataSource", last), "")
		})
	}
}

func TestListsOfJobs(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, Config{Strict: true, Now: now.Now})
	var newest []string
	for range 17 {
		newest = append([]string{s.index(KnowledgeBaseA)}, newest...)
	}
	other := s.index(KnowledgeBaseB) // in the same second
	now.advance(time.Second)
	newest = append([]string{s.index(KnowledgeBaseA)}, newest...)

	got := s.do(200, "GET", basesPath+"/"+KnowledgeBaseA+"/indexing_jobs", "")
	equal(t, "jobs of A", column(objects(got.body, "jobs"), "uuid"), strings.Join(newest[:15], " "))
	equal(t, "meta", text(got.body, "meta", "page")+" "+text(got.body, "meta", "pages")+" "+text(got.body, "meta", "total"), "1 1 15")
	equal(t, "links", len(object(got.body, "links", "pages")), 0)
	s.do(404, "GET", basesPath+"/"+unknownID+"/indexing_jobs", "")

	got = s.do(200, "GET", jobsPath+"?per_page=3", "")
	equal(t, "all jobs", column(objects(got.body, "jobs"), "uuid"), newest[0]+" "+other+" "+newest[1])
	equal(t, "knowledge bases", column(objects(got.body, "jobs"), "knowledge_base_uuid"), KnowledgeBaseA+" "+KnowledgeBaseB+" "+KnowledgeBaseA)
	equal(t, "total", text(got.body, "meta", "total"), "21")
	equal(t, "jobs counted", text(s.do(200, "GET", "/_sim/state", "").body, "counts", "indexing_jobs"), "21")
}
