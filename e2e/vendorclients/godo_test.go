package vendorclients_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// account is a simulated account with the vendor's client pointed at it. The simulator
// is strict: what departs from the contract is answered 422.
type account struct {
	godo.AgentPlatformService

	sim   *genaisim.Server
	clock *clock
}

// clock is the simulator's; databases and jobs take their time by it.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanoseconds.Load()) }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

func open(t *testing.T, cfg genaisim.Config) *account {
	t.Helper()
	a := &account{clock: &clock{}}
	a.clock.advance(time.Duration(time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC).UnixNano()))
	cfg.Strict, cfg.Now, cfg.Token = true, a.clock.now, "dop_v1_simulated"
	a.sim = genaisim.New(cfg)
	server := httptest.NewServer(a.sim)
	t.Cleanup(server.Close)
	client := godo.NewFromToken(cfg.Token)
	var err error
	if client.BaseURL, err = url.Parse(server.URL + "/"); err != nil {
		t.Fatal(err)
	}
	a.AgentPlatformService = client.AgentPlatform
	t.Cleanup(func() {
		for _, r := range a.sim.Requests() {
			if len(r.Deviations) > 0 || r.Operation == "" {
				t.Errorf("%s %s departs from the contract: %q", r.Method, r.Path, r.Deviations)
			}
		}
	})
	return a
}

