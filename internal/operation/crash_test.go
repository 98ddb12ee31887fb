package operation_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestLeaseLostWhileTheVendorIsSlow keeps an operation from being renewed while its
// request is under way, until another claim takes it up.
func TestLeaseLostWhileTheVendorIsSlow(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Lease, c.Quiet = time.Second, 3*time.Second })
	b.start(b.engine)
	agent := b.create("agent")
	b.fault(genaisim.Fault{Method: "POST", Path: "/v2/gen-ai/agents/{agent}/api_keys", DelayMS: 2500, Count: 1})
	id := b.submit(b.caller, &pb.CreateAgentApiKeyRequest{
		AgentUuid: agent, Name: new("key"), Mutation: &pb.MutationOptions{Async: true, IdempotencyKey: "k"},
	}, &pb.CreateAgentApiKeyResponse{})
	b.await("it is sent", func() bool {
		return b.count("SELECT count(*) FROM operations WHERE id = $1 AND sent_at IS NOT NULL", id) == 1
	})

	// Whoever holds the row keeps the renewal waiting.
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT 1 FROM operations WHERE id = $1 FOR UPDATE", id); err != nil {
		t.Fatal(err)
	}
	b.await("the lease has run out", func() bool {
		return b.count("SELECT count(*) FROM operations WHERE id = $1 AND lease_expires_at < clock_timestamp()", id) == 1
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if op := b.ended(id); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Fatalf("it ended as %s: %s", op.GetState(), op.GetError().GetMessage())
	}
	made := 0
	for _, r := range b.effects() {
		if r.Method == http.MethodPost && strings.HasSuffix(r.Path, "/api_keys") {
			made++
		}
	}
	if made != 1 {
		t.Errorf("the vendor made %d keys", made)
	}
	if n := b.count("SELECT claims FROM operations WHERE id = $1", id); n < 2 {
		t.Errorf("it was claimed %d times: the test did not do what it is for", n)
	}
	b.requireConsistent()
}

// TestClaimsKeepTheirLimit has the planner see a table that it thinks is tiny.
func TestClaimsKeepTheirLimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	submit := func() {
		b.submit(b.caller, &pb.CreateAgentRequest{Name: new("a"), Mutation: &pb.MutationOptions{Async: true}}, &pb.CreateAgentResponse{})
	}
	submit()
	if _, err := b.pool.Exec(t.Context(), "VACUUM ANALYZE operations"); err != nil {
		t.Fatal(err)
	}
	for range 14 {
		submit()
	}
	worker := "worker"
	for _, limit := range []int32{1, 3} {
		rows, err := b.store.ClaimQueued(t.Context(), dbsql.ClaimQueuedParams{Worker: &worker, LeaseSeconds: -1, Account: "default", AtMost: limit})
		if err != nil || len(rows) != int(limit) {
			t.Errorf("claiming %d queued: %d, %v", limit, len(rows), err)
		}
	}
	rows, err := b.store.ClaimAbandoned(t.Context(), dbsql.ClaimAbandonedParams{Worker: &worker, LeaseSeconds: 10, Account: "default", AtMost: 2})
	if err != nil || len(rows) != 2 {
		t.Errorf("claiming 2 abandoned: %d, %v", len(rows), err)
	}
}

// TestLostAnswerToACommit cuts the connection when a submission has been committed and
// its caller does not know yet.
func TestLostAnswerToACommit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		// away is how many connections after that one do not come about.
		away int
		told bool // of the operation by an error, because nobody can tell what became of it
	}{
		"and Postgres is back at once":    {},
		"and Postgres takes a while":      {away: 2},
		"and Postgres does not come back": {away: 1000, told: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const marker = "cut after this"
			b := setup(t)
			proxy := newCutter(t, b.pool.Config().ConnConfig, marker, 2, tc.away) // first with the operation, then with its event and the commit
			pool, err := db.Open(t.Context(), proxy.url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			cfg := b.cfg
			cfg.Store = db.New(pool)
			engine, err := operation.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			resp := &pb.CreateAgentResponse{}
			err = engine.Change(t.Context(), b.caller, &pb.CreateAgentRequest{
				Name: new("agent"), ModelUuid: new(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true, Reason: marker},
			}, resp)
			if !proxy.cut.Load() {
				t.Fatal("nothing was cut: the test did not do what it is for")
			}
			id := resp.GetOperation().GetId()
			if refusal, ok := errors.AsType[*fault.Error](err); ok && tc.told {
				id = refusal.Metadata["operation"]
			} else if err != nil {
				t.Fatalf("submitting: %v", err)
			}
			if n := b.count("SELECT count(*) FROM operations WHERE id::text = $1", id); n != 1 {
				t.Errorf("the caller was told %v, and of operation %q, which is not there", err, id)
			}
			if n := b.count("SELECT count(*) FROM operations"); n != 1 {
				t.Errorf("%d operations are there", n)
			}
			b.requireConsistent()
		})
	}
}

// cutter is a way to Postgres that breaks once, after the nth request with the marker
// has gone through and before its answer comes back. After that, as many connections as
// away says break before anything is said.
type cutter struct {
	url string
	cut atomic.Bool
}

func newCutter(t *testing.T, to *pgx.ConnConfig, marker string, nth, away int) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(to.ConnString())
	if err != nil {
		t.Fatal(err)
	}
	address := target.Host
	target.Host = listener.Addr().String()
	c := &cutter{url: target.String()}
	var seen, broken atomic.Int32
	var connections sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); connections.Wait() })
	connections.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			if c.cut.Load() && int(broken.Add(1)) <= away {
				_ = client.Close()
				continue
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				_ = client.Close()
				continue
			}
			var mute atomic.Bool
			connections.Go(func() { // answers
				defer client.Close()
				buffer := make([]byte, 1<<16)
				for {
					n, err := server.Read(buffer)
					if err != nil || mute.Load() {
						_ = server.Close()
						return
					}
					if _, err := client.Write(buffer[:n]); err != nil {
						return
					}
				}
			})
			connections.Go(func() { // requests
				defer server.Close()
				buffer := make([]byte, 1<<16)
				for {
					n, err := client.Read(buffer)
					if err != nil {
						return
					}
					if bytes.Contains(buffer[:n], []byte(marker)) && int(seen.Add(1)) == nth {
						mute.Store(true)
						c.cut.Store(true)
					}
					if _, err := server.Write(buffer[:n]); err != nil {
						return
					}
					if mute.Load() {
						_, _ = io.Copy(io.Discard, client) // until the answer is cut off
						return
					}
				}
			})
		}
	})
	return c
}
