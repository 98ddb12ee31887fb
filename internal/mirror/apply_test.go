package mirror

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestAppliedCreationIsOwnedAndWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	req := &pb.CreateAgentRequest{
		Name: new("checkout"), ModelUuid: new(genaisim.ModelLlama), Tags: []string{"prod"},
		KnowledgeBaseUuid: []string{genaisim.KnowledgeBaseA},
		McpServers:        []*pb.McpServer{{ServerUrl: new("https://mcp.example.com"), Authorization: new("Bearer hidden")}},
	}
	effect, resp, op := w.do(req)
	created := resp.(*pb.CreateAgentResponse).GetAgent()

	row := w.row(created.GetUuid())
	if row.TeamID == nil || *row.TeamID != w.payments {
		t.Errorf("owned by %v, want payments", row.TeamID)
	}
	if row.Name != "checkout" || row.Status != "STATUS_RUNNING" || row.Region != genaisim.DefaultRegion || !cmp.Equal(row.Tags, []string{"prod"}) {
		t.Errorf("columns: %+v", row)
	}
	wantAttributes := map[string]any{
		"visibility": "VISIBILITY_PRIVATE", "model_uuid": genaisim.ModelLlama, "workspace_uuid": "", "model_router_uuid": "",
		"anthropic_key_uuid": "", "openai_key_uuid": "", "model_provider_key_uuid": "",
	}
	if diff := cmp.Diff(wantAttributes, object(t, row.Attributes)); diff != "" {
		t.Errorf("attributes: %s", diff)
	}
	if row.BodySyncedAt == nil || row.SummarySyncedAt == nil || row.DirtySince != nil {
		t.Errorf("the row is not known to be current: %+v", row)
	}
	summary := &pb.AgentListItem{}
	if err := proto.Unmarshal(row.Summary, summary); err != nil || summary.GetName() != "checkout" || summary.GetVersionHash() != created.GetVersionHash() {
		t.Errorf("summary: %v, %v", summary, err)
	}
	if got := string(row.Body) + string(row.Summary); strings.Contains(got, "hidden") {
		t.Error("a secret is stored")
	}
	if got := one[string](w, "SELECT actor || ' ' || reason FROM agent_versions WHERE version_hash = $1 AND operation_id = $2 AND snapshot IS NOT NULL",
		created.GetVersionHash(), op); got != "pat@example.com because" {
		t.Errorf("version: %q", got)
	}
	if got := one[string](w, "SELECT kind FROM agent_routes WHERE valid_to IS NULL AND opened_by = $1 AND target_uuid = $2", op,
		genaisim.KnowledgeBaseA); got != toKnowledgeBase {
		t.Errorf("route: %q", got)
	}
	if effect.Resource.Kind != agentKind || effect.Resource.UUID.String() != created.GetUuid() || effect.Resource.Name != "checkout" ||
		effect.Parent.Kind != "" || effect.Before != nil {
		t.Errorf("effect: %+v", effect)
	}
	if after := object(t, effect.After); after["name"] != "checkout" || strings.Contains(string(effect.After), "hidden") {
		t.Errorf("after: %s", effect.After)
	}
}

func TestAppliedUpdateTellsWhatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	effect, _, op := w.do(&pb.UpdateAgentRequest{Uuid: id, Temperature: new(0.25), Name: new("basket")})

	before, after := object(t, effect.Before), object(t, effect.After)
	for _, o := range []map[string]any{before, after} {
		delete(o, "version_hash")
		delete(o, "updated_at")
		delete(o, "chatbot") // the simulator names it after the agent
	}
	if diff := cmp.Diff(map[string]any{"name": "checkout", "temperature": 0.7}, before); diff != "" {
		t.Errorf("before: %s", diff)
	}
	if diff := cmp.Diff(map[string]any{"name": "basket", "temperature": 0.25}, after); diff != "" {
		t.Errorf("after: %s", diff)
	}
	if row := w.row(id); row.Name != "basket" || *row.TeamID != w.payments {
		t.Errorf("row: %+v", row)
	}
	if got := one[int64](w, "SELECT count(*) FROM agent_versions WHERE operation_id = $1", op); got != 1 {
		t.Errorf("%d versions are the operation's", got)
	}
	// A change that changes nothing makes no version, and takes none over.
	effect, _, op = w.do(&pb.UpdateAgentRequest{Uuid: id, Name: new("basket")})
	if got := one[int64](w, "SELECT count(*) FROM agent_versions WHERE operation_id = $1", op); got != 0 {
		t.Errorf("%d versions are the operation's that did nothing", got)
	}
	if string(effect.Before) != "{}" || string(effect.After) != "{}" {
		t.Errorf("nothing changed: %s, %s", effect.Before, effect.After)
	}
	// Another team's operation changes no owner.
	effect, _, _ = w.do(&pb.UpdateAgentDeploymentVisibilityRequest{Uuid: id, Visibility: pb.AgentDeployment_VISIBILITY_PUBLIC.Enum()})
	if got := object(t, effect.After)["deployment"]; !cmp.Equal(got, map[string]any{"visibility": "VISIBILITY_PUBLIC"}) {
		t.Errorf("after: %s", effect.After)
	}
	if got := object(t, w.row(id).Attributes)["visibility"]; got != "VISIBILITY_PUBLIC" {
		t.Errorf("visibility: %v", got)
	}
}

func TestAppliedDeletionEndsItsRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	parent, child := w.create("parent"), w.create("child")
	w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
	w.do(&pb.AttachKnowledgeBaseRequest{AgentUuid: child, KnowledgeBaseUuid: genaisim.KnowledgeBaseB})
	w.exec("UPDATE resources SET dirty_since = NULL, dirty_operation_id = NULL")
	effect, _, op := w.do(&pb.DeleteAgentRequest{Uuid: child})

	if row := w.row(child); row.DeletedAt == nil || row.TeamID == nil {
		t.Errorf("row: %+v", row)
	}
	if got := one[int64](w, "SELECT count(*) FROM agent_routes WHERE valid_to IS NULL"); got != 0 {
		t.Errorf("%d routes are open", got)
	}
	if got := one[int64](w, "SELECT count(*) FROM agent_routes WHERE closed_by = $1", op); got != 2 {
		t.Errorf("%d routes were closed by the deletion", got)
	}
	if row := w.row(parent); row.DirtyOperationID == nil || *row.DirtyOperationID != op {
		t.Errorf("the parent is not known to be behind: %+v", row)
	}
	if effect.After != nil || object(t, effect.Before)["name"] != "child" || effect.Resource.Name != "child" {
		t.Errorf("effect: %+v", effect)
	}
	// Sent again and answered 404: the same, and nothing breaks.
	req := &pb.DeleteAgentRequest{Uuid: parent}
	effect = w.settle(w.send(req), methods.API().ByRequest(req), req, &pb.DeleteAgentResponse{})
	if w.row(parent).DeletedAt == nil || effect.Resource.UUID.String() != parent {
		t.Errorf("effect: %+v", effect)
	}
	_, err := w.GetAgent(t.Context(), w.auditor, &pb.GetAgentRequest{Uuid: child})
	requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, err)
}

func TestAppliedRoutesBetweenAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	parent, child := w.create("parent"), w.create("child")
	effect, _, added := w.do(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, IfCase: new("on refunds")})

	if effect.Resource.Kind != routeKind || effect.Resource.UUID.String() != child || effect.Parent.UUID.String() != parent ||
		effect.Parent.Name != "parent" || effect.Before != nil {
		t.Errorf("effect: %+v", effect)
	}
	if diff := cmp.Diff(map[string]any{"child_agent_uuid": child, "route_name": "child", "if_case": "on refunds"}, object(t, effect.After)); diff != "" {
		t.Error(diff)
	}
	if row := w.row(parent); row.DirtyOperationID == nil || *row.DirtyOperationID != added {
		t.Errorf("the parent is not known to be behind: %+v", row)
	}
	if circle, err := w.WouldCircle(t.Context(), uuid.Nil, uuid.MustParse(child), uuid.MustParse(parent)); err != nil || !circle {
		t.Errorf("circle: %v, %v", circle, err)
	}
	if circle, err := w.WouldCircle(t.Context(), uuid.Nil, uuid.MustParse(parent), uuid.MustParse(child)); err != nil || circle {
		t.Errorf("circle: %v, %v", circle, err)
	}
	parents, err := w.Parents(t.Context(), uuid.MustParse(child))
	if err != nil || len(parents) != 1 || parents[0].Name != "parent" {
		t.Errorf("parents: %v, %v", parents, err)
	}
	// Reading it again attributes the version, and finds the route as it was noted.
	got, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: parent})
	if err != nil {
		t.Fatal(err)
	}
	if got := one[string](w, "SELECT actor FROM agent_versions WHERE version_hash = $1 AND operation_id = $2", got.GetAgent().GetVersionHash(), added); got != "pat@example.com" {
		t.Errorf("the version is %q's", got)
	}
	if n := one[int64](w, "SELECT count(*) FROM agent_routes WHERE agent_uuid = $1", parent); n != 1 {
		t.Errorf("%d routes, want the one", n)
	}

	effect, _, updated := w.do(&pb.UpdateAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, RouteName: new("refunds")})
	if diff := cmp.Diff(map[string]any{"child_agent_uuid": child, "route_name": "child", "if_case": "on refunds"}, object(t, effect.Before)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"child_agent_uuid": child, "route_name": "refunds", "if_case": "on refunds"}, object(t, effect.After)); diff != "" {
		t.Error(diff)
	}
	effect, _, deleted := w.do(&pb.DeleteAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
	if effect.After != nil || object(t, effect.Before)["route_name"] != "refunds" || effect.Resource.Name != "refunds" {
		t.Errorf("effect: %+v", effect)
	}
	want := []string{added.String() + " " + updated.String() + " child", updated.String() + " " + deleted.String() + " refunds"}
	if diff := cmp.Diff(want, all[string](w, "SELECT opened_by || ' ' || closed_by || ' ' || name FROM agent_routes WHERE kind = 'agent' ORDER BY id")); diff != "" {
		t.Error(diff)
	}
	if n := one[int64](w, `SELECT count(*) FROM agent_routes a JOIN agent_routes b ON a.id < b.id WHERE a.valid_to = b.valid_from`); n != 1 {
		t.Error("the second interval does not begin where the first ends")
	}
	if len(w.drifts()) != 0 {
		t.Errorf("our own changes are told as made elsewhere: %v", w.drifts())
	}
}

