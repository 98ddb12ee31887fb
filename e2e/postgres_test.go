package e2e_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestPostgresGone crashes Postgres under a service that has changes under way, and
// starts it again.
func TestPostgresGone(t *testing.T) {
	server := dbtest.Server(t)
	run(t, environment("DATABASE_URL="+server.URL()), "migrate", "up", "--app-role", dbtest.AppRole)
	w := worldOn(t, server.URL())
	s := w.serve(t)
	c := s.as(t, w.payments)
	// One change has been sent and one waits behind it: both are of the same agent.
	agent, other := newAgent(t, c, "under-way"), newAgent(t, c, "at-rest")
	sending, waiting := updating(agent, "sent while the database was there"), updating(agent, "sent when the database was back")
	w.vendor.fail(t, genaisim.Fault{Method: sending.verb, Path: sending.path, DelayMS: 1500, Count: 1})
	type answer struct {
		made
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		got, err := sending.do(t.Context(), c, &pb.MutationOptions{})
		answered <- answer{got, err}
	}()
	await(t, "the first change is on its way", func() bool {
		return w.count(t, "SELECT count(*) FROM operations WHERE method LIKE '%.UpdateAgent' AND resource_uuid = $1 AND sent_at IS NOT NULL", agent) == 1
	})
	queued, err := waiting.do(t.Context(), c, &pb.MutationOptions{Async: true})
	if err != nil {
		t.Fatal(err)
	}

	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	w.awayWithoutPostgres(t, s, other)
	await(t, "the vendor makes the first change meanwhile", func() bool { return len(w.vendor.effects(sending.mine)) == 1 })
	begun := time.Now()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}

	await(t, "the service is ready again", func() bool { status, _ := get(t, s.url+"/readyz"); return status == http.StatusOK })
	t.Logf("ready %s after the restart of Postgres began", time.Since(begun).Round(10*time.Millisecond))
	first := <-answered
	if first.err != nil || first.operation.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Fatalf("who waited all the while was told %v, %v", first.operation, first.err)
	}
	ended(t, c, queued.operation.GetId())
	effects := w.vendor.effects(sending.mine)
	if len(effects) != 2 {
		t.Errorf("the effects are %q, want one for each change", effects)
	}
	waiting.shows(t, c, w.vendor)
	for _, id := range []string{first.operation.GetId(), queued.operation.GetId()} {
		if n := w.count(t, "SELECT count(*) FROM audit_events WHERE operation_id = $1 AND outcome = 'SUCCEEDED'", id); n != 1 {
			t.Errorf("the history has operation %s succeed %d times", id, n)
		}
	}
	if n := w.count(t, "SELECT count(*) FROM operations WHERE finished_at IS NULL"); n != 0 {
		t.Errorf("%d operations have not ended", n)
	}
	again := updating(other, "all is well")
	got, err := again.do(t.Context(), c, &pb.MutationOptions{})
	if err != nil {
		t.Fatalf("a change afterwards: %v", err)
	}
	w.once(t, c, again, got.operation.GetId(), 0)
}

// awayWithoutPostgres checks what callers and health checks are told without a database.
func (w *world) awayWithoutPostgres(t *testing.T, s *service, agent string) {
	t.Helper()
	before := w.vendor.count(sent(http.MethodPut, agentsPath+"/"+agent))
	for protocol, c := range map[string]*client{"Connect": s.as(t, w.payments), "gRPC": s.overGRPC(t, w.payments)} {
		for name, call := range map[string]func(context.Context) error{
			"reading": func(ctx context.Context) error {
				_, err := c.agents.GetAgent(ctx, &pb.GetAgentRequest{Uuid: agent})
				return err
			},
			"listing": func(ctx context.Context) error {
				_, err := c.audit.ListAuditEvents(ctx, &pb.ListAuditEventsRequest{})
				return err
			},
			"changing": func(ctx context.Context) error {
				_, err := c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{Uuid: agent, Description: new("lost")})
				return err
			},
		} {
			begun := time.Now()
			err := call(t.Context())
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("%s over %s took %s to be refused", name, protocol, took)
			}
			if connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("%s over %s: %v, want unavailable", name, protocol, err)
			}
			if retry := detail[*errdetails.RetryInfo](err).GetRetryDelay().AsDuration(); retry <= 0 {
				t.Errorf("%s over %s does not say when to come back: %v", name, protocol, err)
			}
			want := pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE.String()
			if got := detail[*errdetails.ErrorInfo](err).GetReason(); got != want {
				t.Errorf("%s over %s: the reason is %s, want %s", name, protocol, got, want)
			}
		}
	}
	if status, body := get(t, s.url+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d: %s", status, body)
	}
	if status, body := get(t, s.url+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d: %s", status, body)
	}
	if n := w.vendor.count(sent(http.MethodPut, agentsPath+"/"+agent)); n != before {
		t.Error("a change that nobody could record was sent to the vendor")
	}
}
