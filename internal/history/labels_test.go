package history_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

func byHash(hash string) *pb.VersionRef {
	return &pb.VersionRef{Version: &pb.VersionRef_Hash{Hash: hash}}
}

func byLabel(label string) *pb.VersionRef {
	return &pb.VersionRef{Version: &pb.VersionRef_Label{Label: label}}
}

// versions makes an agent with two versions.
func (b *bench) versions(name string) (id, first, second string) {
	b.t.Helper()
	id = b.create(name)
	if err := b.pool.QueryRow(b.t.Context(), "SELECT version_hash FROM resources WHERE uuid = $1", id).Scan(&first); err != nil {
		b.t.Fatal(err)
	}
	b.pass(time.Minute)
	return id, first, b.update(id, 0.1, "calmer").GetAgent().GetVersionHash()
}

func (b *bench) put(as identity.Caller, req *pb.SetAgentVersionLabelRequest) (*pb.SetAgentVersionLabelResponse, error) {
	b.t.Helper()
	return b.SetAgentVersionLabel(b.t.Context(), as, req)
}

func (b *bench) mustPut(as identity.Caller, id, label, hash string) {
	b.t.Helper()
	if _, err := b.put(as, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: label, Version: byHash(hash), Reason: "released"}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) count(sql string, args ...any) int {
	b.t.Helper()
	var n int
	if err := b.pool.QueryRow(b.t.Context(), sql, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestLabelsMoveWithTheirHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, first, second := b.versions("front")
	b.mustPut(b.operator, id, "prod", first)
	resp, err := b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Version: byHash(second), Reason: "better", ExpectedVersionHash: first})
	if err != nil || resp.GetPreviousVersionHash() != first || resp.GetLabel().GetVersionHash() != second || resp.GetLabel().GetBy().GetActor() != b.operator.Name {
		t.Fatalf("the label was moved to %v (%v)", resp, err)
	}
	_, err = b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Version: byHash(first), ExpectedVersionHash: first})
	requireReason(t, pb.ErrorReason_ERROR_REASON_VERSION_MISMATCH, err)
	// Where it is already: nothing is written.
	b.mustPut(b.operator, id, "prod", second)
	if n := b.count("SELECT count(*) FROM audit_events WHERE method LIKE '%SetAgentVersionLabel' AND outcome = 'SUCCEEDED' AND resource_uuid = $1", id); n != 2 {
		t.Errorf("there are %d events of 2 moves", n)
	}
	var before, after, reason, actor string
	if err := b.pool.QueryRow(t.Context(), `SELECT before->>'version_hash', after->>'version_hash', reason, actor FROM audit_events
		WHERE method LIKE '%SetAgentVersionLabel' ORDER BY recorded_at DESC LIMIT 1`).Scan(&before, &after, &reason, &actor); err != nil {
		t.Fatal(err)
	}
	if before != first || after != second || reason != "better" || actor != b.operator.Name {
		t.Errorf("the event tells of %s, moved from %s to %s for %q", actor, before, after, reason)
	}
	gone, err := b.DeleteAgentVersionLabel(t.Context(), b.operator, &pb.DeleteAgentVersionLabelRequest{Uuid: id, Label: "prod", Reason: "done"})
	if err != nil || gone.GetLabel().GetVersionHash() != second {
		t.Fatalf("the label was taken off: %v (%v)", gone, err)
	}
	list, err := b.ListAgentVersionLabels(t.Context(), b.viewer, &pb.ListAgentVersionLabelsRequest{Uuid: id})
	if err != nil || len(list.GetLabels()) != 0 {
		t.Errorf("there are still %v (%v)", list, err)
	}
	entries, err := b.ListAgentHistory(t.Context(), b.viewer, &pb.ListAgentHistoryRequest{
		Uuid: id, Kinds: []pb.AgentHistoryEntry_Kind{pb.AgentHistoryEntry_KIND_LABEL},
	})
	if err != nil {
		t.Fatal(err)
	}
	var whats []string
	for _, e := range entries.GetEntries() {
		whats = append(whats, e.GetWhat()+" "+e.GetLabel()+" "+e.GetBy().GetReason())
	}
	if got := strings.Join(whats, ", "); got != "removed prod done, changed prod better, created prod released" {
		t.Errorf("the history tells of %s", got)
	}
	for _, sql := range []string{"UPDATE agent_label_moves SET reason = ''", "DELETE FROM agent_label_moves", "TRUNCATE agent_label_moves"} {
		if _, err := b.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s was not refused", sql)
		}
	}
}

