package operation_test

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestBatchIsCancelledInTheMiddle(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Concurrency = 4 })
	b.start(b.engine)
	agents := b.agents(40)
	b.fault(genaisim.Fault{Method: "PUT", DelayAfterMS: 100})
	id := b.batch(replace(agents, async))
	b.await("some are done", func() bool { return b.states(id, "SUCCEEDED") >= 5 })

	now, err := b.engine.Cancel(t.Context(), b.caller, id, "enough")
	if err != nil {
		t.Fatal(err)
	}

	if now.GetBatch().GetQueued() != 0 {
		t.Errorf("%d are queued still", now.GetBatch().GetQueued())
	}
	op := b.ended(id)
	p := op.GetBatch()
	if op.GetState() != pb.Operation_STATE_CANCELLED || p.GetSucceeded()+p.GetCancelled() != 40 || p.GetCancelled() == 0 {
		t.Errorf("ended as %s with %v", op.GetState(), p)
	}
	t.Log(p)
	if made := b.updates(); len(made) != int(p.GetSucceeded()) {
		t.Errorf("the vendor changed %d, and %d are told", len(made), p.GetSucceeded())
	}
	if n := b.count("SELECT count(*) FROM audit_events WHERE operation_id = $1 AND outcome = 'CANCELLED' AND reason = 'enough'", id); n != 1 {
		t.Errorf("%d events tell of the end", n)
	}
	b.fault()
	requireProgress(t, b.ended(b.resume(id)), pb.Operation_STATE_SUCCEEDED,
		&pb.BatchProgress{Total: p.GetCancelled(), Succeeded: p.GetCancelled()})
	if made := b.updates(); len(made) != 40 || slices.Max(slices.Collect(maps.Values(made))) != 1 {
		t.Errorf("the vendor changed %v", made)
	}
	b.requireConsistent()
}

func TestBatchThatNobodyBeganIsCancelledAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agents := b.agents(3)
	stop()
	id := b.batch(replace(agents, async))
	op, err := b.engine.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	requireProgress(t, op, pb.Operation_STATE_QUEUED, &pb.BatchProgress{Total: 3, Queued: 3})
	if op, err = b.engine.Cancel(t.Context(), b.caller, id, ""); err != nil {
		t.Fatal(err)
	}
	requireProgress(t, op, pb.Operation_STATE_CANCELLED, &pb.BatchProgress{Total: 3, Cancelled: 3})
	if op, err = b.engine.Cancel(t.Context(), b.caller, id, ""); err != nil || op.GetState() != pb.Operation_STATE_CANCELLED {
		t.Errorf("cancelling again: %v, %v", op, err)
	}
	b.requireConsistent()
}

// TestBatchesEndOnce has two replicas end the last two changes of many batches at once.
func TestBatchesEndOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	const batches = 60
	agents := b.agents(2 * batches)
	stop()
	ids := make([]uuid.UUID, batches)
	for i := range ids {
		ids[i] = b.batch(replace(agents[2*i:2*i+2], async))
	}
	b.start(b.engine, b.another())
	for _, id := range ids {
		requireProgress(t, b.ended(id), pb.Operation_STATE_SUCCEEDED, &pb.BatchProgress{Total: 2, Succeeded: 2})
	}
	b.requireConsistent()
}

// TestBatchesOfReplicasThatKnowNone end all the same.
func TestBatchesOfReplicasThatKnowNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agents := b.agents(2)
	stop()
	id := b.batch(replace(agents, async))
	b.start(b.engine)
	b.ended(id)
	// As if the last change had been ended by a release that leaves its batch alone.
	if _, err := b.pool.Exec(t.Context(), "UPDATE operations SET state = 'QUEUED', finished_at = NULL WHERE id = $1", id); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.EndStrandedOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	requireProgress(t, b.ended(id), pb.Operation_STATE_SUCCEEDED, &pb.BatchProgress{Total: 2, Succeeded: 2})
}

