package vendorclients_test

import (
	"strconv"
	"testing"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestAgentKeys(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	agent := a.agent(t, "orders")
	before := len(a.sim.Requests())

	key := must(a.CreateAgentAPIKey(ctx, agent.Uuid, &godo.AgentAPIKeyCreateRequest{AgentUuid: agent.Uuid, Name: "till"}))(t)
	renamed := must(a.UpdateAgentAPIKey(ctx, agent.Uuid, key.Uuid, &godo.AgentAPIKeyUpdateRequest{
		AgentUuid: agent.Uuid, APIKeyUuid: key.Uuid, Name: "tills",
	}))(t)
	again := must(a.RegenerateAgentAPIKey(ctx, agent.Uuid, key.Uuid))(t)

	check(t, "the new name", renamed.Name, "tills")
	if key.SecretKey == "" || again.SecretKey == "" || again.SecretKey == key.SecretKey || renamed.SecretKey != "" {
		t.Error("a secret is shown when it is made, and then no more")
	}
	if list := must(a.ListAgentAPIKeys(ctx, agent.Uuid, nil))(t); len(list) != 1 || list[0].SecretKey != "" || list[0].Uuid != key.Uuid {
		t.Errorf("the list is %+v", list)
	}
	must(a.DeleteAgentAPIKey(ctx, agent.Uuid, key.Uuid))(t)
	check(t, "keys after the deletion", len(must(a.ListAgentAPIKeys(ctx, agent.Uuid, nil))(t)), 0)
	of := " api key " + key.Uuid + " of agent " + agent.Uuid
	a.wantEffects(t, before, "created"+of, "renamed"+of, "regenerated"+of, "deleted"+of)
}

// The client takes options for this list and does not send them, so it never gets behind
// the first page. docs/simulator.md warns of it, until this fails.
func TestTheClientSeesTwentyKeys(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	agent := a.agent(t, "orders")
	for i := range 21 {
		must(a.CreateAgentAPIKey(ctx, agent.Uuid, &godo.AgentAPIKeyCreateRequest{Name: "key-" + strconv.Itoa(i)}))(t)
	}
	keys, resp, err := a.ListAgentAPIKeys(ctx, agent.Uuid, &godo.ListOptions{Page: 2, PerPage: 20})
	if err != nil || len(keys) != 20 || resp.Meta.Page != 1 || resp.Meta.Total != 21 || resp.Links.IsLastPage() {
		t.Errorf("the client asks for the second page and gets %d keys, %+v, %v", len(keys), resp.Meta, err)
	}
}

func TestAnthropicKeys(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	agent := a.agent(t, "orders")
	before := len(a.sim.Requests())

	id := must(a.CreateAnthropicAPIKey(ctx, &godo.AnthropicAPIKeyCreateRequest{Name: "ours", ApiKey: "sk-ant-1"}))(t).Uuid
	must(a.UpdateAnthropicAPIKey(ctx, id, &godo.AnthropicAPIKeyUpdateRequest{Name: "theirs", ApiKey: "sk-ant-2", ApiKeyUuid: id}))(t)
	must(a.UpdateAgent(ctx, agent.Uuid, &godo.AgentUpdateRequest{Uuid: agent.Uuid, AnthropicKeyUuid: id}))(t)

	check(t, "the new name", must(a.GetAnthropicAPIKey(ctx, id))(t).Name, "theirs")
	check(t, "keys", len(must(a.ListAnthropicAPIKeys(ctx, nil))(t)), 1)
	check(t, "the key of the agent", must(a.GetAgent(ctx, agent.Uuid))(t).AnthropicApiKey.Uuid, id)
	if users := must(a.ListAgentsByAnthropicAPIKey(ctx, id, nil))(t); len(users) != 1 || users[0].Uuid != agent.Uuid {
		t.Errorf("the key is used by %+v", users)
	}
	must(a.DeleteAnthropicAPIKey(ctx, id))(t)
	refused(a.GetAnthropicAPIKey(ctx, id))(t, 404, id)
	of := " Anthropic key " + id
	a.wantEffects(t, before, "created"+of, "updated"+of, "updated agent "+agent.Uuid, "deleted"+of)
}

func TestOpenAIKeys(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	agent := a.agent(t, "orders")
	before := len(a.sim.Requests())

	id := must(a.CreateOpenAIAPIKey(ctx, &godo.OpenAIAPIKeyCreateRequest{Name: "ours", ApiKey: "sk-1"}))(t).Uuid
	must(a.UpdateOpenAIAPIKey(ctx, id, &godo.OpenAIAPIKeyUpdateRequest{Name: "theirs", ApiKey: "sk-2", ApiKeyUuid: id}))(t)
	must(a.UpdateAgent(ctx, agent.Uuid, &godo.AgentUpdateRequest{Uuid: agent.Uuid, OpenAiKeyUuid: id}))(t)

	got := must(a.GetOpenAIAPIKey(ctx, id))(t)
	check(t, "the new name", got.Name, "theirs")
	check(t, "whether the key has models", len(got.Models) > 0, true)
	check(t, "keys", len(must(a.ListOpenAIAPIKeys(ctx, nil))(t)), 1)
	if users := must(a.ListAgentsByOpenAIAPIKey(ctx, id, nil))(t); len(users) != 1 || users[0].Uuid != agent.Uuid {
		t.Errorf("the key is used by %+v", users)
	}
	must(a.DeleteOpenAIAPIKey(ctx, id))(t)
	refused(a.GetOpenAIAPIKey(ctx, id))(t, 404, id)
	of := " OpenAI key " + id
	a.wantEffects(t, before, "created"+of, "updated"+of, "updated agent "+agent.Uuid, "deleted"+of)
}
