package service

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
)

// Rules are what we forbid and the vendor would allow. They are not lines of the
// handlers, because they must hold again when a change leaves the queue.
func Rules(m *mirror.Mirror) operation.Rules {
	rules := operation.Rules{
		"agentsvc.v1.AgentService.DeleteAgent":        rule(noRoutesLeft(m)),
		"agentsvc.v1.AgentRouteService.AddAgentRoute": rule(noCircle(m)),
	}
	for _, method := range methods.API().All() {
		if method.Access.GetPart() != nil {
			rules[method.Name] = noOthersPart(m)
		}
	}
	return rules
}

// noOthersPart keeps a change to the parts of what it names as the whole: who may change one
// agent's key must not reach another team's by naming it beside an agent of theirs. It is asked
// when the change leaves the queue, where it can wait for the vendor's answer as the change can.
func noOthersPart(m *mirror.Mirror) operation.Rule {
	return func(ctx context.Context, op uuid.UUID, req proto.Message) error {
		if op == uuid.Nil {
			return nil
		}
		return m.HasParts(ctx, req)
	}
}

// rule gives a rule its request by type. Requests are validated before.
func rule[Req proto.Message](check func(ctx context.Context, op uuid.UUID, req Req) error) operation.Rule {
	return func(ctx context.Context, op uuid.UUID, req proto.Message) error {
		typed, ok := req.(Req)
		if !ok {
			return fmt.Errorf("a rule got a %T", req)
		}
		return check(ctx, op, typed)
	}
}

// noRoutesLeft keeps an agent that others route to: they would lead to nowhere.
func noRoutesLeft(m *mirror.Mirror) func(context.Context, uuid.UUID, *pb.DeleteAgentRequest) error {
	return func(ctx context.Context, _ uuid.UUID, req *pb.DeleteAgentRequest) error {
		if req.GetForce() {
			return nil
		}
		parents, err := m.Parents(ctx, uuid.MustParse(req.GetUuid()))
		if err != nil {
			return fmt.Errorf("looking who routes to agent %s: %w", req.GetUuid(), err)
		}
		if len(parents) > 0 {
			return fault.Precondition("%d agents route to %s: take those routes away first, or set force", len(parents), req.GetUuid())
		}
		return nil
	}
}

// noCircle keeps a conversation from coming back to where it was.
func noCircle(m *mirror.Mirror) func(context.Context, uuid.UUID, *pb.AddAgentRouteRequest) error {
	return func(ctx context.Context, op uuid.UUID, req *pb.AddAgentRouteRequest) error {
		parent, child := uuid.MustParse(req.GetParentAgentUuid()), uuid.MustParse(req.GetChildAgentUuid())
		circle, err := m.WouldCircle(ctx, op, parent, child)
		if err != nil {
			return fmt.Errorf("looking for a circle of routes: %w", err)
		}
		if circle {
			return fault.Precondition("a route from %s to %s would close a circle: %s already leads back to %s, or is about to",
				parent, child, child, parent)
		}
		return nil
	}
}
