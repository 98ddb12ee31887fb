package operation_test

import (
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestAFloodKeepsNoLaneFromMoving has more urgent changes than are made in the test's time,
// and one of each other lane that has waited for long.
func TestAFloodKeepsNoLaneFromMoving(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Concurrency = 1 })
	bulk, normal := b.queueUp(b.caller, pb.MutationOptions_LANE_BULK, 2), b.queueUp(b.caller, pb.MutationOptions_LANE_NORMAL, 2)
	urgent := b.queueUp(b.team("search", 1), pb.MutationOptions_LANE_INTERACTIVE, 60)
	if _, err := b.pool.Exec(t.Context(), "UPDATE operations SET created_at = created_at - interval '2 minutes' WHERE id = ANY ($1)",
		[]uuid.UUID{bulk[0], normal[0]}); err != nil {
		t.Fatal(err)
	}
	b.start(b.engine)
	b.ended(bulk[1])
	turn := map[uuid.UUID]int{}
	rows, err := b.pool.Query(t.Context(), "SELECT id FROM operations ORDER BY sent_at")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		turn[id] = len(turn) + 1
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	if turn[normal[0]] != 10 || turn[bulk[0]] != 20 {
		t.Errorf("what has waited for long went as number %d and %d, want 10 and 20", turn[normal[0]], turn[bulk[0]])
	}
	if last := turn[urgent[len(urgent)-1]]; turn[normal[1]] != last+1 || turn[bulk[1]] != last+2 {
		t.Errorf("the last urgent one went as number %d, and those that had not waited as %d and %d", last, turn[normal[1]], turn[bulk[1]])
	}
}

// TestTheQueueOfAllIsBounded fills it by two teams.
func TestTheQueueOfAllIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Backlog = 5 })
	b.queueUp(b.caller, pb.MutationOptions_LANE_NORMAL, 3)
	search := b.team("search", 1)
	b.queueUp(search, pb.MutationOptions_LANE_BULK, 2)
	name := "one too many"
	err := b.engine.Change(t.Context(), search, &pb.CreateAgentRequest{Name: &name, ModelUuid: proto.String(genaisim.ModelLlama)}, &pb.CreateAgentResponse{})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_BACKLOG_FULL)
	if n := b.count("SELECT count(*) FROM operations"); n != 5 {
		t.Errorf("%d operations were taken", n)
	}
	b.start(b.engine)
	b.await("there is room again", func() bool { return b.count("SELECT count(*) FROM operations WHERE finished_at IS NULL") == 0 })
	b.queueUp(search, pb.MutationOptions_LANE_NORMAL, 1)
}

// TestARefusalTakesNoPlace has a team refused many times while the queue is full: its next
// change goes where it would have gone without.
func TestARefusalTakesNoPlace(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Backlog = 3 })
	waiting := b.queueUp(b.caller, pb.MutationOptions_LANE_NORMAL, 3)
	search := b.team("search", 1)
	for range 20 {
		name := "refused"
		err := b.engine.Change(t.Context(), search, &pb.CreateAgentRequest{Name: &name, ModelUuid: proto.String(genaisim.ModelLlama)}, &pb.CreateAgentResponse{})
		requireReason(t, err, pb.ErrorReason_ERROR_REASON_BACKLOG_FULL)
	}
	if _, err := b.engine.Cancel(t.Context(), b.caller, waiting[2], "makes room"); err != nil {
		t.Fatal(err)
	}
	id := b.queueUp(search, pb.MutationOptions_LANE_NORMAL, 1)[0]
	if n := b.count("SELECT count(*) FROM operations o JOIN operations mine ON mine.id = $1 WHERE o.state = 'QUEUED' AND o.virtual_start < mine.virtual_start", id); n != 0 {
		t.Errorf("it goes behind %d of a team that it should share with from the start", n)
	}
}
