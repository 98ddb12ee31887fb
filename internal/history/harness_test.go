package history_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/history"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/upstream"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestMain(m *testing.M) {
	// Each history is some hundred statements: so many of them are a quarter of a minute. More,
	// when somebody wants to be sure: -rapid.checks=1000.
	if checks := flag.Lookup("rapid.checks"); checks != nil {
		_ = checks.Value.Set("20")
	}
	dbtest.Main(m)
}

// bench is the whole write path: an engine that works, a mirror, a database whose clock the
// test moves on, and a vendor with the same clock.
type bench struct {
	*history.Reader

	t      testing.TB
	pool   *pgxpool.Pool
	store  *db.Store
	sim    *genaisim.Server
	client *upstream.Client
	copied *mirror.Mirror
	engine *operation.Engine
	// ahead is how far the clocks are before the machine's.
	ahead atomic.Int64

	// owner, operator and viewer are of the payments team, other of another.
	owner, operator, viewer, other, auditor identity.Caller
}

// clock puts functions in front of Postgres's own, so that a test can move time on instead of
// waiting: what happens within a second can hardly be told apart by the vendor's times.
const clock = `
CREATE SCHEMA clock;
CREATE TABLE clock.ahead (by interval NOT NULL);
INSERT INTO clock.ahead VALUES ('0');
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + by FROM clock.ahead';
CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.now() + by FROM clock.ahead'`

func setup(t testing.TB) *bench {
	t.Helper()
	pool, err := db.Open(t.Context(), dbtest.NewURL(t), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["search_path"] = "clock, pg_catalog, public"
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), clock); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, pool: pool, store: db.New(pool)}
	b.sim = genaisim.New(genaisim.Config{Strict: true, Now: func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }})
	vendor := httptest.NewServer(b.sim)
	t.Cleanup(vendor.Close)
	log := slog.New(slog.DiscardHandler)
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	if b.client, err = upstream.New(upstream.Config{
		BaseURL: vendor.URL, Token: func() string { return "token" }, Timeout: 5 * time.Second, Log: log, Transport: transport,
	}); err != nil {
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
	tokens := listing.NewTokens(ring.Derive("pages"))
	account := budget.New(b.store, budget.DefaultAccount, budget.Limits{PerMinute: 1_000_000, PerHour: 1_000_000}, log)
	b.copied = mirror.New(mirror.Config{Store: b.store, Client: b.client, Budget: account, Tokens: tokens, Log: log})
	b.Reader = history.New(b.store, b.copied, tokens)
	if b.engine, err = operation.New(operation.Config{
		Store: b.store, Vendor: b.client, Budget: account, Ring: ring, Log: log, Worker: "worker", History: b.copied, Aim: b.AimRollback,
		Backoff: 20 * time.Millisecond, Drain: 5 * time.Second,
	}); err != nil {
		t.Fatal(err)
	}
	b.run()
	payments := b.team("payments")
	b.owner, b.operator, b.viewer = caller("olga", payments, pb.Role_ROLE_OWNER), caller("oskar", payments, pb.Role_ROLE_OPERATOR), caller("vera", payments, pb.Role_ROLE_VIEWER)
	b.other = caller("sam", b.team("search"), pb.Role_ROLE_OWNER)
	b.auditor = identity.Caller{Name: "auditor", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
	return b
}

// run has the engine work until the test ends.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 2)
	go func() { ended <- b.engine.Run(ctx) }()
	go func() { ended <- b.engine.RunNotifications(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
	})
}

func (b *bench) team(name string) identity.Team {
	b.t.Helper()
	id, err := b.store.UpsertTeam(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return identity.Team{ID: id, Name: name}
}

func caller(name string, team identity.Team, role pb.Role) identity.Caller {
	return identity.Caller{
		Name: name + "@" + team.Name + ".example", ActingTeam: team, Teams: []identity.Membership{{TeamID: team.ID, Team: team.Name, Role: role}},
	}
}

// pass lets time go on for all.
func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), "UPDATE clock.ahead SET by = by + $1::interval", d); err != nil {
		b.t.Fatal(err)
	}
	b.ahead.Add(int64(d))
}

