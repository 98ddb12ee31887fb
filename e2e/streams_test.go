package e2e_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// TestStreamsEndWithTheRightToThem has a service open each sort of stream, none of which has anything
// to tell for long or can be taken in whole, and revokes its token with another process.
func TestStreamsEndWithTheRightToThem(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	c := s.overGRPC(t, w.payments)
	agent := newAgent(t, c, "kept")
	w.exec(t, "UPDATE teams SET approvals = '{DELETE_AGENT}'")
	waits, err := c.agents.DeleteAgent(t.Context(), &pb.DeleteAgentRequest{Uuid: agent, Mutation: &pb.MutationOptions{Async: true}})
	if err != nil {
		t.Fatal(err)
	}
	w.many(t, 3000, 8<<10)

	operation, err := c.operations.WatchOperation(t.Context(), &pb.WatchOperationRequest{Id: waits.GetOperation().GetId()})
	queue, err2 := c.operations.WatchQueue(t.Context(), &pb.WatchQueueRequest{Every: durationpb.New(time.Minute)})
	export, err3 := c.audit.ExportAuditEvents(t.Context(), &pb.ExportAuditEventsRequest{})
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	streams := map[string]interface {
		Receive() bool
		Err() error
	}{"WatchOperation": operation, "WatchQueue": queue, "ExportAuditEvents": export}
	for name, stream := range streams {
		if !stream.Receive() {
			t.Fatalf("%s: %v", name, stream.Err())
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/audit/export.jsonl", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	file, err := bearer{token: w.payments, next: newTransport(t, false)}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Body.Close()
	if _, err := io.ReadFull(file.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}

	id, _, _ := strings.Cut(strings.TrimPrefix(w.payments, "ast_"), "_")
	run(t, environment("DATABASE_URL="+w.database), "token", "revoke", id)
	at := time.Now()
	const exporting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH%' AND datname = current_database()"
	await(t, "the exports end", func() bool { return w.count(t, exporting) == 0 })
	for name, stream := range streams {
		for stream.Receive() {
			if name != "ExportAuditEvents" || export.Msg().GetEnd() != nil { // what is on its way arrives
				t.Errorf("%s tells more", name)
			}
		}
		if connect.CodeOf(stream.Err()) != connect.CodeUnauthenticated {
			t.Errorf("%s ends with %v", name, stream.Err())
		}
	}
	if n, err := io.Copy(io.Discard, file.Body); err == nil {
		t.Errorf("a file of which %d bytes came ends as if it were whole, with the trailer %v", n, file.Trailer)
	}
	took := time.Since(at)
	t.Logf("all streams had ended %s after the command", took)
	if took > 10*time.Second {
		t.Errorf("streams ended %s after the right to them", took)
	}
	await(t, "the history has that the exports were not taken to their end", func() bool {
		return w.count(t, `SELECT count(*) FROM audit_events WHERE method LIKE '%.ExportAuditEvents' AND outcome = 'FAILED'
			AND error_reason LIKE '%UNAUTHENTICATED'`) == 2
	})
}