func TestProtectedLabelsAreTheOwners(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, first, second := b.versions("front")
	_, err := b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Version: byHash(first), Protected: new(true)})
	requireReason(t, pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED, err)
	if _, err := b.put(b.owner, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Version: byHash(first), Protected: new(true)}); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"move it": func() error {
			_, err := b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Version: byHash(second), Reason: "mine"})
			return err
		},
		"take the protection away": func() error {
			_, err := b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Protected: new(false)})
			return err
		},
		"take it off": func() error {
			_, err := b.DeleteAgentVersionLabel(t.Context(), b.operator, &pb.DeleteAgentVersionLabelRequest{Uuid: id, Label: "prod"})
			return err
		},
		"as an owner elsewhere": func() error {
			_, err := b.put(b.other, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Version: byHash(second)})
			return err
		},
	} {
		requireReason(t, pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED, try())
		if got := b.label(id, "prod"); got.GetVersionHash() != first || !got.GetProtected() {
			t.Errorf("%s: it is %v", name, got)
		}
	}
	if n := b.count("SELECT count(*) FROM audit_events WHERE outcome = 'DENIED' AND resource_uuid = $1 AND request IS NOT NULL", id); n != 5 {
		t.Errorf("there are %d events of 5 denials", n)
	}
	b.mustPut(b.owner, id, "prod", second)
	if got := b.label(id, "prod"); got.GetVersionHash() != second || !got.GetProtected() {
		t.Errorf("an owner moved it, and it is %v", got)
	}
	// An operator's change that changes nothing is no move.
	b.mustPut(b.operator, id, "prod", second)
}

func (b *bench) label(id, name string) *pb.AgentVersionLabel {
	b.t.Helper()
	list, err := b.ListAgentVersionLabels(b.t.Context(), b.viewer, &pb.ListAgentVersionLabelsRequest{Uuid: id})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, label := range list.GetLabels() {
		if label.GetLabel() == name {
			return label
		}
	}
	return nil
}

// TestOfTwoMovesOneSeesTheOther: with the version that it expects, only one of two can move.
func TestOfTwoMovesOneSeesTheOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, first, second := b.versions("front")
	b.mustPut(b.operator, id, "prod", first)
	third := b.update(id, 0.3, "again").GetAgent().GetVersionHash()
	var wait sync.WaitGroup
	errs := make([]error, 2)
	for i, hash := range []string{second, third} {
		wait.Go(func() {
			_, errs[i] = b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Version: byHash(hash), ExpectedVersionHash: first})
		})
	}
	wait.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("of two moves at once came %v and %v", errs[0], errs[1])
	}
}

func TestWhatIsNoVersionGetsNoLabel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _, _ := b.versions("front")
	_, err := b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod", Version: byHash("nonesuch")})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	_, err = b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: id, Label: "prod"})
	requireReason(t, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST, err)
	_, err = b.put(b.operator, &pb.SetAgentVersionLabelRequest{Uuid: uuid.NewString(), Label: "prod", Version: byHash("x")})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	_, err = b.DeleteAgentVersionLabel(t.Context(), b.operator, &pb.DeleteAgentVersionLabelRequest{Uuid: id, Label: "prod"})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	// One that was made elsewhere and that we have not heard of is asked for.
	outside, _ := b.outside(&pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.9)}).(*pb.UpdateAgentResponse)
	b.mustPut(b.operator, id, "theirs", outside.GetAgent().GetVersionHash())
}

func (b *bench) rollback(req *pb.RollbackAgentVersionRequest) (*pb.RollbackAgentVersionResponse, error) {
	b.t.Helper()
	resp := &pb.RollbackAgentVersionResponse{}
	return resp, b.engine.Change(b.t.Context(), b.operator, req, resp)
}

