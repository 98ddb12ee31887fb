// Command mutations measures how many durable changes a second one agentsvc makes,
// beside how many commits a second the same Postgres makes in the same run.
//
// A change is made durable before it is sent and settled durably after: two commits at
// the least, so the figure to compare with is half the commits. There are three references,
// all with the same number of clients: pgbench's usual transaction (three updates, a
// select, an insert); the least that a commit can be, one insert; and what a change
// leaves, its rows, written by plain pgx. The database, the
// service, the simulated vendor and the clients share the machine, so where the disk is
// fast all of them compete for its processors.
//
//	go run ./bench/mutations --changes 2000 --clients 16
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/localpg"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/seal"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

type options struct {
	changes, clients, agents int
	commits                  time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.IntVar(&o.changes, "changes", 2000, "how many changes to make")
	flag.IntVar(&o.clients, "clients", 16, "how many clients make them")
	flag.IntVar(&o.agents, "agents", 64, "how many agents they change; changes of one agent go one after the other")
	flag.DurationVar(&o.commits, "commits-for", 5*time.Second, "how long to measure each reference, before and after")
	flag.Parse()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop only frees the signal handler
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	postgres, err := localpg.Start(ctx, localpg.Options{URL: os.Getenv("TEST_DATABASE_URL"), Fsync: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { _ = postgres.Stop() }() // temporary
	if err := migrate.Up(ctx, postgres.URL()); err != nil {
		return err
	}
	pool, err := db.Open(ctx, postgres.URL(), func(c *pgxpool.Config) { c.MaxConns = int32(o.clients) })
	if err != nil {
		return err
	}
	defer pool.Close()
	vendor, vendorURL, stopVendor, err := simulator(ctx)
	if err != nil {
		return err
	}
	defer stopVendor()
	service, stopService, err := serve(ctx, postgres.URL(), vendorURL)
	if err != nil {
		return err
	}
	defer stopService()
	if _, err := db.New(pool).UpsertTeam(ctx, "bench"); err != nil {
		return err
	}
	token, err := identity.CreateToken(ctx, db.New(pool).Queries, identity.TokenSpec{Service: "bench", Team: "bench", Role: pb.Role_ROLE_OPERATOR})
	if err != nil {
		return err
	}

	before, err := references(ctx, pool, o)
	if err != nil {
		return err
	}
	// What every connection plans once, and each process learns at its start, is not measured.
	warm := o
	warm.changes = o.changes / 4
	if _, err := changes(ctx, service, token.Secret, warm); err != nil {
		return err
	}
	result, err := changes(ctx, service, token.Secret, o)
	if err != nil {
		return err
	}
	idle, err := latency(ctx, pool, vendor, service, token.Secret, o)
	if err != nil {
		return err
	}
	rows, err := rowsOfChanges(ctx, pool, o)
	if err != nil {
		return err
	}
	after, err := references(ctx, pool, o)
	if err != nil {
		return err
	}
	inserts, transactions := (before.inserts+after.inserts)/2, (before.transactions+after.transactions)/2
	_, err = fmt.Fprintf(out, `postgres                      %s, fsync on
pgbench transactions a second %.0f   (%d clients; %.0f before, %.0f after)
plain inserts a second        %.0f   (%d clients, one a commit; %.0f before, %.0f after)
changes a second              %.0f   (%d changes, %d clients, %d agents)
changes ÷ (pgbench ÷ 2)       %.2f
changes ÷ (inserts ÷ 2)       %.2f   (aim: 0.50)
rows of a change, by pgx      %.0f   (two commits, one round trip each: %.2f of the inserts ÷ 2)
changes ÷ their rows          %.2f
a change takes                p50 %s  p95 %s  p99 %s
alone, submitted to arrived   p50 %s  p95 %s   (aim: p95 within 10ms)
a commit of one row           p50 %s  p95 %s
submitted to arrived ÷ commit %.1f of p95   (aim: 4)
`, postgres.How(), transactions, o.clients, before.transactions, after.transactions,
		inserts, o.clients, before.inserts, after.inserts,
		result.rate, o.changes, o.clients, o.agents, result.rate/(transactions/2), result.rate/(inserts/2),
		rows, rows/(inserts/2), result.rate/rows,
		result.quantile(0.50), result.quantile(0.95), result.quantile(0.99),
		round(idle.submitToSend, 0.50), round(idle.submitToSend, 0.95), round(idle.commit, 0.50), round(idle.commit, 0.95),
		quantile(idle.submitToSend, 0.95).Seconds()/quantile(idle.commit, 0.95).Seconds())
	return err
}

// simulator is a vendor without limits.
func simulator(ctx context.Context) (vendor *genaisim.Server, url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	vendor = genaisim.New(genaisim.Config{Strict: true})
	simContext, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = genaisim.Serve(simContext, listener, vendor) // the changes fail if it does
	}()
	return vendor, "http://" + listener.Addr().String(), func() { cancel(); <-done }, nil
}

// serve builds and runs the real binary.
func serve(ctx context.Context, database, vendor string) (url string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "agentsvc-bench-")
	if err != nil {
		return "", nil, err
	}
	binary, keys := filepath.Join(dir, "agentsvc"), filepath.Join(dir, "seal.keys")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/agentsvc") //nolint:gosec // a path of our own
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", nil, fmt.Errorf("building: %w", err)
	}
	key, err := seal.NewKey("bench")
	if err != nil {
		return "", nil, err
	}
	if err := os.WriteFile(keys, []byte(key), 0o600); err != nil {
		return "", nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return "", nil, err
	}
	command := exec.CommandContext(ctx, binary, "serve") //nolint:gosec // built above
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Env = append(os.Environ(), "DATABASE_URL="+database, "DIGITALOCEAN_TOKEN=bench", "AGENTSVC_UPSTREAM_URL="+vendor,
		"AGENTSVC_LISTEN="+address, "AGENTSVC_SEAL_KEYS_FILE="+keys, "AGENTSVC_LOG_LEVEL=warn",
		"AGENTSVC_RATE_PER_MINUTE=10000000", "AGENTSVC_RATE_PER_HOUR=10000000", "AGENTSVC_SYNC_EVERY=1h", "AGENTSVC_WORKERS=32")
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		_ = os.RemoveAll(dir)
	}
	url = "http://" + address
	for start := time.Now(); time.Since(start) < 20*time.Second; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", http.NoBody)
		if err != nil {
			return "", nil, err
		}
		if resp, err := transport().RoundTrip(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return url, stop, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop()
	return "", nil, errors.New("the service did not get ready")
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

type measured struct {
	rate  float64
	times []time.Duration
}

func (m measured) quantile(q float64) time.Duration { return round(m.times, q) }

// round is a quantile to print.
func round(times []time.Duration, q float64) time.Duration {
	return quantile(times, q).Round(10 * time.Microsecond)
}

// changes makes them, each client one after the other, over its own agents.
func changes(ctx context.Context, service, token string, o options) (measured, error) {
	client := agentsvcv1connect.NewAgentServiceClient(&http.Client{Transport: bearer(token)}, service)
	ids := make([]string, o.agents)
	for i := range ids {
		made, err := client.CreateAgent(ctx, &pb.CreateAgentRequest{
			Name: new(fmt.Sprintf("bench-%d", i)), ModelUuid: proto.String(genaisim.ModelLlama),
		})
		if err != nil {
			return measured{}, fmt.Errorf("making agents: %w", err)
		}
		ids[i] = made.GetAgent().GetUuid()
	}
	times := make([]time.Duration, o.changes)
	errs := make([]error, o.clients)
	var next atomic.Int64
	start := time.Now()
	var clients sync.WaitGroup
	for c := range o.clients {
		clients.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= o.changes {
					return
				}
				began := time.Now()
				_, err := client.UpdateAgent(ctx, &pb.UpdateAgentRequest{
					Uuid: ids[n%len(ids)], Description: new(fmt.Sprintf("change %d", n)),
					Mutation: &pb.MutationOptions{Reason: "bench"},
				})
				if err != nil {
					errs[c] = err
					return
				}
				times[n] = time.Since(began)
			}
		})
	}
	clients.Wait()
	took := time.Since(start)
	slices.Sort(times)
	return measured{rate: float64(o.changes) / took.Seconds(), times: times}, errors.Join(errs...)
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return transport().RoundTrip(r)
}

// transport keeps a connection for each client.
var transport = sync.OnceValue(func() *http.Transport { //nolint:gochecknoglobals // one for the process
	return &http.Transport{MaxIdleConnsPerHost: 64}
})
