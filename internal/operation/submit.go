package operation

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// submission is a change that was found right and not written yet.
type submission struct {
	id       uuid.UUID
	caller   identity.Caller
	method   *methods.Method
	request  proto.Message
	options  *pb.MutationOptions
	digest   []byte
	subject  audit.Ref
	parent   audit.Ref
	orderKey string
	// account is the vendor account that it goes to, if it is another one than the engine's: a
	// batch may have changes in several.
	account string
	// alsoKeys are the order keys of what it changes besides what it is about.
	alsoKeys []string
}

// prepare checks all that the request alone tells.
func (e *Engine) prepare(caller identity.Caller, req proto.Message) (*submission, error) {
	m := e.api.ByRequest(req)
	if m == nil || !m.Change() {
		return nil, fmt.Errorf("%s is not the request of a change", req.ProtoReflect().Descriptor().FullName())
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("making an operation id: %w", err)
	}
	s := &submission{id: id, caller: caller, method: m, request: req, options: optionsOf(req)}
	if s.options == nil {
		s.options = &pb.MutationOptions{}
	}
	if err := upstream.CheckMask(req); err != nil {
		return nil, err
	}
	if _, err := upstream.Render(m, req); err != nil {
		return nil, err
	}
	if m.Access.GetReturnsSecret() && s.options.GetAsync() && s.options.GetIdempotencyKey() == "" {
		return nil, fault.Invalid("mutation.async", "the secret is in the answer alone: give an idempotency_key, and repeat the call with it to fetch it")
	}
	s.place()
	s.alsoKeys = s.furtherKeys()
	bare := proto.Clone(req)
	clearOptions(bare)
	s.digest, err = digest(m, s.options, bare)
	return s, err
}

// digest tells requests apart: those of one digest ask for the same. bare is without options.
func digest(m *methods.Method, options *pb.MutationOptions, bare proto.Message) ([]byte, error) {
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%s\x00", m.Name, options.GetExpectedVersion())
	sum.Write(text)
	return sum.Sum(nil), nil
}

// place says what the change is about, and which others it must not overlap.
func (s *submission) place() {
	access := s.method.Access
	for _, target := range access.GetTargets() {
		if target.GetKind() == "team" {
			continue
		}
		if id, err := uuid.Parse(methods.String(s.request, target.GetField())); err == nil {
			s.subject = audit.Ref{Kind: target.GetKind(), UUID: &id}
			if s.caller.Target.UUID == id {
				s.subject.Name = s.caller.Target.Name
			}
		}
		break // only the first target is what the change is about
	}
	if s.subject.UUID != nil && access.GetTargets()[0].GetKind() != "team" {
		s.orderKey = orderKey(s.subject.Kind, *s.subject.UUID)
	}
	subject := access.GetSubject()
	if subject == nil {
		return
	}
	if access.GetTargets()[0].GetKind() != "team" {
		s.parent = s.subject
	}
	s.subject = audit.Ref{Kind: subject.GetKind(), Name: methods.String(s.request, cmp.Or(subject.GetName(), "name"))}
	if id, err := uuid.Parse(methods.String(s.request, subject.GetField())); err == nil {
		s.subject.UUID = &id
	}
}

// allowed says whether the change may be made as things stand.
func (e *Engine) allowed(ctx context.Context, s *submission) error {
	if e.Aim != nil {
		if err := e.Aim(ctx, s.caller, s.request); err != nil {
			return err
		}
	}
	if err := e.tagged(ctx, s); err != nil {
		return err
	}
	if rule := e.Rules[s.method.Name]; rule != nil {
		if err := rule(ctx, uuid.Nil, s.request); err != nil {
			return err
		}
	}
	return e.expected(ctx, s)
}

// expected refuses a change of a resource that our copy already knows to be at
// another version. The worker looks again, at the vendor itself.
func (e *Engine) expected(ctx context.Context, s *submission) error {
	want := s.options.GetExpectedVersion()
	if want == "" {
		return nil
	}
	on := s.versioned()
	if on.UUID == nil {
		return fault.Invalid("mutation.expected_version", "what does not exist yet has no version")
	}
	if !e.History.Versioned(on.Kind) {
		return fault.Invalid("mutation.expected_version", "the vendor shows no version of a %s, and no time of its last change; leave it out", on.Kind)
	}
	row, err := e.Store.Resource(ctx, dbsql.ResourceParams{Kind: on.Kind, UUID: *on.UUID})
	if db.NoRows(err) {
		return fault.NotFound(on.Kind, on.UUID.String())
	}
	if err != nil {
		return fmt.Errorf("reading the version of %s %s: %w", on.Kind, on.UUID, err)
	}
	if row.DirtySince != nil || row.BodySyncedAt == nil {
		return nil // what we hold is behind: only the vendor can tell
	}
	var updated time.Time
	if row.UpstreamUpdatedAt != nil {
		updated = *row.UpstreamUpdatedAt
	}
	return matches(want, row.VersionHash, updated, on)
}

