package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
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

// Wait follows the resource that req names until its state is one that ends waits, and
// hands every state to tell: the first at once, the others as the vendor shows them. resp
// is the prototype of what is told. Those who wait for resources of one kind share what is
// asked of the vendor: see [Mirror.poll].
func (m *Mirror) Wait(ctx context.Context, caller identity.Caller, req, resp proto.Message, tell func(proto.Message) error) error {
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
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit, errWaitedLong)
	defer cancel()
	// Seen first: that is the state at which the wait begins, and whether there is anything.
	first, err := m.read(ctx, caller, k, id, nil)
	if err != nil {
		return err
	}
	var last proto.Message
	var since time.Time // when something last happened, by the database's clock
	for {
		row, now, err := m.held(ctx, k, id)
		if fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_NOT_FOUND {
			return tell(waitMessage(resp, k, nil, &pb.WaitProgress{Outcome: gone}))
		}
		if err != nil {
			return err
		}
		body, progress, err := m.progress(ctx, caller, k, id, row, first)
		if err != nil {
			return err
		}
		ended := progress.GetOutcome() != waitsOn
		if last == nil || ended || !proto.Equal(last, body) {
			if err := tell(waitMessage(resp, k, body, progress)); err != nil || ended {
				return err
			}
			last, since = body, now
		}
		if err := m.poll(ctx, k, id, row, m.pace(now.Sub(since))); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return waitEnded(ctx, k, id, progress.GetStatus())
		}
	}
}

// progress is how far a resource is, by our copy, and the resource as the caller may see it;
// by what was read first as long as a change under way keeps that from being stored.
func (m *Mirror) progress(
	ctx context.Context, caller identity.Caller, k *kind, id uuid.UUID, row dbsql.Resource, first reading,
) (proto.Message, *pb.WaitProgress, error) {
	r := reading{body: proto.Clone(first.body), freshness: first.freshness}
	progress := &pb.WaitProgress{Outcome: waitsOn, Status: text(first.body, k.columns.status), Freshness: first.freshness}
	if row.Body != nil {
		behind := row.DirtySince != nil || row.BodySyncedAt == nil
		var err error
		if r, err = m.answer(k, row, pb.Freshness_SOURCE_MIRROR, behind); err != nil {
			return nil, nil, err
		}
		progress.Status, progress.Freshness = row.Status, r.freshness
		if end, ends := k.ends[row.Status]; ends && !behind { // else a change is not seen yet
			progress.Outcome = end
		}
	}
	if err := m.hideNeighbours(ctx, caller, k, r.body); err != nil {
		return nil, nil, err
	}
	if k.relate != nil {
		if err := k.relate(ctx, m, caller, id, r.body); err != nil {
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
