package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

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

// attempt is one taking up of an operation by this process.
type attempt struct {
	job

	engine  *Engine
	method  *methods.Method
	request proto.Message
	// granted is the call that came with the claim, until it is used.
	granted *budget.Call
	// batch is what ended with this operation, which was its last; nil if none did.
	batch *dbsql.Operation
}

// perform takes up a claimed operation and brings it to an end, back into the queue,
// or to a later second look. It never answers: the row tells what came of it.
func (e *Engine) perform(work context.Context, under *running, j job) {
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	defer under.add(j.row, cancel)()

	a := &attempt{job: j, engine: e, granted: &j.call}
	defer a.giveBack(ctx)
	if err := a.run(ctx); err != nil && !errors.Is(err, errLeaseLost) {
		// What could not be brought to an end is claimed again when the lease runs out.
		e.Log.ErrorContext(ctx, "operation left for another try", slog.String("operation", j.row.ID.String()),
			slog.String("method", j.row.Method), slog.Any("error", err))
	}
}

func (a *attempt) run(ctx context.Context) error {
	if err := a.read(); err != nil {
		return a.unreadable(ctx, err)
	}
	if a.row.SentAt != nil {
		return a.reconcile(ctx)
	}
	if taken, err := a.takenBack(ctx); taken || err != nil {
		return err
	}
	if err := a.allowed(ctx); err != nil {
		return a.putBackOrFail(ctx, err)
	}
	return a.send(ctx)
}

// owned refuses what has got another owner between the check of the caller's access and the
// commit of the operation. The claim has asked already where it has marked the operation as sent.
func (a *attempt) owned(ctx context.Context) error {
	if a.marked {
		return nil
	}
	ctx, cancel := brief(ctx)
	defer cancel()
	given, err := a.engine.Store.GotAnotherOwner(ctx, a.row.ID)
	if err != nil {
		return fmt.Errorf("looking who owns what is changed: %w", db.Classify(err))
	}
	if !given {
		return nil
	}
	on, called := a.on(), a.row.ResourceName
	if on.UUID != nil {
		called = on.UUID.String()
	}
	return fault.NotFound(on.Kind, called)
}

// on is what the operation is about, or what that is a part of.
func (a *attempt) on() audit.Ref {
	if a.row.ParentUUID != nil {
		return audit.Ref{Kind: a.row.ParentKind, UUID: a.row.ParentUUID}
	}
	return audit.Ref{Kind: a.row.ResourceKind, UUID: a.row.ResourceUUID}
}

// unreadable leaves the operation to a replica that can read it: while a new version or
// a new key is rolled out, this one may not.
func (a *attempt) unreadable(ctx context.Context, err error) error {
	a.engine.Log.WarnContext(ctx, "operation cannot be read here", slog.String("operation", a.row.ID.String()),
		slog.String("method", a.row.Method), slog.Any("error", err))
	switch wait := a.engine.backoff(int(a.row.Claims)); {
	case a.exhausted() && !a.insists():
		return a.settle(ctx, ending{failure: a.unknown(err)})
	case a.exhausted() && a.row.SentAt == nil:
		return a.settle(ctx, ending{failure: &fault.Error{
			Reason: pb.ErrorReason_ERROR_REASON_INTERNAL, Public: "the operation cannot be read; give our operators its id", Cause: err,
		}})
	case a.row.SentAt != nil:
		return a.park(ctx, wait, false)
	default:
		return a.requeue(ctx, wait)
	}
}

// read restores the request, secrets included.
func (a *attempt) read() error {
	e, row := a.engine, a.row
	if a.method = e.api.ByName(row.Method); a.method == nil {
		return fmt.Errorf("this version knows no method %s", row.Method)
	}
	text := row.Request
	if row.SealedRequest != nil {
		var err error
		if text, err = e.Ring.Open(row.SealedRequest, requestSeal(row.ID)); err != nil {
			return fmt.Errorf("opening the request: %w", err)
		}
	}
	a.request = a.method.Input.New().Interface()
	if err := proto.Unmarshal(text, a.request); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	if len(a.request.ProtoReflect().GetUnknown()) > 0 {
		return errors.New("the request has fields that this version does not know")
	}
	if a.method.Access.GetReconcile() == pb.Reconcile_RECONCILE_FIND_BY_TAG {
		addTag(a.request, mirror.OperationTag+row.ID.String())
	}
	return nil
}

func addTag(m proto.Message, tag string) {
	fd := m.ProtoReflect().Descriptor().Fields().ByName("tags")
	m.ProtoReflect().Mutable(fd).List().Append(protoreflect.ValueOfString(tag))
}

