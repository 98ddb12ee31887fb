package operation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// headroom is what is kept of a caller's deadline, so that we can still say that the
// work goes on and under which id.
const headroom = 100 * time.Millisecond

// Change makes the change that req asks for and fills resp with its result, as a
// plain RPC would. The operation behind it goes on when the caller does not wait:
// the error then says OPERATION_PENDING and names it. With async, resp holds the
// operation alone; with validate_only, nothing is written.
func (e *Engine) Change(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	s, err := e.prepare(caller, req)
	if err != nil {
		return err
	}
	if s.options.GetValidateOnly() {
		if err := e.allowed(ctx, s); err != nil {
			return err
		}
		setOperation(resp, &pb.Operation{
			Method: string(s.method.Name), Team: caller.ActingTeam.Name, Resource: toRef(s.subject), RequestedBy: caller.Name,
			Reason: s.options.GetReason(), IdempotencyKey: s.options.GetIdempotencyKey(), Lane: s.options.GetLane(), ValidateOnly: true,
		})
		return nil
	}
	// Before anybody can end it, so that no look is needed to know that it has not.
	ended, remove := e.waiters.add(s.id)
	defer remove()
	row, err := e.submit(ctx, s)
	if err != nil {
		return err
	}
	return e.follow(ctx, s, row, ended, resp)
}

// follow answers a submission: at once, or with what came of it.
func (e *Engine) follow(ctx context.Context, s *submission, row dbsql.Operation, ended <-chan *dbsql.Operation, resp proto.Message) error {
	if s.options.GetAsync() {
		op, err := e.present(ctx, row, s.caller.ActingTeam.Name)
		setOperation(resp, op)
		return err
	}
	var err error
	switch {
	case row.FinishedAt != nil: // it had nothing to do
	case row.State == statePending:
		return pendingApproval(row)
	case row.ID == s.id:
		row, err = e.await(ctx, row, e.MaxWait, ended)
	default:
		row, err = e.attend(ctx, row, e.MaxWait) // the operation of an earlier call
	}
	if err == nil {
		err = e.deliver(ctx, s.caller, row, resp, row.ID == s.id)
	}
	return accepted(row.ID, err)
}

// accepted keeps a caller whose change is in the queue, or made, from being told to try again
// because the database went away since.
func accepted(id uuid.UUID, err error) error {
	away, ok := errors.AsType[*fault.Error](db.Classify(err))
	if !ok || away.Reason != pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE || away.Metadata["operation"] != "" {
		return err
	}
	return wentAway(id, "after it took the change, which goes on", err)
}

// attend is await for an operation that may have ended already.
func (e *Engine) attend(ctx context.Context, row dbsql.Operation, most time.Duration) (dbsql.Operation, error) {
	ended, remove := e.waiters.add(row.ID)
	defer remove()
	now, err := e.Store.OperationByID(ctx, row.ID)
	if err != nil {
		return row, fmt.Errorf("looking how operation %s stands: %w", row.ID, err)
	}
	if now.FinishedAt != nil {
		return now, nil
	}
	return e.await(ctx, now, most, ended)
}

// await answers the operation once it has ended, of which the channel tells (see
// [Engine.RunNotifications]). If the caller's deadline or most comes first, the error
// says that it is pending.
func (e *Engine) await(ctx context.Context, row dbsql.Operation, most time.Duration, ended <-chan *dbsql.Operation) (dbsql.Operation, error) {
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline)-headroom) //nolint:forbidigo // a deadline is by this machine's clock
	}
	timer := time.NewTimer(max(most, 0))
	defer timer.Stop()
	var again <-chan time.Time // set where a look did not tell
	for {
		select {
		case told := <-ended:
			if told != nil {
				return *told, nil
			}
			ended = nil // closed: from here on only the row tells
		case <-again:
		case <-ctx.Done():
			return row, pending(row.ID, ctx.Err())
		case <-timer.C:
			return row, pending(row.ID, nil)
		}
		now, err := e.Store.OperationByID(ctx, row.ID)
		switch {
		case err == nil && now.FinishedAt != nil:
			return now, nil
		case err == nil, fault.ReasonOf(db.Classify(err)) == pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE:
			again = time.After(pollEvery) // the database may be back before the deadline, and the work goes on anyway
		case ctx.Err() != nil:
			return row, pending(row.ID, ctx.Err())
		default:
			return row, fmt.Errorf("looking how operation %s stands: %w", row.ID, err)
		}
	}
}

func pending(id uuid.UUID, cause error) error {
	return &fault.Error{
		Reason: pb.ErrorReason_ERROR_REASON_OPERATION_PENDING,
		Public: fmt.Sprintf("the change is accepted and goes on as operation %s: wait for it with WaitOperation, or take it back with CancelOperation",
			id),
		Metadata: map[string]string{"operation": id.String()},
		Cause:    cause,
	}
}

