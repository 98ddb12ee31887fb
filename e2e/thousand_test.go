package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

const (
	crewSize    = 16
	teamAgents  = 25
	teamRoutes  = 30 // three changes each: added, changed, deleted
	teamKeys    = 35 // four changes each: created, renamed, made anew, deleted
	teamUpdates = 245
	mutations   = 2 * (teamAgents + 3*teamRoutes + 4*teamKeys + teamUpdates)
)

// TestThousandMutations makes a thousand changes at once and counts them three times:
// what the callers were told, what the database has, and what the vendor saw.
func TestThousandMutations(t *testing.T) {
	t.Run("through one service, over Connect", func(t *testing.T) {
		w := newWorld(t)
		one := w.serve(t, "AGENTSVC_SYNC_EVERY=2s")
		w.thousand(t, func(_ int, token string) *client { return one.as(t, token) })
	})
	t.Run("through two replicas, over gRPC", func(t *testing.T) {
		w := newWorld(t)
		// Comparing with the vendor all the while must not take our own changes for others'.
		replicas := []*service{w.serve(t, "AGENTSVC_SYNC_EVERY=2s"), w.serve(t, "AGENTSVC_SYNC_EVERY=2s")}
		w.thousand(t, func(i int, token string) *client { return replicas[i%len(replicas)].overGRPC(t, token) })
		for i, replica := range replicas {
			if n := replica.vendorCalls(t); n < mutations/10 {
				t.Errorf("replica %d made %d calls to the vendor: the work was not shared", i+1, n)
			} else {
				t.Logf("replica %d made %d calls to the vendor", i+1, n)
			}
		}
	})
}

var callsCounted = regexp.MustCompile(`(?m)^agentsvc_upstream_duration_seconds_count\{[^}]*\} (\d+)$`)

