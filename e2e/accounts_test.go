package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// twoAccounts is a world with a second vendor account, in which the team search creates.
type twoAccounts struct {
	*world

	emea    *genaisim.Server
	dir     string
	renewed atomic.Int64 // requests with the token that replaced the first
}

const emeaToken = "emea-token"

func newTwoAccounts(t *testing.T, cfg genaisim.Config) *twoAccounts {
	t.Helper()
	cfg.Strict = true
	accounts, err := genaisim.NewAccounts(cfg, emeaToken)
	if err != nil {
		t.Fatal(err)
	}
	w := &twoAccounts{world: newWorld(t), emea: accounts.Of(emeaToken), dir: t.TempDir()}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+emeaToken+"-2" {
			w.renewed.Add(1)
			r.Header.Set("Authorization", "Bearer "+emeaToken)
		}
		accounts.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.vendor = &vendor{Server: accounts.Of(""), url: server.URL, secrets: map[string]string{}}
	w.putToken(t, emeaToken)
	return w
}

func (w *twoAccounts) putToken(t *testing.T, token string) {
	t.Helper()
	path := filepath.Join(w.dir, "emea")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Duration(len(token)) * time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
}

func (w *twoAccounts) assign(t *testing.T, team, account string) string {
	t.Helper()
	return run(t, environment("DATABASE_URL="+w.database), "account", "assign", "--team", team, "--account", account, "--reason", "data residency")
}

// effects are the bodies of the requests that changed something at a vendor account.
func effects(s *genaisim.Server, path string) (bodies []string) {
	for _, r := range s.Requests() {
		if r.Effect != genaisim.NoEffect && strings.HasPrefix(r.Path, path) {
			bodies = append(bodies, string(r.Body))
		}
	}
	return bodies
}

func create(t *testing.T, c *client, name string) string {
	t.Helper()
	made, err := c.agents.CreateAgent(t.Context(), &pb.CreateAgentRequest{Name: new(name), ModelUuid: proto.String(genaisim.ModelLlama)})
	if err != nil {
		t.Fatal(err)
	}
	return made.GetAgent().GetUuid()
}

// requireReason wants a refusal for a reason.
func requireReason(t *testing.T, err error, want pb.ErrorReason) {
	t.Helper()
	if got := detail[*errdetails.ErrorInfo](err).GetReason(); got != want.String() {
		t.Errorf("got %v, want the reason %s", err, want)
	}
}

