package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// grant takes one call from the budget for a method, waiting or not.
type grant func(ctx context.Context, method *methods.Method) (budget.Call, error)

// errNoRoom says that the sync has to leave the rest of the budget to others.
var errNoRoom = errors.New("no room in the budget")

// waiting takes calls for a purpose and waits for them.
func (m *Mirror) waiting(purpose budget.Purpose, team *uuid.UUID) grant {
	return func(ctx context.Context, method *methods.Method) (budget.Call, error) {
		return m.budget.Take(ctx, budget.For{Purpose: purpose, Method: string(method.Name), Team: team})
	}
}

// spare takes calls that nobody else wants now, or answers errNoRoom.
func (m *Mirror) spare(ctx context.Context, method *methods.Method) (budget.Call, error) {
	call, ok, _, err := m.budget.Try(ctx, budget.For{Purpose: budget.Sync, Method: string(method.Name)})
	if err == nil && !ok {
		err = errNoRoom
	}
	return call, err
}

// teamOf is whose reading of the budget a caller's is.
func teamOf(caller identity.Caller) *uuid.UUID {
	if caller.ActingTeam.ID == uuid.Nil {
		return nil
	}
	return &caller.ActingTeam.ID
}

// asked is what is known of an answer beside what it says.
type asked struct {
	// begun is the time before the question, by the database's clock: the answer is no older.
	begun time.Time
	// misread says that something in the answer had a form that it cannot have and is
	// missing: what was not understood may exist.
	misread bool
}

// askAgain is how often a question is put again because a kept connection broke: there may be
// several that the vendor has closed meanwhile.
const askAgain = 3

// ask asks the vendor, each time with a grant.
func (m *Mirror) ask(ctx context.Context, granted grant, method *methods.Method, req, resp proto.Message) (asked, error) {
	for n := 0; ; n++ {
		answer, err := m.askOnce(ctx, granted, method, req, resp)
		if n == askAgain || !upstream.Dropped(err) {
			return answer, err
		}
	}
}

func (m *Mirror) askOnce(ctx context.Context, granted grant, method *methods.Method, req, resp proto.Message) (asked, error) {
	call, err := granted(ctx, method)
	if err != nil {
		return asked{}, err
	}
	begun, err := m.store.ClockNow(ctx)
	if err != nil {
		return asked{}, fmt.Errorf("reading the clock: %w", db.Classify(err))
	}
	reply, err := m.client.Do(ctx, method, req, resp)
	m.observe(ctx, call, reply, err)
	methods.Scrub(resp, methods.SecretValues(resp)) // what the vendor repeats of one thing's secrets in another
	return asked{begun: begun, misread: reply.Misread}, err
}

// observeTimeout bounds recording a call whose caller may be gone.
const observeTimeout = 5 * time.Second

func (m *Mirror) observe(ctx context.Context, call budget.Call, reply upstream.Reply, failure error) {
	answer := budget.Answer{Call: call, Seen: budget.SeenIn(reply, failure)}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), observeTimeout)
	defer cancel()
	if err := m.store.Tx(detached, db.Loose, func(q *db.Queries) error { return m.budget.Observe(detached, q, answer) }); err != nil {
		// The log of calls lacks one answer; the call itself is in it.
		m.log.WarnContext(ctx, "a vendor call could not be recorded", slog.Int64("call", call.Number), slog.Any("error", err))
	}
}

// sight is what the vendor showed of one resource.
type sight struct {
	// body is as it is stored; nil if the vendor does not have the resource.
	body    proto.Message
	begun   time.Time
	verdict verdict
}

// missing is what is done about a resource that the vendor did not have when it was
// asked at begun: [Mirror.miss], or [Mirror.lose] where other looks agree.
type missing func(ctx context.Context, q *db.Queries, k *kind, id uuid.UUID, begun time.Time) error

