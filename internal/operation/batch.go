package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
)

// A batch is an operation that no worker takes up: its changes are operations of their
// own, in the queue like all others, and it ends in the commit that ends the last of
// them. Batch, changes and all their first events are one commit.

// maxBatch is how many resources a batch may be about.
const maxBatch = 1000

// maxNamed is how many of many an error names.
const maxNamed = 20

// batch is a batch that was found right and not written yet.
type batch struct {
	*submission

	update *pb.UpdateAgentRequest
	agents []uuid.UUID
	// What follows is known once the batch is planned.
	plan    *pb.AgentBatchPlan
	changes []*submission
	// sealed says that the update has secrets.
	sealed bool
}

// BatchUpdateAgents makes one change to many agents, which the request names by uuids: a
// filter was resolved before. It waits and answers as [Engine.Change] does.
func (e *Engine) BatchUpdateAgents(ctx context.Context, caller identity.Caller, req *pb.BatchUpdateAgentsRequest, resp *pb.BatchUpdateAgentsResponse) error {
	b, err := e.prepareBatch(caller, req)
	if err != nil {
		return err
	}
	if b.options.GetValidateOnly() {
		if err := e.planBatch(ctx, b); err != nil {
			return err
		}
		resp.Plan, resp.Operation = b.plan, b.preview()
		return nil
	}
	ended, remove := e.waiters.add(b.id)
	defer remove()
	row, err := e.submitBatch(ctx, b)
	if err != nil {
		return err
	}
	return e.follow(ctx, b.submission, row, ended, resp)
}

// prepareBatch checks all that the request alone tells.
func (e *Engine) prepareBatch(caller identity.Caller, req *pb.BatchUpdateAgentsRequest) (*batch, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("making an operation id: %w", err)
	}
	b := &batch{update: req.GetUpdate(), submission: &submission{
		id: id, caller: caller, method: e.api.ByRequest(req), request: req, options: batchOptions(req.GetMutation()),
		subject: audit.Ref{Kind: "agent"}, orderKey: "batch/" + id.String(),
	}}
	b.sealed = methods.Redact(proto.Clone(b.update))
	for _, text := range req.GetUuids() {
		agent, err := uuid.Parse(text)
		if err != nil || slices.Contains(b.agents, agent) {
			return nil, fault.Invalid("uuids", "%s is no uuid, or given twice", text)
		}
		b.agents = append(b.agents, agent)
	}
	if len(b.agents) == 0 || len(b.agents) > maxBatch {
		return nil, fault.Invalid("uuids", "must be 1 to %d agents, these are %d", maxBatch, len(b.agents))
	}
	if _, err := e.prepare(caller, b.changeOf(b.agents[0])); err != nil {
		return nil, within("update", err)
	}
	same := proto.CloneOf(req)
	clearOptions(same)
	if same.GetFilter() != "" {
		same.Uuids = nil // the same request, whatever it finds by now
	}
	b.digest, err = digest(b.method, b.options, same)
	return b, err
}

// batchOptions are the options of a batch, which may wait behind everything else.
func batchOptions(given *pb.MutationOptions) *pb.MutationOptions {
	options := &pb.MutationOptions{}
	if given != nil {
		options = proto.CloneOf(given)
	}
	if options.GetLane() == pb.MutationOptions_LANE_UNSPECIFIED {
		options.Lane = pb.MutationOptions_LANE_BULK
	}
	return options
}

// changeOf is the change of one agent.
func (b *batch) changeOf(agent uuid.UUID) *pb.UpdateAgentRequest {
	req := proto.CloneOf(b.update)
	req.Uuid = agent.String()
	req.Mutation = &pb.MutationOptions{Reason: b.options.GetReason(), Lane: b.options.GetLane(), Async: true}
	return req
}

