package e2e_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// made is what a change answered.
type made struct {
	operation *pb.Operation
	// key and secret of a change that made one.
	key, secret string
}

// change is one change that a test makes amid faults, on agents that nothing else
// touches.
type change struct {
	// verb and path are the vendor's.
	verb, path string
	// mine matches the vendor's requests for this change, those of a second look included.
	mine func(genaisim.Request) bool
	do   func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error)
	// shows checks that the service and the vendor both show the change, once.
	shows func(t *testing.T, c *client, v *vendor)
}

// changes are one change of each sort, prepared: create, update, delete, add route
// and create api key.
func (w *world) changes(t *testing.T, c *client) map[string]change {
	t.Helper()
	run := strings.ToLower(rand.Text()[:6])
	updated, deleted := newAgent(t, c, "updated-"+run), newAgent(t, c, "deleted-"+run)
	parent, child, keyed := newAgent(t, c, "parent-"+run), newAgent(t, c, "child-"+run), newAgent(t, c, "keyed-"+run)
	return map[string]change{
		"create":         creating("created-" + run),
		"update":         updating(updated, "described in run "+run),
		"delete":         deleting(deleted),
		"add route":      routing(parent, child),
		"create api key": keying(keyed, "key-"+run),
	}
}

// newAgent makes an agent for team payments.
func newAgent(t *testing.T, c *client, name string) string {
	t.Helper()
	resp, err := c.agents.CreateAgent(t.Context(), agentRequest(name, &pb.MutationOptions{Team: "payments"}))
	if err != nil {
		t.Fatalf("making agent %s: %v", name, err)
	}
	return resp.GetAgent().GetUuid()
}

func agentRequest(name string, o *pb.MutationOptions) *pb.CreateAgentRequest {
	return &pb.CreateAgentRequest{
		Name: &name, Instruction: new("Be brief."), ModelUuid: proto.String(genaisim.ModelLlama),
		Region: proto.String(genaisim.DefaultRegion), ProjectId: proto.String(genaisim.DefaultProject), Mutation: o,
	}
}

// now asks for an answer of the vendor.
func now() *durationpb.Duration { return durationpb.New(0) }

func creating(name string) change {
	return change{
		verb: http.MethodPost, path: agentsPath,
		mine: func(r genaisim.Request) bool {
			return r.Method == http.MethodPost && r.Path == agentsPath && strings.Contains(string(r.Body), `"`+name+`"`)
		},
		do: func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
			o.Team = cmp.Or(o.GetTeam(), "payments")
			resp, err := c.agents.CreateAgent(ctx, agentRequest(name, o))
			return made{operation: resp.GetOperation()}, err
		},
		shows: func(t *testing.T, c *client, v *vendor) {
			t.Helper()
			for source, staleness := range map[string]*durationpb.Duration{"our copy": nil, "the vendor": now()} {
				list, err := c.agents.ListAgents(t.Context(), &pb.ListAgentsRequest{Filter: `name = "` + name + `"`, MaxStaleness: staleness})
				if err != nil || len(list.GetAgents()) != 1 {
					t.Errorf("%s shows %d agents of name %s (%v), want 1", source, len(list.GetAgents()), name, err)
				}
			}
		},
	}
}

func updating(id, description string) change {
	path := agentsPath + "/" + id
	return change{
		verb: http.MethodPut, path: path, mine: sent(http.MethodPut, path),
		do: func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
			resp, err := c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{Uuid: id, Description: &description, Mutation: o})
			return made{operation: resp.GetOperation()}, err
		},
		shows: func(t *testing.T, c *client, _ *vendor) {
			t.Helper()
			for source, staleness := range map[string]*durationpb.Duration{"our copy": nil, "the vendor": now()} {
				got, err := c.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id, MaxStaleness: staleness})
				if err != nil || got.GetAgent().GetDescription() != description {
					t.Errorf("%s shows the description %q (%v), want %q", source, got.GetAgent().GetDescription(), err, description)
				}
			}
		},
	}
}

func deleting(id string) change {
	path := agentsPath + "/" + id
	return change{
		verb: http.MethodDelete, path: path, mine: sent(http.MethodDelete, path),
		do: func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
			resp, err := c.agents.DeleteAgent(ctx, &pb.DeleteAgentRequest{Uuid: id, Mutation: o})
			return made{operation: resp.GetOperation()}, err
		},
		shows: func(t *testing.T, c *client, _ *vendor) {
			t.Helper()
			_, err := c.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id})
			wantCode(t, err, connect.CodeNotFound)
		},
	}
}

