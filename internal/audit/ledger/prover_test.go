package ledger

import (
	"testing"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

func auditor() identity.Caller {
	return identity.Caller{Name: "auditor", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
}

func hashes(t *testing.T, raw [][]byte) []tlog.Hash {
	t.Helper()
	var all []tlog.Hash
	for _, h := range raw {
		all = append(all, tlog.Hash(h))
	}
	return all
}

// proveSome proves the events at these places for the latest checkpoint, as an auditor
// would who has nothing but the key.
func proveSome(t *testing.T, b *book, places ...int64) {
	t.Helper()
	for _, index := range places {
		_, event := b.leaf(t, index)
		resp, err := NewProver(b.store).Event(t.Context(), auditor(), &pb.ProveAuditEventRequest{EventId: event.String()})
		if err != nil {
			t.Fatalf("place %d: %v", index, err)
		}
		c, err := evidence.Open(resp.GetCheckpoint().GetNote(), b.keys)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(hashes(t, resp.GetProof()), c.Size, c.Root, resp.GetIndex(), tlog.RecordHash(resp.GetEvent())); err != nil || resp.GetIndex() != index {
			t.Errorf("place %d, shown as %d: %v", index, resp.GetIndex(), err)
		}
		if tlog.CheckRecord(hashes(t, resp.GetProof()), c.Size, c.Root, index, tlog.RecordHash(append(resp.GetEvent(), ' '))) == nil {
			t.Errorf("place %d: another event is proved as well", index)
		}
	}
}

func TestEveryEventIsProved(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.write(t, 600)
	b.pass(t)
	for index := range int64(600) {
		if index%7 == 0 || index > 590 || index%256 == 255 {
			proveSome(t, b, index)
		}
	}
}

func TestEverySizeIsConsistentWithLaterOnes(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	var signed []evidence.Checkpoint
	for _, n := range []int{1, 2, 250, 3, 1, 400, 5} {
		b.write(t, n)
		b.pass(t)
		signed = append(signed, b.latest(t))
	}
	prover := NewProver(b.store)
	for i, older := range signed {
		for _, newer := range signed[i:] {
			resp, err := prover.Consistency(t.Context(), &pb.ProveConsistencyRequest{OldSize: older.Size, NewSize: newer.Size})
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(hashes(t, resp.GetProof()), newer.Size, newer.Root, older.Size, older.Root); err != nil {
				t.Errorf("%d to %d: %v", older.Size, newer.Size, err)
			}
			if tlog.CheckTree(hashes(t, resp.GetProof()), newer.Size, newer.Root, older.Size, tlog.RecordHash(nil)) == nil {
				t.Errorf("%d to %d: a fork is proved as well", older.Size, newer.Size)
			}
		}
	}
	older, err := prover.Checkpoint(t.Context(), &pb.GetCheckpointRequest{Size: signed[2].Size})
	if err != nil || older.GetCheckpoint().GetNote() != signed[2].Note || older.GetCheckpoint().GetOrigin() != "log.example.com" {
		t.Errorf("the checkpoint of %d is %v, %v", signed[2].Size, older, err)
	}
}

func TestWhatCannotBeProved(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	prover := NewProver(b.store)
	wants := func(what string, err error, want pb.ErrorReason) {
		t.Helper()
		if got := fault.ReasonOf(err); err == nil || got != want {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	_, err := prover.Checkpoint(t.Context(), &pb.GetCheckpointRequest{})
	wants("an empty log", err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)

	team, err := b.store.UpsertTeam(t.Context(), "red")
	if err != nil {
		t.Fatal(err)
	}
	b.exec(t, "INSERT INTO audit_events (id, actor, team_id, action, outcome, origin) VALUES (gen_random_uuid(), 'a', $1, 'UPDATE', 'ACCEPTED', 'API')", team)
	b.write(t, 1)
	b.pass(t)
	_, reds := b.leaf(t, 0)
	_, nobodys := b.leaf(t, 1)
	member := identity.Caller{Name: "member", Teams: []identity.Membership{{TeamID: team, Role: pb.Role_ROLE_VIEWER}}}
	if _, err := prover.Event(t.Context(), member, &pb.ProveAuditEventRequest{EventId: reds.String()}); err != nil {
		t.Errorf("a member's own event: %v", err)
	}
	for what, tc := range map[string]struct {
		caller identity.Caller
		event  uuid.UUID
	}{
		"what a member may not see": {member, nobodys},
		"another team's":            {identity.Caller{Name: "stranger"}, reds},
		"what is not there":         {auditor(), uuid.New()},
	} {
		_, err := prover.Event(t.Context(), tc.caller, &pb.ProveAuditEventRequest{EventId: tc.event.String()})
		wants(what, err, pb.ErrorReason_ERROR_REASON_NOT_FOUND)
	}
	_, err = prover.Event(t.Context(), auditor(), &pb.ProveAuditEventRequest{EventId: reds.String(), Size: 77})
	wants("a checkpoint that was not signed", err, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
	_, err = prover.Consistency(t.Context(), &pb.ProveConsistencyRequest{OldSize: 3})
	wants("an older size that is larger", err, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)

	b.sealer.cfg.Signers = nil
	b.write(t, 1)
	b.pass(t)
	_, last := b.leaf(t, 2)
	_, err = prover.Event(t.Context(), auditor(), &pb.ProveAuditEventRequest{EventId: last.String()})
	wants("what no checkpoint covers yet", err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
}