func TestARollbackByLabelIsUndone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, first, second := b.versions("front")
	b.mustPut(b.operator, id, "prod", first)
	req := &pb.RollbackAgentVersionRequest{Uuid: id, VersionLabel: "prod", Mutation: &pb.MutationOptions{Reason: "worse", IdempotencyKey: "back"}}
	back, err := b.rollback(clone(req))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.temperature(id); got != 0.7 {
		t.Errorf("after the rollback the temperature is %v", got)
	}
	// The same call again is the same rollback, wherever the label is by now.
	b.mustPut(b.operator, id, "prod", second)
	again, err := b.rollback(clone(req))
	if err != nil || again.GetOperation().GetId() != back.GetOperation().GetId() {
		t.Errorf("repeated, it is %v (%v)", again, err)
	}
	undo := &pb.RollbackAgentVersionRequest{
		Uuid: id, UndoOperationId: back.GetOperation().GetId(), Mutation: &pb.MutationOptions{Reason: "it was better", IdempotencyKey: "forth"},
	}
	undone, err := b.rollback(clone(undo))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.temperature(id); got != 0.1 {
		t.Errorf("undone, the temperature is %v", got)
	}
	if again, err := b.rollback(clone(undo)); err != nil || again.GetOperation().GetId() != undone.GetOperation().GetId() {
		t.Errorf("repeated, the undoing is %v (%v)", again, err)
	}
	// The undoing is a rollback, and can be undone.
	if _, err := b.rollback(&pb.RollbackAgentVersionRequest{Uuid: id, UndoOperationId: undone.GetOperation().GetId()}); err != nil || b.temperature(id) != 0.7 {
		t.Errorf("undone once more, the temperature is %v (%v)", b.temperature(id), err)
	}
	// But not what came before it.
	_, err = b.rollback(&pb.RollbackAgentVersionRequest{Uuid: id, UndoOperationId: back.GetOperation().GetId()})
	requireReason(t, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED, err)
}

func TestWhatCannotBeUndoneIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, first, _ := b.versions("front")
	back, err := b.rollback(&pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: &first})
	if err != nil {
		t.Fatal(err)
	}
	undo := &pb.RollbackAgentVersionRequest{Uuid: id, UndoOperationId: back.GetOperation().GetId()}
	// Somebody changes it elsewhere.
	b.outside(&pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.9)})
	_, err = b.rollback(clone(undo))
	requireReason(t, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED, err)
	if !strings.Contains(fault.ReasonOf(err).String()+err.Error(), "changed after that rollback") {
		t.Errorf("the refusal says %v", err)
	}
	_, err = b.rollback(&pb.RollbackAgentVersionRequest{Uuid: id, UndoOperationId: uuid.NewString()})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	_, err = b.rollback(&pb.RollbackAgentVersionRequest{Uuid: b.create("another"), UndoOperationId: back.GetOperation().GetId()})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
	_, err = b.rollback(&pb.RollbackAgentVersionRequest{Uuid: id, VersionLabel: "nonesuch"})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
}

// TestUndoingFindsWhatARouteChangeHadMade: the version that a rollback replaced was not known
// when it was made.
func TestUndoingFindsWhatARouteChangeHadMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, first, _ := b.versions("front")
	b.route(id, b.create("child"), "always", "help")
	back, err := b.rollback(&pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: &first})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.rollback(&pb.RollbackAgentVersionRequest{Uuid: id, UndoOperationId: back.GetOperation().GetId()}); err != nil {
		t.Fatal(err)
	}
	was, err := b.asOf(b.viewer, id, b.now())
	if err != nil || len(was.GetAgent().GetChildAgents()) != 1 || was.GetAgent().GetTemperature() != 0.1 {
		t.Errorf("undone, it is %v (%v)", was, err)
	}
}

func (b *bench) temperature(id string) float64 {
	b.t.Helper()
	resp := &pb.GetAgentResponse{}
	if err := b.copied.Get(b.t.Context(), b.viewer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: zero()}, resp); err != nil {
		b.t.Fatal(err)
	}
	return resp.GetAgent().GetTemperature()
}