// allowed asks again what was asked at the submission.
func (a *attempt) allowed(ctx context.Context) error {
	if err := a.owned(ctx); err != nil {
		return err
	}
	if rule := a.engine.Rules[a.method.Name]; rule != nil {
		if err := rule(ctx, a.row.ID, a.request); err != nil {
			return err
		}
	}
	return a.expected(ctx)
}

// expected looks at the vendor's version just before the change, where the caller
// expects one.
func (a *attempt) expected(ctx context.Context) error {
	if a.row.ExpectedVersion == "" {
		return nil
	}
	on := a.on()
	hash, updated, err := a.engine.History.Refresh(ctx, budget.Change, on.Kind, *on.UUID)
	if err != nil {
		return fmt.Errorf("looking at the version of %s %s: %w", on.Kind, on.UUID, err)
	}
	return matches(a.row.ExpectedVersion, hash, updated, on)
}

// putBackOrFail is for what could not be sent: back into the queue, unless it was
// tried often enough or no waiting mends the refusal.
func (a *attempt) putBackOrFail(ctx context.Context, err error) error {
	failure := unavailable(err)
	if refusal, ok := errors.AsType[*fault.Error](err); ok {
		if !passing(refusal.Reason) {
			return a.settle(ctx, ending{failure: refusal})
		}
		failure = refusal
	}
	a.engine.Log.InfoContext(ctx, "operation put back", slog.String("operation", a.row.ID.String()),
		slog.String("method", a.row.Method), slog.Any("error", err))
	if a.exhausted() {
		return a.settle(ctx, ending{failure: failure})
	}
	return a.requeue(ctx, a.engine.backoff(int(a.row.Claims)))
}

// passing says that a refusal may be over by the next try.
func passing(reason pb.ErrorReason) bool {
	switch reason {
	case pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, pb.ErrorReason_ERROR_REASON_VENDOR_CREDENTIALS,
		pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED, pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE,
		pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED:
		return true
	default:
		return false
	}
}

// send makes the change at the vendor.
func (a *attempt) send(ctx context.Context) error {
	resent := a.row.SentAt != nil
	call, err := a.call(ctx, budget.Change)
	switch {
	case err != nil && resent && a.exhausted() && !a.insists():
		return a.settle(ctx, ending{failure: a.unknown(err)})
	case err != nil && resent:
		return a.park(ctx, a.engine.backoff(int(a.row.Claims)), false) // the vendor may have seen it already
	case err != nil:
		return a.putBackOrFail(ctx, err)
	}
	if err := a.mark(ctx); err != nil {
		a.granted = &call // it was not made: see giveBack
		return err
	}
	resp := a.method.Output.New().Interface()
	reply, err := a.engine.Vendor.Do(ctx, a.method, a.request, resp)
	seen := observed(call, reply, err)
	if err == nil {
		scrub(resp, a.request)
		if said := a.refusedIn(resp); said != "" {
			return a.settle(ctx, ending{failure: a.refusal(said, resent), seen: seen})
		}
		if problem := a.lacking(resp); problem != "" {
			return a.doubtful(ctx, problem, seen)
		}
		return a.settle(ctx, ending{response: resp, shown: a.shown(ctx, resp), seen: seen})
	}
	return a.refused(ctx, err, resent, seen)
}

// refusedIn is what a response says of a refusal, "" if it is none.
func (a *attempt) refusedIn(response proto.Message) string {
	said := ""
	for _, condition := range a.method.Access.GetRefusal() {
		switch text := methods.String(response, condition.GetField()); {
		case len(condition.GetValues()) == 0 && text != "":
			return text
		case len(condition.GetValues()) > 0 && methods.Meets(response.ProtoReflect(), condition):
			said = "it gave no reason"
		}
	}
	return said
}

// refusal is a no that came with a status of success. To a change that was sent before
// it may mean that there is nothing left to do, and nobody can tell.
func (a *attempt) refusal(text string, resent bool) *fault.Error {
	no := fault.New(pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, "the vendor refused the request: %s", clip(text))
	if resent {
		return a.unknown(no)
	}
	return no
}

// clip bounds a text of the vendor's that goes into an error.
func clip(text string) string {
	const most = 1000
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// shownTimeout bounds the read after a change: the change is made, and its caller waits.
const shownTimeout = 5 * time.Second

// shown reads the resource right after a change whose response does not show it. Without
// it the change counts all the same, and our copy as behind.
func (a *attempt) shown(ctx context.Context, response proto.Message) proto.Message {
	read := a.engine.api.ByName(a.method.Access.GetShownBy())
	if read == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shownTimeout)
	defer cancel()
	request, answer := read.Input.New(), read.Output.New().Interface()
	takeSameNamed(request, a.request.ProtoReflect())
	takeSameNamed(request, response.ProtoReflect())
	if _, err := a.look(ctx, read, request.Interface(), answer); err != nil {
		a.engine.Log.InfoContext(ctx, "reading what a change made", slog.String("operation", a.row.ID.String()), slog.Any("error", err))
		return nil
	}
	scrub(answer, a.request)
	return answer
}

