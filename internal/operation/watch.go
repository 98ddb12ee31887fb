package operation

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
)

const (
	// watchPause is between two messages to a watcher at least.
	watchPause = 250 * time.Millisecond
	// watchLimit is how long a watch without a deadline of its own may take.
	watchLimit = time.Hour
)

// errWatchedLong says that a watch without a deadline of its own took too long.
var errWatchedLong = fault.New(pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, "this has been watched for an hour: call again to go on")

// Watch hands tell the operation as it is, and again whenever its state or the counts of
// its batch have changed, until it has ended. Hints wake it, and it looks each second.
func (e *Engine) Watch(ctx context.Context, id uuid.UUID, tell func(*pb.Operation) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, watchLimit, errWatchedLong)
	defer cancel()
	woken, remove := e.watchers.add(id)
	defer remove()
	var last *pb.Operation
	for {
		op, err := e.Get(ctx, id)
		switch {
		case ctx.Err() != nil:
			return watchEnded(ctx, id)
		case err == nil:
		case last == nil || fault.ReasonOf(db.Classify(err)) != pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE:
			return err
		default:
			op = last // the database may be back soon, and the work goes on anyway
		}
		// Its place in the queue changes all the time, by what others do.
		op.Request, op.Response, op.QueuePosition, op.EstimatedStartTime = nil, nil, nil, nil
		if !proto.Equal(last, op) {
			if err := tell(op); err != nil {
				return err
			}
			last = op
		}
		if op.GetFinishTime() != nil {
			return nil
		}
		pause(ctx, watchPause)
		look := time.NewTimer(pollEvery)
		select {
		case <-woken:
		case <-look.C:
		case <-ctx.Done():
		}
		look.Stop()
	}
}

// watchEnded is the error of a watch that was given up.
func watchEnded(ctx context.Context, id uuid.UUID) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		return fault.New(pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, "operation %s goes on: call again to go on watching", id)
	}
	return cause
}

// watchers are the watches of this process. They are told that something changed, not
// what.
type watchers struct {
	mu   sync.Mutex
	byOp map[uuid.UUID]map[chan struct{}]struct{}
}

func newWatchers() *watchers { return &watchers{byOp: map[uuid.UUID]map[chan struct{}]struct{}{}} }

// add registers a watch. woken holds one hint.
func (w *watchers) add(id uuid.UUID) (woken <-chan struct{}, remove func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byOp[id] == nil {
		w.byOp[id] = map[chan struct{}]struct{}{}
	}
	w.byOp[id][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byOp[id], ch)
		if len(w.byOp[id]) == 0 {
			delete(w.byOp, id)
		}
	}
}

func (w *watchers) wake(id uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.byOp[id] {
		select {
		case ch <- struct{}{}:
		default: // a hint is waiting already
		}
	}
}

// wakeNamed is wake for what another replica called an id.
func (w *watchers) wakeNamed(name string) {
	if id, err := uuid.Parse(name); err == nil {
		w.wake(id)
	}
}

// ended tells everybody who waits that an operation has ended, what waits in the queue behind
// it included, and with it the batch that it was the last of, unless that is nil.
func (e *Engine) ended(row dbsql.Operation, batch *dbsql.Operation) {
	select {
	case e.freed <- struct{}{}:
	default: // a hint is waiting already
	}
	e.waiters.ended(row.ID, &row)
	e.watchers.wake(row.ID)
	e.tell(row.ID.String())
	switch {
	case batch != nil:
		e.ended(*batch, nil)
	case row.ParentOperationID != nil:
		e.changed(*row.ParentOperationID)
	}
}

// taken tells watchers that operations were taken up. Other replicas hear of their batches
// alone, and look by themselves at the others.
func (e *Engine) taken(jobs []job) {
	for _, j := range jobs {
		e.watchers.wake(j.row.ID)
	}
	for _, id := range batchesOf(jobs) {
		e.changed(id)
	}
}

// changed tells watchers that a batch has gone on.
func (e *Engine) changed(id uuid.UUID) {
	e.watchers.wake(id)
	e.tell(changed + id.String())
}
