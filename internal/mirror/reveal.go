package mirror

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// Reveal asks the vendor for something that is as good as a secret, such as a signed URL,
// and fills resp with it, secrets and all. Each caller gets one of their own. That it was
// handed out is in the history before it is: what cannot be recorded is not given.
//
// The vendor makes it anew each time and changes nothing else by that, so there is no
// operation: if the answer is lost, the call is repeated.
func (m *Mirror) Reveal(ctx context.Context, caller identity.Caller, req, resp proto.Message) error {
	method := m.api.ByRequest(req)
	if method == nil || !method.Upstream() || method.Access.GetAction() != pb.Action_ACTION_REVEAL {
		return fmt.Errorf("%s is not the request of a method that reveals", req.ProtoReflect().Descriptor().FullName())
	}
	ask := proto.Clone(req)
	dropLocal(ask)
	answer := method.Output.New().Interface()
	asking, cancel := context.WithTimeout(ctx, m.cfg.Patience)
	defer cancel()
	if _, err := m.ask(asking, m.waiting(budget.Read, teamOf(caller)), method, ask, answer); err != nil {
		return fmt.Errorf("asking the vendor for %s: %w", method.Name, asFault(err))
	}
	if methods.Withholds(answer) {
		empty := upstream.Unusable(method, "the answer lacks what was asked for")
		return fmt.Errorf("asking the vendor for %s: %w", method.Name, asFault(empty))
	}
	event := audit.Event{
		Team: teamOf(caller), Action: pb.Action_ACTION_REVEAL, Method: string(method.Name), Reason: methods.String(req, "reason"),
		Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_API, Request: req,
	}.By(caller)
	if caller.Target.Kind != "" && caller.Target.Kind != "team" {
		event.Resource = audit.Ref{Kind: caller.Target.Kind, UUID: &caller.Target.UUID, Name: caller.Target.Name}
	}
	err := m.store.Tx(ctx, db.Durable, func(q *db.Queries) error { return audit.Record(ctx, q, event) })
	if err != nil {
		return fmt.Errorf("recording that something was revealed: %w", err)
	}
	proto.Reset(resp)
	proto.Merge(resp, answer)
	return nil
}

// dropLocal clears what the vendor does not get.
func dropLocal(req proto.Message) {
	m := req.ProtoReflect()
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if methods.Local(fd) {
			m.Clear(fd)
		}
		return true
	})
}