// versioned is the resource whose version a change of it expects.
func (s *submission) versioned() audit.Ref {
	if s.parent.UUID != nil {
		return s.parent
	}
	return s.subject
}

// submit writes the operation and its audit event in one commit. With an
// idempotency key that was used before it answers the operation of then.
func (e *Engine) submit(ctx context.Context, s *submission) (dbsql.Operation, error) {
	// Before the backlog's limit and the version: repeating a call must find its
	// operation even when there is no room for another, or when it did change something.
	if key := s.options.GetIdempotencyKey(); key != "" {
		row, err := e.Store.OperationByKey(ctx, dbsql.OperationByKeyParams{TeamID: s.caller.ActingTeam.ID, IdempotencyKey: &key})
		if err == nil {
			return s.attach(row)
		}
		if !db.NoRows(err) {
			return dbsql.Operation{}, fmt.Errorf("looking for an idempotency key: %w", err)
		}
	}
	if err := e.allowed(ctx, s); err != nil {
		return dbsql.Operation{}, err
	}
	params, err := e.row(s)
	if err != nil {
		return dbsql.Operation{}, err
	}
	rule, err := e.approval(ctx, s)
	if err != nil {
		return dbsql.Operation{}, err
	}
	if rule != "" {
		params.ApprovalRule = &rule
	}
	return e.write(ctx, s, func() (dbsql.Operation, error) { return e.insert(ctx, s, params) })
}

// write makes a submission durable and answers its operation, or that of an earlier one
// with its idempotency key.
func (e *Engine) write(ctx context.Context, s *submission, insert func() (dbsql.Operation, error)) (dbsql.Operation, error) {
	row, err := insert()
	lost := db.CommitLost(err)
	for n := 1; lost && n <= submitTries; n++ {
		// It may be durable, and its caller must not be told to try again: then the change
		// would be made twice. A look finds out, once there is an answer at all: that the
		// database is away says nothing about the commit. It comes before the same is written
		// again, since a batch's own changes may fill the backlog, and after it, since the
		// first may have been committing still.
		if !pause(ctx, e.backoff(n)) {
			break
		}
		if row, err = e.Store.OperationByID(ctx, s.id); db.NoRows(err) {
			row, err = insert()
		}
		if db.UniqueViolation(err, "operations_pkey") {
			row, err = e.Store.OperationByID(ctx, s.id)
		}
		lost = err != nil && !errors.Is(err, errKeyTaken)
	}
	switch {
	case errors.Is(err, errKeyTaken):
		key := s.options.GetIdempotencyKey()
		row, err = e.Store.OperationByKey(ctx, dbsql.OperationByKeyParams{TeamID: s.caller.ActingTeam.ID, IdempotencyKey: &key})
		if err != nil {
			return dbsql.Operation{}, fmt.Errorf("reading the operation of an idempotency key: %w", err)
		}
		return s.attach(row)
	case lost && ctx.Err() != nil:
		return dbsql.Operation{}, &fault.Error{
			Reason:   pb.ErrorReason_ERROR_REASON_OPERATION_PENDING,
			Public:   fmt.Sprintf("the call ended before the change was known to be taken; it may go on as operation %s: look before you repeat it", s.id),
			Metadata: map[string]string{"operation": s.id.String()}, Cause: err,
		}
	case lost:
		return dbsql.Operation{}, wentAway(s.id, "while it took the change; it may go on", err)
	case fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_BACKLOG_FULL:
		return dbsql.Operation{}, err
	case err != nil:
		return dbsql.Operation{}, fmt.Errorf("submitting %s: %w", s.method.Name, err)
	}
	e.Log.DebugContext(ctx, "operation submitted", slog.String("operation", row.ID.String()), slog.String("method", row.Method))
	e.wakeDispatcher()
	e.tell(queued)
	return row, nil
}

// wentAway tells under which id a change is, or may be, that nobody must just repeat.
func wentAway(id uuid.UUID, when string, cause error) error {
	return &fault.Error{
		Reason:   pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE,
		Public:   fmt.Sprintf("our database went away %s as operation %s: look before you repeat it", when, id),
		Metadata: map[string]string{"operation": id.String()}, Cause: cause,
	}
}

