package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// platform are the services of a caller beside those for agents.
type platform struct {
	bases       agentsvcv1connect.KnowledgeBaseServiceClient
	indexing    agentsvcv1connect.IndexingServiceClient
	evaluations agentsvcv1connect.EvaluationServiceClient
	models      agentsvcv1connect.ModelServiceClient
}

func (s *service) platform(t *testing.T, token string, http2 bool, options ...connect.ClientOption) platform {
	t.Helper()
	h := &http.Client{Transport: bearer{token: token, next: newTransport(t, http2)}}
	return platform{
		bases:       agentsvcv1connect.NewKnowledgeBaseServiceClient(h, s.url, options...),
		indexing:    agentsvcv1connect.NewIndexingServiceClient(h, s.url, options...),
		evaluations: agentsvcv1connect.NewEvaluationServiceClient(h, s.url, options...),
		models:      agentsvcv1connect.NewModelServiceClient(h, s.url, options...),
	}
}

// TestPlatformLife takes an agent to its knowledge and to its evaluation, through what
// takes the vendor its time, and looks at it as another team.
func TestPlatformLife(t *testing.T) {
	w := newWorld(t)
	w.vendor = newVendor(t, genaisim.Config{
		DatabaseTime: 1500 * time.Millisecond, IndexTime: 3 * time.Second, EvaluationTime: 1500 * time.Millisecond, Strict: true,
	})
	s := w.serve(t)
	p := platformLife{w: w, s: s, mine: s.platform(t, w.payments, false), theirs: s.platform(t, w.search, false)}
	p.agent = newAgent(t, s.as(t, w.payments), "with knowledge")
	p.knowledge(t)
	p.index(t)
	p.evaluate(t)
	p.hidden(t)
	p.leave(t)
	p.history(t)
}

type platformLife struct {
	w            *world
	s            *service
	mine, theirs platform
	// What was made: an agent, its knowledge base, a job, a test case and a run.
	agent, base, job, testCase, run string
}

// follow reads a wait to its end and answers what it told, the last first.
func follow[Resp any, M interface {
	*Resp
	GetProgress() *pb.WaitProgress
}](t *testing.T, stream *connect.ServerStreamForClient[Resp], err error) []*pb.WaitProgress {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var told []*pb.WaitProgress
	for stream.Receive() {
		told = append(told, M(stream.Msg()).GetProgress())
	}
	if stream.Err() != nil || len(told) == 0 {
		t.Fatalf("told %v, then %v", told, stream.Err())
	}
	slices.Reverse(told)
	return told
}

