package history

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
)

// preflightAge is how old the vendor's word on what it can bring back may be, unless the
// caller says otherwise.
const preflightAge = time.Minute

// PreflightRollback answers what bringing back a version would change, and what of it is not
// there any more. It changes nothing.
func (r *Reader) PreflightRollback(
	ctx context.Context, caller identity.Caller, req *pb.PreflightRollbackRequest,
) (*pb.PreflightRollbackResponse, error) {
	id, err := parse("uuid", req.GetUuid())
	if err != nil {
		return nil, err
	}
	most := req.GetMaxStaleness()
	if most == nil {
		most = durationpb.New(preflightAge)
	}
	resp := &pb.PreflightRollbackResponse{}
	if resp.Freshness, err = r.copied.RefreshVersions(ctx, caller, id, most); err != nil {
		return nil, err
	}
	wanted, err := r.resolve(ctx, id, "version", req.GetVersion())
	if err != nil {
		return nil, err
	}
	current, err := r.current(ctx, id)
	if err != nil {
		return nil, err
	}
	if resp.Diff, err = r.diff(ctx, id, current, wanted); err != nil {
		return nil, err
	}
	if resp.Current, err = r.recorded(ctx, id, current); err != nil {
		return nil, err
	}
	if resp.Wanted, err = r.recorded(ctx, id, wanted); err != nil {
		return nil, err
	}
	if err := r.missing(ctx, caller, id, wanted, resp); err != nil {
		return nil, err
	}
	resp.Advice = advise(resp, current == wanted)
	return resp, r.conceal(ctx, caller, resp.GetCurrent().GetBy(), resp.GetWanted().GetBy())
}

// advise says what to make of it.
func advise(resp *pb.PreflightRollbackResponse, same bool) string {
	blocked := false
	for _, part := range resp.GetMissing() {
		blocked = blocked || part.GetBlocks()
	}
	switch {
	case same:
		return "this version applies already: a rollback changes nothing"
	case blocked || resp.CanRollback != nil && !resp.GetCanRollback():
		return "the vendor will refuse it, as something that the version attached is not there any more: make that again, " +
			"or bring the settings back with UpdateAgent"
	case len(resp.GetMissing()) > 0:
		return "the vendor will bring it back without what is missing"
	}
	return ""
}

// missing finds what a version needs and is not there any more. Functions, guardrails and
// whether it can be brought back are the vendor's to say, and what it said last counts.
func (r *Reader) missing(ctx context.Context, caller identity.Caller, id uuid.UUID, hash string, resp *pb.PreflightRollbackResponse) error {
	record, err := r.store.AgentVersionRecord(ctx, dbsql.AgentVersionRecordParams{AgentUUID: id, VersionHash: hash})
	if err != nil {
		return fmt.Errorf("reading version %s of agent %s: %w", hash, id, db.Classify(err))
	}
	version := &pb.AgentVersion{}
	if err := proto.Unmarshal(record.Body, version); err != nil {
		return fmt.Errorf("reading version %s of agent %s: %w", hash, id, err)
	}
	if record.Body != nil {
		resp.CanRollback = version.CanRollback
	}
	found, err := r.contents(ctx, id, []string{hash})
	if err != nil {
		return err
	}
	p := parts{said: saidOf(version)}
	p.collect(found[hash].agent)
	kinds := []string{toAgent, toKnowledgeBase, "model", "custom_model", "model_router", "workspace", "anthropic_key", "openai_key"}
	known, err := r.resources(ctx, kinds, p.ids())
	if err != nil {
		return err
	}
	for _, part := range p.all {
		if told := p.gone(caller, part, known); told != nil {
			resp.Missing = append(resp.Missing, told)
		}
	}
	return nil
}

// part is something that a version refers to.
type part struct {
	kinds  []string
	uuid   string
	name   string
	blocks bool
}

// parts are all of a version, with what the vendor said of those that are gone.
type parts struct {
	all  []part
	said map[string]bool
}

// saidOf are the parts of which the vendor's version says whether they are deleted, by kind
// and uuid, or name where there is none.
func saidOf(version *pb.AgentVersion) map[string]bool {
	said := map[string]bool{}
	for _, c := range version.GetAttachedChildAgents() {
		said[toAgent+"/"+c.GetChildAgentUuid()] = c.GetIsDeleted()
	}
	for _, f := range version.GetAttachedFunctions() {
		said[toFunction+"/"+f.GetName()] = f.GetIsDeleted()
	}
	for _, g := range version.GetAttachedGuardrails() {
		said[toGuardrail+"/"+g.GetUuid()] = g.GetIsDeleted()
	}
	for _, kb := range version.GetAttachedKnowledgebases() {
		said[toKnowledgeBase+"/"+kb.GetUuid()] = kb.GetIsDeleted()
	}
	return said
}

// collect lists what an agent refers to. What the vendor attaches it refuses to bring back
// when it is gone; the rest comes back empty.
func (p *parts) collect(agent *pb.Agent) {
	add := func(blocks bool, id, name string, kinds ...string) {
		if id != "" || name != "" {
			p.all = append(p.all, part{kinds: kinds, uuid: id, name: name, blocks: blocks})
		}
	}
	for _, c := range agent.GetChildAgents() {
		add(true, c.GetUuid(), "", toAgent)
	}
	for _, f := range agent.GetFunctions() {
		add(true, f.GetUuid(), f.GetName(), toFunction)
	}
	for _, g := range agent.GetGuardrails() {
		add(true, g.GetGuardrailUuid(), g.GetName(), toGuardrail)
	}
	for _, kb := range agent.GetKnowledgeBases() {
		add(true, kb.GetUuid(), "", toKnowledgeBase)
	}
	add(false, agent.GetModel().GetUuid(), agent.GetModel().GetName(), "model", "custom_model")
	add(false, agent.GetModelRouter().GetUuid(), "", "model_router")
	add(false, agent.GetAnthropicApiKey().GetUuid(), "", "anthropic_key")
	add(false, agent.GetOpenaiApiKey().GetUuid(), "", "openai_key")
	add(false, agent.GetModelProviderKey().GetApiKeyUuid(), "", "anthropic_key", "openai_key")
}

func (p *parts) ids() []uuid.UUID {
	var ids []uuid.UUID
	for _, part := range p.all {
		if id, err := uuid.Parse(part.uuid); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// gone is what is told of a part that is not there any more; nil if it is there, or if
// nobody knows.
func (p *parts) gone(caller identity.Caller, of part, known map[resourceKey]dbsql.ResourcesOfRow) *pb.MissingPart {
	kind := of.kinds[0]
	told := &pb.MissingPart{Kind: kind, Uuid: of.uuid, Name: of.name, Blocks: of.blocks}
	if kind == toFunction {
		told.Kind = "agent_function"
	}
	key := of.uuid
	if kind == toFunction {
		key = of.name
	}
	missing := p.said[kind+"/"+key]
	id, err := uuid.Parse(of.uuid)
	if err != nil {
		id = uuid.Nil
	}
	for _, kind := range of.kinds {
		row, is := known[resourceKey{kind, id}]
		if !is {
			continue
		}
		missing = missing || row.DeletedAt != nil
		if sees(caller, row) && told.GetName() == "" {
			told.Name = row.Name
		}
		told.Kind = kind
	}
	if !missing {
		return nil
	}
	return told
}