func routing(parent, child string) change {
	path := agentsPath + "/" + parent + "/child_agents/" + child
	return change{
		verb: http.MethodPost, path: path, mine: sent(http.MethodPost, path),
		do: func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
			resp, err := c.routes.AddAgentRoute(ctx, &pb.AddAgentRouteRequest{
				ParentAgentUuid: parent, ChildAgentUuid: child, RouteName: new("next"), IfCase: new("it fits"), Mutation: o,
			})
			return made{operation: resp.GetOperation()}, err
		},
		shows: func(t *testing.T, c *client, _ *vendor) {
			t.Helper()
			for source, staleness := range map[string]*durationpb.Duration{"our copy": nil, "the vendor": now()} {
				got, err := c.routes.ListAgentRoutes(t.Context(), &pb.ListAgentRoutesRequest{Uuid: parent, MaxStaleness: staleness})
				if err != nil || len(got.GetChildren()) != 1 || got.GetChildren()[0].GetUuid() != child {
					t.Errorf("%s shows the routes %v (%v), want one to %s", source, got.GetChildren(), err, child)
				}
			}
		},
	}
}

func keying(agent, name string) change {
	path := agentsPath + "/" + agent + "/api_keys"
	return change{
		verb: http.MethodPost, path: path,
		mine: func(r genaisim.Request) bool { return r.Method != http.MethodGet && strings.HasPrefix(r.Path, path) },
		do: func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
			resp, err := c.keys.CreateAgentApiKey(ctx, &pb.CreateAgentApiKeyRequest{AgentUuid: agent, Name: &name, Mutation: o})
			key := resp.GetApiKeyInfo()
			return made{operation: resp.GetOperation(), key: key.GetUuid(), secret: key.GetSecretKey()}, err
		},
		shows: func(t *testing.T, c *client, _ *vendor) {
			t.Helper()
			got, err := c.keys.ListAgentApiKeys(t.Context(), &pb.ListAgentApiKeysRequest{AgentUuid: agent})
			if err != nil || len(got.GetApiKeyInfos()) != 1 || got.GetApiKeyInfos()[0].GetName() != name {
				t.Errorf("the keys are %v (%v), want one of name %s", got.GetApiKeyInfos(), err, name)
			}
		},
	}
}

// once checks that the change was made once: at the vendor, in the history, and as
// both show it. again is how often its key may have been given another secret.
func (w *world) once(t *testing.T, c *client, it change, operation string, again int) {
	t.Helper()
	effects := w.vendor.effects(it.mine)
	regenerated := 0
	for _, effect := range effects {
		if strings.HasPrefix(effect, "regenerated ") {
			regenerated++
		}
	}
	if len(effects)-regenerated != 1 || regenerated != again {
		t.Errorf("the effects at the vendor are %q, want one and %d new secrets", effects, again)
	}
	states := column[string](t, w, "SELECT state FROM operations WHERE id = $1", operation)
	if len(states) != 1 || states[0] != "SUCCEEDED" {
		t.Errorf("the operation is %q, want it SUCCEEDED", states)
	}
	history := column[string](t, w, "SELECT outcome FROM audit_events WHERE operation_id = $1 ORDER BY recorded_at", operation)
	if len(history) != 2 || history[0] != "ACCEPTED" || history[1] != "SUCCEEDED" {
		t.Errorf("the history has %q, want ACCEPTED and SUCCEEDED once", history)
	}
	it.shows(t, c, w.vendor)
}

// eachAtOnce runs a subtest for each entry, all at the same time: they wait more than
// they work, and t.Parallel would run as many as there are processors.
func eachAtOnce[V any](t *testing.T, all map[string]V, test func(t *testing.T, v V)) {
	t.Helper()
	var wg sync.WaitGroup
	for name, v := range all {
		wg.Go(func() { t.Run(name, func(t *testing.T) { test(t, v) }) })
	}
	wg.Wait()
}

// wantCode checks the code of an error.
func wantCode(t *testing.T, err error, want connect.Code) {
	t.Helper()
	if err == nil {
		t.Errorf("it was done, want %s", want)
	} else if got := connect.CodeOf(err); got != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

// detail is the detail of an error of a type; nil if it has none.
func detail[M proto.Message](err error) M {
	var none M
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return none
	}
	for _, d := range wire.Details() {
		if value, err := d.Value(); err == nil {
			if m, ok := value.(M); ok {
				return m
			}
		}
	}
	return none
}

// asJSON is a value for people to read.
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