func TestAppliedAttachments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	open := func() []string {
		return all[string](w, "SELECT kind || ' ' || name || ' ' || details FROM agent_routes WHERE valid_to IS NULL ORDER BY id")
	}
	schema, _ := structpb.NewStruct(map[string]any{"type": "object"})
	effect, resp, _ := w.do(&pb.AddFunctionRouteRequest{
		AgentUuid: id, FunctionName: new("refund"), FaasName: new("pay/refund"), FaasNamespace: new("fn-1"), InputSchema: schema,
	})
	function := resp.(*pb.AddFunctionRouteResponse).GetAgent().GetFunctions()[0].GetUuid()
	if effect.Resource.Kind != functionKind || effect.Resource.UUID.String() != function || effect.Resource.Name != "refund" ||
		effect.Parent.UUID.String() != id || effect.Before != nil || object(t, effect.After)["faas_name"] != "pay/refund" {
		t.Errorf("effect: %+v", effect)
	}
	effect, _, _ = w.do(&pb.UpdateFunctionRouteRequest{AgentUuid: id, FunctionUuid: function, Description: new("pays back")})
	if object(t, effect.After)["description"] != "pays back" || effect.Before == nil {
		t.Errorf("effect: %s, %s", effect.Before, effect.After)
	}
	w.do(&pb.AttachGuardrailsRequest{AgentUuid: id, Guardrails: []*pb.AgentGuardrailInput{{GuardrailUuid: new(genaisim.GuardrailJailbreak), Priority: new(int32(3))}}})
	effect, _, _ = w.do(&pb.AttachKnowledgeBasesRequest{AgentUuid: id, KnowledgeBaseUuids: []string{genaisim.KnowledgeBaseA, genaisim.KnowledgeBaseB}})
	if effect.Resource.Kind != agentKind || effect.Parent.Kind != "" || !strings.Contains(string(effect.After), genaisim.KnowledgeBaseB) {
		t.Errorf("effect: %+v", effect)
	}
	if got := open(); len(got) != 4 || !strings.HasPrefix(got[0], "function refund") || !strings.Contains(got[0], "pays back") ||
		!strings.HasSuffix(got[1], `{"priority": 3}`) {
		t.Errorf("open routes: %q", got)
	}
	if n := one[int64](w, "SELECT count(*) FROM agent_routes WHERE kind = 'function'"); n != 2 {
		t.Errorf("%d intervals of the function, want that before the change and that after", n)
	}
	w.do(&pb.DetachGuardrailRequest{AgentUuid: id, GuardrailUuid: genaisim.GuardrailJailbreak})
	w.do(&pb.DetachKnowledgeBaseRequest{AgentUuid: id, KnowledgeBaseUuid: genaisim.KnowledgeBaseA})
	effect, _, _ = w.do(&pb.DeleteFunctionRouteRequest{AgentUuid: id, FunctionUuid: function})
	if effect.After != nil || object(t, effect.Before)["name"] != "refund" || effect.Resource.Name != "refund" {
		t.Errorf("effect: %+v", effect)
	}
	if got := open(); len(got) != 1 || !strings.HasPrefix(got[0], toKnowledgeBase) {
		t.Errorf("open routes: %q", got)
	}
	// Deleted again, and answered 404.
	req := &pb.DeleteFunctionRouteRequest{AgentUuid: id, FunctionUuid: function}
	w.settle(w.send(req), methods.API().ByRequest(req), req, &pb.DeleteFunctionRouteResponse{})
	if w.row(id).DirtySince == nil {
		t.Error("an answer that shows nothing leaves the agent as if it were current")
	}
}

func TestAppliedKeysNeedNoReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	effect, resp, _ := w.do(&pb.CreateAgentApiKeyRequest{AgentUuid: id, Name: new("web")})
	key := resp.(*pb.CreateAgentApiKeyResponse).GetApiKeyInfo()
	if key.GetSecretKey() == "" {
		t.Fatal("the answer lost its secret")
	}
	if effect.Resource.Kind != keyKind || effect.Resource.UUID.String() != key.GetUuid() || effect.Resource.Name != "web" ||
		effect.Parent.UUID.String() != id || effect.Parent.Name != "checkout" || effect.Before != nil || strings.Contains(string(effect.After), key.GetSecretKey()) {
		t.Errorf("effect: %+v, %s", effect, effect.After)
	}
	effect, _, _ = w.do(&pb.UpdateAgentApiKeyRequest{AgentUuid: id, ApiKeyUuid: key.GetUuid(), Name: new("shop")})
	if string(effect.Before) != `{"name":"web"}` || string(effect.After) != `{"name":"shop"}` {
		t.Errorf("effect: %s, %s", effect.Before, effect.After)
	}
	w.do(&pb.RegenerateAgentApiKeyRequest{AgentUuid: id, ApiKeyUuid: key.GetUuid()})
	if keys := w.body(id).GetApiKeyInfos(); len(keys) != 1 || keys[0].GetName() != "shop" || keys[0].SecretKey != nil {
		t.Errorf("keys: %v", keys)
	}
	mark := w.mark()
	got, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: id})
	if err != nil || got.GetAgent().GetApiKeyInfos()[0].GetName() != "shop" || len(w.asked(mark)) != 0 {
		t.Errorf("got %v, %v, asking %v", got, err, w.asked(mark))
	}
	effect, _, _ = w.do(&pb.DeleteAgentApiKeyRequest{AgentUuid: id, ApiKeyUuid: key.GetUuid()})
	if effect.After != nil || object(t, effect.Before)["name"] != "shop" || effect.Resource.Name != "shop" {
		t.Errorf("effect: %+v", effect)
	}
	if keys := w.body(id).GetApiKeyInfos(); len(keys) != 0 {
		t.Errorf("keys: %v", keys)
	}
}

func TestAppliedRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	first := w.row(id).VersionHash
	w.do(&pb.UpdateAgentRequest{Uuid: id, Name: new("basket")})
	second := w.row(id).VersionHash
	effect, resp, op := w.do(&pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: new(first)})
	third := resp.(*pb.RollbackAgentVersionResponse).GetVersionHash()

	if object(t, effect.Before)["version_hash"] != second || object(t, effect.After)["version_hash"] != third {
		t.Errorf("effect: %s, %s", effect.Before, effect.After)
	}
	if got := one[uuid.UUID](w, "SELECT operation_id FROM agent_versions WHERE version_hash = $1", third); got != op {
		t.Errorf("the version is of %s, want %s", got, op)
	}
	got, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: id})
	if err != nil || got.GetAgent().GetName() != "checkout" || got.GetFreshness().GetSource() != pb.Freshness_SOURCE_VENDOR {
		t.Errorf("got %v, %v", got, err)
	}
	if !one[bool](w, "SELECT snapshot IS NOT NULL FROM agent_versions WHERE version_hash = $1", third) {
		t.Error("reading it again left no snapshot")
	}
	if len(w.drifts()) != 0 {
		t.Errorf("our own change is told as made elsewhere: %v", w.drifts())
	}
}

func TestRoutesAboutToBeAddedCountForACircle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	a, b := w.create("a"), w.create("b")
	claim := func(parent, child, when string) uuid.UUID {
		req := &pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child}
		op := w.send(req)
		w.exec(`UPDATE operations SET parent_kind = 'agent', parent_uuid = $2, resource_kind = $3, resource_uuid = $4,
			started_at = now() + $5::interval WHERE id = $1`, op.ID, parent, routeKind, child, when)
		return op.ID
	}
	first, second := claim(a, b, "0"), claim(b, a, "1 second")
	for name, tc := range map[string]struct {
		op, parent, child string
		want              bool
	}{
		"the one claimed first":            {first.String(), a, b, false},
		"the one claimed after it":         {second.String(), b, a, true},
		"one that is only submitted":       {uuid.Nil.String(), b, a, false},
		"a route that has nothing with it": {second.String(), a, b, false},
	} {
		circle, err := w.WouldCircle(t.Context(), uuid.MustParse(tc.op), uuid.MustParse(tc.parent), uuid.MustParse(tc.child))
		if err != nil || circle != tc.want {
			t.Errorf("%s: %v, %v", name, circle, err)
		}
	}
}