// look asks the vendor for one resource and stores the answer.
func (m *Mirror) look(ctx context.Context, granted grant, k *kind, id uuid.UUID, absence missing) (sight, error) {
	method := m.api.ByName(k.get)
	if method == nil {
		return sight{}, fmt.Errorf("a %s cannot be read alone", k.name)
	}
	req, resp := method.Input.New().Interface(), method.Output.New().Interface()
	if !set(req, k.id, id.String()) {
		return sight{}, fmt.Errorf("%s has no field %s", method.Name, k.id)
	}
	answer, err := m.ask(ctx, granted, method, req, resp)
	begun := answer.begun
	var refusal *upstream.Error
	if errors.As(err, &refusal) && refusal.NotFound() {
		err = m.store.Tx(ctx, db.Loose, func(q *db.Queries) error { return absence(ctx, q, k, id, begun) })
		return sight{begun: begun, verdict: absent}, err
	}
	if err != nil {
		return sight{}, err
	}
	fd := method.Output.Descriptor().Fields().ByName(protoreflect.Name(k.item))
	if fd == nil || fd.Message() == nil || !resp.ProtoReflect().Has(fd) {
		return sight{}, misunderstood(k, id, errors.New("it is not in the answer"))
	}
	s := sight{body: k.storable(resp.ProtoReflect().Get(fd).Message().Interface()), begun: begun}
	for field, from := range k.beside {
		spread(s.body, field, resp, from)
	}
	switch shown, err := k.identify(s.body); {
	case err != nil:
		return sight{}, misunderstood(k, id, err)
	case shown != id:
		return sight{}, misunderstood(k, id, fmt.Errorf("the answer shows %s", shown))
	}
	err = m.store.Tx(ctx, db.Loose, func(q *db.Queries) error {
		var err error
		s.verdict, err = m.keep(ctx, q, k, id, s.body, begun)
		return err
	})
	if err != nil {
		return sight{}, fmt.Errorf("storing %s %s as the vendor showed it: %w", k.name, id, err)
	}
	return s, nil
}

func misunderstood(k *kind, id uuid.UUID, cause error) error {
	return &fault.Error{
		Reason: pb.ErrorReason_ERROR_REASON_VENDOR_PROTOCOL,
		Public: fmt.Sprintf("the vendor's answer for %s %s could not be understood; give our operators the request id", k.name, id),
		Cause:  cause,
	}
}

// asFault is what a caller may see of an error of asking the vendor.
func asFault(err error) error {
	if refusal, ok := errors.AsType[*upstream.Error](err); ok {
		return refusal.Fault()
	}
	return err
}

// unanswered says that an error is about asking the vendor, so that what we hold is
// the best there is; not one about our database or the caller's leaving.
func unanswered(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if _, ok := errors.AsType[*upstream.Error](err); ok {
		return true
	}
	switch fault.ReasonOf(err) {
	case pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED, pb.ErrorReason_ERROR_REASON_VENDOR_PROTOCOL,
		pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE:
		return true
	default:
		return errors.Is(err, context.DeadlineExceeded) // of the wait: the caller's has not come
	}
}

// refused says that the vendor understood a question and said no, so that asking again, or
// anybody else, will not help.
func refused(err error) bool {
	return fault.ReasonOf(asFault(err)) == pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED
}

// Versioned says whether it can be told at which version a resource of a kind is: the vendor
// shows it by itself, with a hash or the time of its last change.
func (m *Mirror) Versioned(kind string) bool {
	k := m.kind(kind)
	return k != nil && k.get != "" && (k.columns.version != "" || k.columns.updated != "")
}

// Refresh asks the vendor for one resource now, on a call taken for the purpose,
// stores the answer, and tells at which version it is. It waits for the budget as
// long as ctx allows. A resource that the vendor does not have is a fault NOT_FOUND.
func (m *Mirror) Refresh(
	ctx context.Context, purpose budget.Purpose, kind string, id uuid.UUID,
) (version string, updatedAt time.Time, err error) {
	k := m.kind(kind)
	if k == nil {
		return "", time.Time{}, fmt.Errorf("kind %q is not mirrored", kind)
	}
	if k.get == "" {
		return "", time.Time{}, fault.Invalid("mutation.expected_version", "the vendor does not show a %s by itself, so its version cannot be checked", kind)
	}
	s, err := m.look(ctx, m.waiting(purpose, nil), k, id, m.miss)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("reading %s %s again: %w", kind, id, asFault(err))
	}
	if s.body == nil {
		return "", time.Time{}, fault.NotFound(kind, id.String())
	}
	if at := moment(s.body, k.columns.updated); at != nil {
		updatedAt = *at
	}
	return text(s.body, k.columns.version), updatedAt, nil
}
