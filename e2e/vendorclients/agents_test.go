package vendorclients_test

import (
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestAgents(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{DeployTime: time.Minute}), t.Context()

	made := a.agent(t, "orders")
	check(t, "the status of a new agent", made.Deployment.Status, "STATUS_WAITING_FOR_DEPLOYMENT")
	check(t, "the time of creation", made.CreatedAt.UTC(), a.clock.read())
	check(t, "the model", made.Model.Uuid, genaisim.ModelLlama)
	deployed := &godo.ListOptions{Deployed: true}
	check(t, "agents deployed at first", len(must(a.ListAgents(ctx, deployed))(t)), 0)
	a.clock.advance(time.Minute)
	check(t, "agents deployed later", len(must(a.ListAgents(ctx, deployed))(t)), 1)

	changed := must(a.UpdateAgent(ctx, made.Uuid, &godo.AgentUpdateRequest{
		Uuid: made.Uuid, Name: "orders", Instruction: "Help with orders.", Tags: []string{"shop"}, Region: genaisim.DefaultRegion,
		Temperature: 0.3, TopP: 0.5, K: 4, MaxTokens: 900, RetrievalMethod: "RETRIEVAL_METHOD_REWRITE", ProvideCitations: true,
	}))(t)
	if changed.Temperature != 0.3 || changed.K != 4 || changed.MaxTokens != 900 || !changed.ProvideCitations ||
		changed.VersionHash == made.VersionHash || len(changed.Tags) != 1 {
		t.Errorf("after the update the client reads %+v", changed)
	}

	shown := must(a.UpdateAgentVisibility(ctx, made.Uuid, &godo.AgentVisibilityUpdateRequest{
		Uuid: made.Uuid, Visibility: "VISIBILITY_PUBLIC",
	}))(t)
	check(t, "the visibility", shown.Deployment.Visibility, "VISIBILITY_PUBLIC")
	check(t, "the status once deployed", shown.Deployment.Status, "STATUS_RUNNING")
	if shown.Deployment.Url == "" {
		t.Error("an agent that runs has no URL")
	}

	check(t, "what was deleted", must(a.DeleteAgent(ctx, made.Uuid))(t).Uuid, made.Uuid)
	refused(a.GetAgent(ctx, made.Uuid))(t, 404, made.Uuid)
	a.wantEffects(t, 0,
		"created agent "+made.Uuid,
		"updated agent "+made.Uuid,
		"set visibility of agent "+made.Uuid+" to VISIBILITY_PUBLIC",
		"deleted agent "+made.Uuid,
	)
}

func TestVersions(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	made := a.agent(t, "orders")
	for _, instruction := range []string{"Be brief.", "Be kind.", "Be both."} {
		must(a.UpdateAgent(ctx, made.Uuid, &godo.AgentUpdateRequest{Uuid: made.Uuid, Instruction: instruction}))(t)
	}

	versions := must(a.ListAgentVersions(ctx, made.Uuid, nil))(t)
	if len(versions) != 4 || !versions[0].CurrentlyApplied || versions[0].Instruction != "Be both." || !versions[3].CanRollback {
		t.Fatalf("the client reads the versions %v", versions)
	}
	second := must(a.ListAgentVersions(ctx, made.Uuid, &godo.ListOptions{Page: 2, PerPage: 3}))(t)
	if len(second) != 1 || second[0].VersionHash != made.VersionHash {
		t.Errorf("the second page is %v", second)
	}

	hash := must(a.RollbackAgentVersion(ctx, made.Uuid, made.VersionHash))(t)

	back := must(a.GetAgent(ctx, made.Uuid))(t)
	check(t, "the hash after the rollback", back.VersionHash, hash)
	check(t, "the instruction after the rollback", back.Instruction, made.Instruction)
	refused(a.RollbackAgentVersion(ctx, made.Uuid, "0000000000000000"))(t, 404, "")
}

// TestPages goes through a list until the client takes a page for the last, which is the
// one whose links name no next.
func TestPages(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{SeedAgents: 45, Seed: 1}), t.Context()

	agents, pages := everything(t, 20, func(options *godo.ListOptions) ([]*godo.Agent, *godo.Response, error) {
		found, resp, err := a.ListAgents(ctx, options)
		if err == nil {
			check(t, "the total", resp.Meta.Total, 45)
			check(t, "the number of pages", resp.Meta.Pages, 3)
			check(t, "the last page", pageOf(t, resp.Links.Pages.Last), "3")
			check(t, "whether there is a next page", resp.Links.Pages.Next != "", options.Page < 3)
		}
		return found, resp, err
	})

	different := map[string]bool{}
	for _, agent := range agents {
		different[agent.Uuid] = true
	}
	check(t, "agents", len(different), 45)
	check(t, "pages", pages, 3)
	behind, resp, err := a.ListAgents(ctx, &godo.ListOptions{Page: 4, PerPage: 20})
	if err != nil || len(behind) != 0 || !resp.Links.IsLastPage() {
		t.Errorf("behind the last page are %d agents, %v", len(behind), err)
	}
}

// The client reads "prev" where the vendor writes "previous". So it takes every page for
// the first as long as there is a next, and whoever adds one to that goes round in circles.
// docs/simulator.md warns of it, until this fails.
func TestTheClientDoesNotKnowWhichPageItIsOn(t *testing.T) {
	t.Parallel()
	a := open(t, genaisim.Config{SeedAgents: 45, Seed: 1})
	_, resp, err := a.ListAgents(t.Context(), &godo.ListOptions{Page: 2, PerPage: 20})
	if err != nil {
		t.Fatal(err)
	}
	page, err := resp.Links.CurrentPage()
	if err != nil || page != 1 {
		t.Errorf("on page 2 the client takes itself to be on page %d, %v", page, err)
	}
	check(t, "the page in the answer", resp.Meta.Page, 2)
}
