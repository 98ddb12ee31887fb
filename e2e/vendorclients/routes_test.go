package vendorclients_test

import (
	"testing"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	parent, child := a.agent(t, "front"), a.agent(t, "refunds")
	before := len(a.sim.Requests())

	route := must(a.AddAgentRoute(ctx, parent.Uuid, child.Uuid, &godo.AgentRouteCreateRequest{
		ParentAgentUuid: parent.Uuid, ChildAgentUuid: child.Uuid, RouteName: "refunds", IfCase: "money back",
	}))(t)
	check(t, "the parent", route.ParentAgentUuid, parent.Uuid)
	check(t, "the child", route.ChildAgentUuid, child.Uuid)

	must(a.UpdateAgentRoute(ctx, parent.Uuid, child.Uuid, &godo.AgentRouteUpdateRequest{
		ParentAgentUuid: parent.Uuid, ChildAgentUuid: child.Uuid, RouteName: "returns", IfCase: "goods back",
	}))(t)
	got := must(a.GetAgent(ctx, parent.Uuid))(t)
	if len(got.ChildAgents) != 1 || got.ChildAgents[0].Uuid != child.Uuid || got.ChildAgents[0].RouteName != "returns" ||
		got.ChildAgents[0].IfCase != "goods back" || got.ChildAgents[0].RouteUuid == "" {
		t.Errorf("the client reads the children %+v", got.ChildAgents)
	}
	if up := must(a.GetAgent(ctx, child.Uuid))(t).ParentAgents; len(up) != 1 || up[0].Uuid != parent.Uuid {
		t.Errorf("the client reads the parents %+v", up)
	}

	must(a.DeleteAgentRoute(ctx, parent.Uuid, child.Uuid))(t)
	check(t, "children after the deletion", len(must(a.GetAgent(ctx, parent.Uuid))(t).ChildAgents), 0)
	a.wantEffects(t, before,
		"added route from agent "+parent.Uuid+" to agent "+child.Uuid,
		"updated route from agent "+parent.Uuid+" to agent "+child.Uuid,
		"deleted route from agent "+parent.Uuid+" to agent "+child.Uuid,
	)
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{}), t.Context()
	agent := a.agent(t, "orders")
	before := len(a.sim.Requests())
	input := godo.FunctionInputSchema{Parameters: []godo.OpenAPIParameterSchema{{
		Name: "order", In: "query", Required: true, Schema: godo.NestedSchema{Type: "string"},
	}}}

	added := must(a.CreateFunctionRoute(ctx, agent.Uuid, &godo.FunctionRouteCreateRequest{
		AgentUuid: agent.Uuid, FunctionName: "status", FaasName: "default/status", FaasNamespace: "fn-1", Description: "Order status.",
		InputSchema: input, OutputSchema: []byte(`{"type":"object"}`),
	}))(t).Functions
	if len(added) != 1 || added[0].Name != "status" || added[0].FaasNamespace != "fn-1" {
		t.Fatalf("the client reads the functions %+v", added)
	}
	id := added[0].Uuid
	changed := must(a.UpdateFunctionRoute(ctx, agent.Uuid, id, &godo.FunctionRouteUpdateRequest{
		AgentUuid: agent.Uuid, FunctionUuid: id, Description: "Where an order is.", InputSchema: input,
	}))(t).Functions
	if len(changed) != 1 || changed[0].Uuid != id || changed[0].Description != "Where an order is." || changed[0].Name != "status" {
		t.Errorf("after the update the client reads %+v", changed)
	}
	check(t, "functions after the deletion", len(must(a.DeleteFunctionRoute(ctx, agent.Uuid, id))(t).Functions), 0)
	a.wantEffects(t, before,
		"added function "+id+" to agent "+agent.Uuid,
		"updated function "+id+" of agent "+agent.Uuid,
		"deleted function "+id+" of agent "+agent.Uuid,
	)
}
