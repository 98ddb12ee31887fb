package operation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// A team may want a second owner's word for some changes. Such a change is durable at once,
// with its event, and not in the queue: it holds up nothing, and takes its place when it is
// approved. Nobody approves their own; see [identity.Another].

// approval is the rule by which a change waits for a second owner, as the database names it;
// "" if it does not.
func (e *Engine) approval(ctx context.Context, s *submission) (string, error) {
	rule := s.method.Approval(s.request)
	if rule == "" {
		return "", nil
	}
	team, err := e.Store.TeamByID(ctx, s.caller.ActingTeam.ID)
	if err != nil {
		return "", fmt.Errorf("looking what team %s has approved: %w", s.caller.ActingTeam.Name, db.Classify(err))
	}
	if !slices.Contains(team.Approvals, rule) {
		return "", nil
	}
	// It takes no place in the queue, and must still not be without bounds.
	pending, err := e.Store.PendingApprovals(ctx, dbsql.PendingApprovalsParams{TeamID: team.ID, AtMost: team.BacklogLimit})
	if err != nil {
		return "", fmt.Errorf("counting what waits for approval: %w", db.Classify(err))
	}
	if pending >= int64(team.BacklogLimit) {
		return "", &fault.Error{
			Reason: pb.ErrorReason_ERROR_REASON_BACKLOG_FULL, RetryAfter: expireEvery,
			Public: fmt.Sprintf("%d changes of team %s wait for a second owner already: have some of them decided or cancelled first", pending, team.Name),
		}
	}
	if s.method.Access.GetReturnsSecret() && s.options.GetIdempotencyKey() == "" {
		return "", fault.Invalid("mutation.idempotency_key",
			"is required here: the change waits for a second owner, and its secret is fetched by repeating the call once it is approved")
	}
	return rule, nil
}

// pendingApproval says that a change is accepted, and what it waits for.
func pendingApproval(row dbsql.Operation) error {
	return &fault.Error{
		Reason:   pb.ErrorReason_ERROR_REASON_APPROVAL_PENDING,
		Public:   fmt.Sprintf("the change is accepted as operation %s and waits until another owner of the team approves it with ApproveOperation", row.ID),
		Metadata: map[string]string{"operation": row.ID.String()},
	}
}

// Approve lets a change that waits for a second owner go on.
func (e *Engine) Approve(ctx context.Context, by identity.Caller, id uuid.UUID, reason string) (*pb.Operation, error) {
	var row dbsql.Operation
	err := e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		if row, err = e.undecided(ctx, q, by, id); err != nil {
			return err
		}
		places, err := q.ReserveStarts(ctx, dbsql.ReserveStartsParams{
			TeamID: row.TeamID, Account: row.Account, Lane: row.Lane, Places: 1, AtLeast: 1, Backlog: int32(e.Backlog),
		})
		if err != nil {
			return fmt.Errorf("taking a place in the queue: %w", err)
		}
		if err := e.waiting(places).room(1, 1); err != nil {
			return err
		}
		row, err = q.ApproveOperation(ctx, dbsql.ApproveOperationParams{VirtualStart: places.VirtualStart, DecidedBy: &by.Name, ID: id})
		if err != nil {
			return fmt.Errorf("approving operation %s: %w", id, err)
		}
		return audit.Record(ctx, q, decisionEvent(row, "ApproveOperation", reason, by))
	})
	if err != nil {
		return nil, err
	}
	e.wakeDispatcher()
	e.tell(queued)
	e.watchers.wake(id)
	return e.withTeam(ctx, row)
}

