package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// ending is how an operation ends: with a response, or with a failure.
type ending struct {
	response proto.Message
	failure  *fault.Error
	// shown is what a read right after the change answered; nil if there was none.
	shown proto.Message
	// seen are the vendor's answers not recorded yet.
	seen []budget.Answer
}

func observed(call budget.Call, reply upstream.Reply, err error) []budget.Answer {
	return []budget.Answer{{Call: call, Seen: budget.SeenIn(reply, err)}}
}

// observe records vendor calls outside of a settling.
func (e *Engine) observe(ctx context.Context, seen []budget.Answer) {
	if err := e.Budget.Observe(ctx, e.Store.Queries, seen...); err != nil {
		e.Log.WarnContext(ctx, "recording a vendor call", slog.Any("error", err))
	}
}

// settle ends the operation in one commit: its state, the history, our copy of the
// resource, the budget. The vendor has done its part, so it tries until the database
// takes it, the lease is lost, or the process has to go; then whoever claims the
// operation finds out again.
func (a *attempt) settle(ctx context.Context, end ending) error {
	e := a.engine
	apply := true
	for n := 1; ; n++ {
		err := a.commit(ctx, end, apply)
		switch {
		case err == nil:
			return nil
		case db.NoRows(err):
			return errLeaseLost
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded), fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE:
		case errors.Is(err, mirror.ErrAnotherResource):
			// Not what was asked about: neither the caller nor our copy may have it.
			e.Log.ErrorContext(ctx, "the vendor answered with another resource", slog.String("operation", a.row.ID.String()),
				slog.String("method", a.row.Method), slog.Any("error", err))
			if a.makes() {
				return a.doubtful(ctx, "the answer shows what was there before", end.seen)
			}
			end.response, end.shown, apply = a.method.Output.New().Interface(), nil, false
			continue
		case apply && end.failure == nil:
			// Our copy cannot take it in: a bug, which must not keep the result from its
			// caller. The resource is marked as behind, and read again.
			e.Log.ErrorContext(ctx, "a change could not be brought into the mirror", slog.String("operation", a.row.ID.String()),
				slog.String("method", a.row.Method), slog.Any("error", err))
			apply = false
			continue
		default:
			return fmt.Errorf("settling: %w", err)
		}
		if !pause(ctx, min(e.backoff(n), time.Second)) {
			return context.Cause(ctx)
		}
	}
}

// commit makes the end durable, with those of others that end meanwhile.
func (a *attempt) commit(ctx context.Context, end ending, apply bool) (err error) {
	s := &settlement{attempt: a, end: end, apply: apply, row: a.row, done: make(chan error, 1)}
	for _, o := range end.seen {
		if o.Seen.RequestID != "" {
			s.row.VendorRequestID = o.Seen.RequestID
		}
	}
	if end.failure != nil {
		s.row.State = stateFailed
		if s.row.Error, err = proto.Marshal(end.failure.Status()); err != nil {
			return fmt.Errorf("writing the error: %w", err)
		}
	} else if err := a.success(ctx, &s.row, end.response); err != nil {
		return err
	}
	return a.engine.settleWithOthers(ctx, s)
}

// event is the history's line about the end of the operation, as far as our copy is not asked.
func (s *settlement) event() audit.Event {
	event := eventOf(s.row, s.method)
	if s.end.failure == nil {
		event.Outcome = pb.AuditEvent_OUTCOME_SUCCEEDED
		return event
	}
	event.Outcome = pb.AuditEvent_OUTCOME_FAILED
	event.ErrorReason, event.ErrorMessage = s.end.failure.Reason, s.end.failure.Public
	return event
}

// shows says that our copy can be brought to what the operation did.
func (s *settlement) shows() bool { return s.end.failure == nil && s.apply }

