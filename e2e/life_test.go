package e2e_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// The person behind the token dev-payments-owner, and those of others.
const (
	paula  = "paula@payments.example"
	victor = "victor@payments.example"
	sofia  = "sofia@search.example"
)

// life is an agent whose whole life was lived, for tests to look back on.
type life struct {
	d      *dev
	server string // URL of its Postgres

	agent, child string
	first        string            // its first version
	ended        time.Time         // when all was done, by the database's clock
	operations   map[string]string // by the reason that was given
	key          string
	secrets      []string // none of which may be anywhere but with the caller
}

// TestAgentLife lives the life of an agent through the first look's service, and
// looks at it as each of its callers.
func TestAgentLife(t *testing.T) {
	d, server := devOn(t, "--verbose")
	l := live(t, d)
	l.server = server
	t.Run("each step is in the history, with its person and reason", l.history)
	t.Run("nothing of it is visible to another team", l.hiddenFromSearch)
	t.Run("a viewer reads and changes nothing", l.viewed)
	t.Run("an auditor reads everything and changes nothing", l.audited)
	t.Run("secrets are handed out once and kept nowhere", l.secret)
	for _, r := range d.requests(t) {
		if len(r.Deviations) > 0 {
			t.Errorf("%s departs from the vendor's contract: %q", r.Operation, r.Deviations)
		}
	}
	t.Logf("%d requests to the vendor", len(d.requests(t)))
}

func live(t *testing.T, d *dev) *life {
	t.Helper()
	ctx, c := t.Context(), d.as(t, "dev-payments-owner")
	l := &life{d: d, operations: map[string]string{}}
	because := func(reason string) *pb.MutationOptions { return &pb.MutationOptions{Reason: reason} }
	done := func(reason string, op *pb.Operation, err error) {
		t.Helper()
		if err != nil || op.GetState() != pb.Operation_STATE_SUCCEEDED {
			t.Fatalf("%s: %s, %v", reason, op.GetState(), err)
		}
		l.operations[reason] = op.GetId()
	}

	created, err := c.agents.CreateAgent(ctx, agentRequest("payments-disputes", because("disputes need help")))
	done("disputes need help", created.GetOperation(), err)
	l.agent = created.GetAgent().GetUuid()
	first := created.GetAgent().GetVersionHash()
	l.first = first
	helper, err := c.agents.CreateAgent(ctx, agentRequest("payments-letters", because("somebody has to write letters")))
	done("somebody has to write letters", helper.GetOperation(), err)
	l.child = helper.GetAgent().GetUuid()

	var status pb.AgentDeployment_Status
	begun := time.Now()
	// Each look is a call of the vendor's budget, hence a pause longer than usual.
	awaitEvery(t, 150*time.Millisecond, "the agent is running", func() bool {
		got, err := c.agents.GetAgent(ctx, &pb.GetAgentRequest{Uuid: l.agent, MaxStaleness: now()})
		if err != nil {
			t.Fatal(err)
		}
		if got.GetFreshness().GetSource() != pb.Freshness_SOURCE_VENDOR {
			t.Errorf("an answer that may not be stale is from %s", got.GetFreshness())
		}
		status = got.GetAgent().GetDeployment().GetStatus()
		return status == pb.AgentDeployment_STATUS_RUNNING
	})
	t.Logf("deployed after %s", time.Since(begun).Round(10*time.Millisecond))

	updated, err := c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{
		Uuid: l.agent, Temperature: proto.Float64(0), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"temperature"}},
		Mutation: because("it invents cases"),
	})
	done("it invents cases", updated.GetOperation(), err)
	if a := updated.GetAgent(); a.Temperature == nil || a.GetTemperature() != 0 {
		t.Errorf("the update answers temperature %v", a.Temperature)
	}
	if v := newestVersion(t, c, l.agent); v.Temperature == nil || v.GetTemperature() != 0 || !v.GetCurrentlyApplied() {
		t.Errorf("the newest version is %v, want the one applied, with temperature 0", v)
	}

	route, err := c.routes.AddAgentRoute(ctx, &pb.AddAgentRouteRequest{
		ParentAgentUuid: l.agent, ChildAgentUuid: l.child, RouteName: new("letters"), IfCase: new("a letter is wanted"),
		Mutation: because("letters have an agent"),
	})
	done("letters have an agent", route.GetOperation(), err)
	l.wantRoutes(t, c, 1)
	l.makeSecrets(t, c, because, done)

	back, err := c.agents.RollbackAgentVersion(ctx, &pb.RollbackAgentVersionRequest{
		Uuid: l.agent, VersionHash: &first, Mutation: because("it was better before"),
	})
	done("it was better before", back.GetOperation(), err)
	l.ended = back.GetOperation().GetFinishTime().AsTime()
	got, err := c.agents.GetAgent(ctx, &pb.GetAgentRequest{Uuid: l.agent})
	if err != nil || got.GetAgent().GetTemperature() != created.GetAgent().GetTemperature() || got.GetAgent().GetVersionHash() != back.GetVersionHash() {
		t.Errorf("after the rollback the agent is %v (%v), want temperature %v and version %s",
			got.GetAgent(), err, created.GetAgent().GetTemperature(), back.GetVersionHash())
	}
	if v := newestVersion(t, c, l.agent); v.GetVersionHash() != back.GetVersionHash() || !v.GetCurrentlyApplied() {
		t.Errorf("the newest version is %s, want the rollback's %s", v.GetVersionHash(), back.GetVersionHash())
	}
	l.wantRoutes(t, c, 0)
	return l
}

