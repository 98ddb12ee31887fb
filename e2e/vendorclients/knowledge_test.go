package vendorclients_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// base makes a knowledge base as the client does: with null for the lists it is not given.
func (a *account) base(t *testing.T, name string, tags ...string) *godo.KnowledgeBase {
	t.Helper()
	return must(a.CreateKnowledgeBase(t.Context(), &godo.KnowledgeBaseCreateRequest{
		Name: name, EmbeddingModelUuid: genaisim.ModelEmbedding, ProjectID: genaisim.DefaultProject, Region: genaisim.DefaultRegion, Tags: tags,
		DataSources: []godo.KnowledgeBaseDataSource{{SpacesDataSource: &godo.SpacesDataSource{BucketName: "manuals", Region: "tor1"}}},
	}))(t)
}

// status is that of the database of a knowledge base.
func (a *account) status(t *testing.T, id string) string {
	t.Helper()
	return must(func() (string, *godo.Response, error) {
		_, status, resp, err := a.GetKnowledgeBase(t.Context(), id)
		return status, resp, err
	}())(t)
}

func TestKnowledgeBases(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{DatabaseTime: time.Minute}), t.Context()
	agent := a.agent(t, "orders")
	before := len(a.sim.Requests())

	made := a.base(t, "manuals", "shop")
	check(t, "the status of a new database", a.status(t, made.Uuid), "CREATING")
	refused(a.AttachKnowledgeBaseToAgent(ctx, agent.Uuid, made.Uuid))(t, 400, made.Uuid)
	a.clock.advance(time.Minute)
	check(t, "the status a minute later", a.status(t, made.Uuid), "ONLINE")

	attached := must(a.AttachKnowledgeBaseToAgent(ctx, agent.Uuid, made.Uuid))(t).KnowledgeBases
	if len(attached) != 1 || attached[0].Uuid != made.Uuid || attached[0].AddedToAgentAt == nil {
		t.Errorf("the client reads the knowledge bases %+v", attached)
	}
	check(t, "knowledge bases once detached", len(must(a.DetachKnowledgeBaseToAgent(ctx, agent.Uuid, made.Uuid))(t).KnowledgeBases), 0)

	changed := must(a.UpdateKnowledgeBase(ctx, made.Uuid, &godo.UpdateKnowledgeBaseRequest{
		Name: "handbooks", EmbeddingModelUuid: made.EmbeddingModelUuid, KnowledgeBaseUUID: made.Uuid,
	}))(t)
	check(t, "the new name", changed.Name, "handbooks")
	check(t, "whether the tags are still there", slices.Equal(changed.Tags, []string{"shop"}), true)

	bases := must(a.ListKnowledgeBases(ctx, nil))(t)
	check(t, "whether it is listed", slices.ContainsFunc(bases, func(kb godo.KnowledgeBase) bool { return kb.Uuid == made.Uuid }), true)
	check(t, "what was deleted", must(a.DeleteKnowledgeBase(ctx, made.Uuid))(t), made.Uuid)
	a.wantEffects(t, before,
		"created knowledge base "+made.Uuid,
		"attached knowledge bases to agent "+agent.Uuid,
		"detached knowledge base "+made.Uuid+" from agent "+agent.Uuid,
		"updated knowledge base "+made.Uuid,
		"deleted knowledge base "+made.Uuid,
	)
}