// hides says that the operation did, or may have done, what our copy does not show: it shows at
// the next look, and is then explained by this operation.
func (s *settlement) hides() bool {
	if s.end.failure == nil {
		return !s.apply
	}
	return s.end.failure.Reason == pb.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN || s.row.Attempts > 1
}

// change is what the operation did, for our copy.
func (s *settlement) change() mirror.Change {
	return mirror.Change{Operation: s.row, Method: s.method, Request: s.request, Response: s.end.response, Shown: s.end.shown}
}

// success fills in what a result adds to the row.
func (a *attempt) success(ctx context.Context, row *dbsql.Operation, response proto.Message) error {
	row.State = stateSucceeded
	kept := proto.Clone(response)
	if err := a.engine.History.Reduce(ctx, a.row.TeamID, kept); err != nil {
		return fmt.Errorf("reducing the result to what the team may see: %w", err)
	}
	if !a.method.Access.GetReturnsSecret() {
		methods.Redact(kept) // only a method that says so hands out secrets; others may echo some
	}
	var err error
	if row.Response, row.SealedResponse, err = a.engine.split(kept, responseSeal(a.row.ID)); err != nil {
		return err
	}
	if subject := a.method.Access.GetSubject(); subject != nil && a.row.ResourceUUID == nil {
		if id, err := uuid.Parse(methods.String(response, subject.GetField())); err == nil {
			row.ResourceUUID = &id
		}
	}
	return nil
}

// markBehind says that our copy does not show what the operation did.
func markBehind(ctx context.Context, q *db.Queries, row dbsql.Operation) error {
	for _, key := range row.AlsoKeys {
		kind, text, _ := strings.Cut(key, "/")
		id, err := uuid.Parse(text)
		if err != nil {
			return fmt.Errorf("reading the order key %q: %w", key, err)
		}
		if err := q.MarkDirty(ctx, dbsql.MarkDirtyParams{Kind: kind, UUID: id, OperationID: &row.ID}); err != nil {
			return fmt.Errorf("marking %s as behind: %w", key, err)
		}
	}
	kind, id := row.ResourceKind, row.ResourceUUID
	if row.ParentUUID != nil {
		kind, id = row.ParentKind, row.ParentUUID
	}
	if id == nil {
		return nil // it did not exist yet: the next listing shows it
	}
	if err := q.MarkDirty(ctx, dbsql.MarkDirtyParams{Kind: kind, UUID: *id, OperationID: &row.ID}); err != nil {
		return fmt.Errorf("marking %s %s as behind: %w", kind, id, err)
	}
	return nil
}

// requeue puts the operation back in line, certain that it had no effect.
func (a *attempt) requeue(ctx context.Context, after time.Duration) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	n, err := a.engine.Store.RequeueOperation(ctx, dbsql.RequeueOperationParams{
		ID: a.row.ID, Lease: a.row.Lease, DelaySeconds: after.Seconds(),
	})
	defer a.engine.wakeDispatcher() // it may be the next to be due
	return moved(n, err, "putting back")
}

// park leaves the operation as it is, for a later look at what became of it; missed
// says that this look was in vain.
func (a *attempt) park(ctx context.Context, after time.Duration, missed bool) error {
	ctx, cancel := brief(ctx)
	defer cancel()
	n, err := a.engine.Store.ParkOperation(ctx, dbsql.ParkOperationParams{
		ID: a.row.ID, Lease: a.row.Lease, DelaySeconds: after.Seconds(), Missed: missed,
	})
	defer a.engine.wakeDispatcher() // it may be the next to be due
	return moved(n, err, "leaving for a later look")
}

// brief bounds what a worker asks of the database: one that is frozen answers nothing
// and keeps its connections, and workers have no caller whose deadline would end it.
func brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, briefly)
}

// briefly is much longer than anything that a healthy database takes.
const briefly = 10 * time.Second

func moved(n int64, err error, what string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, db.Classify(err))
	}
	if n == 0 {
		return errLeaseLost
	}
	return nil
}