// deliver fills resp with the result of an operation that has ended, or answers why it
// failed. Its secrets are handed out once, to who asked for the change; first says
// that this is the call that did.
func (e *Engine) deliver(ctx context.Context, caller identity.Caller, row dbsql.Operation, resp proto.Message, first bool) error {
	switch row.State {
	case stateFailed:
		kept := &status.Status{}
		if err := proto.Unmarshal(row.Error, kept); err != nil {
			return fmt.Errorf("reading why operation %s failed: %w", row.ID, err)
		}
		failure := fault.FromStatus(kept)
		if failure.Metadata == nil {
			failure.Metadata = map[string]string{}
		}
		failure.Metadata["operation"] = row.ID.String()
		return failure
	case stateCancelled:
		failure := &fault.Error{
			Reason:   pb.ErrorReason_ERROR_REASON_OPERATION_CANCELLED,
			Public:   fmt.Sprintf("operation %s was cancelled before it was sent", row.ID),
			Metadata: map[string]string{"operation": row.ID.String()},
		}
		if row.BatchTotal != nil {
			failure.Public = fmt.Sprintf("batch %s was cancelled: GetOperation says how many of its changes were made", row.ID)
		}
		return failure
	}
	result := row.Response
	if m := e.api.ByName(row.Method); m != nil && m.Access.GetReturnsSecret() {
		var err error
		if result, err = e.handOut(ctx, caller, row, first); err != nil {
			return err
		}
	}
	if err := proto.Unmarshal(result, resp); err != nil {
		return fmt.Errorf("reading the result of operation %s: %w", row.ID, err)
	}
	op, err := e.present(ctx, row, caller.ActingTeam.Name)
	if err != nil {
		return err
	}
	op.Request, op.Response = nil, nil // they are what the caller sent and what resp says
	setOperation(resp, op)
	return nil
}

// handOut takes the secret of an operation out of the database, for good. A call that
// only repeats the one that made it is a revelation of its own, and recorded as such.
func (e *Engine) handOut(ctx context.Context, caller identity.Caller, row dbsql.Operation, first bool) ([]byte, error) {
	if !first && (row.PrincipalID == nil || *row.PrincipalID != caller.PrincipalID) {
		return nil, e.noSecret(row, "is for who asked for it")
	}
	var sealed []byte
	err := e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		if sealed, err = q.TakeSealedResponse(ctx, row.ID); err != nil || first {
			return err
		}
		event := eventOf(row, nil)
		event.Action, event.Outcome = pb.Action_ACTION_REVEAL, pb.AuditEvent_OUTCOME_SUCCEEDED
		// Not an event of the operation, which has had its outcome.
		event.Operation, event.VendorRequestID = nil, ""
		event.Reason = "the call that made operation " + row.ID.String() + " was repeated"
		return audit.Record(ctx, q, event.By(caller))
	})
	if db.NoRows(err) {
		// Also to the first call: who repeats it may be quicker. That the vendor gave no secret
		// is no success in the first place.
		return nil, e.noSecret(row, "was handed out already, or erased because nobody came for it")
	}
	if err != nil {
		return nil, fmt.Errorf("taking the secret of operation %s: %w", row.ID, err)
	}
	whole, err := e.Ring.Open(sealed, responseSeal(row.ID))
	if err != nil {
		return nil, fmt.Errorf("opening the secret of operation %s: %w", row.ID, err)
	}
	return whole, nil
}

func (e *Engine) noSecret(row dbsql.Operation, why string) error {
	failure := fault.Precondition("operation %s succeeded, but its secret %s; regenerate it to get another", row.ID, why)
	failure.Metadata = map[string]string{"operation": row.ID.String()}
	if row.ResourceUUID != nil {
		failure.Resource = &pb.ResourceRef{Kind: row.ResourceKind, Uuid: row.ResourceUUID.String()}
	}
	return failure
}

// Get is an operation as it stands.
func (e *Engine) Get(ctx context.Context, id uuid.UUID) (*pb.Operation, error) {
	row, err := e.Store.OperationByID(ctx, id)
	if err != nil {
		return nil, e.missing(id, err)
	}
	return e.withTeam(ctx, row)
}

// Wait is the operation once it has ended, or as it stands when most, or the
// caller's deadline, comes first.
func (e *Engine) Wait(ctx context.Context, id uuid.UUID, most time.Duration) (*pb.Operation, error) {
	row, err := e.Store.OperationByID(ctx, id)
	if err != nil {
		return nil, e.missing(id, err)
	}
	if row.FinishedAt == nil {
		ended, err := e.attend(ctx, row, most)
		if err == nil {
			return e.withTeam(ctx, ended)
		}
		if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_OPERATION_PENDING || ctx.Err() != nil {
			return nil, err
		}
		return e.Get(ctx, id)
	}
	return e.withTeam(ctx, row)
}