// scrub takes out of a response what the vendor echoes of secrets, the caller's or those
// that it hands out, outside of the fields that are for them.
func scrub(response, request proto.Message) {
	methods.Scrub(response, append(methods.SecretValues(request), methods.SecretValues(response)...))
}

// mark says durably that from now on the vendor may have seen the change. The claim has said
// so already where it could, unless the call that came with it was too old to be made: by
// now the lease may be another's.
func (a *attempt) mark(ctx context.Context) error {
	if a.marked {
		return nil
	}
	ctx, cancel := brief(ctx)
	defer cancel()
	n, err := a.engine.Store.MarkSent(ctx, dbsql.MarkSentParams{ID: a.row.ID, Lease: a.row.Lease, LeaseSeconds: a.engine.Lease.Seconds()})
	if err != nil {
		return fmt.Errorf("marking as sent: %w", db.Classify(err))
	}
	if n == 0 {
		return errLeaseLost // or cancelled
	}
	return nil
}

// refused decides what an error of the vendor means for the operation.
func (a *attempt) refused(ctx context.Context, err error, resent bool, seen []budget.Answer) error {
	var vendor *upstream.Error
	if !errors.As(err, &vendor) {
		return fmt.Errorf("calling the vendor: %w", err) // stays sent: the next claim looks
	}
	next := decide(decision{
		outcome: vendor.Outcome, throttled: vendor.Throttled(), status: vendor.Status, deletion: a.method.Verb == "DELETE",
		resent: resent, find: a.method.Access.GetFind() != nil,
		exhausted: a.exhausted(), insists: a.insists(),
	})
	e := a.engine
	e.Log.InfoContext(ctx, "the vendor did not make the change", slog.String("operation", a.row.ID.String()), slog.String("method", a.row.Method),
		slog.Int("status", vendor.Status), slog.String("next", next.String()), slog.Any("error", err))
	switch next {
	case succeed:
		return a.settle(ctx, ending{response: a.method.Output.New().Interface(), seen: seen})
	case retry:
		e.observe(ctx, seen)
		return a.requeue(ctx, e.backoff(int(a.row.Claims))) // the account's pause, not this one's wait, spares the vendor
	case lookAgain:
		e.observe(ctx, seen)
		return a.park(ctx, e.backoff(int(a.row.Claims)), false)
	case lookNow:
		e.observe(ctx, seen)
		return a.conflicted(ctx, vendor)
	case giveUpUnknown:
		return a.settle(ctx, ending{failure: a.unknown(err), seen: seen})
	case fail:
	}
	return a.settle(ctx, ending{failure: vendor.Fault(), seen: seen})
}

// unknown tells a caller that nobody can tell what became of the change.
func (a *attempt) unknown(err error) *fault.Error {
	on := a.row.ResourceKind
	if a.row.ResourceUUID != nil {
		on += " " + a.row.ResourceUUID.String()
	}
	if a.row.ParentUUID != nil {
		on += " of " + a.row.ParentKind + " " + a.row.ParentUUID.String()
	}
	return &fault.Error{
		Reason: pb.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN,
		Public: fmt.Sprintf("%s was sent and the vendor's reply was lost; whether it took effect cannot be told. Look at %s before you repeat it",
			a.method.Name.Name(), on),
		Cause: err,
	}
}

func unavailable(err error) *fault.Error {
	return &fault.Error{
		Reason: pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE,
		Public: "the vendor could not be reached in many tries; nothing was changed",
		Cause:  err,
	}
}

// giveBack returns the call that came with the claim, if it was not made.
func (a *attempt) giveBack(ctx context.Context) {
	if a.granted == nil {
		return
	}
	ctx, cancel := brief(context.WithoutCancel(ctx))
	defer cancel()
	defer a.engine.wakeDispatcher() // another may go with it
	if err := a.engine.Budget.Return(ctx, *a.granted); err != nil {
		a.engine.Log.InfoContext(ctx, "a call that was not made counts until it is forgotten", slog.Any("error", err))
	}
	a.granted = nil
}

// call is permission for one more vendor call: the one that came with the claim if
// it is used at once, or one taken now.
func (a *attempt) call(ctx context.Context, purpose budget.Purpose) (budget.Call, error) {
	if call := a.granted; call != nil {
		a.granted = nil
		if a.engine.Budget.Fresh(*call) {
			return *call, nil
		}
		a.granted, a.marked = call, false
		a.giveBack(ctx)
	}
	return a.engine.Budget.Take(ctx, budget.For{Purpose: purpose, Method: a.row.Method, Team: &a.row.TeamID, Operation: &a.row.ID})
}
