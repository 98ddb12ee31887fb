package mirror

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const (
	agentKind    = "agent"
	routeKind    = "agent_route"
	functionKind = "agent_function"
	keyKind      = "agent_api_key"

	workspaceKind = "workspace"
	routerKind    = "model_router"
	anthropicKind = "anthropic_key"
	openAIKind    = "openai_key"
)

// rollbackMethod brings back whatever an agent had attached.
const rollbackMethod = "AgentService.RollbackAgentVersion"

// reference is an attribute of agents that names what an agent uses and is a resource of
// one of the kinds.
type reference struct {
	attribute, path string
	kinds           []string
}

func references() []reference {
	return []reference{
		{"workspace_uuid", "workspace.uuid", []string{workspaceKind}},
		{"model_router_uuid", "model_router.uuid", []string{routerKind}},
		{"anthropic_key_uuid", "anthropic_api_key.uuid", []string{anthropicKind}},
		{"openai_key_uuid", "openai_api_key.uuid", []string{openAIKind}},
		{"model_provider_key_uuid", "model_provider_key.api_key_uuid", []string{anthropicKind, openAIKind}},
	}
}

func agents() *kind {
	attributes := map[string]string{"visibility": "deployment.visibility", "model_uuid": "model.uuid"}
	for _, r := range references() {
		attributes[r.attribute] = r.path
	}
	return &kind{
		name:    agentKind,
		summary: (*pb.AgentListItem)(nil), full: (*pb.Agent)(nil),
		list: "AgentService.ListAgents", items: "agents",
		others: []string{
			"WorkspaceService.ListWorkspaceAgents", "ProviderKeyService.ListAgentsByAnthropicApiKey", "ProviderKeyService.ListAgentsByOpenAiApiKey",
		},
		get: "AgentService.GetAgent", id: "uuid", item: "agent",
		columns: columns{
			uuid: "uuid", name: "name", status: "deployment.status", region: "region", tags: "tags", version: "version_hash",
			created: "created_at", updated: "updated_at",
		},
		attributes: attributes, references: references(),
		related: map[string][]string{
			"child_agents": append(routeFields(), "uuid", "name"), "parent_agents": {"uuid", "name"}, "workspace": {"uuid", "name"},
		},
		neighbours: []neighbour{
			{path: "child_agents", kinds: []string{agentKind}, tied: routeFields()},
			{path: "parent_agents", kinds: []string{agentKind}},
			{path: "workspace", kinds: []string{workspaceKind}},
			{path: "knowledge_bases", kinds: []string{knowledgeBaseKind}, tied: []string{"added_to_agent_at"}},
			{path: "template.knowledge_bases", kinds: []string{knowledgeBaseKind}},
			{path: "model_router", kinds: []string{routerKind}},
			{path: "anthropic_api_key", kinds: []string{anthropicKind}},
			{path: "openai_api_key", kinds: []string{openAIKind}},
			{path: "model_provider_key", kinds: []string{anthropicKind, openAIKind}, uuid: "api_key_uuid"},
		},
		compared: map[string][]string{
			// Names of others, and what their owners do to them, are no change of the agent.
			"child_agents": {"uuid", "if_case", "route_name"}, "knowledge_bases": {"uuid"}, "model": {"uuid", "name"},
			"workspace": {"uuid"}, "deployment": {"visibility"}, "model_router": {"uuid"}, "anthropic_api_key": {"uuid"},
			"openai_api_key": {"uuid"}, "model_provider_key": {"api_key_uuid"},
			"guardrails": {"guardrail_uuid", "priority", "is_attached"},
			"functions":  {"uuid", "name", "description", "faas_name", "faas_namespace", "input_schema", "output_schema"},
		},
		volatile: []string{
			"url", "api_keys", "api_key_infos", "parent_agents", "template", "vendor_extra", "user_id", "logging_config.insights_enabled_at",
			"if_case", "route_name", "route_uuid", "route_created_at", "route_created_by", "chatbot_identifiers",
		},
		stamps:      []string{"version_hash", "updated_at"},
		unversioned: []string{"deployment", "url", "chatbot_identifiers"},
		ends: map[string]outcome{
			"STATUS_RUNNING": succeeded, "STATUS_FAILED": failed, "STATUS_UNDEPLOYMENT_FAILED": failed, "STATUS_DELETED": gone,
		},
		leaving: []string{"STATUS_WAITING_FOR_UNDEPLOYMENT", "STATUS_UNDEPLOYING", "STATUS_UNDEPLOYMENT_FAILED", "STATUS_DELETED"},
		attached: map[string][]string{
			"child_agents": {rollbackMethod}, // the others that change them do not show the agent
			"functions": {
				"AgentRouteService.AddFunctionRoute", "AgentRouteService.UpdateFunctionRoute", "AgentRouteService.DeleteFunctionRoute", rollbackMethod,
			},
			"guardrails": {"AgentRouteService.AttachGuardrails", "AgentRouteService.DetachGuardrail", rollbackMethod},
			"knowledge_bases": {
				"AgentRouteService.AttachKnowledgeBase", "AgentRouteService.AttachKnowledgeBases", "AgentRouteService.DetachKnowledgeBase", rollbackMethod,
			},
		},
		parts:  agentParts{},
		ties:   agentTies{},
		relate: relateAgent,
	}
}

// agentParts keeps what hangs on agents: their routes, versions and API keys.
type agentParts struct{}

