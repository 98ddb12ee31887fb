package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// world is a mirror on a database and a simulator of their own.
type world struct {
	*Mirror

	t      *testing.T
	pool   *pgxpool.Pool
	client *upstream.Client
	sim    *genaisim.Server
	url    string
	// payments and search are teams, and of each a viewer.
	payments, search uuid.UUID
	payer, searcher  identity.Caller
	auditor          identity.Caller
}

func newWorld(t *testing.T, sim genaisim.Config, configure ...func(*Config)) *world {
	t.Helper()
	sim.Strict = true
	w := &world{t: t, sim: genaisim.New(sim), pool: dbtest.New(t)}
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	w.url = server.URL
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	var err error
	w.client, err = upstream.New(upstream.Config{BaseURL: server.URL, Token: func() string { return "token" }, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	store := db.New(w.pool)
	log := slog.New(slog.DiscardHandler)
	cfg := Config{
		Store: store, Client: w.client, Tokens: listing.NewTokens(bytes.Repeat([]byte("k"), 32)), Log: log,
		Budget: budget.New(store, budget.DefaultAccount, budget.Limits{}, log), SyncPageEvery: time.Nanosecond,
	}
	for _, c := range configure {
		c(&cfg)
	}
	w.Mirror = New(cfg)
	t.Cleanup(w.running.Wait)
	w.payments, w.payer = w.team("payments")
	w.search, w.searcher = w.team("search")
	w.auditor = identity.Caller{Name: "auditor", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
	return w
}

// later makes it seem longer since rows became dirty than looks have to be apart.
func (w *world) later() {
	w.t.Helper()
	w.exec("UPDATE resources SET dirty_since = dirty_since - interval '2 seconds'")
}

func (w *world) team(name string) (uuid.UUID, identity.Caller) {
	w.t.Helper()
	id := uuid.New()
	w.exec("INSERT INTO teams (id, name) VALUES ($1, $2)", id, name)
	return id, identity.Caller{
		Name: name + "@example.com", ActingTeam: identity.Team{ID: id, Name: name},
		Teams: []identity.Membership{{TeamID: id, Team: name, Role: pb.Role_ROLE_VIEWER}},
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// one reads a single value.
func one[T any](w *world, sql string, args ...any) T {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), sql, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// all reads one value of each row.
func all[T any](w *world, sql string, args ...any) []T {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), sql, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return values
}

func (w *world) row(id string) dbsql.Resource {
	w.t.Helper()
	row, err := w.store.Resource(w.t.Context(), dbsql.ResourceParams{Kind: agentKind, UUID: uuid.MustParse(id)})
	if err != nil {
		w.t.Fatalf("reading the row of %s: %v", id, err)
	}
	return row
}

func (w *world) body(id string) *pb.Agent {
	w.t.Helper()
	agent := &pb.Agent{}
	if err := proto.Unmarshal(w.row(id).Body, agent); err != nil {
		w.t.Fatal(err)
	}
	return agent
}

// do sends a change to the vendor, as an operation of the payments team, and settles
// it into the mirror.
func (w *world) do(req proto.Message) (Effect, proto.Message, uuid.UUID) {
	w.t.Helper()
	op := w.send(req)
	m := methods.API().ByRequest(req)
	resp := m.Output.New().Interface()
	if _, err := w.client.Do(w.t.Context(), m, req, resp); err != nil {
		w.t.Fatalf("%s: %v", m.Name, err)
	}
	return w.settle(op, m, req, resp), resp, op.ID
}

// send makes an operation that is running and may have been sent.
func (w *world) send(req proto.Message) dbsql.Operation {
	w.t.Helper()
	m := methods.API().ByRequest(req)
	id := uuid.New()
	key := "new/" + id.String()
	for _, target := range m.Access.GetTargets() {
		if at := methods.String(req, target.GetField()); at != "" && target.GetKind() == agentKind {
			key = agentKind + "/" + at
			break
		}
	}
	w.exec(`INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, request_digest, request, reason, lane,
		virtual_start, state, sent_at, lease, lease_expires_at) VALUES ($1, 'default', $2, 'pat@example.com', $3, 'agent', $4, '', '', 'because', 2, 0,
		'RUNNING', clock_timestamp(), gen_random_uuid(), now() + interval '1 hour')`, id, w.payments, string(m.Name), key)
	op, err := w.store.OperationByID(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return op
}

// succeed ends an operation, which may have made something, and answers it as it is then.
func succeed(ctx context.Context, q *db.Queries, op dbsql.Operation, made *uuid.UUID) (dbsql.Operation, error) {
	if _, err := q.SettleOperations(ctx, dbsql.SettleOperationsParams{
		Ids: []uuid.UUID{op.ID}, Leases: []uuid.UUID{*op.Lease}, States: []string{"SUCCEEDED"}, Responses: [][]byte{nil},
		SealedResponses: [][]byte{nil}, Errors: [][]byte{nil}, ResourceUuids: []uuid.UUID{db.OrNil(made)}, VendorRequestIds: []string{""},
	}); err != nil {
		return op, err
	}
	return q.OperationByID(ctx, op.ID)
}

func (w *world) settle(op dbsql.Operation, m *methods.Method, req, resp proto.Message) Effect {
	w.t.Helper()
	var effects []Effect
	err := w.store.Tx(w.t.Context(), db.Durable, func(q *db.Queries) error {
		ended, err := succeed(w.t.Context(), q, op, nil)
		if err != nil {
			return err
		}
		effects, err = w.Apply(w.t.Context(), q, Change{Operation: ended, Method: m, Request: req, Response: resp})
		return err
	})
	if err != nil {
		w.t.Fatalf("settling %s: %v", m.Name, err)
	}
	return effects[0]
}

// create makes an agent of the payments team.
func (w *world) create(name string) string {
	w.t.Helper()
	_, resp, _ := w.do(&pb.CreateAgentRequest{Name: new(name), ModelUuid: new(genaisim.ModelLlama)})
	created, _ := resp.(*pb.CreateAgentResponse)
	return created.GetAgent().GetUuid()
}

// console does something at the vendor's, behind our back.
func (w *world) console(method, path, body string) map[string]any {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+"/_sim/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	var answer map[string]any
	_ = json.Unmarshal(text, &answer)
	return answer
}

// appear makes an agent at the vendor's, behind our back.
func (w *world) appear(name string) string {
	w.t.Helper()
	agent, _ := w.console("POST", "agents", `{"name":"`+name+`"}`)["agent"].(map[string]any)
	id, _ := agent["uuid"].(string)
	return id
}

// asked counts the vendor's requests since the mark, by operation.
func (w *world) asked(since int) map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	for _, r := range w.sim.Requests()[since:] {
		counts[r.Operation]++
		if len(r.Deviations) > 0 {
			w.t.Errorf("%s %s departs from the contract: %v", r.Method, r.Path, r.Deviations)
		}
	}
	return counts
}

func (w *world) mark() int { return len(w.sim.Requests()) }

const (
	getOne      = "GET /v2/gen-ai/agents/{uuid}"
	getList     = "GET /v2/gen-ai/agents"
	getVersions = "GET /v2/gen-ai/agents/{uuid}/versions"
)

// drift is what the history holds of changes made elsewhere.
type drift struct {
	Action, Name  string
	Team          *uuid.UUID
	Before, After map[string]any
}

func (w *world) drifts() []drift {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `SELECT action, resource_name, team_id, before, after FROM audit_events
		WHERE origin = 'UPSTREAM' AND actor = 'upstream' AND outcome = 'SUCCEEDED' ORDER BY recorded_at, id`)
	if err != nil {
		w.t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (drift, error) {
		var d drift
		var before, after []byte
		if err := row.Scan(&d.Action, &d.Name, &d.Team, &before, &after); err != nil {
			return d, err
		}
		d.Before, d.After = object(w.t, before), object(w.t, after)
		return d, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func object(t *testing.T, text []byte) map[string]any {
	t.Helper()
	if text == nil {
		return nil
	}
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func requireReason(t *testing.T, want pb.ErrorReason, err error) {
	t.Helper()
	if got := fault.ReasonOf(err); err == nil || got != want {
		t.Fatalf("got %v (%v), want %v", err, got, want)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// GetAgent and ListAgents are the calls that most tests make.
func (w *world) GetAgent(ctx context.Context, caller identity.Caller, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
	resp := &pb.GetAgentResponse{}
	return resp, w.Get(ctx, caller, req, resp)
}

func (w *world) ListAgents(ctx context.Context, caller identity.Caller, req *pb.ListAgentsRequest) (*pb.ListAgentsResponse, error) {
	resp := &pb.ListAgentsResponse{}
	return resp, w.List(ctx, caller, req, resp)
}