// TestSeveralVendorAccounts has two teams create in an account each, moves one of them, and
// looks where each change arrives.
func TestSeveralVendorAccounts(t *testing.T) {
	t.Parallel()
	w := newTwoAccounts(t, genaisim.Config{})
	w.takeToken(t)
	replicas := []*service{w.serve(t, "AGENTSVC_ACCOUNTS_DIR="+w.dir), w.serve(t, "AGENTSVC_ACCOUNTS_DIR="+w.dir)}
	s := replicas[0]
	w.putToken(t, emeaToken) // while they run
	for _, replica := range replicas {
		await(t, "the replica works for the new account", func() bool { return replica.worksFor(t, "emea") == "1" })
	}
	twin := filepath.Join(w.dir, "apac")
	if err := os.WriteFile(twin, []byte(emeaToken), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, "a file with the token of another account is told of", func() bool {
		return strings.Contains(s.String(), `the accounts \"emea\" and \"apac\" have the same token`)
	})
	if works := s.worksFor(t, "apac"); works != "" {
		t.Errorf("by its metrics the replica works %q for it", works)
	}
	if err := os.Remove(twin); err != nil {
		t.Fatal(err)
	}
	if said := w.assign(t, "search", "emea"); !strings.Contains(said, "team search creates in account emea from now on; it was default before") {
		t.Errorf("assign said %q", said)
	}
	payments, search := s.as(t, w.payments), s.as(t, w.search)
	create(t, payments, "refunds")
	abroad := create(t, search, "finder")
	if first, second := effects(w.vendor.Server, agentsPath), effects(w.emea, agentsPath); len(first) != 1 || len(second) != 1 ||
		!strings.Contains(first[0], "refunds") || !strings.Contains(second[0], "finder") {
		t.Fatalf("the accounts were told %q and %q", first, second)
	}

	// The team creates elsewhere from now on; what it has stays where it is.
	w.assign(t, "search", "default")
	home := create(t, search, "looker")
	w.putToken(t, emeaToken+"-2")
	if _, err := search.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{Uuid: abroad, Description: new("abroad")}); err != nil {
		t.Fatal(err)
	}
	if n := w.renewed.Load(); n == 0 {
		t.Error("the token was replaced, and the old one is used")
	}
	if n := len(effects(w.emea, agentsPath+"/"+abroad)); n != 1 {
		t.Errorf("the account of the agent saw %d changes of it", n)
	}
	listed, err := search.agents.ListAgents(t.Context(), &pb.ListAgentsRequest{MaxStaleness: durationpb.New(0)})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range listed.GetAgents() {
		names = append(names, a.GetName())
	}
	if !slices.Equal(names, []string{"finder", "looker"}) || listed.GetFreshness().GetStale() {
		t.Errorf("the team's agents are %v, %v", names, listed.GetFreshness())
	}
	_, err = search.routes.AddAgentRoute(t.Context(), &pb.AddAgentRouteRequest{
		ParentAgentUuid: home, ChildAgentUuid: abroad, RouteName: new("abroad"), IfCase: new("always"),
	})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	if !strings.Contains(err.Error(), `"emea"`) {
		t.Errorf("a route between accounts is refused with %v", err)
	}

	// One batch, a change in each account.
	batch, err := search.agents.BatchUpdateAgents(t.Context(), &pb.BatchUpdateAgentsRequest{
		Uuids: []string{home, abroad}, Update: &pb.UpdateAgentRequest{Instruction: new("Be brief.")},
	})
	if err != nil || batch.GetOperation().GetBatch().GetSucceeded() != 2 {
		t.Fatalf("the batch ended as %v, %v", batch, err)
	}
	for account, server := range map[string]*genaisim.Server{home: w.vendor.Server, abroad: w.emea} {
		if n := len(effects(server, agentsPath+"/"+account)); n != map[string]int{home: 1, abroad: 2}[account] {
			t.Errorf("agent %s was changed %d times", account, n)
		}
	}
	if accounts := column[string](t, w.world, `SELECT account FROM operations WHERE parent_operation_id IS NOT NULL ORDER BY account`); !slices.Equal(accounts, []string{"default", "emea"}) {
		t.Errorf("the batch's changes went to %v", accounts)
	}

	w.accountComesAndGoes(t, replicas, abroad)
	for _, replica := range replicas {
		replica.kill(t)
	}
	w.accountTaken(t, w.serve(t), abroad)
}

// takeToken takes the second account away.
func (w *twoAccounts) takeToken(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(w.dir, "emea")); err != nil {
		t.Fatal(err)
	}
}

// worksFor is what the metrics of a replica say of an account.
func (s *service) worksFor(t *testing.T, account string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newTransport(t, false).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, `agentsvc_account_working{account="`+account+`"`) {
			return line[strings.LastIndexByte(line, ' ')+1 : len(line)-1]
		}
	}
	return ""
}

// accountComesAndGoes takes the second account's token from running replicas while one of its changes is under
// way and another one waits behind it, and gives it back.
func (w *twoAccounts) accountComesAndGoes(t *testing.T, replicas []*service, abroad string) {
	t.Helper()
	search := replicas[1].as(t, w.search)
	if err := w.emea.SetFaults([]genaisim.Fault{{Method: http.MethodPut, DelayMS: 8000, Count: 1}}); err != nil {
		t.Fatal(err)
	}
	change := func(text string) string {
		t.Helper()
		resp, err := search.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{
			Uuid: abroad, Description: &text, Mutation: &pb.MutationOptions{Async: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetOperation().GetId()
	}
	sent := change("sent before")
	await(t, "the change is sent", func() bool {
		return w.count(t, "SELECT count(*) FROM operations WHERE id = $1 AND sent_at IS NOT NULL", sent) == 1
	})
	waits := change("waits") // behind it
	w.assign(t, "search", "emea")
	queue, err := search.operations.WatchQueue(t.Context(), &pb.WatchQueueRequest{Account: "emea", Every: durationpb.New(time.Second)})
	if err != nil || !queue.Receive() {
		t.Fatal(err, queue.Err())
	}
	w.takeToken(t)
	for _, replica := range replicas {
		await(t, "the replica refuses what is in the account", func() bool {
			_, err := replica.as(t, w.search).agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{
				Uuid: abroad, Description: new("refused"), Mutation: &pb.MutationOptions{Async: true, ValidateOnly: true},
			})
			return detail[*errdetails.ErrorInfo](err).GetReason() == pb.ErrorReason_ERROR_REASON_ACCOUNT_NOT_CONFIGURED.String()
		})
		if is, other := replica.worksFor(t, "emea"), replica.worksFor(t, "default"); is != "0" || other != "1" {
			t.Errorf("by its metrics the replica works %q for the account that was taken away and %q for the other", is, other)
		}
	}
	for _, replica := range replicas {
		await(t, "the replica finishes what is under way", func() bool {
			return strings.Contains(replica.String(), "nothing works for a vendor account any more")
		})
	}
	for queue.Receive() {
		continue // until it ends
	}
	requireReason(t, queue.Err(), pb.ErrorReason_ERROR_REASON_ACCOUNT_NOT_CONFIGURED)
	_, err = search.agents.CreateAgent(t.Context(), agentRequest("nowhere", nil))
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_ACCOUNT_NOT_CONFIGURED)
	w.assign(t, "search", "default")
	state := func(id string) string {
		return column[string](t, w.world, "SELECT state FROM operations WHERE id = $1", id)[0]
	}
	if a, b := state(sent), state(waits); a != "SUCCEEDED" || b != "QUEUED" {
		t.Errorf("the change under way is %s, and the one behind it %s", a, b)
	}
	create(t, replicas[0].as(t, w.payments), "as ever")

	w.putToken(t, emeaToken+"-2")
	if op, err := search.operations.WaitOperation(t.Context(), &pb.WaitOperationRequest{Id: waits}); err != nil ||
		op.GetOperation().GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("once the account is back, what waited is %v, %v", op, err)
	}
}

