package genaisim

import (
	"cmp"
	"slices"
)

// latestJobs is how many indexing jobs the list of a knowledge base has at most.
const latestJobs = 15

type jobAnswer struct {
	Job jobView `json:"job"`
}

type jobsAnswer struct {
	Jobs []jobView `json:"jobs"`
	paging
}

// listJobs carries out GET /v2/gen-ai/indexing_jobs: the jobs of all knowledge
// bases, newest first.
func listJobs(c *call) (any, *apiError) {
	var all []*indexingJob
	for _, kb := range c.st.knowledgeBases {
		all = append(all, c.st.jobs(kb, c.now)...)
	}
	slices.SortStableFunc(all, func(a, b *indexingJob) int {
		return cmp.Or(b.createdAt.Compare(a.createdAt), cmp.Compare(b.seq, a.seq))
	})
	page, links := paginate(c, all)
	return jobsAnswer{c.jobViews(page), links}, nil
}

// listKnowledgeBaseJobs carries out GET
// /v2/gen-ai/knowledge_bases/{knowledge_base_uuid}/indexing_jobs: the latest of
// them, newest first, on a page that leads to no others.
func listKnowledgeBaseJobs(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBase("knowledge_base_uuid")
	if fail != nil {
		return nil, fail
	}
	latest := reversed(c.st.jobs(kb, c.now))
	latest = latest[:min(len(latest), latestJobs)]
	return jobsAnswer{c.jobViews(latest), paging{Meta: pageMeta{Page: 1, Pages: 1, Total: len(latest)}}}, nil
}

// startJob carries out POST /v2/gen-ai/indexing_jobs. A knowledge base has one
// job at a time.
func startJob(c *call) (any, *apiError) {
	kb, fail := c.knowledgeBaseInBody()
	if fail != nil {
		return nil, fail
	}
	if len(kb.sources) == 0 {
		return nil, badRequest("knowledge base %s has no data sources", kb.uuid)
	}
	sources := kb.sources
	if ids := c.body.ids("data_source_uuids"); len(ids) > 0 {
		sources = nil
		for _, id := range ids {
			source := find(kb.sources, id, (*dataSource).id)
			if source == nil {
				return nil, notFound("The data source", id)
			}
			sources = append(sources, source)
		}
	}
	if busy := kb.unfinished(c.now); busy != nil {
		return nil, conflict("knowledge base %s is being indexed already, by job %s", kb.uuid, busy.uuid)
	}
	job := c.st.index(kb, sources, c.now)
	c.resource = job.uuid
	c.didf("started indexing job %s of knowledge base %s", job.uuid, kb.uuid)
	return jobAnswer{job.view(c.now)}, nil
}

// getJob carries out GET /v2/gen-ai/indexing_jobs/{uuid}.
func getJob(c *call) (any, *apiError) {
	job, fail := c.job("uuid")
	if fail != nil {
		return nil, fail
	}
	return jobAnswer{job.view(c.now)}, nil
}

// cancelJob carries out PUT /v2/gen-ai/indexing_jobs/{uuid}/cancel. What was
// indexed by then stays so.
func cancelJob(c *call) (any, *apiError) {
	job, fail := c.job("uuid")
	if fail != nil {
		return nil, fail
	}
	if job.finished(c.now) {
		return nil, badRequest("indexing job %s has ended as %s and cannot be cancelled", job.uuid, job.view(c.now).Status)
	}
	job.cancelledAt = job.moment(c.now)
	c.didf("cancelled indexing job %s", job.uuid)
	return jobAnswer{job.view(c.now)}, nil
}

// listJobDataSources carries out GET
// /v2/gen-ai/indexing_jobs/{indexing_job_uuid}/data_sources.
func listJobDataSources(c *call) (any, *apiError) {
	job, fail := c.job("indexing_job_uuid")
	if fail != nil {
		return nil, fail
	}
	return struct {
		DataSources []indexedView `json:"indexed_data_sources"`
	}{job.view(c.now).DataSourceJobs}, nil
}

// getJobReport carries out GET
// /v2/gen-ai/indexing_jobs/{indexing_job_uuid}/details_signed_url. There is a
// report as soon as the job has ended, in whatever way.
func getJobReport(c *call) (any, *apiError) {
	job, fail := c.job("indexing_job_uuid")
	if fail != nil {
		return nil, fail
	}
	if !job.finished(c.now) {
		return nil, badRequest("indexing job %s has not ended and has no report yet", job.uuid)
	}
	return struct {
		SignedURL string `json:"signed_url"`
	}{signedURL("reports.example.com", "indexing-jobs/"+job.uuid+".csv", c.st.random)}, nil
}

// job finds the indexing job a path parameter names and notes it as the
// resource of the call.
func (c *call) job(param string) (*indexingJob, *apiError) {
	id := c.params[param]
	for _, kb := range c.st.knowledgeBases {
		if job := find(c.st.jobs(kb, c.now), id, func(j *indexingJob) string { return j.uuid }); job != nil {
			c.resource = id
			return job, nil
		}
	}
	return nil, notFound("The indexing job", id)
}

func (c *call) jobViews(jobs []*indexingJob) []jobView {
	return mapped(jobs, func(job *indexingJob) jobView { return job.view(c.now) })
}
