package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/tlog"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/sink"
)

// fails runs a command that must end with an error, and returns all that it wrote.
func fails(t *testing.T, env []string, args ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("agentsvc %s is content:\n%s", strings.Join(args, " "), out)
	}
	return string(out)
}

// hook is a webhook that counts what it is told; while it is dead it answers with 500.
type hook struct {
	url string

	mu          sync.Mutex
	dead        bool
	places      map[int64]int
	checkpoints int
	forged      int
}

func newHook(t *testing.T, secret string) *hook {
	t.Helper()
	h := &hook{places: map[int64]int{}, dead: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.dead {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		at, signed, _ := strings.Cut(strings.TrimPrefix(r.Header.Get(sink.SignatureHeader), "t="), ",v1=")
		if sink.Signature([]byte(secret), at, body) != signed {
			h.forged++
		}
		var got struct {
			Type   string `json:"type"`
			Events []struct {
				Index int64 `json:"index"`
			} `json:"events"`
		}
		if json.Unmarshal(body, &got) == nil && got.Type == "audit.checkpoint" {
			h.checkpoints++
		}
		for _, e := range got.Events {
			h.places[e.Index]++
		}
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// TestTheHistoryIsSealedShippedAndVerified goes the way of an auditor, with the real program
// serving as a role that owns nothing: keys, changes, checkpoints outside, an export, and
// then every sort of cheating, by the owner of the database.
func TestTheHistoryIsSealedShippedAndVerified(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	db := environment("DATABASE_URL=" + w.database)
	key := run(t, environment(), "audit", "keygen", "--name", "audit.example.com", "--out", file("audit.key"))
	const secret = "a secret of the webhook"
	for name, text := range map[string]string{"audit.pub": key, "webhook.secret": secret} {
		if err := os.WriteFile(file(name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	webhook := newHook(t, secret)
	env := []string{
		"AGENTSVC_AUDIT_KEY_FILE=" + file("audit.key"), "AGENTSVC_AUDIT_CHECKPOINT_EVERY=1s", "AGENTSVC_AUDIT_CHECKPOINT_FILE=" + file("checkpoints"),
		"AGENTSVC_AUDIT_WEBHOOK_URL=" + webhook.url, "AGENTSVC_AUDIT_WEBHOOK_SECRET_FILE=" + file("webhook.secret"), "AGENTSVC_AUDIT_STDOUT=true",
	}
	first, second := w.serve(t, env...), w.serve(t, env...)
	c := first.as(t, w.payments)
	for range 12 {
		newAgent(t, c, "sealed") // the dead webhook holds none up
	}
	first.kill(t) // in the middle of sealing, as likely as not
	c = second.as(t, w.payments)
	for range 12 {
		newAgent(t, c, "sealed")
	}
	webhook.mu.Lock()
	webhook.dead = false
	webhook.mu.Unlock()
	w.rows.Exec(t.Context(), "UPDATE audit_sinks SET retry_at = now()") // so that the test need not wait for it

	events := w.count(t, "SELECT count(*) FROM audit_events")
	size := func(sql string) func() bool { return func() bool { return w.count(t, sql) >= events } }
	await(t, "a checkpoint covers all events", size("SELECT coalesce(max(size), 0) FROM audit_checkpoints"))
	await(t, "both sinks were told", size("SELECT coalesce(min(next_index), 0) FROM audit_sinks"))
	await(t, "the file has it", func() bool {
		text, _ := os.ReadFile(file("checkpoints"))
		return strings.Contains(string(text), "\n"+strconv.Itoa(w.count(t, "SELECT max(size) FROM audit_checkpoints"))+"\n")
	})
	webhook.mu.Lock()
	if len(webhook.places) < events || webhook.checkpoints == 0 || webhook.forged > 0 {
		t.Errorf("the webhook has %d of %d events, %d checkpoints, %d with a wrong signature", len(webhook.places), events, webhook.checkpoints, webhook.forged)
	}
	webhook.mu.Unlock()
	if lines := strings.Count(first.String()+second.String(), `{"index":`); lines < events {
		t.Errorf("standard output has %d of %d events", lines, events)
	}

	proves(t, w, second, key)
	second.signal(t, syscall.SIGTERM)
	second.wait(t)

	// Offline: the export, the checkpoints and the key.
	verify := func(more ...string) []string {
		return append([]string{"audit", "verify", file("export.jsonl"), "--checkpoint", file("checkpoints"), "--key", key}, more...)
	}
	run(t, db, "audit", "export", "--out", file("export.jsonl"))
	if out := run(t, environment(), verify()...); !strings.HasPrefix(out, "ok: ") {
		t.Errorf("an honest export: %s", out)
	}
	if out := run(t, db, "audit", "check", "--checkpoint", file("checkpoints"), "--key", file("audit.pub")); !strings.Contains(out, "ok: ") {
		t.Errorf("an honest database: %s", out)
	}

	// By the owner: a row changed behind the triggers' back, and its leaf with it.
	if _, err := w.rows.Exec(t.Context(), "UPDATE audit_events SET actor = 'eve'"); err == nil || !strings.Contains(err.Error(), "append-only") {
		t.Errorf("the owner changes events: %v", err)
	}
	cheat := func(sql string) {
		t.Helper()
		if _, err := w.rows.Exec(t.Context(), "SET session_replication_role = replica; "+sql+"; SET session_replication_role = DEFAULT"); err != nil {
			t.Fatal(err)
		}
	}
	cheat("UPDATE audit_events SET actor = 'eve' WHERE id = (SELECT event_id FROM audit_leaves WHERE index = 17)")
	if out := fails(t, db, "audit", "check"); !strings.Contains(out, "BAD: changed: place 17, event ") {
		t.Errorf("a changed row: %s", out)
	}
	run(t, db, "audit", "export", "--out", file("export.jsonl"))
	changed := regexp.MustCompile(`BAD: changed: line 18, place 17, event [0-9a-f-]{36}: `)
	if out := fails(t, environment(), verify()...); !changed.MatchString(out) {
		t.Errorf("an export with a changed row: %s", out)
	}
	cheat("DELETE FROM audit_leaves; DELETE FROM audit_nodes; DELETE FROM audit_checkpoints")
	run(t, append(db, "AGENTSVC_AUDIT_KEY_FILE="+file("audit.key")), "audit", "seal") // a forged log, signed with the true key
	if out := run(t, db, "audit", "check"); !strings.Contains(out, "ok: ") {
		t.Errorf("the forged log is not in itself right: %s", out)
	}
	if out := fails(t, db, "audit", "check", "--checkpoint", file("checkpoints"), "--key", key); !strings.Contains(out, "BAD: changed") {
		t.Errorf("a forged log against the checkpoints of before: %s", out)
	}
	run(t, db, "audit", "export", "--out", file("export.jsonl"))
	if out := fails(t, environment(), verify()...); !changed.MatchString(out) {
		t.Errorf("the export of a forged log: %s", out)
	}
	forged := w.serve(t, env...)
	await(t, "the service says so", func() bool { return strings.Contains(forged.String(), "THE HISTORY WAS CHANGED") })
}

// proves has an auditor prove an event over the API; and nobody else get a checkpoint.
func proves(t *testing.T, w *world, s *service, key string) {
	t.Helper()
	known, err := evidence.Verifiers(key)
	if err != nil {
		t.Fatal(err)
	}
	token := run(t, environment("DATABASE_URL="+w.database), "token", "create", "--name", "auditor", "--platform", "auditor")
	auditor, member := s.as(t, token), s.as(t, w.payments)
	list, err := member.audit.ListAuditEvents(t.Context(), &pb.ListAuditEventsRequest{PageSize: 100, Filter: `outcome = "SUCCEEDED"`})
	if err != nil || len(list.GetEvents()) == 0 {
		t.Fatal(err)
	}
	oldest := list.GetEvents()[len(list.GetEvents())-1]
	for _, c := range []*client{auditor, member} {
		proof, err := c.audit.ProveAuditEvent(t.Context(), &pb.ProveAuditEventRequest{EventId: oldest.GetId()})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := evidence.Open(proof.GetCheckpoint().GetNote(), known)
		if err != nil {
			t.Fatal(err)
		}
		var path []tlog.Hash
		for _, h := range proof.GetProof() {
			path = append(path, tlog.Hash(h))
		}
		if err := tlog.CheckRecord(path, signed.Size, signed.Root, proof.GetIndex(), tlog.RecordHash(proof.GetEvent())); err != nil {
			t.Errorf("the proof: %v", err)
		}
		if !strings.Contains(string(proof.GetEvent()), oldest.GetId()) {
			t.Errorf("the event is %s", proof.GetEvent())
		}
	}
	if _, err := auditor.audit.GetCheckpoint(t.Context(), &pb.GetCheckpointRequest{}); err != nil {
		t.Error(err)
	}
	for _, c := range []*client{member, s.as(t, w.search)} {
		if _, err := c.audit.GetCheckpoint(t.Context(), &pb.GetCheckpointRequest{}); connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("a member gets a checkpoint: %v", err)
		}
	}
	if _, err := s.as(t, w.search).audit.ProveAuditEvent(t.Context(), &pb.ProveAuditEventRequest{EventId: oldest.GetId()}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("another team proves it: %v", err)
	}
}
