package genaisim

// knowledgeOperations are those about knowledge bases, their data sources and
// their indexing.
func knowledgeOperations() map[string]handler {
	const (
		bases     = "/v2/gen-ai/knowledge_bases"
		sources   = bases + "/{knowledge_base_uuid}/data_sources"
		jobs      = "/v2/gen-ai/indexing_jobs"
		schedules = "/v2/gen-ai/scheduled-indexing"
	)
	return map[string]handler{
		"GET " + bases:                listKnowledgeBases,
		"POST " + bases:               createKnowledgeBase,
		"GET " + bases + "/{uuid}":    getKnowledgeBase,
		"PUT " + bases + "/{uuid}":    updateKnowledgeBase,
		"DELETE " + bases + "/{uuid}": deleteKnowledgeBase,

		"POST " + bases + "/data_sources/file_upload_presigned_urls": presignDataSourceFiles,

		"GET " + sources:                            listDataSources,
		"POST " + sources:                           addDataSource,
		"PUT " + sources + "/{data_source_uuid}":    updateDataSource,
		"DELETE " + sources + "/{data_source_uuid}": deleteDataSource,

		"GET " + jobs:                    listJobs,
		"POST " + jobs:                   startJob,
		"GET " + jobs + "/{uuid}":        getJob,
		"PUT " + jobs + "/{uuid}/cancel": cancelJob,
		"GET " + jobs + "/{indexing_job_uuid}/data_sources":       listJobDataSources,
		"GET " + jobs + "/{indexing_job_uuid}/details_signed_url": getJobReport,
		"GET " + bases + "/{knowledge_base_uuid}/indexing_jobs":   listKnowledgeBaseJobs,

		"POST " + schedules: createSchedule,
		"GET " + schedules + "/knowledge-base/{knowledge_base_uuid}": getSchedule,
		"DELETE " + schedules + "/{uuid}":                            deleteSchedule,
	}
}
