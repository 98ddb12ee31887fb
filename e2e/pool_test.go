package e2e_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestTheSmallestPoolServesCallers has all that holds connections for long hold as many as it may: the
// sync, lists being gone through, and exports that nobody takes.
func TestTheSmallestPoolServesCallers(t *testing.T) {
	w := newWorld(t)
	w.many(t, 3000, 8<<10)
	w.vendor.fail(t, genaisim.Fault{Method: http.MethodGet, DelayMS: int(time.Minute / time.Millisecond)})
	s := w.serve(t, "AGENTSVC_DATABASE_CONNS=8")
	auditor := run(t, environment("DATABASE_URL="+w.database), "token", "create", "--name", "auditor", "--platform", "auditor")
	held, leave := context.WithCancel(t.Context())
	defer leave()
	for _, token := range []string{w.payments, w.search, auditor} {
		c := s.overGRPC(t, token)
		go func() { _, _ = c.agents.ListAgents(held, &pb.ListAgentsRequest{MaxStaleness: durationpb.New(0)}) }()
		go func() {
			_, _ = c.bases.ListKnowledgeBases(held, &pb.ListKnowledgeBasesRequest{MaxStaleness: durationpb.New(0)})
		}()
		for range 2 {
			go func() {
				if stream, err := c.audit.ExportAuditEvents(held, &pb.ExportAuditEventsRequest{}); err == nil {
					stream.Receive()
					<-held.Done()
				}
			}()
		}
	}
	await(t, "the exports and the work for the account hold what they may", func() bool {
		return w.count(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'") >= 4
	})
	within, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	c := s.as(t, w.payments)
	begun := time.Now()
	for range 20 {
		if _, err := c.resources.ListResources(within, &pb.ListResourcesRequest{}); err != nil {
			t.Fatalf("after %s: %v", time.Since(begun), err)
		}
	}
	t.Logf("20 calls took %s", time.Since(begun))
}

// TestAPoolThatIsTooSmallIsRefused says how many connections there must be.
func TestAPoolThatIsTooSmallIsRefused(t *testing.T) {
	t.Parallel()
	w := newTwoAccounts(t, genaisim.Config{})
	p := start(t, environment("DATABASE_URL="+w.database, "DIGITALOCEAN_TOKEN=x", "AGENTSVC_SEAL_KEYS_FILE="+w.keys,
		"AGENTSVC_UPSTREAM_URL="+w.vendor.url, "AGENTSVC_LISTEN=127.0.0.1:0", "AGENTSVC_ACCOUNTS_DIR="+w.dir, "AGENTSVC_DATABASE_CONNS=12"), "serve")
	if code := p.wait(t); code == 0 || !strings.Contains(p.String(), "AGENTSVC_DATABASE_CONNS must be at least 13 for 2 vendor accounts") {
		t.Errorf("it ended with %d and said %s", code, p)
	}
}
