package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestAFloodOfDenialsIsTwoEvents has a caller denied a hundred times within a minute.
func TestAFloodOfDenialsIsTwoEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	req := &pb.GetAgentRequest{Uuid: searchAgent}
	m := methods.API().ByRequest(req)
	const flood = 100
	for range flood {
		if _, err := w.guard.Check(t.Context(), w.callers["operator"], m, req); fault.ReasonOf(err) != missing {
			t.Fatalf("got %v", err)
		}
	}
	// Another caller, and another method, are told by themselves.
	_, _ = w.guard.Check(t.Context(), w.callers["viewer"], m, req)
	other := &pb.DeleteAgentRequest{Uuid: searchAgent}
	_, _ = w.guard.Check(t.Context(), w.callers["operator"], methods.API().ByRequest(other), other)
	tell := func() []event {
		t.Helper()
		if err := w.guard.TellRepeats(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.events(t)
	}
	before := len(tell())
	if before > 4 || before < 3 { // the flood may have begun in one minute and ended in the next
		t.Fatalf("%d denials are %d events while the minute goes on", flood+2, before)
	}
	if _, err := w.pool.Exec(t.Context(), "UPDATE denials SET minute = minute - interval '5 minutes'"); err != nil {
		t.Fatal(err)
	}
	after := tell()[before:]
	if len(after) == 0 || len(after) > 2 {
		t.Fatalf("the rest is told as %+v", after)
	}
	for _, e := range after {
		if e.Actor != "operator" || e.Method != string(m.Name) || e.Outcome != "DENIED" {
			t.Errorf("told as %+v", e)
		}
	}
	var told int
	if err := w.pool.QueryRow(t.Context(), "SELECT sum((after ->> 'repeats')::int) FROM audit_events WHERE after ? 'repeats'").Scan(&told); err != nil {
		t.Fatal(err)
	}
	if told+before-2 != flood {
		t.Errorf("%d of %d denials are told", told+before-2, flood)
	}
	if again := tell(); len(again) != before+len(after) {
		t.Errorf("told again: %+v", again[before+len(after):])
	}
}

func TestWhatIsFrozenIsNotChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	freeze := func(sql string, args ...any) {
		t.Helper()
		if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	freeze("INSERT INTO freezes (team_id, actor, reason) VALUES ($1, 'ada@example.com', 'leaked key')", w.teams["payments"])
	update, get := &pb.UpdateAgentRequest{Uuid: paymentsAgent}, &pb.GetAgentRequest{Uuid: paymentsAgent}
	elsewhere := &pb.UpdateAgentRequest{Uuid: searchAgent}
	into := &pb.CreateWorkspaceRequest{Mutation: &pb.MutationOptions{Team: "search"}, AgentUuids: []string{paymentsAgent}}
	revoke := &pb.RevokeServiceTokenRequest{Team: "payments", Token: "abcdefgh"}

	_, err := w.guard.Check(t.Context(), w.callers["owner"], methods.API().ByRequest(update), update)
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_FROZEN {
		t.Fatalf("a change of what is frozen: %v", err)
	}
	for _, told := range []string{`team "payments" is frozen`, "ada@example.com froze it at 20", "leaked key"} {
		if !strings.Contains(err.Error(), told) {
			t.Errorf("the refusal does not say %q: %v", told, err)
		}
	}
	if _, err := w.guard.Check(t.Context(), w.callers["admin"], methods.API().ByRequest(update), update); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_FROZEN {
		t.Errorf("an administrator's change of what is frozen: %v", err)
	}
	if _, err := w.guard.Check(t.Context(), w.callers["admin"], methods.API().ByRequest(into), into); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_FROZEN {
		t.Errorf("what is frozen is moved by a change of another team: %v", err)
	}
	if _, err := w.guard.Check(t.Context(), w.callers["owner"], methods.API().ByRequest(get), get); err != nil {
		t.Errorf("a read of what is frozen: %v", err)
	}
	if _, err := w.guard.Check(t.Context(), w.callers["owner"], methods.API().ByRequest(revoke), revoke); err != nil {
		t.Errorf("a token of a frozen team cannot be revoked: %v", err)
	}
	if _, err := w.guard.Check(t.Context(), w.callers["admin"], methods.API().ByRequest(elsewhere), elsewhere); err != nil {
		t.Errorf("another team's change: %v", err)
	}
}

// TestNobodyWaitsLongerToLearnWhatIsFrozen has a look what is frozen hang, for a caller who
// has time and one who has none.
func TestNobodyWaitsLongerToLearnWhatIsFrozen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE freezes"); err != nil {
		t.Fatal(err)
	}
	update := &pb.UpdateAgentRequest{Uuid: paymentsAgent}
	check := func(ctx context.Context) <-chan error {
		answer := make(chan error, 1)
		go func() {
			_, err := w.guard.Check(ctx, w.callers["owner"], methods.API().ByRequest(update), update)
			answer <- err
		}()
		return answer
	}
	waits := "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	patient := check(t.Context())
	for n := 0; n == 0; {
		if err := w.pool.QueryRow(t.Context(), waits).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := <-check(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the one without time: %v", err)
	}
	if len(patient) > 0 {
		t.Error("the one without time waited until the other had its answer")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-patient; err != nil {
		t.Errorf("the one with time: %v", err)
	}
}