func (agentParts) stored(ctx context.Context, q *db.Queries, s storing) error {
	after, ok := s.after.(*pb.Agent)
	if !ok {
		return fmt.Errorf("a %T is no agent", s.after)
	}
	before, _ := s.before.(*pb.Agent)
	if err := s.read(ctx, q); err != nil {
		return err
	}
	if err := s.notForeseen(ctx, q, after); err != nil {
		return err
	}
	hash := after.GetVersionHash()
	fresh := s.version != hash
	if before != nil {
		fresh = before.GetVersionHash() != hash
	}
	if hash != "" && (fresh || before == nil) {
		by := s.by
		if !fresh {
			by = cause{} // it was there before the operation
		}
		if err := q.UpsertAgentVersion(ctx, dbsql.UpsertAgentVersionParams{
			AgentUUID: s.id, VersionHash: hash, Snapshot: s.text, OperationID: by.operation, Actor: by.actor, Reason: by.reason,
		}); err != nil {
			return fmt.Errorf("storing version %s of agent %s: %w", hash, s.id, err)
		}
	}
	if err := followState(ctx, q, after, s); err != nil {
		return err
	}
	return followRoutes(ctx, q, after, &s)
}

func (agentParts) removed(ctx context.Context, q *db.Queries, id uuid.UUID, by cause) error {
	// The vendor drops the routes to it as well, so its parents will look different.
	if err := q.MarkParentsDirty(ctx, dbsql.MarkParentsDirtyParams{OperationID: by.operation, TargetUUID: id}); err != nil {
		return fmt.Errorf("marking the agents that route to %s: %w", id, err)
	}
	now, err := q.ClockNow(ctx)
	if err != nil {
		return fmt.Errorf("reading the clock: %w", err)
	}
	now = by.since(now)
	if err := q.CloseRoutesOf(ctx, dbsql.CloseRoutesOfParams{At: now, ClosedBy: by.operation, AgentUUID: id}); err != nil {
		return fmt.Errorf("closing the routes of agent %s: %w", id, err)
	}
	return closeState(ctx, q, id, now)
}

func (agentParts) applied(ctx context.Context, q *db.Queries, c Change, on target) (Effect, bool, error) {
	var effect Effect
	var err error
	switch c.Method.Access.GetSubject().GetKind() {
	case routeKind:
		effect, err = applyRoute(ctx, q, c, on)
	case functionKind:
		effect, err = applyFunctionDeletion(ctx, q, c, on)
	case keyKind:
		effect, err = applyKey(ctx, q, c, on)
	default:
		response, rolledBack := c.Response.(*pb.RollbackAgentVersionResponse)
		if !rolledBack {
			return Effect{}, false, nil
		}
		effect, err = applyRollback(ctx, q, c, on, response)
	}
	return effect, true, err
}

// told tells of a function route by itself rather than of all functions.
func (agentParts) told(c Change, on target, before, after proto.Message) (Effect, bool, error) {
	if c.Method.Access.GetSubject().GetKind() != functionKind {
		return Effect{}, false, nil
	}
	was, _ := before.(*pb.Agent)
	is, _ := after.(*pb.Agent)
	old, now := functionOf(was, c.Request), functionOf(is, c.Request)
	effect := plain(c)
	effect.Parent = audit.Ref{Kind: agentKind, UUID: &on.id, Name: is.GetName()}
	if c.Method.Access.GetAction() == pb.Action_ACTION_CREATE {
		old = nil
	}
	shown := now
	if shown == nil {
		shown = old
	}
	if id, err := uuid.Parse(shown.GetUuid()); err == nil {
		effect.Resource.UUID = &id
		effect.Resource.Name = shown.GetName()
	}
	var err error
	effect.Before, effect.After, err = changed(old, now)
	return effect, true, err
}

// functionOf is the function route that a request is about, as the agent has it.
func functionOf(agent *pb.Agent, request proto.Message) *pb.AgentFunction {
	id, name := "", ""
	switch r := request.(type) {
	case *pb.AddFunctionRouteRequest:
		name = r.GetFunctionName()
	case interface{ GetFunctionUuid() string }:
		id = r.GetFunctionUuid()
	}
	for _, f := range agent.GetFunctions() {
		if id != "" && f.GetUuid() == id || name != "" && f.GetName() == name {
			return f
		}
	}
	return nil
}

// changed is [audit.Changed] for parts that may be absent.
func changed[P proto.Message](before, after P) (was, is json.RawMessage, err error) {
	var b, a proto.Message
	if before.ProtoReflect().IsValid() {
		b = before
	}
	if after.ProtoReflect().IsValid() {
		a = after
	}
	return audit.Changed(b, a)
}

// applyRollback notes whose the version is that came of a rollback. What it looks
// like, the vendor did not say.
func applyRollback(ctx context.Context, q *db.Queries, c Change, on target, response *pb.RollbackAgentVersionResponse) (Effect, error) {
	effect := Effect{Resource: on.ref()}
	before := map[string]string{}
	if on.row != nil {
		before["version_hash"] = on.row.VersionHash
	}
	hash := response.GetVersionHash()
	if hash != "" {
		by := causedBy(c.Operation)
		if err := q.UpsertAgentVersion(ctx, dbsql.UpsertAgentVersionParams{
			AgentUUID: on.id, VersionHash: hash, OperationID: by.operation, Actor: by.actor, Reason: by.reason,
		}); err != nil {
			return Effect{}, fmt.Errorf("storing version %s of agent %s: %w", hash, on.id, err)
		}
	}
	var err error
	if effect.Before, err = json.Marshal(before); err != nil {
		return Effect{}, fmt.Errorf("writing the version before: %w", err)
	}
	if effect.After, err = json.Marshal(map[string]string{"version_hash": hash}); err != nil {
		return Effect{}, fmt.Errorf("writing the version after: %w", err)
	}
	return effect, dirty(ctx, q, on, c)
}
