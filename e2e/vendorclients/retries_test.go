package vendorclients_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// retrying is the client as its users set it up against errors that pass; it waits no
// longer than a test may.
func (a *account) retrying(t *testing.T) *account {
	t.Helper()
	client := newClient(t, a.url, token, godo.WithRetryAndBackoffs(godo.RetryConfig{RetryMax: 2, RetryWaitMin: new(0.001), RetryWaitMax: new(0.002)}))
	return &account{AgentPlatformService: client.AgentPlatform, client: client, sim: a.sim, clock: a.clock, url: a.url}
}

// creations is how often an agent was asked for, and how often it was made.
func (a *account) creations() (asked, made int) {
	for _, r := range a.sim.Requests() {
		if r.Operation == "POST /v2/gen-ai/agents" {
			asked++
			if r.Effect != genaisim.NoEffect {
				made++
			}
		}
	}
	return asked, made
}

// What the client does about failures, the simulator shows by its log.
func TestRetries(t *testing.T) {
	t.Parallel()
	const path = "/v2/gen-ai/agents"
	for name, tc := range map[string]struct {
		fault       genaisim.Fault
		works       bool
		asked, made int
	}{
		"too many requests":         {genaisim.Fault{Status: 429, Count: 1}, true, 2, 1},
		"an error that passes":      {genaisim.Fault{Status: 503, Count: 2}, true, 3, 1},
		"an error that stays":       {genaisim.Fault{Status: 503}, false, 3, 0},
		"a conflict is an answer":   {genaisim.Fault{Status: 409}, false, 1, 0},
		"dropped before the effect": {genaisim.Fault{Drop: "before", Count: 1}, true, 2, 1},
		"a lost reply makes two":    {genaisim.Fault{Drop: "after", Count: 1}, true, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := &godo.AgentCreateRequest{
				Name: "orders", Instruction: "Help.", ModelUuid: genaisim.ModelLlama, ProjectId: genaisim.DefaultProject, Region: genaisim.DefaultRegion,
			}
			tc.fault.Method, tc.fault.Path = http.MethodPost, path

			patient := open(t, genaisim.Config{}).retrying(t)
			if err := patient.sim.SetFaults([]genaisim.Fault{tc.fault}); err != nil {
				t.Fatal(err)
			}
			_, _, err := patient.CreateAgent(t.Context(), request)
			check(t, "whether it works", err == nil, tc.works)
			asked, made := patient.creations()
			check(t, "requests", asked, tc.asked)
			check(t, "agents", made, tc.made)

			plain := open(t, genaisim.Config{})
			if err := plain.sim.SetFaults([]genaisim.Fault{tc.fault}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := plain.CreateAgent(t.Context(), request); err == nil {
				t.Error("a client without retries gets through")
			}
			asked, _ = plain.creations()
			check(t, "requests without retries", asked, 1)
		})
	}
}

func TestLimitsAndRefusals(t *testing.T) {
	t.Parallel()
	a, ctx := open(t, genaisim.Config{RatePerMinute: 3, RatePerHour: 5000}), t.Context()
	parent, child := a.agent(t, "front"), a.agent(t, "refunds")
	_, resp, err := a.AddAgentRoute(ctx, parent.Uuid, child.Uuid, &godo.AgentRouteCreateRequest{RouteName: "refunds"})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "the limit", resp.Rate.Limit, 5000)
	check(t, "what is left", resp.Rate.Remaining, 4997)
	check(t, "the reset", resp.Rate.Reset.UTC(), a.clock.read().Add(time.Hour))

	_, resp, err = a.ListAgents(ctx, nil)
	refused(0, resp, err)(t, 429, "limit")
	check(t, "when to come again", resp.Header.Get("Retry-After"), "60")
	a.clock.advance(time.Minute)

	refused(a.AddAgentRoute(ctx, parent.Uuid, child.Uuid, &godo.AgentRouteCreateRequest{RouteName: "again"}))(t, 409, "")
	refused(newClient(t, a.url, "another").AgentPlatform.ListAgents(ctx, nil))(t, 401, "authenticate")
}