// now is the database's.
func (b *bench) now() time.Time {
	b.t.Helper()
	now, err := b.store.ClockNow(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return now
}

// change makes a change as an operation of the payments team.
func change[Resp proto.Message](b *bench, req proto.Message, resp Resp) Resp {
	b.t.Helper()
	if err := b.engine.Change(b.t.Context(), b.operator, req, resp); err != nil {
		b.t.Fatalf("%T: %v", req, err)
	}
	return resp
}

// outside makes a change behind our back.
func (b *bench) outside(req proto.Message) proto.Message {
	b.t.Helper()
	m := methods.API().ByRequest(req)
	resp := m.Output.New().Interface()
	if _, err := b.client.Do(b.t.Context(), m, req, resp); err != nil {
		b.t.Fatalf("%T elsewhere: %v", req, err)
	}
	return resp
}

func because(reason string) *pb.MutationOptions { return &pb.MutationOptions{Reason: reason} }

func (b *bench) create(name string) string {
	b.t.Helper()
	return change(b, &pb.CreateAgentRequest{
		Name: &name, Instruction: new("Be kind."), ModelUuid: new(genaisim.ModelLlama), Mutation: because("needed"),
	}, &pb.CreateAgentResponse{}).GetAgent().GetUuid()
}

func (b *bench) update(id string, temperature float64, reason string) *pb.UpdateAgentResponse {
	b.t.Helper()
	return change(b, &pb.UpdateAgentRequest{Uuid: id, Temperature: &temperature, Mutation: because(reason)}, &pb.UpdateAgentResponse{})
}

func (b *bench) route(parent, child, ifCase, reason string) *pb.AddAgentRouteResponse {
	b.t.Helper()
	return change(b, &pb.AddAgentRouteRequest{
		ParentAgentUuid: parent, ChildAgentUuid: child, IfCase: &ifCase, RouteName: new("to-" + child[:4]), Mutation: because(reason),
	}, &pb.AddAgentRouteResponse{})
}

func (b *bench) unroute(parent, child, reason string) {
	b.t.Helper()
	change(b, &pb.DeleteAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, Mutation: because(reason)}, &pb.DeleteAgentRouteResponse{})
}

// look reads an agent as it is at the vendor's now.
func (b *bench) look(id string) {
	b.t.Helper()
	err := b.copied.Get(b.t.Context(), b.viewer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(0)}, &pb.GetAgentResponse{})
	if err != nil && fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_NOT_FOUND {
		b.t.Fatalf("looking at agent %s: %v", id, err)
	}
}

// catchUp reads the vendor's versions of an agent.
func (b *bench) catchUp(id string) {
	b.t.Helper()
	if _, err := b.copied.RefreshVersions(b.t.Context(), b.viewer, uuid.MustParse(id), durationpb.New(0)); err != nil {
		b.t.Fatalf("reading the versions of agent %s: %v", id, err)
	}
}

func (b *bench) asOf(as identity.Caller, id string, at time.Time) (*pb.GetAgentAsOfResponse, error) {
	return b.GetAgentAsOf(b.t.Context(), as, &pb.GetAgentAsOfRequest{Uuid: id, Time: timestamppb.New(at)})
}

func requireReason(t testing.TB, want pb.ErrorReason, err error) {
	t.Helper()
	if got := fault.ReasonOf(err); err == nil || got != want {
		t.Fatalf("got %v (%v), want %v", err, got, want)
	}
}

func zero() *durationpb.Duration { return durationpb.New(0) }

func asFault(err error, into **fault.Error) bool { return errors.As(err, into) }

func (b *bench) graph(as identity.Caller, root string, direction pb.GetRouteGraphRequest_Direction) *pb.GetRouteGraphResponse {
	b.t.Helper()
	resp, err := b.GetRouteGraph(b.t.Context(), as, &pb.GetRouteGraphRequest{RootUuid: root, Direction: direction})
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

func clone[M proto.Message](m M) M { return proto.CloneOf(m) }
