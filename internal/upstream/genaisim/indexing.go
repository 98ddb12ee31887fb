package genaisim

import (
	"slices"
	"time"
)

const (
	jobPending    = "INDEX_JOB_STATUS_PENDING"
	jobInProgress = "INDEX_JOB_STATUS_IN_PROGRESS"
	jobCompleted  = "INDEX_JOB_STATUS_COMPLETED"
	jobPartial    = "INDEX_JOB_STATUS_PARTIAL"
	jobFailed     = "INDEX_JOB_STATUS_FAILED"
	jobCancelled  = "INDEX_JOB_STATUS_CANCELLED"

	phasePending   = "BATCH_JOB_PHASE_PENDING"
	phaseRunning   = "BATCH_JOB_PHASE_RUNNING"
	phaseSucceeded = "BATCH_JOB_PHASE_SUCCEEDED"
	phaseFailed    = "BATCH_JOB_PHASE_FAILED"
	phaseCancelled = "BATCH_JOB_PHASE_CANCELLED"

	indexedUnknown    = "DATA_SOURCE_STATUS_UNKNOWN" // its turn has not come
	indexedInProgress = "DATA_SOURCE_STATUS_IN_PROGRESS"
	indexedUpdated    = "DATA_SOURCE_STATUS_UPDATED"
	indexedFailed     = "DATA_SOURCE_STATUS_FAILED"
	indexedCancelled  = "DATA_SOURCE_STATUS_CANCELLED"
)

// bytesPerToken is about what a token of English is long.
const bytesPerToken = 4

// indexingJob brings data sources into a knowledge base. How far it has come is
// computed from the time that has passed, so that nothing has to run meanwhile:
// it is pending at first, then its data sources take turns, each for an equal
// share of the time.
type indexingJob struct {
	uuid, base  string
	seq         int           // in the order in which jobs were started, over all knowledge bases
	sources     []*dataSource // at least one
	createdAt   time.Time
	startsAt    time.Time // when the first turn begins
	endsAt      time.Time // when the last turn ends
	cancelledAt time.Time // zero if it was not
}

type jobView struct {
	UUID              string        `json:"uuid"`
	KnowledgeBaseUUID string        `json:"knowledge_base_uuid"`
	Status            string        `json:"status"`
	Phase             string        `json:"phase"`
	DataSourceUUIDs   []string      `json:"data_source_uuids"`
	DataSourceJobs    []indexedView `json:"data_source_jobs"`
	Total             int           `json:"total_datasources"`
	Completed         int           `json:"completed_datasources"`
	Tokens            int64         `json:"tokens"` // deprecated: as total_tokens
	TotalTokens       int64         `json:"total_tokens,string"`
	ReportAvailable   bool          `json:"is_report_available"`
	CreatedAt         string        `json:"created_at"`
	UpdatedAt         string        `json:"updated_at"`
	StartedAt         string        `json:"started_at,omitempty"`
	FinishedAt        string        `json:"finished_at,omitempty"`
}

type indexedView struct {
	DataSourceUUID string `json:"data_source_uuid"`
	Status         string `json:"status"`
	TotalFiles     int64  `json:"total_file_count,string"`
	IndexedFiles   int64  `json:"indexed_file_count,string"`
	IndexedItems   int64  `json:"indexed_item_count,string"`
	FailedItems    int64  `json:"failed_item_count,string"`
	SkippedItems   int64  `json:"skipped_item_count,string"`
	RemovedItems   int64  `json:"removed_item_count,string"`
	TotalBytes     int64  `json:"total_bytes,string"`
	IndexedBytes   int64  `json:"total_bytes_indexed,string"`
	ErrorMsg       string `json:"error_msg,omitempty"`
	ErrorDetails   string `json:"error_details,omitempty"`
	StartedAt      string `json:"started_at,omitempty"`
	CompletedAt    string `json:"completed_at,omitempty"`
}

// index starts a job for some data sources of a knowledge base. Without a
// database that is online it waits for that first.
func (st *state) index(kb *knowledgeBase, sources []*dataSource, at time.Time) *indexingJob {
	begin := later(at, st.knowledge.databases[kb.database])
	st.knowledge.started++
	job := &indexingJob{
		uuid: st.random.uuid(), base: kb.uuid, seq: st.knowledge.started, sources: slices.Clone(sources), createdAt: at,
		startsAt: begin.Add(st.knowledge.indexTime / waitingShare), endsAt: begin.Add(st.knowledge.indexTime),
	}
	kb.jobs = append(kb.jobs, job)
	return job
}

// jobs are the indexing jobs of a knowledge base by creation, those that its
// schedule has started by now among them.
func (st *state) jobs(kb *knowledgeBase, now time.Time) []*indexingJob {
	st.catchUp(kb, now)
	return kb.jobs
}