// The client sends null for the kind of data source that it does not add.
func TestDataSources(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	made := a.base(t, "manuals")
	before := len(a.sim.Requests())

	bucket := must(a.AddKnowledgeBaseDataSource(ctx, made.Uuid, &godo.AddKnowledgeBaseDataSourceRequest{
		KnowledgeBaseUuid: made.Uuid, SpacesDataSource: &godo.SpacesDataSource{BucketName: "more", ItemPath: "a/b", Region: "tor1"},
	}))(t)
	site := must(a.AddKnowledgeBaseDataSource(ctx, made.Uuid, &godo.AddKnowledgeBaseDataSourceRequest{
		KnowledgeBaseUuid:    made.Uuid,
		WebCrawlerDataSource: &godo.WebCrawlerDataSource{BaseUrl: "https://shop.example.com", CrawlingOption: "DOMAIN", EmbedMedia: true},
	}))(t)
	check(t, "the path in the bucket", bucket.SpacesDataSource.ItemPath, "a/b")
	check(t, "what is crawled", site.WebCrawlerDataSource.CrawlingOption, "DOMAIN")

	list := func(options *godo.ListOptions) ([]godo.KnowledgeBaseDataSource, *godo.Response, error) {
		return a.ListKnowledgeBaseDataSources(ctx, made.Uuid, options)
	}
	sources, pages := everything(t, 2, list)
	check(t, "data sources", len(sources), 3)
	check(t, "pages", pages, 2)
	base, source, _, err := a.DeleteKnowledgeBaseDataSource(ctx, made.Uuid, site.Uuid)
	if err != nil || base != made.Uuid || source != site.Uuid {
		t.Errorf("deleted %s of %s, %v", source, base, err)
	}
	sources, _ = everything(t, 200, list)
	check(t, "data sources after the deletion", len(sources), 2)
	a.wantEffects(t, before,
		"added data source "+bucket.Uuid+" to knowledge base "+made.Uuid,
		"added data source "+site.Uuid+" to knowledge base "+made.Uuid,
		"deleted data source "+site.Uuid+" of knowledge base "+made.Uuid,
	)
}

// A knowledge base that is made with data sources has a job at once. The client cannot
// start another.
func TestIndexingJobs(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{IndexTime: time.Minute}), t.Context()
	latest := func(t *testing.T, base *godo.KnowledgeBase) godo.LastIndexingJob {
		t.Helper()
		jobs := must(a.ListIndexingJobs(ctx, nil))(t).Jobs
		at := slices.IndexFunc(jobs, func(job godo.LastIndexingJob) bool { return job.KnowledgeBaseUuid == base.Uuid })
		if at < 0 {
			t.Fatalf("the client reads the jobs %+v", jobs)
		}
		return must(a.GetIndexingJob(ctx, jobs[at].Uuid))(t).Job
	}

	first := a.base(t, "manuals")
	check(t, "the status at first", latest(t, first).Status, "INDEX_JOB_STATUS_PENDING")
	a.clock.advance(30 * time.Second)
	check(t, "the status halfway", latest(t, first).Status, "INDEX_JOB_STATUS_IN_PROGRESS")
	a.clock.advance(30 * time.Second)
	done := latest(t, first)
	if done.Status != "INDEX_JOB_STATUS_COMPLETED" || done.FinishedAt == nil || done.Tokens == 0 || done.CompletedDatasources != 1 {
		t.Errorf("in the end the job is %+v", done)
	}
	sources := must(a.ListIndexingJobDataSources(ctx, done.Uuid))(t).IndexedDataSources
	if len(sources) != 1 || sources[0].Status != "DATA_SOURCE_STATUS_UPDATED" || sources[0].IndexedFileCount == "" {
		t.Errorf("its data sources are %+v", sources)
	}
	refused(a.CancelIndexingJob(ctx, done.Uuid))(t, 400, "")

	second := a.base(t, "leaflets")
	job := latest(t, second)
	check(t, "the status of a cancelled job", must(a.CancelIndexingJob(ctx, job.Uuid))(t).Job.Status, "INDEX_JOB_STATUS_CANCELLED")

	_, pages := everything(t, 1, func(options *godo.ListOptions) ([]godo.LastIndexingJob, *godo.Response, error) {
		return jobs(ctx, a, options)
	})
	check(t, "pages of one job", pages, len(must(a.ListIndexingJobs(ctx, nil))(t).Jobs))
}

func jobs(ctx context.Context, a *account, options *godo.ListOptions) ([]godo.LastIndexingJob, *godo.Response, error) {
	found, resp, err := a.ListIndexingJobs(ctx, options)
	if err != nil {
		return nil, resp, err
	}
	return found.Jobs, resp, nil
}
