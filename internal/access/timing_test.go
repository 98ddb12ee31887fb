package access_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// statements are those that went to the database.
type statements struct {
	mu  sync.Mutex
	all []string
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, q.SQL)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestAnothersAndUnknownTakeTheSameQueries has the time tell no more than the words: what is
// another team's is refused by the same statements as what never was, events included.
func TestAnothersAndUnknownTakeTheSameQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.pool.Config()
	trace := &statements{}
	cfg.ConnConfig.Tracer = trace
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	guard := access.New(db.New(pool), onlyAgents, slog.New(slog.DiscardHandler))
	w.run(t, `INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, request_digest, request, lane, virtual_start)
		SELECT 'bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb', 'default', id, 'x', 'm', 'agent', 'k2', '', '', 2, 0 FROM teams WHERE name = 'search'`)
	for name, pair := range map[string][2]proto.Message{
		"agent":     {&pb.GetAgentRequest{Uuid: searchAgent}, &pb.GetAgentRequest{Uuid: unknownAgent}},
		"unowned":   {&pb.DeleteAgentRequest{Uuid: unownedAgent}, &pb.DeleteAgentRequest{Uuid: unknownAgent}},
		"base":      {&pb.GetKnowledgeBaseRequest{Uuid: searchBase}, &pb.GetKnowledgeBaseRequest{Uuid: unknownBase}},
		"team":      {&pb.GetTeamRequest{Team: "search"}, &pb.GetTeamRequest{Team: "nowhere"}},
		"operation": {&pb.GetOperationRequest{Id: "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"}, &pb.GetOperationRequest{Id: unknownOp}},
	} {
		t.Run(name, func(t *testing.T) {
			var took [2][]string
			for i, req := range pair {
				for range 2 { // the first denial of a minute, and one more
					w.aMinuteLater(t)
					trace.all = nil
					_, err := guard.Check(t.Context(), w.callers["owner"], methods.API().ByRequest(req), req)
					if fault.ReasonOf(err) != missing {
						t.Fatalf("got %v", err)
					}
				}
				took[i] = trace.all
			}
			if len(took[0]) != len(took[1]) {
				t.Fatalf("another team's takes %d statements and what is missing %d:\n%q\n%q", len(took[0]), len(took[1]), took[0], took[1])
			}
			for i := range took[0] {
				if took[0][i] != took[1][i] {
					t.Errorf("statement %d differs: %q and %q", i, took[0][i], took[1][i])
				}
			}
		})
	}
}
