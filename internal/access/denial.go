package access

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// recordTimeout bounds the recording of a denial, which a caller cannot prevent by
// hanging up.
const recordTimeout = 5 * time.Second

// requestKept is how much of a refused request its event keeps, in bytes of JSON. Events
// stay for ever, and a caller who is not allowed anything must not fill the disk.
const requestKept = 8 << 10

// refusal is a no that goes into the history: the caller was not allowed to, or
// what they named is not theirs, or is not there.
type refusal struct {
	fault    *fault.Error
	resource identity.Target
	owner    uuid.UUID
}

func (r *refusal) Error() string { return r.fault.Error() }

func (r *refusal) Unwrap() error { return r.fault }

func denied(format string, args ...any) *refusal {
	return &refusal{fault: fault.New(pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED, format, args...)}
}

// on says what the refusal is about.
func (r *refusal) on(t thing) *refusal {
	r.resource, r.owner = t.Target, t.team.ID
	return r
}

// record writes a refusal in a transaction of its own: there is no change for it
// to commit with.
//
// A team's history is read by the team, so the event carries the owner's team if the
// caller belongs to it. What is about another team's or nobody's thing carries no
// team, and only auditors and administrators see it: in the history of the caller's
// team such an event would tell what others have, if only by its name. What is about no thing at all goes to the caller's first team.
func (g *Guard) record(ctx context.Context, c identity.Caller, m *methods.Method, req proto.Message, no *refusal) error {
	reason := reasonOf(req)
	req, err := kept(req)
	if err != nil {
		return err
	}
	event := audit.Event{
		Method:       methodName(m),
		Reason:       reason,
		Outcome:      pb.AuditEvent_OUTCOME_DENIED,
		Origin:       pb.AuditEvent_ORIGIN_API,
		ErrorReason:  no.fault.Reason,
		ErrorMessage: no.fault.Public,
		Request:      req,
	}.By(c)
	if m != nil {
		event.Action = m.Access.GetAction()
	}
	belongs := slices.ContainsFunc(c.Teams, func(t identity.Membership) bool { return t.TeamID == no.owner })
	switch {
	case belongs:
		event.Team = &no.owner
	case no.resource.Kind == "" && len(c.Teams) > 0:
		event.Team = &c.Teams[0].TeamID
	}
	if no.resource.Kind != "" {
		event.Resource = audit.Ref{Kind: no.resource.Kind, Name: no.resource.Name}
		if no.resource.UUID != uuid.Nil {
			event.Resource.UUID = &no.resource.UUID
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	return g.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		first, err := countDenial(ctx, q, event)
		if err != nil || !first {
			return err // the others are told as one: see [Guard.RunDenials]
		}
		return audit.Record(ctx, q, event)
	})
}

// kept is what the event of a refusal keeps of a request: all of it, or how large it was.
func kept(req proto.Message) (proto.Message, error) {
	text, err := audit.JSON(req)
	if err != nil {
		return nil, fmt.Errorf("measuring a refused request: %w", err)
	}
	if len(text) <= requestKept {
		return req, nil
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"truncated": structpb.NewBoolValue(true), "bytes": structpb.NewNumberValue(float64(len(text))),
	}}, nil
}

// reasonOf is why the caller asks: among the options of a change, or beside the other
// fields where a method has no such options.
func reasonOf(req proto.Message) string {
	if reason := methods.String(req, "mutation.reason"); reason != "" {
		return reason
	}
	return methods.String(req, "reason")
}

func methodName(m *methods.Method) string {
	if m == nil {
		return ""
	}
	return string(m.Name)
}