// must is the value of a call that has to succeed.
func must[T any](t *testing.T) func(value T, _ *godo.Response, err error) T {
	t.Helper()
	return func(value T, _ *godo.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (a *account) agent(t *testing.T, name string) *godo.Agent {
	t.Helper()
	return must[*godo.Agent](t)(a.CreateAgent(t.Context(), &godo.AgentCreateRequest{
		Name: name, Instruction: "Help.", ModelUuid: genaisim.ModelLlama, ProjectId: genaisim.DefaultProject, Region: genaisim.DefaultRegion,
	}))
}

// TestPages goes through a list until the client takes a page for the last, which is the
// one whose links name no next. (It reads "prev" where the vendor writes "previous", so its
// own count of pages stays at 1.)
func TestPages(t *testing.T) {
	t.Parallel()
	a := open(t, genaisim.Config{SeedAgents: 45, Seed: 1})
	seen := map[string]bool{}
	options, pages := &godo.ListOptions{PerPage: 20}, 0
	for {
		agents, resp, err := a.ListAgents(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		for _, agent := range agents {
			seen[agent.Uuid] = true
		}
		pages++
		if resp.Meta.Total != 45 {
			t.Errorf("the client reads a total of %d", resp.Meta.Total)
		}
		if resp.Links.IsLastPage() {
			break
		}
		if last, err := url.Parse(resp.Links.Pages.Last); err != nil || last.Query().Get("page") != "3" {
			t.Errorf("the last page is %q, %v", resp.Links.Pages.Last, err)
		}
		options.Page = pages + 1
	}
	if pages != 3 || len(seen) != 45 {
		t.Errorf("%d agents on %d pages", len(seen), pages)
	}
}

func TestAgents(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	made := a.agent(t, "orders")
	changed := must[*godo.Agent](t)(a.UpdateAgent(ctx, made.Uuid, &godo.AgentUpdateRequest{Uuid: made.Uuid, Name: "orders", Temperature: 0.3, K: 4}))
	if changed.Temperature != 0.3 || changed.K != 4 || changed.VersionHash == made.VersionHash {
		t.Errorf("after the update the client reads %+v", changed)
	}
	shown := must[*godo.Agent](t)(a.UpdateAgentVisibility(ctx, made.Uuid, &godo.AgentVisibilityUpdateRequest{
		Uuid: made.Uuid, Visibility: "VISIBILITY_PUBLIC",
	}))
	if shown.Deployment.Visibility != "VISIBILITY_PUBLIC" || shown.Deployment.Status != "STATUS_RUNNING" {
		t.Errorf("the deployment is %+v", shown.Deployment)
	}
	versions := must[[]*godo.AgentVersion](t)(a.ListAgentVersions(ctx, made.Uuid, nil))
	hash := must[string](t)(a.RollbackAgentVersion(ctx, made.Uuid, versions[len(versions)-1].VersionHash))
	if back := must[*godo.Agent](t)(a.GetAgent(ctx, made.Uuid)); back.VersionHash != hash || back.Temperature == 0.3 {
		t.Errorf("after the rollback to %s the client reads %+v", hash, back)
	}
	if _, _, err := a.DeleteAgent(ctx, made.Uuid); err != nil {
		t.Error(err)
	}
	_, resp, err := a.GetAgent(ctx, made.Uuid)
	if err == nil || resp.StatusCode != 404 {
		t.Errorf("a deleted agent: %v", err)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	parent, child := a.agent(t, "front"), a.agent(t, "refunds")
	route := must[*godo.AgentRouteResponse](t)(a.AddAgentRoute(ctx, parent.Uuid, child.Uuid, &godo.AgentRouteCreateRequest{
		ParentAgentUuid: parent.Uuid, ChildAgentUuid: child.Uuid, RouteName: "refunds", IfCase: "money back",
	}))
	if route.ParentAgentUuid != parent.Uuid || route.ChildAgentUuid != child.Uuid {
		t.Errorf("the route is %+v", route)
	}
	must[*godo.AgentRouteResponse](t)(a.UpdateAgentRoute(ctx, parent.Uuid, child.Uuid, &godo.AgentRouteUpdateRequest{
		ParentAgentUuid: parent.Uuid, ChildAgentUuid: child.Uuid, RouteName: "returns", IfCase: "goods back",
	}))
	got := must[*godo.Agent](t)(a.GetAgent(ctx, parent.Uuid))
	if len(got.ChildAgents) != 1 || got.ChildAgents[0].RouteName != "returns" {
		t.Errorf("the client reads the children %+v", got.ChildAgents)
	}
	must[*godo.AgentRouteResponse](t)(a.DeleteAgentRoute(ctx, parent.Uuid, child.Uuid))
	if got = must[*godo.Agent](t)(a.GetAgent(ctx, parent.Uuid)); len(got.ChildAgents) != 0 {
		t.Errorf("after the deletion: %+v", got.ChildAgents)
	}
	added := must[*godo.Agent](t)(a.CreateFunctionRoute(ctx, parent.Uuid, &godo.FunctionRouteCreateRequest{
		AgentUuid: parent.Uuid, FunctionName: "status", FaasName: "default/status", FaasNamespace: "fn-1", Description: "Order status.",
		InputSchema:  godo.FunctionInputSchema{Parameters: []godo.OpenAPIParameterSchema{{Name: "order", In: "query"}}},
		OutputSchema: []byte(`{"type":"object"}`),
	}))
	if len(added.Functions) != 1 || added.Functions[0].Name != "status" {
		t.Fatalf("the client reads the functions %+v", added.Functions)
	}
	if without := must[*godo.Agent](t)(a.DeleteFunctionRoute(ctx, parent.Uuid, added.Functions[0].Uuid)); len(without.Functions) != 0 {
		t.Errorf("after the deletion: %+v", without.Functions)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	agent := a.agent(t, "orders")
	key := must[*godo.ApiKeyInfo](t)(a.CreateAgentAPIKey(ctx, agent.Uuid, &godo.AgentAPIKeyCreateRequest{AgentUuid: agent.Uuid, Name: "till"}))
	again := must[*godo.ApiKeyInfo](t)(a.RegenerateAgentAPIKey(ctx, agent.Uuid, key.Uuid))
	if key.SecretKey == "" || again.SecretKey == "" || again.SecretKey == key.SecretKey {
		t.Error("a regenerated key has no secret of its own")
	}
	if list := must[[]*godo.ApiKeyInfo](t)(a.ListAgentAPIKeys(ctx, agent.Uuid, nil)); len(list) != 1 || list[0].SecretKey != "" {
		t.Errorf("the list is %+v", list)
	}
	must[*godo.ApiKeyInfo](t)(a.DeleteAgentAPIKey(ctx, agent.Uuid, key.Uuid))

	provider := must[*godo.AnthropicApiKeyInfo](t)(a.CreateAnthropicAPIKey(ctx, &godo.AnthropicAPIKeyCreateRequest{Name: "ours", ApiKey: "sk-ant-1"}))
	must[*godo.Agent](t)(a.UpdateAgent(ctx, agent.Uuid, &godo.AgentUpdateRequest{Uuid: agent.Uuid, AnthropicKeyUuid: provider.Uuid}))
	if users := must[[]*godo.Agent](t)(a.ListAgentsByAnthropicAPIKey(ctx, provider.Uuid, nil)); len(users) != 1 || users[0].Uuid != agent.Uuid {
		t.Errorf("the key is used by %+v", users)
	}
	must[*godo.AnthropicApiKeyInfo](t)(a.DeleteAnthropicAPIKey(ctx, provider.Uuid))
}

// TestKnowledgeBases sends what the client sends, which is null for lists that are not given.
func TestKnowledgeBases(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{DatabaseTime: time.Minute, IndexTime: time.Minute}), t.Context()
	agent := a.agent(t, "orders")
	base := must[*godo.KnowledgeBase](t)(a.CreateKnowledgeBase(ctx, &godo.KnowledgeBaseCreateRequest{
		Name: "manuals", EmbeddingModelUuid: genaisim.ModelEmbedding, ProjectID: genaisim.DefaultProject, Region: genaisim.DefaultRegion,
		DataSources: []godo.KnowledgeBaseDataSource{{SpacesDataSource: &godo.SpacesDataSource{BucketName: "manuals", Region: "tor1"}}},
	}))
	if _, resp, err := a.AttachKnowledgeBaseToAgent(ctx, agent.Uuid, base.Uuid); err == nil || resp.StatusCode != 400 {
		t.Errorf("attached while the database is made: %v", err)
	}
	a.clock.advance(time.Minute)
	_, status, _, err := a.GetKnowledgeBase(ctx, base.Uuid)
	if err != nil || status != "ONLINE" {
		t.Errorf("the database is %s, %v", status, err)
	}
	if got := must[*godo.Agent](t)(a.AttachKnowledgeBaseToAgent(ctx, agent.Uuid, base.Uuid)); len(got.KnowledgeBases) != 1 {
		t.Errorf("the client reads the knowledge bases %+v", got.KnowledgeBases)
	}
	must[*godo.KnowledgeBaseDataSource](t)(a.AddKnowledgeBaseDataSource(ctx, base.Uuid, &godo.AddKnowledgeBaseDataSourceRequest{
		KnowledgeBaseUuid: base.Uuid, SpacesDataSource: &godo.SpacesDataSource{BucketName: "more", Region: "tor1"},
	}))
	if sources := must[[]godo.KnowledgeBaseDataSource](t)(a.ListKnowledgeBaseDataSources(ctx, base.Uuid, nil)); len(sources) != 2 {
		t.Errorf("%d data sources", len(sources))
	}
	a.clock.advance(time.Minute)
	jobs := must[*godo.IndexingJobsResponse](t)(a.ListIndexingJobs(ctx, nil))
	job := must[*godo.IndexingJobResponse](t)(a.GetIndexingJob(ctx, jobs.Jobs[0].Uuid))
	if job.Job.Status != "INDEX_JOB_STATUS_COMPLETED" || job.Job.KnowledgeBaseUuid != base.Uuid || job.Job.FinishedAt == nil {
		t.Errorf("the job is %+v", job.Job)
	}
	must[*godo.Agent](t)(a.DetachKnowledgeBaseToAgent(ctx, agent.Uuid, base.Uuid))
	if gone := must[string](t)(a.DeleteKnowledgeBase(ctx, base.Uuid)); gone != base.Uuid {
		t.Errorf("deleted %s", gone)
	}
}

func TestModelsAndRegions(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	models := must[[]*godo.Model](t)(a.ListAvailableModels(ctx, nil))
	if len(models) == 0 || models[0].Uuid == "" || models[0].Name == "" {
		t.Errorf("the client reads the models %+v", models)
	}
	if regions := must[[]*godo.DatacenterRegions](t)(a.ListDatacenterRegions(ctx, new(true), nil)); len(regions) != 2 {
		t.Errorf("%d regions serve inference", len(regions))
	}
	routers := must[[]*godo.InferenceRouterTaskPreset](t)(a.ListInferenceRouterTaskPresets(ctx, nil))
	if len(routers) == 0 {
		t.Error("no task presets")
	}
}

// TestConflict is one refusal among those that the vendor's generated clients send again.
func TestConflict(t *testing.T) {
	t.Parallel()
	a := open(t, genaisim.Config{})
	parent, child := a.agent(t, "front"), a.agent(t, "refunds")
	add := func(ctx context.Context) (*godo.AgentRouteResponse, *godo.Response, error) {
		return a.AddAgentRoute(ctx, parent.Uuid, child.Uuid, &godo.AgentRouteCreateRequest{})
	}
	must[*godo.AgentRouteResponse](t)(add(t.Context()))
	_, resp, err := add(t.Context())
	if err == nil || resp.StatusCode != 409 {
		t.Errorf("a second route: %v", err)
	}
	if got := must[*godo.Agent](t)(a.GetAgent(t.Context(), parent.Uuid)); len(got.ChildAgents) != 1 {
		t.Errorf("%d children", len(got.ChildAgents))
	}
}