// Decline has a change that waits for a second owner fail.
func (e *Engine) Decline(ctx context.Context, by identity.Caller, id uuid.UUID, reason string) (*pb.Operation, error) {
	var row dbsql.Operation
	err := e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		if row, err = e.undecided(ctx, q, by, id); err != nil {
			return err
		}
		refusal := fault.New(pb.ErrorReason_ERROR_REASON_NOT_APPROVED, "%s declined it: %s", by.Name, reason)
		text, err := proto.Marshal(refusal.Status())
		if err != nil {
			return fmt.Errorf("writing why operation %s failed: %w", id, err)
		}
		if row, err = q.DeclineOperation(ctx, dbsql.DeclineOperationParams{Error: text, DecidedBy: &by.Name, ID: id}); err != nil {
			return fmt.Errorf("declining operation %s: %w", id, err)
		}
		if err := audit.Record(ctx, q, decisionEvent(row, "DeclineOperation", reason, by)); err != nil {
			return err
		}
		return e.failedUnsent(ctx, q, row, refusal)
	})
	if err != nil {
		return nil, err
	}
	e.ended(row, nil)
	return e.withTeam(ctx, row)
}

// undecided is an operation that waits for a second owner, locked, if the caller may be that.
func (e *Engine) undecided(ctx context.Context, q *db.Queries, by identity.Caller, id uuid.UUID) (dbsql.Operation, error) {
	found, err := q.LockPending(ctx, id)
	switch {
	case err != nil:
		return found.Operation, e.missing(id, err)
	case !found.Open:
		return found.Operation, fault.Precondition("operation %s does not wait for approval: it is %s", id, found.Operation.State)
	}
	asked := identity.Asked{Principal: found.Operation.PrincipalID, Name: found.Operation.Actor, Through: db.OrEmpty(found.Operation.ActingService)}
	return found.Operation, identity.Another(ctx, q, by, asked, "operation "+id.String())
}

// decisionEvent is the history's line of a second owner's word.
func decisionEvent(row dbsql.Operation, method, reason string, by identity.Caller) audit.Event {
	event := eventOf(row, nil)
	event.Method, event.Action = methods.Package+".OperationService."+method, pb.Action_ACTION_UPDATE
	event.Reason, event.Outcome, event.VendorRequestID = reason, pb.AuditEvent_OUTCOME_SUCCEEDED, ""
	return event.By(by)
}

// failedUnsent is the history's line of a change that failed before it was in the queue.
func (e *Engine) failedUnsent(ctx context.Context, q *db.Queries, row dbsql.Operation, refusal *fault.Error) error {
	event := eventOf(row, e.api.ByName(row.Method))
	event.Outcome, event.ErrorReason, event.ErrorMessage = pb.AuditEvent_OUTCOME_FAILED, refusal.Reason, refusal.Public
	return audit.Record(ctx, q, event)
}

// expireEvery is the pause between two looks for what nobody decided in time.
const expireEvery = 30 * time.Second

// expireApprovals has what nobody decided in time fail, until ctx is done.
func (e *Engine) expireApprovals(ctx context.Context) {
	for pause(ctx, expireEvery) {
		if err := e.expireOnce(ctx); err != nil && ctx.Err() == nil {
			e.Log.WarnContext(ctx, "looking for changes that nobody approved", "error", err)
		}
	}
}

func (e *Engine) expireOnce(ctx context.Context) error {
	refusal := fault.New(pb.ErrorReason_ERROR_REASON_NOT_APPROVED, "nobody approved it in time")
	text, err := proto.Marshal(refusal.Status())
	if err != nil {
		return fmt.Errorf("writing why changes failed: %w", err)
	}
	var rows []dbsql.Operation
	err = e.Store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		if rows, err = q.ExpireApprovals(ctx, dbsql.ExpireApprovalsParams{Error: text, Account: e.Budget.Account()}); err != nil {
			return err
		}
		for _, row := range rows {
			if err := e.failedUnsent(ctx, q, row, refusal); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		e.ended(row, nil)
	}
	return nil
}

// approvalOf is what a second owner said; nil if none is asked.
func approvalOf(row dbsql.Operation) *pb.Approval {
	if row.ApprovalRule == nil {
		return nil
	}
	a := &pb.Approval{Rule: methods.ApprovalRule(*row.ApprovalRule), DecideTime: timeOf(row.DecidedAt)}
	if row.DecidedBy != nil {
		a.DecidedBy = *row.DecidedBy
	}
	if row.ApprovalExpiresAt != nil {
		a.ExpireTime = timestamppb.New(*row.ApprovalExpiresAt)
	}
	return a
}
