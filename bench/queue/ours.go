package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// unlimited is more than is ever used.
const unlimited = 10_000_000

// ours is the queue of agentsvc with a vendor that answers at once.
type ours struct {
	engine *operation.Engine
	store  *db.Store
	pool   *pgxpool.Pool
	caller identity.Caller
}

// vendor makes agents at no cost.
type vendor struct{}

// Do answers the creation of an agent.
func (vendor) Do(_ context.Context, _ *methods.Method, req, resp proto.Message) (upstream.Reply, error) {
	create, _ := req.(*pb.CreateAgentRequest)
	if made, ok := resp.(*pb.CreateAgentResponse); ok {
		made.Agent = &pb.Agent{Uuid: new(uuid.NewString()), Name: create.Name, Tags: create.GetTags()}
	}
	return upstream.Reply{Status: 200, Limit: -1, Remaining: -1}, nil
}

func newOurs(ctx context.Context, pool *pgxpool.Pool, workers int) (*ours, error) {
	key, err := seal.NewKey("bench")
	if err != nil {
		return nil, err
	}
	ring, err := seal.Read(strings.NewReader(key))
	if err != nil {
		return nil, err
	}
	store, log := db.New(pool), slog.New(slog.DiscardHandler)
	account := budget.New(store, budget.DefaultAccount, budget.Limits{PerMinute: unlimited, PerHour: unlimited}, log)
	copied := mirror.New(mirror.Config{Store: store, Client: vendor{}, Budget: account, Tokens: listing.NewTokens(ring.Derive("pages")), Log: log})
	engine, err := operation.New(operation.Config{
		Store: store, Vendor: vendor{}, Budget: account, History: copied, Ring: ring, Log: log, Worker: "bench",
		Concurrency: workers, Backlog: unlimited,
	})
	if err != nil {
		return nil, err
	}
	team, err := store.UpsertTeam(ctx, "bench")
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "UPDATE teams SET backlog_limit = 1000000"); err != nil {
		return nil, err
	}
	return &ours{engine: engine, store: store, pool: pool, caller: identity.Caller{
		Name: "bench", ActingTeam: identity.Team{ID: team, Name: "bench"},
	}}, nil
}

func (q *ours) insert(ctx context.Context) error {
	return q.engine.Change(ctx, q.caller, &pb.CreateAgentRequest{
		Name: new("bench"), ModelUuid: new(uuid.NewString()), Mutation: &pb.MutationOptions{Async: true},
	}, &pb.CreateAgentResponse{})
}

func (q *ours) work(ctx context.Context, jobs, _ int) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- q.engine.Run(ctx) }()
	if err := await(ctx, q.pool, "SELECT count(*) FROM operations WHERE state = 'SUCCEEDED'", jobs); err != nil {
		return err
	}
	stop()
	return <-ended
}

// await polls until a count is reached.
func await(ctx context.Context, pool *pgxpool.Pool, count string, want int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		if err := pool.QueryRow(ctx, count).Scan(&n); err != nil || n >= want {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