// accountTaken is about a service that starts without the second account's token.
func (w *twoAccounts) accountTaken(t *testing.T, s *service, abroad string) {
	t.Helper()
	search := s.as(t, w.search)
	_, err := search.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{Uuid: abroad, Description: new("lost")})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_ACCOUNT_NOT_CONFIGURED)
	listed, err := search.agents.ListAgents(t.Context(), &pb.ListAgentsRequest{})
	if err != nil || len(listed.GetAgents()) != 2 || !listed.GetFreshness().GetStale() {
		t.Errorf("a list with what is in a lost account is %v, %v", listed, err)
	}
	if n := w.count(t, `SELECT count(*) FROM audit_events WHERE method = 'agentsvc account assign' AND reason = 'data residency'
		AND before = '{"account": "default"}' AND after = '{"account": "emea"}'`); n != 2 {
		t.Errorf("the history has %d moves of the team", n)
	}
}

// TestEachAccountHasABudgetOfItsOwn uses up one account's minute and changes something in
// the other.
func TestEachAccountHasABudgetOfItsOwn(t *testing.T) {
	t.Parallel()
	const minute = 12
	w := newTwoAccounts(t, genaisim.Config{RatePerMinute: minute, RateMinuteWindow: time.Hour, RateHourWindow: 2 * time.Hour})
	s := w.serve(t, "AGENTSVC_ACCOUNTS_DIR="+w.dir, "AGENTSVC_RATE_PER_MINUTE=12", "AGENTSVC_RATE_MINUTE_WINDOW=1h",
		"AGENTSVC_RATE_HOUR_WINDOW=2h", "AGENTSVC_RATE_GUARD=1s")
	w.assign(t, "search", "emea")
	payments, search := s.as(t, w.payments), s.as(t, w.search)
	w.queueFor(t, s, "payments", 3*minute)
	await(t, "the first account's minute is used up", func() bool { return len(w.vendor.Requests()) >= minute })
	create(t, search, "finder")

	status := func(c *client, account string) *pb.QueueStatus {
		t.Helper()
		resp, err := c.operations.GetQueueStatus(t.Context(), &pb.GetQueueStatusRequest{Account: account})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetStatus()
	}
	used, free := status(payments, ""), status(search, "")
	if used.GetAccount() != "default" || used.GetMinute().GetLeft() != 0 || used.GetLanes()[1].GetQueued() == 0 {
		t.Errorf("the first account's queue is %v", used)
	}
	if free.GetAccount() != "emea" || free.GetMinute().GetLeft() == 0 || free.GetLanes()[1].GetQueued() != 0 {
		t.Errorf("the second account's queue is %v", free)
	}
	_, err := payments.operations.GetQueueStatus(t.Context(), &pb.GetQueueStatusRequest{Account: "emea"})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_NOT_FOUND)
	for name, server := range map[string]*genaisim.Server{"default": w.vendor.Server, "emea": w.emea} {
		for _, r := range server.Requests() {
			if r.Status == http.StatusTooManyRequests {
				t.Errorf("account %s was throttled", name)
			}
		}
	}
}