// Cancel takes an operation back, if it was not sent yet; of a batch, all that was not.
func (e *Engine) Cancel(ctx context.Context, caller identity.Caller, id uuid.UUID, reason string) (*pb.Operation, error) {
	row, err := e.Store.OperationByID(ctx, id)
	if err != nil {
		return nil, e.missing(id, err)
	}
	if row.BatchTotal != nil {
		return e.cancelBatch(ctx, caller, id, reason)
	}
	var batch *dbsql.Operation
	err = e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		if row, err = q.CancelOperation(ctx, id); err != nil {
			return err
		}
		event := eventOf(row, e.api.ByName(row.Method))
		event.Outcome, event.Reason = pb.AuditEvent_OUTCOME_CANCELLED, reason
		if err := audit.Record(ctx, q, event.By(caller)); err != nil {
			return err
		}
		batch, err = e.endBatchOf(ctx, q, row)
		return err
	})
	if db.NoRows(err) {
		return e.notCancelled(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cancelling operation %s: %w", id, err)
	}
	e.ended(row, batch)
	e.wakeDispatcher() // what was behind it may go now
	return e.withTeam(ctx, row)
}

// notCancelled explains why an operation cannot be taken back; one that already was
// is answered as it is.
func (e *Engine) notCancelled(ctx context.Context, id uuid.UUID) (*pb.Operation, error) {
	op, err := e.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	switch op.GetState() {
	case pb.Operation_STATE_CANCELLED:
		return op, nil
	case pb.Operation_STATE_SUCCEEDED, pb.Operation_STATE_FAILED:
		return nil, fault.Precondition("operation %s has ended already: it is %s", id, op.GetState())
	default:
		return nil, fault.Precondition("operation %s was sent to the vendor and cannot be taken back; wait for it and undo it", id)
	}
}

func (e *Engine) missing(id uuid.UUID, err error) error {
	if db.NoRows(err) {
		return fault.NotFound("operation", id.String())
	}
	return fmt.Errorf("reading operation %s: %w", id, err)
}

func (e *Engine) withTeam(ctx context.Context, row dbsql.Operation) (*pb.Operation, error) {
	team, err := e.Store.TeamByID(ctx, row.TeamID)
	if err != nil {
		return nil, fmt.Errorf("reading the team of operation %s: %w", row.ID, err)
	}
	return e.present(ctx, row, team.Name)
}

// setOperation puts the operation into a change's response.
func setOperation(resp proto.Message, op *pb.Operation) {
	if op == nil {
		return
	}
	m := resp.ProtoReflect()
	if fd := m.Descriptor().Fields().ByName("operation"); fd != nil {
		m.Set(fd, protoreflect.ValueOfMessage(op.ProtoReflect()))
	}
}

func toRef(r audit.Ref) *pb.ResourceRef {
	ref := &pb.ResourceRef{Kind: r.Kind, Name: r.Name}
	if r.UUID != nil {
		ref.Uuid = r.UUID.String()
	}
	return ref
}

// eventOf is the history's line about an operation, as far as its row tells; m is
// nil for a method that this version does not know any more.
func eventOf(row dbsql.Operation, m *methods.Method) audit.Event {
	event := audit.Event{
		Actor: row.Actor, PrincipalID: row.PrincipalID, ActingService: row.ActingService, Team: &row.TeamID, Method: row.Method,
		Action:   pb.Action_ACTION_UPDATE,
		Resource: audit.Ref{Kind: row.ResourceKind, UUID: row.ResourceUUID, Name: row.ResourceName},
		Parent:   audit.Ref{Kind: row.ParentKind, UUID: row.ParentUUID},
		Reason:   row.Reason, Origin: pb.AuditEvent_ORIGIN_API, Operation: &row.ID, VendorRequestID: row.VendorRequestID,
		RequestID: row.RequestID, ClientAddress: row.ClientAddress, UserAgent: row.UserAgent,
	}
	if m != nil {
		event.Action = m.Access.GetAction()
	}
	return event
}

// States as the database names them.
const (
	statePending   = "PENDING_APPROVAL"
	stateQueued    = "QUEUED"
	stateRunning   = "RUNNING"
	stateSucceeded = "SUCCEEDED"
	stateFailed    = "FAILED"
	stateCancelled = "CANCELLED"
)

var errLeaseLost = errors.New("the lease was lost to another worker")
