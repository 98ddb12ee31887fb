package history_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/history"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// counted counts statements.
type counted struct{ n atomic.Int64 }

func (c *counted) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (*counted) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// routes is a database of routes without agents' bodies, and a reader of it.
type routes struct {
	*history.Reader

	t     *testing.T
	pool  *pgxpool.Pool
	count *counted
}

func newRoutes(t *testing.T) *routes {
	t.Helper()
	r := &routes{t: t, count: &counted{}}
	var err error
	if r.pool, err = db.Open(t.Context(), dbtest.NewURL(t), func(c *pgxpool.Config) { c.ConnConfig.Tracer = r.count }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.pool.Close)
	r.Reader = history.New(db.New(r.pool), nil, listing.NewTokens(make([]byte, 32)))
	return r
}

// agent is the uuid of the agent with a number.
func agent(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func (r *routes) exec(sql string, args ...any) {
	r.t.Helper()
	if _, err := r.pool.Exec(r.t.Context(), sql, args...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *routes) agents(n int) {
	r.t.Helper()
	for i := range n {
		r.exec("INSERT INTO resources (kind, uuid, name) VALUES ('agent', $1, $2)", agent(i), fmt.Sprint("agent-", i))
	}
}

func (r *routes) route(from, to int) {
	r.t.Helper()
	r.exec("INSERT INTO agent_routes (kind, agent_uuid, target_uuid, valid_from) VALUES ('agent', $1, $2, '2026-01-01')", agent(from), agent(to))
}

func (r *routes) get(req *pb.GetRouteGraphRequest) *pb.GetRouteGraphResponse {
	r.t.Helper()
	resp, err := r.GetRouteGraph(r.t.Context(), identity.Caller{Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}, req)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp
}

func TestCirclesAreTold(t *testing.T) {
	t.Parallel()
	r := newRoutes(t)
	r.agents(5)
	// 0 → 1 → 2 → 0, 1 → 1 (which only others could make), and 2 → 3 beside them.
	for _, e := range [][2]int{{0, 1}, {1, 2}, {2, 0}, {1, 1}, {2, 3}} {
		r.route(e[0], e[1])
	}
	resp := r.get(&pb.GetRouteGraphRequest{RootUuid: agent(0)})
	var told []string
	for _, circle := range resp.GetCycles() {
		var text strings.Builder
		for _, id := range circle.GetAgentUuids() {
			text.WriteString(id[len(id)-1:])
		}
		told = append(told, text.String())
	}
	if fmt.Sprint(told) != "[1 012]" {
		t.Errorf("the circles are told to be %v", told)
	}
	closing := 0
	for _, edge := range resp.GetEdges() {
		if edge.GetClosesCycle() {
			closing++
		}
	}
	if len(resp.GetNodes()) != 4 || len(resp.GetEdges()) != 5 || closing != 2 || resp.GetTruncated() {
		t.Errorf("the graph is %v", resp)
	}
	if depth := resp.GetNodes()[3].GetDepth(); depth != 3 {
		t.Errorf("the last agent is told to be %d routes away", depth)
	}
}

func TestGraphsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRoutes(t)
	r.agents(6)
	for i := range 5 {
		r.route(i, i+1)
	}
	resp := r.get(&pb.GetRouteGraphRequest{RootUuid: agent(0), MaxDepth: 2})
	if len(resp.GetNodes()) != 3 || len(resp.GetEdges()) != 2 || !resp.GetTruncated() {
		t.Errorf("two routes far the graph is %v", resp)
	}
	resp = r.get(&pb.GetRouteGraphRequest{RootUuid: agent(5), MaxNodes: 3, Direction: pb.GetRouteGraphRequest_DIRECTION_PARENTS})
	if len(resp.GetNodes()) != 3 || resp.GetNodes()[2].GetAgent().GetName() != "agent-3" || !resp.GetTruncated() {
		t.Errorf("of three agents the graph is %v", resp)
	}
	if resp := r.get(&pb.GetRouteGraphRequest{RootUuid: agent(0)}); len(resp.GetNodes()) != 6 || resp.GetTruncated() {
		t.Errorf("the whole graph is %v", resp)
	}
}

func TestRoutesToNowhereAreMarked(t *testing.T) {
	t.Parallel()
	r := newRoutes(t)
	r.agents(3)
	r.route(0, 1)
	r.route(0, 2)
	r.route(0, 9)
	r.exec("UPDATE resources SET deleted_at = '2026-02-01' WHERE uuid = $1", agent(1))
	states := func(at time.Time) string {
		var told []string
		for _, n := range r.get(&pb.GetRouteGraphRequest{RootUuid: agent(0), AsOf: timestamppb.New(at)}).GetNodes() {
			told = append(told, n.GetState().String()[len("STATE_"):])
		}
		return strings.Join(told, "/")
	}
	if got := states(time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)); got != "PRESENT/PRESENT/PRESENT/UNKNOWN" {
		t.Errorf("before the deletion the agents were %s", got)
	}
	if got := states(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)); got != "PRESENT/DELETED/PRESENT/UNKNOWN" {
		t.Errorf("from the deletion on the agents were %s", got)
	}
	if got := states(time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)); got != "PRESENT" {
		t.Errorf("before the routes there were the agents %s", got)
	}
}

// TestALargeGraphIsAFewQuestions: the number of statements goes with the depth, not with the
// number of agents.
func TestALargeGraphIsAFewQuestions(t *testing.T) {
	t.Parallel()
	r := newRoutes(t)
	const n = 200
	r.exec(`INSERT INTO resources (kind, uuid, name) SELECT 'agent', ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'agent-' || i
		FROM generate_series(0, $1::integer - 1) i`, n)
	// A tree in which each has five children.
	r.exec(`INSERT INTO agent_routes (kind, agent_uuid, target_uuid, valid_from)
		SELECT 'agent', ('00000000-0000-4000-8000-' || lpad(((i - 1) / 5)::text, 12, '0'))::uuid, ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, '2026-01-01'
		FROM generate_series(1, $1::integer - 1) i`, n)
	before := r.count.n.Load()
	resp := r.get(&pb.GetRouteGraphRequest{RootUuid: agent(0)})
	asked := r.count.n.Load() - before
	if len(resp.GetNodes()) != n || len(resp.GetEdges()) != n-1 {
		t.Fatalf("there are %d agents and %d routes", len(resp.GetNodes()), len(resp.GetEdges()))
	}
	deepest := int64(resp.GetNodes()[n-1].GetDepth())
	if most := 2*(deepest+1) + 3; asked > most {
		t.Errorf("%d statements for a graph %d deep, want at most %d", asked, deepest, most)
	}
	if _, err := uuid.Parse(resp.GetNodes()[0].GetAgent().GetUuid()); err != nil {
		t.Error(err)
	}
}