func (p *platformLife) knowledge(t *testing.T) {
	t.Helper()
	made, err := p.mine.bases.CreateKnowledgeBase(t.Context(), &pb.CreateKnowledgeBaseRequest{
		Name: new("rules"), EmbeddingModelUuid: new(genaisim.ModelEmbedding), Region: new(genaisim.DefaultRegion),
		ProjectId: new(genaisim.DefaultProject), Datasources: []*pb.DataSourceInput{{
			SpacesDataSource: &pb.SpacesDataSource{BucketName: new("rules"), Region: new("tor1")},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.base = made.GetKnowledgeBase().GetUuid()
	attach := &pb.AttachKnowledgeBaseRequest{AgentUuid: p.agent, KnowledgeBaseUuid: p.base}
	if _, err := p.s.as(t, p.w.payments).routes.AttachKnowledgeBase(t.Context(), attach); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("attaching a knowledge base without a database: %v", err)
	}
	grpc := p.s.platform(t, p.w.payments, true, connect.WithGRPC())
	stream, err := grpc.bases.WaitKnowledgeBase(t.Context(), &pb.WaitKnowledgeBaseRequest{Uuid: p.base})
	told := follow(t, stream, err)
	if told[0].GetOutcome() != pb.WaitProgress_OUTCOME_SUCCEEDED || told[0].GetStatus() != "ONLINE" || len(told) < 2 {
		t.Errorf("the wait for the database told %v", told)
	}
	if _, err := p.s.as(t, p.w.payments).routes.AttachKnowledgeBase(t.Context(), attach); err != nil {
		t.Error(err)
	}
	got, err := p.mine.bases.GetKnowledgeBase(t.Context(), &pb.GetKnowledgeBaseRequest{Uuid: p.base})
	if err != nil || got.GetDatabaseStatus() != pb.KnowledgeBase_ONLINE {
		t.Errorf("the database is %s, %v", got.GetDatabaseStatus(), err)
	}
}

// index waits with many at once, who share what is asked of the vendor.
func (p *platformLife) index(t *testing.T) {
	t.Helper()
	first, err := p.mine.indexing.ListKnowledgeBaseIndexingJobs(t.Context(), &pb.ListKnowledgeBaseIndexingJobsRequest{KnowledgeBaseUuid: p.base})
	if err != nil || len(first.GetJobs()) != 1 {
		t.Fatalf("a new knowledge base has the jobs %v, %v", first.GetJobs(), err)
	}
	p.job = first.GetJobs()[0].GetUuid()
	const waiters = 20
	before := len(p.w.vendor.Requests())
	var wg sync.WaitGroup
	for range waiters {
		wg.Go(func() {
			web := p.s.platform(t, p.w.payments, false, connect.WithGRPCWeb())
			stream, err := web.indexing.WaitIndexingJob(t.Context(), &pb.WaitIndexingJobRequest{Uuid: p.job})
			if err != nil {
				t.Error(err)
				return
			}
			defer stream.Close()
			var last *pb.WaitIndexingJobResponse
			for stream.Receive() {
				last = stream.Msg()
			}
			if stream.Err() != nil || last.GetProgress().GetOutcome() != pb.WaitProgress_OUTCOME_SUCCEEDED ||
				last.GetJob().GetStatus() != pb.IndexingJob_INDEX_JOB_STATUS_COMPLETED {
				t.Errorf("the wait for the job ended with %v, %v", last, stream.Err())
			}
		})
	}
	wg.Wait()
	asked := 0
	for _, r := range p.w.vendor.Requests()[before:] {
		if strings.Contains(r.Path, "/indexing_jobs") {
			asked++
		}
	}
	if asked == 0 || asked >= waiters {
		t.Errorf("%d waiters asked the vendor %d times", waiters, asked)
	}
	t.Logf("%d waiters asked the vendor %d times", waiters, asked)
	again, err := p.mine.indexing.StartIndexingJob(t.Context(), &pb.StartIndexingJobRequest{
		KnowledgeBaseUuid: &p.base, DataSourceUuids: first.GetJobs()[0].GetDataSourceUuids(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.mine.indexing.CancelIndexingJob(t.Context(), &pb.CancelIndexingJobRequest{Uuid: again.GetJob().GetUuid()}); err != nil {
		t.Error(err)
	}
	stream, err := p.mine.indexing.WaitIndexingJob(t.Context(), &pb.WaitIndexingJobRequest{Uuid: again.GetJob().GetUuid()})
	if told := follow(t, stream, err); told[0].GetOutcome() != pb.WaitProgress_OUTCOME_FAILED {
		t.Errorf("the wait for a cancelled job told %v", told)
	}
}

func (p *platformLife) evaluate(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	urls, err := p.mine.evaluations.CreateEvaluationDatasetUploadUrls(ctx, &pb.CreateEvaluationDatasetUploadUrlsRequest{
		Files: []*pb.PresignedUrlFile{{FileName: new("prompts.csv"), FileSize: new(uint64(600))}}, Reason: "prompts to judge by",
	})
	if err != nil || urls.GetUploads()[0].GetPresignedUrl() == "" {
		t.Fatalf("upload URLs: %v, %v", urls, err)
	}
	data, err := p.mine.evaluations.CreateEvaluationDataset(ctx, &pb.CreateEvaluationDatasetRequest{
		Name: new("prompts"), DatasetType: pb.EvaluationDataset_EVALUATION_DATASET_TYPE_NON_ADK.Enum(),
		FileUploadDataset: &pb.FileUploadDataSource{
			OriginalFileName: new("prompts.csv"), StoredObjectKey: new(urls.GetUploads()[0].GetObjectKey()), SizeInBytes: new(uint64(600)),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := p.mine.evaluations.ListEvaluationMetrics(ctx, &pb.ListEvaluationMetricsRequest{PageSize: 2})
	if err != nil || len(metrics.GetMetrics()) != 2 {
		t.Fatalf("metrics: %v, %v", metrics, err)
	}
	made, err := p.mine.evaluations.CreateEvaluationTestCase(ctx, &pb.CreateEvaluationTestCaseRequest{
		Name: new("is it right"), Description: new("checks answers"), DatasetUuid: new(data.GetEvaluationDatasetUuid()),
		Metrics: []string{metrics.GetMetrics()[0].GetMetricUuid(), metrics.GetMetrics()[1].GetMetricUuid()},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.testCase = made.GetTestCaseUuid()
	runs, err := p.mine.evaluations.RunEvaluationTestCase(ctx, &pb.RunEvaluationTestCaseRequest{
		TestCaseUuid: &p.testCase, RunName: new("first"), AgentUuids: []string{p.agent},
	})
	if err != nil || len(runs.GetEvaluationRunUuids()) != 1 {
		t.Fatalf("runs: %v, %v", runs, err)
	}
	p.run = runs.GetEvaluationRunUuids()[0]
	stream, err := p.mine.evaluations.WaitEvaluationRun(ctx, &pb.WaitEvaluationRunRequest{EvaluationRunUuid: p.run})
	if told := follow(t, stream, err); told[0].GetOutcome() != pb.WaitProgress_OUTCOME_SUCCEEDED {
		t.Errorf("the wait for the run told %v", told)
	}
	results, err := p.mine.evaluations.ListEvaluationRunResults(ctx, &pb.ListEvaluationRunResultsRequest{EvaluationRunUuid: p.run, PageSize: 2})
	if err != nil || len(results.GetPrompts()) != 2 || results.GetNextPageToken() == "" {
		t.Errorf("results: %d prompts, %v", len(results.GetPrompts()), err)
	}
}

// hidden is all of it as another team sees it.
func (p *platformLife) hidden(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	refused := func(what string, err error) {
		t.Helper()
		if connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%s: another team is answered %v", what, err)
		}
	}
	_, err := p.theirs.bases.GetKnowledgeBase(ctx, &pb.GetKnowledgeBaseRequest{Uuid: p.base})
	refused("the knowledge base", err)
	_, err = p.theirs.bases.ListDataSources(ctx, &pb.ListDataSourcesRequest{KnowledgeBaseUuid: p.base})
	refused("its data sources", err)
	_, err = p.theirs.indexing.GetIndexingJob(ctx, &pb.GetIndexingJobRequest{Uuid: p.job})
	refused("its job", err)
	_, err = p.theirs.indexing.GetIndexingJobDetailsUrl(ctx, &pb.GetIndexingJobDetailsUrlRequest{IndexingJobUuid: p.job})
	refused("the job's details", err)
	_, err = p.theirs.evaluations.GetEvaluationRun(ctx, &pb.GetEvaluationRunRequest{EvaluationRunUuid: p.run})
	refused("the run", err)
	_, err = p.theirs.evaluations.ListEvaluationTestCaseRuns(ctx, &pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: p.testCase})
	refused("the test case's runs", err)
	stream, err := p.theirs.indexing.WaitIndexingJob(ctx, &pb.WaitIndexingJobRequest{Uuid: p.job})
	if err == nil {
		stream.Receive()
		err = stream.Err()
		stream.Close()
	}
	refused("a wait for the job", err)
	jobs, err := p.theirs.indexing.ListIndexingJobs(ctx, &pb.ListIndexingJobsRequest{})
	if err != nil || jobs.GetTotalSize() != 0 || len(jobs.GetJobs()) != 0 {
		t.Errorf("another team sees the jobs %v, %v", jobs, err)
	}
	models, err := p.theirs.models.ListModels(ctx, &pb.ListModelsRequest{})
	if err != nil || models.GetTotalSize() == 0 {
		t.Errorf("another team sees no models: %v", err)
	}
}

// leave deletes the knowledge base: what was part of it is gone, and the agent lost it.
func (p *platformLife) leave(t *testing.T) {
	t.Helper()
	if _, err := p.mine.bases.DeleteKnowledgeBase(t.Context(), &pb.DeleteKnowledgeBaseRequest{Uuid: p.base}); err != nil {
		t.Fatal(err)
	}
	_, err := p.mine.indexing.GetIndexingJob(t.Context(), &pb.GetIndexingJobRequest{Uuid: p.job})
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("the job of a deleted knowledge base: %v", err)
	}
	got, err := p.s.as(t, p.w.payments).agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: p.agent})
	if err != nil || len(got.GetAgent().GetKnowledgeBases()) != 0 {
		t.Errorf("the agent still has %v, %v", got.GetAgent().GetKnowledgeBases(), err)
	}
}

// history is complete, and tells of nothing as done by others.
func (p *platformLife) history(t *testing.T) {
	t.Helper()
	got := column[string](t, p.w, `SELECT action || ' ' || resource_kind FROM audit_events e JOIN teams t ON t.id = e.team_id
		WHERE t.name = 'payments' AND outcome = 'SUCCEEDED' AND origin = 'API' ORDER BY recorded_at`)
	want := []string{
		"CREATE agent", "CREATE knowledge_base", "UPDATE agent", "CREATE indexing_job", "UPDATE indexing_job", "REVEAL ",
		"CREATE evaluation_dataset", "CREATE evaluation_test_case", "CREATE evaluation_run", "DELETE knowledge_base",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the history is %q, want %q", got, want)
	}
	if drift := column[string](t, p.w, "SELECT action || ' ' || resource_kind FROM audit_events WHERE origin = 'UPSTREAM'"); len(drift) != 0 {
		t.Errorf("told as done elsewhere: %q", drift)
	}
	for _, r := range p.w.vendor.Requests() {
		if len(r.Deviations) > 0 {
			t.Errorf("%s departs from the vendor's contract: %q", r.Operation, r.Deviations)
		}
	}
}
