package operation_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/upstream"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// bench is an engine with everything around it: a database of its own, a strict
// simulator, and a caller who owns a team.
type bench struct {
	t      testing.TB
	pool   *pgxpool.Pool
	store  *db.Store
	sim    *genaisim.Server
	mirror *mirror.Mirror
	cfg    operation.Config
	engine *operation.Engine
	caller identity.Caller
}

// setup starts nothing: see [bench.start].
func setup(t testing.TB, configure ...func(*operation.Config)) *bench {
	t.Helper()
	return setupWith(t, genaisim.Config{}, configure...)
}

// setupWith is [setup] with a simulator that is strict and otherwise as configured.
func setupWith(t testing.TB, vendorConfig genaisim.Config, configure ...func(*operation.Config)) *bench {
	t.Helper()
	pool := dbtest.New(t)
	store := db.New(pool)
	vendorConfig.Strict = true
	sim := genaisim.New(vendorConfig)
	vendor := httptest.NewServer(sim)
	t.Cleanup(vendor.Close)
	log := slog.New(slog.DiscardHandler)
	client, err := upstream.New(upstream.Config{BaseURL: vendor.URL, Token: func() string { return "token" }, Timeout: 5 * time.Second, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.NewKey("test")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Read(strings.NewReader(key))
	if err != nil {
		t.Fatal(err)
	}
	account := budget.New(store, budget.DefaultAccount, budget.Limits{PerMinute: 1_000_000, PerHour: 1_000_000}, log)
	b := &bench{t: t, pool: pool, store: store, sim: sim}
	b.mirror = mirror.New(mirror.Config{
		Store: store, Client: client, Budget: account, Tokens: listing.NewTokens(ring.Derive("pages")), Log: log,
	})
	b.cfg = operation.Config{
		Store: store, Vendor: client, Budget: account, Ring: ring, Log: log, Worker: "worker", History: b.mirror,
		Lease: 2 * time.Second, Quiet: 200 * time.Millisecond, Backoff: 20 * time.Millisecond, Drain: 5 * time.Second,
	}
	for _, c := range configure {
		c(&b.cfg)
	}
	b.engine = b.another()
	b.caller = b.team("payments", 1)
	return b
}

// another is one more replica on the same database.
func (b *bench) another() *operation.Engine {
	b.t.Helper()
	engine, err := operation.New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return engine
}

// team is a caller who acts for a team of the given weight.
func (b *bench) team(name string, weight int) identity.Caller {
	b.t.Helper()
	id, err := b.store.UpsertTeam(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.pool.Exec(b.t.Context(), "UPDATE teams SET weight = $1 WHERE id = $2", weight, id); err != nil {
		b.t.Fatal(err)
	}
	return identity.Caller{Name: "someone@" + name, ActingTeam: identity.Team{ID: id, Name: name}}
}

// start runs engines until the test ends or stop is called.
func (b *bench) start(engines ...*operation.Engine) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended := make(chan error, 2*len(engines))
		for _, e := range engines {
			go func() { ended <- e.Run(ctx) }()
			go func() { ended <- e.RunNotifications(ctx) }()
		}
		for range 2 * len(engines) {
			<-ended
		}
	}()
	stop = func() { cancel(); <-done }
	b.t.Cleanup(stop)
	return stop
}

// create makes an agent and answers its id.
func (b *bench) create(name string) string {
	b.t.Helper()
	resp := &pb.CreateAgentResponse{}
	err := b.engine.Change(b.t.Context(), b.caller, &pb.CreateAgentRequest{Name: &name, ModelUuid: proto.String(genaisim.ModelLlama)}, resp)
	if err != nil {
		b.t.Fatalf("creating agent %s: %v", name, err)
	}
	return resp.GetAgent().GetUuid()
}

// submit queues a change without waiting for it.
func (b *bench) submit(caller identity.Caller, req proto.Message, resp interface {
	proto.Message
	GetOperation() *pb.Operation
}) uuid.UUID {
	b.t.Helper()
	if err := b.engine.Change(b.t.Context(), caller, req, resp); err != nil {
		b.t.Fatalf("submitting: %v", err)
	}
	return uuid.MustParse(resp.GetOperation().GetId())
}

// ended waits for an operation.
func (b *bench) ended(id uuid.UUID) *pb.Operation {
	b.t.Helper()
	op, err := b.engine.Wait(b.t.Context(), id, 20*time.Second)
	if err != nil {
		b.t.Fatalf("waiting for %s: %v", id, err)
	}
	return op
}

// fault makes the vendor misbehave.
func (b *bench) fault(faults ...genaisim.Fault) {
	b.t.Helper()
	if err := b.sim.SetFaults(faults); err != nil {
		b.t.Fatal(err)
	}
}

// effects are the changes that the vendor made, in order.
func (b *bench) effects() []genaisim.Request {
	var effects []genaisim.Request
	for _, r := range b.sim.Requests() {
		if r.Effect != genaisim.NoEffect {
			effects = append(effects, r)
		}
	}
	return effects
}

// count is the number that a query answers.
func (b *bench) count(sql string, args ...any) int {
	b.t.Helper()
	var n int
	if err := b.pool.QueryRow(b.t.Context(), sql, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// requireConsistent holds the invariants that no fault may break.
func (b *bench) requireConsistent() {
	b.t.Helper()
	for what, sql := range map[string]string{
		"operations without their first event":   "SELECT count(*) FROM operations o WHERE (SELECT count(*) FROM audit_events e WHERE e.operation_id = o.id AND e.outcome = 'ACCEPTED') <> 1",
		"ended operations without their outcome": "SELECT count(*) FROM operations o WHERE finished_at IS NOT NULL AND (SELECT count(*) FROM audit_events e WHERE e.operation_id = o.id AND e.outcome = o.state AND e.method = o.method) <> 1",
		"outcomes of operations not ended":       "SELECT count(*) FROM audit_events e JOIN operations o ON o.id = e.operation_id WHERE e.outcome <> 'ACCEPTED' AND e.method = o.method AND o.finished_at IS NULL",
		"sealed requests kept":                   "SELECT count(*) FROM operations WHERE finished_at IS NOT NULL AND sealed_request IS NOT NULL",
	} {
		if n := b.count(sql); n != 0 {
			b.t.Errorf("%d %s", n, what)
		}
	}
}

// await polls until what is so.
func (b *bench) await(what string, is func() bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			b.t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

func mustID(t testing.TB, text string) uuid.UUID {
	t.Helper()
	id, err := uuid.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