// within says that what an error calls a field is one of a field's.
func within(field string, err error) error {
	wrong, ok := errors.AsType[*fault.Error](err)
	if !ok || len(wrong.Violations) == 0 {
		return err
	}
	nested := *wrong
	nested.Public = field + "." + wrong.Public
	nested.Violations = slices.Clone(wrong.Violations)
	for i := range nested.Violations {
		nested.Violations[i].Field = field + "." + nested.Violations[i].Field
	}
	return &nested
}

// planBatch finds out which agents would change and which may not.
func (e *Engine) planBatch(ctx context.Context, b *batch) error {
	outlooks, err := e.History.Foresee(ctx, b.update, b.agents)
	if err != nil {
		return err
	}
	if err := b.oneTeam(outlooks); err != nil {
		return err
	}
	busy, err := e.Store.BusyResources(ctx, b.agents)
	if err != nil {
		return fmt.Errorf("looking which agents have changes under way: %w", db.Classify(err))
	}
	b.plan = &pb.AgentBatchPlan{}
	for _, agent := range b.agents {
		outlook := outlooks[agent]
		ref := &pb.ResourceRef{Kind: "agent", Uuid: agent.String(), Name: outlook.Name}
		if outlook.Same && !slices.Contains(busy, agent) {
			b.plan.Unchanged = append(b.plan.Unchanged, ref)
			continue
		}
		caller := b.caller
		caller.Target = identity.Target{Kind: "agent", UUID: agent, Name: outlook.Name}
		change, err := e.prepare(caller, b.changeOf(agent))
		if err != nil {
			return within("update", err)
		}
		change.account = outlook.Account
		if err := e.allowed(ctx, change); err != nil {
			refusal, ok := errors.AsType[*fault.Error](err)
			if !ok {
				return err
			}
			b.plan.Problems = append(b.plan.Problems, &pb.AgentBatchProblem{Agent: ref, Reason: refusal.Reason, Message: refusal.Public})
			continue
		}
		b.changes = append(b.changes, change)
		b.plan.Updates = append(b.plan.Updates, &pb.PlannedAgentUpdate{Agent: ref, Changes: outlook.Changes})
	}
	return nil
}

// oneTeam refuses agents of several teams: the batch is one team's, in whose budget and
// history it is. The caller may change all of them, so nothing is given away.
func (b *batch) oneTeam(outlooks map[uuid.UUID]mirror.Outlook) error {
	first := outlooks[b.agents[0]].Team
	var others []string
	for _, agent := range b.agents {
		team := outlooks[agent].Team
		if (team == nil) != (first == nil) || team != nil && *team != *first {
			others = append(others, agent.String())
		}
	}
	if len(others) == 0 {
		return nil
	}
	return fault.Invalid("uuids", "all agents must be of one team; these are not of that of %s: %s", b.agents[0], someOf(others))
}

// someOf names some of many.
func someOf(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// forbidden is the refusal of a batch in which some changes may not be made: the first
// one's, with all their agents.
func (b *batch) forbidden() error {
	problems := b.plan.GetProblems()
	if len(problems) == 0 {
		return nil
	}
	agents := make([]string, 0, len(problems))
	for _, p := range problems {
		agents = append(agents, p.GetAgent().GetUuid())
	}
	return &fault.Error{
		Reason:   problems[0].GetReason(),
		Public:   fmt.Sprintf("%s (validate_only tells why each of these may not be changed: %s)", problems[0].GetMessage(), someOf(agents)),
		Resource: problems[0].GetAgent(),
	}
}

// preview is the operation that the batch would be.
func (b *batch) preview() *pb.Operation {
	unchanged, queued := int32(len(b.plan.GetUnchanged())), int32(len(b.changes))
	return &pb.Operation{
		Method: string(b.method.Name), Team: b.caller.ActingTeam.Name, Resource: toRef(b.subject), RequestedBy: b.caller.Name,
		Reason: b.options.GetReason(), IdempotencyKey: b.options.GetIdempotencyKey(), Lane: b.options.GetLane(), ValidateOnly: true,
		Batch: &pb.BatchProgress{Total: int32(len(b.agents)), Queued: queued, Unchanged: unchanged},
	}
}