// makeSecrets has the vendor make an API key, and gives it a secret of ours.
func (l *life) makeSecrets(
	t *testing.T, c *client, because func(string) *pb.MutationOptions, done func(string, *pb.Operation, error),
) {
	t.Helper()
	options := because("the shop calls it")
	options.IdempotencyKey = "shop"
	request := &pb.CreateAgentApiKeyRequest{AgentUuid: l.agent, Name: new("shop"), Mutation: options}
	key, err := c.keys.CreateAgentApiKey(t.Context(), request)
	done("the shop calls it", key.GetOperation(), err)
	l.key = key.GetApiKeyInfo().GetUuid()
	if l.secrets = append(l.secrets, key.GetApiKeyInfo().GetSecretKey()); l.secrets[0] == "" {
		t.Fatal("a new key comes without its secret")
	}
	again, err := c.keys.CreateAgentApiKey(t.Context(), request)
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "handed out already") {
		t.Errorf("asked again, the answer is %v (%v), want to be told that the secret was handed out", again, err)
	}
	const authorization = "Bearer of-the-mcp-server-53176"
	l.secrets = append(l.secrets, authorization)
	tools, err := c.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{
		Uuid: l.agent, Mutation: because("it looks up cases"),
		McpServers: []*pb.McpServer{{
			ServerLabel: new("cases"), ServerUrl: new("https://cases.example/mcp"), Authorization: proto.String(authorization),
		}},
	})
	done("it looks up cases", tools.GetOperation(), err)
}

func newestVersion(t *testing.T, c *client, agent string) *pb.AgentVersion {
	t.Helper()
	list, err := c.agents.ListAgentVersions(t.Context(), &pb.ListAgentVersionsRequest{Uuid: agent})
	if err != nil || len(list.GetAgentVersions()) == 0 {
		t.Fatalf("listing the versions: %v, %v", list, err)
	}
	applied := 0
	for _, v := range list.GetAgentVersions() {
		if v.GetCurrentlyApplied() {
			applied++
		}
	}
	if applied != 1 {
		t.Errorf("%d versions are currently applied", applied)
	}
	return list.GetAgentVersions()[0]
}

func (l *life) wantRoutes(t *testing.T, c *client, want int) {
	t.Helper()
	list, err := c.routes.ListAgentRoutes(t.Context(), &pb.ListAgentRoutesRequest{Uuid: l.agent})
	if err != nil || len(list.GetChildren()) != want {
		t.Errorf("the routes are %v (%v), want %d", list.GetChildren(), err, want)
	}
	for _, child := range list.GetChildren() {
		if child.GetUuid() != l.child || child.GetRouteName() != "letters" || child.GetIfCase() != "a letter is wanted" {
			t.Errorf("the route is %v", child)
		}
	}
}

// TestSimulatorAlone runs the service against "agentsvc sim", each a process, and
// leaves the vendor's limits on.
func TestSimulatorAlone(t *testing.T) {
	w := newWorld(t)
	sim := start(t, environment(), "sim", "--listen", "127.0.0.1:0", "--strict", "--deploy-seconds", "0")
	const hello = "simulator ready at "
	await(t, "agentsvc sim is ready", func() bool { return len(sim.String()) > len(hello) && sim.String()[len(sim.String())-1] == '\n' })
	w.vendor = &vendor{url: sim.String()[len(hello) : len(sim.String())-1]}
	c := w.serve(t, "AGENTSVC_RATE_PER_MINUTE=250", "AGENTSVC_RATE_PER_HOUR=5000").overGRPC(t, w.payments)
	id := newAgent(t, c, "alone")
	got, err := c.agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id, MaxStaleness: now()})
	if err != nil || got.GetAgent().GetDeployment().GetStatus() != pb.AgentDeployment_STATUS_RUNNING ||
		got.GetAgent().GetModel().GetUuid() != genaisim.ModelLlama {
		t.Errorf("the agent is %v (%v)", got.GetAgent(), err)
	}
}