// unfinished is the job that a knowledge base is busy with, nil if there is none.
func (kb *knowledgeBase) unfinished(now time.Time) *indexingJob {
	for _, job := range kb.jobs {
		if !job.finished(now) {
			return job
		}
	}
	return nil
}

func (job *indexingJob) cancelled() bool { return !job.cancelledAt.IsZero() }

func (job *indexingJob) finished(now time.Time) bool {
	return job.cancelled() || !job.moment(now).Before(job.endsAt)
}

// moment is the time that tells how far a job has come at now: once cancelled
// it stays where it was. Jobs of the seeds are finished whatever the clock says.
func (job *indexingJob) moment(now time.Time) time.Time {
	if job.cancelled() {
		return job.cancelledAt
	}
	return later(now, job.createdAt)
}

// turn is the time in which a job indexes one of its data sources, unless it is
// cancelled.
func (job *indexingJob) turn(i int) (begin, end time.Time) {
	all, run := time.Duration(len(job.sources)), job.endsAt.Sub(job.startsAt)
	return job.startsAt.Add(run * time.Duration(i) / all), job.startsAt.Add(run * time.Duration(i+1) / all)
}

// indexed shows what a job has done with one of its data sources.
func (job *indexingJob) indexed(i int, now time.Time) indexedView {
	source, moment := job.sources[i], job.moment(now)
	begin, end := job.turn(i)
	view := indexedView{
		DataSourceUUID: source.uuid, Status: indexedUnknown, TotalFiles: source.content.files, TotalBytes: source.content.bytes,
	}
	if !moment.Before(begin) {
		view.StartedAt, view.Status = stamp(begin), indexedInProgress
	}
	switch {
	case !moment.Before(end) && source.content.unreachable:
		view.Status, view.CompletedAt, view.FailedItems = indexedFailed, stamp(end), view.TotalFiles
		view.ErrorMsg, view.ErrorDetails = "source_unreachable", source.Crawler.BaseURL+" could not be reached"
		return view
	case !moment.Before(end):
		view.Status, view.CompletedAt = indexedUpdated, stamp(end)
	case job.cancelled():
		view.Status, view.CompletedAt = indexedCancelled, stamp(moment)
	}
	if !source.content.unreachable {
		view.IndexedFiles = portion(view.TotalFiles, moment.Sub(begin), end.Sub(begin))
		view.IndexedItems = view.IndexedFiles
		view.IndexedBytes = portion(view.TotalBytes, moment.Sub(begin), end.Sub(begin))
	}
	return view
}

// portion is the part of a total that is done when a part of the time has
// passed, which may be less than none and more than all of it.
func portion(total int64, passed, whole time.Duration) int64 {
	switch {
	case passed >= whole:
		return total
	case passed <= 0:
		return 0
	}
	return int64(float64(total) * passed.Seconds() / whole.Seconds())
}

func (job *indexingJob) view(now time.Time) jobView {
	moment := job.moment(now)
	view := jobView{
		UUID: job.uuid, KnowledgeBaseUUID: job.base, DataSourceUUIDs: mapped(job.sources, (*dataSource).id),
		Total: len(job.sources), CreatedAt: stamp(job.createdAt), ReportAvailable: job.finished(now),
	}
	updated, failed := job.createdAt, 0
	for i := range job.sources {
		done := job.indexed(i, now)
		view.DataSourceJobs = append(view.DataSourceJobs, done)
		view.TotalTokens += done.IndexedBytes / bytesPerToken
		switch done.Status {
		case indexedUpdated:
			view.Completed++
		case indexedFailed:
			failed++
		}
		begin, end := job.turn(i)
		for _, step := range []time.Time{begin, end} {
			if !step.After(moment) {
				updated = later(updated, step)
			}
		}
	}
	view.Tokens = view.TotalTokens
	view.Status, view.Phase = job.status(failed, now)
	if !moment.Before(job.startsAt) {
		view.StartedAt = stamp(job.startsAt)
	}
	if job.finished(now) {
		updated = earlier(moment, job.endsAt)
		view.FinishedAt = stamp(updated)
	}
	view.UpdatedAt = stamp(updated)
	return view
}

// status tells how far a job has come of whose data sources some have failed.
func (job *indexingJob) status(failed int, now time.Time) (status, phase string) {
	switch {
	case job.cancelled():
		return jobCancelled, phaseCancelled
	case job.finished(now) && failed == len(job.sources):
		return jobFailed, phaseFailed
	case job.finished(now) && failed > 0:
		return jobPartial, phaseSucceeded
	case job.finished(now):
		return jobCompleted, phaseSucceeded
	case !job.moment(now).Before(job.startsAt):
		return jobInProgress, phaseRunning
	default:
		return jobPending, phasePending
	}
}
