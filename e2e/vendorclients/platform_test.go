package vendorclients_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestModels(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	models := must(a.ListAvailableModels(ctx, &godo.ListOptions{PerPage: 200}))(t)
	if len(models) < 5 || models[0].Uuid == "" || models[0].Name == "" || models[0].CreatedAt == nil {
		t.Fatalf("the client reads the models %+v", models)
	}

	paged, _ := everything(t, 3, func(options *godo.ListOptions) ([]*godo.Model, *godo.Response, error) {
		return a.ListAvailableModels(ctx, options)
	})
	check(t, "models on pages of three", len(paged), len(models))

	some := must(a.ListAvailableModels(ctx, &godo.ListOptions{
		PublicOnly: true, Usecases: []string{"MODEL_USECASE_KNOWLEDGEBASE", "MODEL_USECASE_EVALUATION_JUDGE"},
	}))(t)
	check(t, "whether there are models for two uses", len(some) > 0 && len(some) < len(models), true)
	check(t, "a model by its uuid", must(a.GetModelByUUID(ctx, genaisim.ModelLlama))(t).Uuid, genaisim.ModelLlama)
	if found := must(a.SearchModels(ctx, "llama"))(t); !slices.Contains(found, genaisim.ModelLlama) || slices.Contains(found, genaisim.ModelClaude) {
		t.Errorf("the search finds %v", found)
	}
}

func TestRegions(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	all := must(a.ListDatacenterRegions(ctx, nil, nil))(t)
	batch := must(a.ListDatacenterRegions(ctx, new(true), new(true)))(t)
	if len(all) == 0 || len(batch) == 0 || len(batch) >= len(all) || all[0].Region == "" || all[0].InferenceUrl == "" {
		t.Errorf("the client reads the regions %+v, and for batches %+v", all, batch)
	}
	for _, region := range batch {
		check(t, "whether "+region.Region+" serves batches", region.ServesBatch && region.ServesInference, true)
	}
}

func TestRouters(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	presets := must(a.ListInferenceRouterTaskPresets(ctx, nil))(t)
	if len(presets) == 0 || presets[0].TaskSlug == "" || len(presets[0].Models) == 0 {
		t.Fatalf("the client reads the presets %+v", presets)
	}
	policies := json.RawMessage(`[{"task_slug":"` + presets[0].TaskSlug + `","models":["` + presets[0].Models[0] + `"]}]`)

	made := must(a.CreateInferenceRouter(ctx, &godo.InferenceRouterCreateRequest{
		Name: "cheap", Policies: policies, FallbackModels: presets[0].Models[:1],
	}))(t)
	must(a.UpdateInferenceRouter(ctx, made.UUID, &godo.InferenceRouterUpdateRequest{Description: "The cheapest first."}))(t)

	got := must(a.GetInferenceRouter(ctx, made.UUID))(t)
	if got.Name != "cheap" || got.Description != "The cheapest first." || len(got.Config.FallbackModels) != 1 || len(got.Config.Policies) < 10 {
		t.Errorf("the client reads the router %+v", got)
	}
	if list := must(a.ListInferenceRouters(ctx, nil))(t); len(list) != 1 || list[0].UUID != made.UUID {
		t.Errorf("the list is %+v", list)
	}
	must(a.DeleteInferenceRouter(ctx, made.UUID))(t)
	refused(a.GetInferenceRouter(ctx, made.UUID))(t, 404, made.UUID)
	of := " model router " + made.UUID
	a.wantEffects(t, 0, "created"+of, "updated"+of, "deleted"+of)
}

func TestCustomModels(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{ImportTime: time.Minute}), t.Context()
	imported := must(a.ImportCustomModel(ctx, &godo.CustomModelImportRequest{
		Name: "ours", SourceType: godo.CustomModelSourceTypeHuggingFace, AcceptTermsAndConditions: true,
		SourceRef: &godo.CustomModelSourceRef{RepoId: "acme/ours", AccessType: godo.CustomModelSourceRefAccessTypePublic},
		Tags:      &godo.CustomModelTags{Tags: []string{"small"}},
	}))(t)
	if imported.Error != "" || imported.Model.Status != godo.CustomModelStatusImporting || imported.ImportJob.Uuid == "" {
		t.Fatalf("the client reads the import %+v", imported)
	}
	id := imported.Model.Uuid
	a.clock.advance(time.Minute)
	must(a.UpdateCustomModelMetadata(ctx, id, &godo.CustomModelMetadataUpdateRequest{
		Description: "Ours.", License: "mit", Parameters: "7000000000", InputModalities: []string{"text"},
	}))(t)

	got := must(a.GetCustomModel(ctx, id))(t)
	if got.Status != godo.CustomModelStatusReady || got.Description != "Ours." || got.Parameters != "7000000000" || got.TotalSizeBytes == "" {
		t.Errorf("the client reads the model %+v", got)
	}
	ready := must(a.ListCustomModels(ctx, &godo.CustomModelListOptions{Status: godo.CustomModelStatusReady}))(t)
	if len(ready.Models) != 1 || ready.MaxThreshold == 0 || ready.Meta.Total != 1 {
		t.Errorf("the list is %+v", ready)
	}
	check(t, "the deletion", must(a.DeleteCustomModel(ctx, id))(t).Status, godo.DeleteCustomModelStatusSuccess)
	a.wantEffects(t, 0, "imported custom model "+id, "updated custom model "+id, "deleted custom model "+id)
}

// The client has no methods for workspaces, but it sends what it is asked to.
func TestWorkspacesByHand(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	var made struct {
		Workspace godo.Workspace `json:"workspace"`
	}
	request, err := a.client.NewRequest(ctx, http.MethodPost, "/v2/gen-ai/workspaces", map[string]any{"name": "shop", "agent_uuids": nil})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.client.Do(ctx, request, &made); err != nil {
		t.Fatal(err)
	}

	agent := must(a.CreateAgent(ctx, &godo.AgentCreateRequest{
		Name: "orders", Instruction: "Help.", ModelUuid: genaisim.ModelLlama, ProjectId: genaisim.DefaultProject, Region: genaisim.DefaultRegion,
		WorkspaceUuid: made.Workspace.UUID,
	}))(t)

	check(t, "the workspace of the agent", must(a.GetAgent(ctx, agent.Uuid))(t).Workspace.Name, "shop")
}