// submitTries is how often a submission whose commit was lost is looked after.
const submitTries = 4

// errKeyTaken says that another call was quicker with the same idempotency key.
var errKeyTaken = errors.New("the idempotency key is taken")

// attach answers the operation that the idempotency key already stands for, if it
// is the same request.
func (s *submission) attach(row dbsql.Operation) (dbsql.Operation, error) {
	if bytes.Equal(row.RequestDigest, s.digest) {
		return row, nil
	}
	return dbsql.Operation{}, &fault.Error{
		Reason:   pb.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED,
		Public:   fmt.Sprintf("the idempotency key %q was used for another request; use a new key", s.options.GetIdempotencyKey()),
		Metadata: map[string]string{"operation": row.ID.String()},
	}
}

// row is the operation as it is written, without its place in the queue.
func (e *Engine) row(s *submission) (dbsql.Operation, error) {
	p := dbsql.Operation{
		ID: s.id, State: stateQueued, Account: cmp.Or(s.account, e.Budget.Account()), TeamID: s.caller.ActingTeam.ID,
		Actor: s.caller.Name, Method: string(s.method.Name),
		ResourceKind: s.subject.Kind, ResourceUUID: s.subject.UUID, ResourceName: s.subject.Name,
		ParentKind: s.parent.Kind, ParentUUID: s.parent.UUID, OrderKey: s.orderKey, AlsoKeys: s.alsoKeys, RequestDigest: s.digest,
		Reason: s.options.GetReason(), ExpectedVersion: s.options.GetExpectedVersion(), Lane: lane(s.options),
		RequestID: s.caller.RequestID, ClientAddress: s.caller.Address, UserAgent: s.caller.UserAgent,
	}
	if p.OrderKey == "" {
		p.OrderKey = s.newKey()
	}
	if s.caller.PrincipalID != uuid.Nil {
		p.PrincipalID = &s.caller.PrincipalID
	}
	if s.caller.ActingService != "" {
		p.ActingService = &s.caller.ActingService
	}
	if key := s.options.GetIdempotencyKey(); key != "" {
		p.IdempotencyKey = &key
	}
	var err error
	p.Request, p.SealedRequest, err = e.split(s.request, requestSeal(s.id))
	return p, err
}

// What is sealed opens only as what it was sealed as, and for the same operation.
func requestSeal(id uuid.UUID) string  { return "request of operation " + id.String() }
func responseSeal(id uuid.UUID) string { return "response of operation " + id.String() }

// split is a message without its secrets, and, if it has any, the whole sealed.
func (e *Engine) split(m proto.Message, seal string) (clean, sealed []byte, err error) {
	bare := proto.Clone(m)
	if methods.Redact(bare) {
		whole, err := proto.Marshal(m)
		if err != nil {
			return nil, nil, fmt.Errorf("writing a message with secrets: %w", err)
		}
		if sealed, err = e.Ring.Seal(whole, seal); err != nil {
			return nil, nil, fmt.Errorf("sealing a message: %w", err)
		}
	}
	if clean, err = proto.Marshal(bare); err != nil {
		return nil, nil, fmt.Errorf("writing a message: %w", err)
	}
	return clean, sealed, nil
}

// event is the history's line of the submission.
func (s *submission) event(row dbsql.Operation) audit.Event {
	return audit.Event{
		Team: &row.TeamID, Action: s.method.Access.GetAction(), Method: row.Method, Resource: s.subject, Parent: s.parent,
		Reason: row.Reason, Outcome: pb.AuditEvent_OUTCOME_ACCEPTED, Origin: pb.AuditEvent_ORIGIN_API,
		Operation: &row.ID, Request: s.request,
	}.By(s.caller)
}

func lane(o *pb.MutationOptions) int16 {
	if o.GetLane() == pb.MutationOptions_LANE_UNSPECIFIED {
		return int16(pb.MutationOptions_LANE_NORMAL)
	}
	return int16(o.GetLane())
}

// optionsOf are the request's mutation options, nil if it has none.
func optionsOf(req proto.Message) *pb.MutationOptions {
	fd := req.ProtoReflect().Descriptor().Fields().ByName("mutation")
	if fd == nil || !req.ProtoReflect().Has(fd) {
		return nil
	}
	options, _ := req.ProtoReflect().Get(fd).Message().Interface().(*pb.MutationOptions)
	return options
}

func clearOptions(req proto.Message) {
	if fd := req.ProtoReflect().Descriptor().Fields().ByName("mutation"); fd != nil {
		req.ProtoReflect().Clear(fd)
	}
}
