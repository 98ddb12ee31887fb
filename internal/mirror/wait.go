package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// outcome is how a wait ends.
type outcome = pb.WaitProgress_Outcome

const (
	waitsOn   = pb.WaitProgress_OUTCOME_WAITING
	succeeded = pb.WaitProgress_OUTCOME_SUCCEEDED
	failed    = pb.WaitProgress_OUTCOME_FAILED
	gone      = pb.WaitProgress_OUTCOME_GONE
)

// waitLimit is how long a wait without a deadline of its own may take.
const waitLimit = time.Hour

// waitFresh is how old a state may be that ends a wait at its first look, where neither lists
// nor the sync would have noticed that it is another by now.
const waitFresh = 5 * time.Second

// Who answers who waits, as what they are now, or why they may not wait any longer. It is
// asked each time something may be told.
type Who func(ctx context.Context) (identity.Caller, error)

// Wait follows the resource that req names until its state is one that ends waits, and
// hands every state to tell: the first at once, the others as the vendor shows them. resp
// is the prototype of what is told. Those who wait for resources of one kind share what is
// asked of the vendor: see [Mirror.poll].
func (m *Mirror) Wait(ctx context.Context, who Who, req, resp proto.Message, tell func(proto.Message) error) error {
	method := m.api.ByRequest(req)
	if method == nil || len(method.Access.GetTargets()) != 1 {
		return fmt.Errorf("%s is not the request of a wait", req.ProtoReflect().Descriptor().FullName())
	}
	target := method.Access.GetTargets()[0]
	k := m.kind(target.GetKind())
	if k == nil || k.ends == nil {
		return fmt.Errorf("nobody can wait for a %s", target.GetKind())
	}
	id, err := parse(target.GetField(), methods.String(req, target.GetField()))
	if err != nil {
		return err
	}
	ctx, leave := early(ctx) // so that the error says how far it was
	defer leave()
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit, errWaitedLong)
	defer cancel()
	w := waiter{Mirror: m, who: who, kind: k, id: id, resp: resp, tell: tell}
	if err := w.begin(ctx); err != nil {
		return err
	}
	for {
		ended, pace, err := w.turn(ctx)
		if err == nil && !ended {
			err = m.poll(ctx, k, id, w.row, pace)
		}
		switch {
		case ctx.Err() != nil && !ended:
			return waitEnded(ctx, k, id, w.status)
		case err != nil || ended:
			return err
		}
	}
}

// waiter is a wait.
type waiter struct {
	*Mirror

	who  Who
	kind *kind
	id   uuid.UUID
	resp proto.Message
	tell func(proto.Message) error

	// first is what was read at first, and oldest the time before which a state does not end
	// the wait.
	first  reading
	oldest time.Time
	// row and status are those of the last turn.
	row    dbsql.Resource
	status string
	// last is what was told last; it came about at since, by the database's clock.
	last  proto.Message
	since time.Time
}

// begin sees at which state the wait begins, and whether there is anything. What would end
// the wait is looked at again where nobody else would have.
func (w *waiter) begin(ctx context.Context) error {
	caller, err := w.who(ctx)
	if err != nil {
		return err
	}
	if w.first, err = w.read(ctx, caller, w.kind, w.id, nil); err != nil {
		return err
	}
	w.status = text(w.first.body, w.kind.columns.status)
	if w.kind.listsState() {
		return nil
	}
	now, err := w.store.ClockNow(ctx)
	if err != nil {
		return fmt.Errorf("reading the clock: %w", db.Classify(err))
	}
	w.oldest = now.Add(-waitFresh)
	if _, ends := w.kind.ends[w.status]; ends {
		w.first, err = w.read(ctx, caller, w.kind, w.id, durationpb.New(waitFresh))
	}
	return err
}

// listsState says that lists show the state of what they list.
func (k *kind) listsState() bool { return k.list != "" && len(k.beside) == 0 }

// turn tells what is new, and answers whether that was the end, or else how long to pause.
func (w *waiter) turn(ctx context.Context) (ended bool, pace time.Duration, err error) {
	caller, denial := w.who(ctx)
	row, now, err := w.held(ctx, w.kind, w.id)
	switch {
	case denial != nil && fault.ReasonOf(denial) != pb.ErrorReason_ERROR_REASON_NOT_FOUND:
		return false, 0, denial
	case fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_NOT_FOUND: // so they find it no more
		return true, 0, w.tell(waitMessage(w.resp, w.kind, nil, &pb.WaitProgress{Outcome: gone}))
	case denial != nil:
		return false, 0, denial
	case err != nil:
		return false, 0, err
	}
	body, progress, err := w.progress(ctx, caller, row)
	if err != nil {
		return false, 0, err
	}
	w.row, w.status = row, progress.GetStatus()
	ended = progress.GetOutcome() != waitsOn
	if w.last == nil || ended || !proto.Equal(w.last, body) {
		if err := w.tell(waitMessage(w.resp, w.kind, body, progress)); err != nil {
			return true, 0, err
		}
		w.last, w.since = body, now
	}
	return ended, w.pace(now.Sub(w.since)), nil
}

// progress is how far a resource is, by our copy, and the resource as the caller may see it;
// by what was read first as long as a change under way keeps that from being stored.
func (w *waiter) progress(ctx context.Context, caller identity.Caller, row dbsql.Resource) (proto.Message, *pb.WaitProgress, error) {
	k := w.kind
	r := reading{body: proto.Clone(w.first.body), freshness: w.first.freshness}
	progress := &pb.WaitProgress{Outcome: waitsOn, Status: text(w.first.body, k.columns.status), Freshness: r.freshness}
	if row.Body != nil {
		behind := row.DirtySince != nil || row.BodySyncedAt == nil || row.BodySyncedAt.Before(w.oldest)
		var err error
		if r, err = w.answer(k, row, pb.Freshness_SOURCE_MIRROR, behind); err != nil {
			return nil, nil, err
		}
		progress.Status, progress.Freshness = row.Status, r.freshness
		if end, ends := k.ends[row.Status]; ends && !behind { // else a change is not seen yet
			progress.Outcome = end
		}
	}
	if err := w.hideNeighbours(ctx, caller, k, r.body); err != nil {
		return nil, nil, err
	}
	if k.relate != nil {
		if err := k.relate(ctx, w.Mirror, caller, w.id, r.body); err != nil {
			return nil, nil, err
		}
	}
	return r.body, progress, nil
}

// waitMessage is what a waiter is told, in the response of its method.
func waitMessage(prototype proto.Message, k *kind, body proto.Message, progress *pb.WaitProgress) proto.Message {
	message := blank(prototype)
	if body != nil {
		setMessage(message, k.item, body)
	}
	setMessage(message, "progress", progress)
	return message
}

// errWaitedLong says that a wait without a deadline of its own took too long.
var errWaitedLong = fault.New(pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, "this has been waited for an hour: call again to go on waiting")

// waitEnded is the error of a wait that was given up.
func waitEnded(ctx context.Context, k *kind, id uuid.UUID, status string) error {
	switch cause := context.Cause(ctx); {
	case cause == error(errWaitedLong): //nolint:errorlint // the very one
		return errWaitedLong
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, "%s %s is still in state %s; call again to go on waiting", k.name, id, status)
	default:
		return cause
	}
}
