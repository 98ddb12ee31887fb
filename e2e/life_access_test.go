package e2e_test

import (
	"context"
	"slices"
	"testing"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// events are what the history has about the agent and its parts, as a caller sees it.
func (l *life) events(t *testing.T, c *client) []*pb.AuditEvent {
	t.Helper()
	list, err := c.audit.ListAuditEvents(t.Context(), &pb.ListAuditEventsRequest{
		PageSize: 1000, Filter: `resource_uuid = "` + l.agent + `" OR parent_uuid = "` + l.agent + `"`,
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.GetEvents()
}

func (l *life) history(t *testing.T) {
	d := l.d
	byReason := map[string][]*pb.AuditEvent{}
	for _, e := range slices.Backward(l.events(t, d.as(t, "dev-payments-owner"))) {
		if e.GetOrigin() != pb.AuditEvent_ORIGIN_API || e.GetActor() != paula || e.GetTeam() != "payments" {
			t.Errorf("somebody else is in the history: %v", e)
		}
		byReason[e.GetReason()] = append(byReason[e.GetReason()], e)
	}
	for reason, operation := range l.operations {
		if reason == "somebody has to write letters" {
			continue // about the other agent
		}
		// A creation is accepted before there is an agent that it could be about.
		want := []pb.AuditEvent_Outcome{pb.AuditEvent_OUTCOME_ACCEPTED, pb.AuditEvent_OUTCOME_SUCCEEDED}
		if reason == "disputes need help" {
			want = want[1:]
		}
		var got []pb.AuditEvent_Outcome
		for _, e := range byReason[reason] {
			got = append(got, e.GetOutcome())
			if e.GetOperationId() != operation {
				t.Errorf("%q is of operation %s, want %s", reason, e.GetOperationId(), operation)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the outcomes of %q are %v, want %v", reason, got, want)
		}
	}
	t.Logf("%d operations of %s are in the history", len(l.operations), paula)

	changed := byReason["it invents cases"][len(byReason["it invents cases"])-1]
	before, after := changed.GetBefore().AsMap()["temperature"], changed.GetAfter().AsMap()["temperature"]
	if before != 0.7 || after != 0.0 {
		t.Errorf("the history has the temperature go from %v to %v, want 0.7 to 0: %s to %s",
			before, after, asJSON(changed.GetBefore().AsMap()), asJSON(changed.GetAfter().AsMap()))
	}
	shown := slices.ContainsFunc(changed.GetChanges(), func(f *pb.FieldChange) bool {
		return f.GetPath() == "temperature" && f.GetBefore().GetNumberValue() == 0.7 && f.GetAfter() != nil && f.GetAfter().GetNumberValue() == 0
	})
	if !shown {
		t.Errorf("the changes are %v, want temperature among them", changed.GetChanges())
	}
}

// changesOf are all sorts of changes of the agent, by name.
func (l *life) changesOf(c *client) map[string]func(context.Context) error {
	because := &pb.MutationOptions{Reason: "let me"}
	return map[string]func(context.Context) error{
		"update": func(ctx context.Context) error {
			_, err := c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{Uuid: l.agent, Description: new("mine"), Mutation: because})
			return err
		},
		"delete": func(ctx context.Context) error {
			_, err := c.agents.DeleteAgent(ctx, &pb.DeleteAgentRequest{Uuid: l.agent, Mutation: because})
			return err
		},
		"roll back": func(ctx context.Context) error {
			_, err := c.agents.RollbackAgentVersion(ctx, &pb.RollbackAgentVersionRequest{
				Uuid: l.agent, VersionHash: new("any"), Mutation: because,
			})
			return err
		},
		"add a route": func(ctx context.Context) error {
			_, err := c.routes.AddAgentRoute(ctx, &pb.AddAgentRouteRequest{
				ParentAgentUuid: l.agent, ChildAgentUuid: l.child, Mutation: because,
			})
			return err
		},
		"create a key": func(ctx context.Context) error {
			_, err := c.keys.CreateAgentApiKey(ctx, &pb.CreateAgentApiKeyRequest{
				AgentUuid: l.agent, Name: new("mine"), Mutation: because,
			})
			return err
		},
		"regenerate a key": func(ctx context.Context) error {
			_, err := c.keys.RegenerateAgentApiKey(ctx, &pb.RegenerateAgentApiKeyRequest{
				AgentUuid: l.agent, ApiKeyUuid: l.key, Mutation: because,
			})
			return err
		},
		"check an update only": func(ctx context.Context) error {
			_, err := c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{
				Uuid: l.agent, Description: new("mine"), Mutation: &pb.MutationOptions{ValidateOnly: true, Reason: "let me"},
			})
			return err
		},
		"cancel an operation": func(ctx context.Context) error {
			_, err := c.operations.CancelOperation(ctx, &pb.CancelOperationRequest{Id: l.operations["it invents cases"], Reason: "let me"})
			return err
		},
	}
}

// readsOf are all ways to read one thing of the agent, by name.
func (l *life) readsOf(c *client) map[string]func(context.Context) error {
	operation := l.operations["it invents cases"]
	return map[string]func(context.Context) error{
		"GetAgent": func(ctx context.Context) error {
			_, err := c.agents.GetAgent(ctx, &pb.GetAgentRequest{Uuid: l.agent})
			return err
		},
		"ListAgentVersions": func(ctx context.Context) error {
			_, err := c.agents.ListAgentVersions(ctx, &pb.ListAgentVersionsRequest{Uuid: l.agent})
			return err
		},
		"GetAgentUsage": func(ctx context.Context) error {
			_, err := c.agents.GetAgentUsage(ctx, &pb.GetAgentUsageRequest{Uuid: l.agent})
			return err
		},
		"ListAgentRoutes": func(ctx context.Context) error {
			_, err := c.routes.ListAgentRoutes(ctx, &pb.ListAgentRoutesRequest{Uuid: l.agent})
			return err
		},
		"ListAgentApiKeys": func(ctx context.Context) error {
			_, err := c.keys.ListAgentApiKeys(ctx, &pb.ListAgentApiKeysRequest{AgentUuid: l.agent})
			return err
		},
		"GetOperation": func(ctx context.Context) error {
			_, err := c.operations.GetOperation(ctx, &pb.GetOperationRequest{Id: operation})
			return err
		},
		"WaitOperation": func(ctx context.Context) error {
			_, err := c.operations.WaitOperation(ctx, &pb.WaitOperationRequest{Id: operation})
			return err
		},
	}
}

// listed says in which lists the agent shows.
func (l *life) listed(t *testing.T, c *client) map[string]bool {
	t.Helper()
	ctx := t.Context()
	agents, err := c.agents.ListAgents(ctx, &pb.ListAgentsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	resources, err := c.resources.ListResources(ctx, &pb.ListResourcesRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	operations, err := c.operations.ListOperations(ctx, &pb.ListOperationsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	mine := l.operations["it invents cases"]
	return map[string]bool{
		"ListAgents":      slices.ContainsFunc(agents.GetAgents(), func(a *pb.AgentListItem) bool { return a.GetUuid() == l.agent }),
		"ListResources":   slices.ContainsFunc(resources.GetResources(), func(r *pb.Resource) bool { return r.GetUuid() == l.agent }),
		"ListOperations":  slices.ContainsFunc(operations.GetOperations(), func(o *pb.Operation) bool { return o.GetId() == mine }),
		"ListAuditEvents": len(l.events(t, c)) > 0,
	}
}

func (l *life) wantListed(t *testing.T, c *client, want bool) {
	t.Helper()
	for list, shown := range l.listed(t, c) {
		if shown != want {
			t.Errorf("the agent shows in %s: %v, want %v", list, shown, want)
		}
	}
}

// wantEach checks how every call ends; code 0: well.
func wantEach(t *testing.T, calls map[string]func(context.Context) error, code connect.Code) {
	t.Helper()
	for name, call := range calls {
		err := call(t.Context())
		switch {
		case code == 0 && err != nil:
			t.Errorf("%s: %v", name, err)
		case code != 0 && connect.CodeOf(err) != code:
			t.Errorf("%s: %v, want %s", name, err, code)
		}
	}
}

// denials is how many refusals of a caller the history has about the agent.
func (l *life) denials(t *testing.T, actor string) int {
	t.Helper()
	n := 0
	for _, e := range l.events(t, l.d.as(t, "dev-auditor")) {
		if e.GetActor() == actor && e.GetOutcome() == pb.AuditEvent_OUTCOME_DENIED {
			n++
		}
	}
	return n
}

func (l *life) hiddenFromSearch(t *testing.T) {
	d := l.d
	c := d.as(t, "dev-search-owner")
	wantEach(t, l.readsOf(c), connect.CodeNotFound)
	wantEach(t, l.changesOf(c), connect.CodeNotFound)
	l.wantListed(t, c, false)
	// Its own team's history must not tell it that the agent exists; the auditor's does.
	if got, want := l.denials(t, sofia), len(l.changesOf(c))-1; got < want {
		t.Errorf("%d attempts on another team's agent are in the history, want at least the %d changes of it", got, want)
	}
	_, err := c.agents.CreateAgent(t.Context(), agentRequest("planted", &pb.MutationOptions{Team: "payments"}))
	wantCode(t, err, connect.CodeNotFound)
}

func (l *life) viewed(t *testing.T) {
	d := l.d
	c := d.as(t, "dev-payments-viewer")
	before := len(d.requests(t))
	wantEach(t, l.changesOf(c), connect.CodePermissionDenied)
	for _, r := range d.requests(t)[before:] {
		if changing(r) {
			t.Errorf("a viewer's change reached the vendor: %s", r.Operation)
		}
	}
	wantEach(t, l.readsOf(c), 0)
	l.wantListed(t, c, true)
	// Cancelling is about the operation, not the agent, so it is not among these. Two are of
	// one method, whose second denial within a minute is told later.
	if got, want := l.denials(t, victor), len(l.changesOf(c))-1; got != want && got != want-1 {
		t.Errorf("%d refusals are in the history, want %d", got, want)
	}
}

func (l *life) audited(t *testing.T) {
	d := l.d
	c := d.as(t, "dev-auditor")
	wantEach(t, l.readsOf(c), 0)
	l.wantListed(t, c, true)
	wantEach(t, l.changesOf(c), connect.CodePermissionDenied)
	_, err := c.agents.CreateAgent(t.Context(), agentRequest("planted", &pb.MutationOptions{Team: "payments"}))
	wantCode(t, err, connect.CodePermissionDenied)
	_, err = c.resources.ClaimResource(t.Context(), &pb.ClaimResourceRequest{Kind: "agent", Uuid: l.agent, Team: "search"})
	wantCode(t, err, connect.CodePermissionDenied)
}