// vendorCalls is how many calls to the vendor a replica has made, by its own metrics.
func (s *service) vendorCalls(t *testing.T) int {
	t.Helper()
	_, page := get(t, s.url+"/metrics")
	total := 0
	for _, line := range callsCounted.FindAllStringSubmatch(page, -1) {
		n, err := strconv.Atoi(line[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

// crew is the clients of one team, and what they were told.
type crew struct {
	team    string
	clients []*client
	agents  []string

	mu   sync.Mutex
	told map[string]*pb.Operation
	errs []error
}

func (w *world) thousand(t *testing.T, connect func(i int, token string) *client) {
	t.Helper()
	crews := []*crew{{team: "payments"}, {team: "search"}}
	for i := range crewSize {
		// Neighbours of one team go to different replicas.
		which, token := crews[i/2%2], w.payments
		if which.team == "search" {
			token = w.search
		}
		which.clients = append(which.clients, connect(i, token))
	}
	begun := time.Now()
	var all sync.WaitGroup
	for _, c := range crews {
		c.told = map[string]*pb.Operation{}
		all.Go(func() { c.work(t.Context()) })
	}
	all.Wait()
	took := time.Since(begun)

	told := map[string]*pb.Operation{}
	for _, c := range crews {
		for _, err := range c.errs {
			t.Errorf("a client of team %s was told: %v", c.team, err)
		}
		maps.Copy(told, c.told)
	}
	if len(told) != mutations {
		t.Fatalf("the clients know of %d operations, want %d", len(told), mutations)
	}
	w.accountFor(t, told)
	w.sameState(t, crews)
	t.Logf("%d changes by %d clients in %s, %.0f a second; %d requests to the vendor", mutations, crewSize,
		took.Round(10*time.Millisecond), mutations/took.Seconds(), len(w.vendor.Requests()))
}

// accountFor matches operations, the vendor's effects and the history one to one.
func (w *world) accountFor(t *testing.T, told map[string]*pb.Operation) {
	t.Helper()
	var inLog []string
	for _, r := range w.vendor.Requests() {
		if r.Effect != "none" {
			inLog = append(inLog, r.RequestID)
		}
	}
	inRows := column[string](t, w, "SELECT vendor_request_id FROM operations WHERE state = 'SUCCEEDED'")
	var inAnswers []string
	for _, op := range told {
		inAnswers = append(inAnswers, op.GetVendorRequestId())
	}
	for _, ids := range [][]string{inLog, inRows, inAnswers} {
		slices.Sort(ids)
	}
	if len(inLog) != mutations || len(slices.Compact(slices.Clone(inLog))) != mutations {
		t.Errorf("the vendor was changed by %d requests, want %d", len(inLog), mutations)
	}
	if !slices.Equal(inLog, inRows) || !slices.Equal(inLog, inAnswers) {
		t.Errorf("effects (%d), operations (%d) and answers (%d) do not match one to one", len(inLog), len(inRows), len(inAnswers))
	}
	for what, want := range map[string]int{
		"SELECT count(*) FROM operations":                                                                  mutations,
		"SELECT count(*) FROM operations WHERE finished_at IS NULL":                                        0,
		"SELECT count(*) FROM operations WHERE attempts <> 1":                                              0,
		"SELECT count(*) FROM operations WHERE sealed_request IS NOT NULL OR sealed_response IS NOT NULL":  0,
		"SELECT count(*) FROM audit_events WHERE origin = 'API' AND outcome = 'ACCEPTED'":                  mutations,
		"SELECT count(*) FROM audit_events WHERE origin = 'API' AND outcome = 'SUCCEEDED'":                 mutations,
		"SELECT count(*) FROM audit_events WHERE outcome NOT IN ('ACCEPTED', 'SUCCEEDED')":                 0,
		"SELECT count(*) FROM audit_events WHERE origin = 'UPSTREAM'":                                      0,
		"SELECT count(DISTINCT operation_id) FROM audit_events WHERE outcome = 'SUCCEEDED'":                mutations,
		"SELECT count(*) FROM operations o JOIN teams ON teams.id = team_id WHERE teams.name = 'payments'": mutations / 2,
	} {
		if got := w.count(t, what); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
}

// sameState checks that our copy of every agent is what the vendor has.
func (w *world) sameState(t *testing.T, crews []*crew) {
	t.Helper()
	for _, c := range crews {
		for _, id := range c.agents {
			copied, err := c.clients[0].agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id})
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := c.clients[0].agents.GetAgent(t.Context(), &pb.GetAgentRequest{Uuid: id, MaxStaleness: now()})
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(copied.GetAgent(), fresh.GetAgent()) {
				t.Errorf("our copy of agent %s is\n%v\nand the vendor has\n%v", id, copied.GetAgent(), fresh.GetAgent())
			}
		}
	}
}

// work makes half of the changes: the agents first, then everything else at once.
func (c *crew) work(ctx context.Context) {
	ids := make([]string, teamAgents)
	var jobs []func(*client)
	for i := range teamAgents {
		jobs = append(jobs, func(by *client) {
			resp, err := by.agents.CreateAgent(ctx, agentRequest(fmt.Sprintf("%s-%02d", c.team, i), &pb.MutationOptions{Reason: "one of many"}))
			c.note(resp, err)
			ids[i] = resp.GetAgent().GetUuid()
		})
	}
	c.share(jobs)
	if c.agents = ids; slices.Contains(ids, "") {
		return // the errors are noted
	}
	jobs = nil
	for i := range teamUpdates {
		jobs = append(jobs, func(by *client) {
			resp, err := by.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{
				Uuid: ids[i%teamAgents], Description: new(fmt.Sprintf("as of change %d", i)), Mutation: &pb.MutationOptions{},
			})
			c.note(resp, err)
		})
	}
	for i := range teamRoutes {
		// From lower to higher, so that no circle closes; pairs are never the same.
		parent := i % (teamAgents - 1)
		jobs = append(jobs, func(by *client) { c.route(ctx, by, ids[parent], ids[min(parent+1+i/(teamAgents-1), teamAgents-1)]) })
	}
	for i := range teamKeys {
		jobs = append(jobs, func(by *client) { c.key(ctx, by, ids[i%teamAgents], fmt.Sprintf("key-%02d", i)) })
	}
	c.share(interleaved(jobs))
}

// interleaved mixes a list, the same way each time, so that all sorts are under way at once.
func interleaved[T any](list []T) []T {
	mixed := make([]T, 0, len(list))
	const stride = 7
	for start := range stride {
		for i := start; i < len(list); i += stride {
			mixed = append(mixed, list[i])
		}
	}
	return mixed
}

func (c *crew) route(ctx context.Context, by *client, parent, child string) {
	added, err := by.routes.AddAgentRoute(ctx, &pb.AddAgentRouteRequest{
		ParentAgentUuid: parent, ChildAgentUuid: child, RouteName: new("before"), IfCase: new("always"),
	})
	if !c.note(added, err) {
		return
	}
	changed, err := by.routes.UpdateAgentRoute(ctx, &pb.UpdateAgentRouteRequest{
		ParentAgentUuid: parent, ChildAgentUuid: child, RouteName: new("after"),
	})
	c.note(changed, err)
	deleted, err := by.routes.DeleteAgentRoute(ctx, &pb.DeleteAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
	c.note(deleted, err)
}

func (c *crew) key(ctx context.Context, by *client, agent, name string) {
	created, err := by.keys.CreateAgentApiKey(ctx, &pb.CreateAgentApiKeyRequest{AgentUuid: agent, Name: &name})
	if !c.note(created, err) {
		return
	}
	id := created.GetApiKeyInfo().GetUuid()
	renamed, err := by.keys.UpdateAgentApiKey(ctx, &pb.UpdateAgentApiKeyRequest{AgentUuid: agent, ApiKeyUuid: id, Name: new(name + "-b")})
	c.note(renamed, err)
	anew, err := by.keys.RegenerateAgentApiKey(ctx, &pb.RegenerateAgentApiKeyRequest{AgentUuid: agent, ApiKeyUuid: id})
	c.note(anew, err)
	deleted, err := by.keys.DeleteAgentApiKey(ctx, &pb.DeleteAgentApiKeyRequest{AgentUuid: agent, ApiKeyUuid: id})
	c.note(deleted, err)
}

// share has all clients of the crew work on the jobs until none is left.
func (c *crew) share(jobs []func(*client)) {
	queue := make(chan func(*client), len(jobs))
	for _, job := range jobs {
		queue <- job
	}
	close(queue)
	var wg sync.WaitGroup
	for _, by := range c.clients {
		wg.Go(func() {
			for job := range queue {
				job(by)
			}
		})
	}
	wg.Wait()
}

// note keeps what a client was told and says whether it was a success.
func (c *crew) note(resp interface{ GetOperation() *pb.Operation }, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	op := resp.GetOperation()
	if err == nil && op.GetState() != pb.Operation_STATE_SUCCEEDED {
		err = fmt.Errorf("operation %s of %s is %s", op.GetId(), op.GetMethod(), op.GetState())
	}
	if err == nil && c.told[op.GetId()] != nil {
		err = fmt.Errorf("operation %s was told of twice", op.GetId())
	}
	if err != nil {
		c.errs = append(c.errs, err)
		return false
	}
	c.told[op.GetId()] = op
	return true
}