// TestLostAnswerToTheCommitOfABatch cuts the connection when a batch has been committed
// and its caller does not know yet.
func TestLostAnswerToTheCommitOfABatch(t *testing.T) {
	t.Parallel()
	const marker = "cut after this batch"
	b := setup(t)
	stop := b.start(b.engine)
	agents := b.agents(2)
	stop()
	proxy := newCutter(t, b.pool.Config().ConnConfig, marker, 2, 0) // first with the batch, then with its changes and the commit
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
	resp := &pb.BatchUpdateAgentsResponse{}
	if err := engine.BatchUpdateAgents(t.Context(), b.caller, replace(agents, &pb.MutationOptions{Async: true, Reason: marker}), resp); err != nil {
		t.Fatalf("submitting: %v", err)
	}
	if !proxy.cut.Load() {
		t.Fatal("nothing was cut: the test did not do what it is for")
	}
	requireProgress(t, resp.GetOperation(), pb.Operation_STATE_QUEUED, &pb.BatchProgress{Total: 2, Queued: 2})
	if n := b.count("SELECT count(*) FROM operations WHERE batch_total IS NOT NULL OR parent_operation_id IS NOT NULL"); n != 3 {
		t.Errorf("%d operations are there", n)
	}
	b.requireConsistent()
}

// TestCancellingWhileChangesEnd takes batches back while two replicas end their changes.
func TestCancellingWhileChangesEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Concurrency = 3 })
	b.start(b.engine, b.another())
	const batches, size = 12, 6
	agents := b.agents(batches * size)
	b.fault(genaisim.Fault{Method: "PUT", DelayMS: 20})
	ids := make([]uuid.UUID, batches)
	var calls sync.WaitGroup
	for i := range ids {
		calls.Go(func() {
			ids[i] = b.batch(replace(agents[i*size:(i+1)*size], async))
			b.await("one of each is done", func() bool { return b.states(ids[i], "SUCCEEDED") > 0 })
			for range 2 { // twice, as of two people
				calls.Go(func() {
					if _, err := b.engine.Cancel(t.Context(), b.caller, ids[i], ""); err != nil && fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED {
						t.Errorf("cancelling batch %d: %v", i, err)
					}
				})
			}
		})
	}
	calls.Wait()
	var made, taken int32
	for _, id := range ids {
		op := b.ended(id)
		p := op.GetBatch()
		if p.GetSucceeded()+p.GetCancelled() != size || op.GetFinishTime() == nil {
			t.Errorf("ended as %s with %v", op.GetState(), p)
		}
		made, taken = made+p.GetSucceeded(), taken+p.GetCancelled()
	}
	if n := len(b.updates()); n != int(made) {
		t.Errorf("the vendor made %d changes, and %d are told", n, made)
	}
	t.Logf("%d made, %d taken back", made, taken)
	if n := b.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		t.Errorf("%d times somebody locked in another order", n)
	}
	b.requireConsistent()
}

// TestCancellingTheLastChangeEndsItsBatch, and a single change's cancelling counts.
func TestCancellingTheLastChangeEndsItsBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agents := b.agents(1)
	stop()
	id := b.batch(replace(agents, async))
	var change uuid.UUID
	if err := b.pool.QueryRow(t.Context(), "SELECT id FROM operations WHERE parent_operation_id = $1", id).Scan(&change); err != nil {
		t.Fatal(err)
	}
	op, err := b.engine.Cancel(t.Context(), b.caller, change, "")
	if err != nil || op.GetParentOperation() != id.String() {
		t.Fatalf("cancelled %v, %v", op, err)
	}
	requireProgress(t, b.ended(id), pb.Operation_STATE_FAILED, &pb.BatchProgress{Total: 1, Cancelled: 1})
	b.requireConsistent()
}

// TestChangesPutBackAreCancelledWithTheirBatch: the vendor throttles the one change that
// was under way when the batch was cancelled.
func TestChangesPutBackAreCancelledWithTheirBatch(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.Concurrency = 1 })
	b.start(b.engine)
	agents := b.agents(3)
	b.fault(genaisim.Fault{Method: "PUT", DelayMS: 500, Status: http.StatusTooManyRequests, Headers: map[string]string{"Retry-After": "1"}, Count: 1})
	id := b.batch(replace(agents, async))
	b.await("one is sent", func() bool {
		return b.count("SELECT count(*) FROM operations WHERE parent_operation_id = $1 AND sent_at IS NOT NULL", id) == 1
	})
	op, err := b.engine.Cancel(t.Context(), b.caller, id, "throttled")
	if err != nil {
		t.Fatal(err)
	}
	requireProgress(t, op, pb.Operation_STATE_RUNNING, &pb.BatchProgress{Total: 3, Running: 1, Cancelled: 2})
	requireProgress(t, b.ended(id), pb.Operation_STATE_CANCELLED, &pb.BatchProgress{Total: 3, Cancelled: 3})
	if made := b.updates(); len(made) != 0 {
		t.Errorf("the vendor changed %v", made)
	}
	b.requireConsistent()
}
