package mirror

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestOneRoundStoresEveryKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	e := w.estate(w.payments, "pay")
	if err := w.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range w.kinds {
		const current = "body IS NOT NULL AND summary IS NOT NULL AND body_synced_at IS NOT NULL AND dirty_since IS NULL AND deleted_at IS NULL"
		stored := one[int64](w, "SELECT count(*) FROM resources WHERE kind = $1", k.name)
		if n := one[int64](w, "SELECT count(*) FROM resources WHERE kind = $1 AND "+current, k.name); n == 0 || n != stored {
			t.Errorf("%s: %d of %d are stored whole", k.name, n, stored)
		}
		wrong := "shared"
		if k.catalogue {
			wrong = "NOT shared OR team_id IS NOT NULL"
		} else if k.shared != nil {
			wrong = "NOT shared AND team_id IS NULL"
		}
		if names := all[string](w, "SELECT name FROM resources WHERE kind = $1 AND ("+wrong+")", k.name); len(names) > 0 {
			t.Errorf("%s: the wrong people see %v", k.name, names)
		}
	}
	for kind, id := range e.all() {
		if team := w.teamOfRow(kind, id); team != "payments" {
			t.Errorf("the %s belongs to %q", kind, team)
		}
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("the first listing is told as changes made elsewhere: %v", told)
	}
	rows := "SELECT kind || ' ' || uuid || ' ' || coalesce(team_id::text, '') || ' ' || md5(body) || ' ' || md5(summary) || ' ' || status FROM resources ORDER BY 1"
	before := all[string](w, rows)

	start := w.mark()
	if err := w.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"GET /v2/gen-ai/agents": 1, "GET /v2/gen-ai/knowledge_bases": 1, "GET /v2/gen-ai/indexing_jobs": 1, "GET /v2/gen-ai/model_evaluation_runs": 1,
		"GET /v2/gen-ai/knowledge_bases/{uuid}": 1, // whose database never comes online
	}
	if diff := cmp.Diff(want, w.asked(start)); diff != "" {
		t.Errorf("a quiet round: %s", diff)
	}
	w.rounds(2)
	if diff := cmp.Diff(before, all[string](w, rows)); diff != "" {
		t.Errorf("quiet rounds changed something: %s", diff)
	}
	// What the vendor offers comes and goes without being told.
	w.exec("UPDATE resources SET uuid = gen_random_uuid() WHERE shared")
	w.exec("UPDATE mirror_scopes SET synced_at = now() - interval '1 day'")
	for range 2 { // one list that leaves something out is not believed
		if err := w.round(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.later()
	}
	if diff := cmp.Diff(before, all[string](w, strings.Replace(rows, "FROM resources", "FROM resources WHERE deleted_at IS NULL", 1))); diff != "" {
		t.Errorf("what is offered is not as it was: %s", diff)
	}
	if told := w.told(); len(told) > 0 {
		t.Errorf("told where nothing happened: %v", told)
	}
}

// TestWhatGoesOnByItselfIsNotDrift lets the vendor's time pass over everything that takes
// time, and over what our own operations do.
func TestWhatGoesOnByItselfIsNotDrift(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	const long = 9 * time.Hour
	clock.passTo(20) // the schedule's job, from three in the night on, is over whenever something else is looked at
	w := newWorld(t, genaisim.Config{
		Now: clock.now, DeployTime: long, DatabaseTime: long, IndexTime: long, EvaluationTime: long, ImportTime: long,
	}, plenty)
	w.rounds(1)
	e := w.estate(w.payments, "pay")
	// Each refers to one thing, so that no deletion explains what another did.
	var referring []string
	for _, req := range []*pb.CreateAgentRequest{
		{ModelRouterUuid: &e.router}, {AnthropicKeyUuid: &e.anthropic}, {OpenAiKeyUuid: &e.openAI}, {ModelProviderKeyUuid: &e.openAI},
		{ModelProviderKeyUuid: &e.anthropic}, {WorkspaceUuid: &e.workspace}, {KnowledgeBaseUuid: []string{genaisim.KnowledgeBaseA}},
	} {
		req.Name, req.ModelUuid = new(fmt.Sprintf("refers %d", len(referring))), new(genaisim.ModelLlama)
		referring = append(referring, w.make(w.payments, req))
	}
	quiet := func(after string) {
		t.Helper()
		w.rounds(1)
		if told := w.told(); len(told) > 0 {
			t.Fatalf("after %s, told: %q", after, told)
		}
	}
	quiet("creations")
	for third := range 3 {
		clock.pass(long / 3)
		quiet(fmt.Sprintf("third %d of the time", third+1))
	}
	for kind, want := range map[string]string{
		agentKind: "STATUS_RUNNING", knowledgeBaseKind: "ONLINE", "custom_model": "STATUS_READY",
		"evaluation_run": "EVALUATION_RUN_SUCCESSFUL", "model_evaluation_run": "MODEL_EVALUATION_RUN_SUCCESSFUL",
	} {
		if status := w.rowOf(kind, e.all()[kind]).Status; status != want {
			t.Errorf("the %s is %s by now, want %s", kind, status, want)
		}
	}
	clock.pass(long)
	quiet("another while")
	if status := w.rowOf("indexing_job", e.job).Status; status != "INDEX_JOB_STATUS_COMPLETED" {
		t.Errorf("the job is %s by now", status)
	}
	jobs := one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'indexing_job' AND parent_uuid = $1", e.base)
	clock.pass(24 * time.Hour)
	quiet("a run of the schedule")
	if n := one[int64](w, "SELECT count(*) FROM resources WHERE kind = 'indexing_job' AND parent_uuid = $1 AND team_id = $2", e.base, w.payments); n != jobs+1 {
		t.Errorf("%d jobs of the team's, want one more than %d", n, jobs)
	}
	for _, step := range []struct {
		name string
		reqs []proto.Message
	}{
		{"changes of what the agent refers to", []proto.Message{
			&pb.AttachKnowledgeBaseRequest{AgentUuid: e.agent, KnowledgeBaseUuid: e.base},
			&pb.UpdateKnowledgeBaseRequest{Uuid: e.base, Name: new("renamed base"), Tags: []string{"a"}},
			&pb.UpdateModelRouterRequest{Uuid: e.router, Name: new("renamed router"), FallbackModels: []string{"openai-gpt"}},
			&pb.UpdateAnthropicApiKeyRequest{ApiKeyUuid: e.anthropic, Name: new("renamed key")},
			&pb.UpdateOpenAiApiKeyRequest{ApiKeyUuid: e.openAI, Name: new("renamed key"), ApiKey: new("sk-other-secret")},
			&pb.UpdateWorkspaceRequest{WorkspaceUuid: e.workspace, Name: new("renamed workspace")},
		}},
		{"changes that show elsewhere", []proto.Message{
			&pb.UpdateAgentRequest{Uuid: e.agent, Name: new("renamed agent")},
			&pb.UpdateCustomEvaluationMetricRequest{MetricUuid: e.metric, MetricName: new("renamed metric")},
			&pb.UpdateEvaluationTestCaseRequest{TestCaseUuid: e.testCase, Name: new("renamed case")},
			&pb.UpdateCustomModelMetadataRequest{Uuid: e.custom, Name: new("renamed model"), License: new("mit")},
			&pb.UpdateModelEvaluationRunRequest{EvalRunUuid: e.modelRun, Name: new("renamed run")},
			&pb.RunEvaluationTestCaseRequest{TestCaseUuid: &e.testCase, AgentUuids: []string{e.agent}},
			&pb.StartIndexingJobRequest{KnowledgeBaseUuid: &e.base, DataSourceUuids: w.sourcesOf(e.base)},
			&pb.MoveAgentsToWorkspaceRequest{WorkspaceUuid: e.workspace, AgentUuids: []string{e.agent}},
		}},
		{"deletions of what the agents refer to", []proto.Message{
			&pb.DeleteModelRouterRequest{Uuid: e.router}, &pb.DeleteAnthropicApiKeyRequest{ApiKeyUuid: e.anthropic},
			&pb.DeleteOpenAiApiKeyRequest{ApiKeyUuid: e.openAI}, &pb.DeleteWorkspaceRequest{WorkspaceUuid: e.workspace},
			&pb.DeleteIndexingScheduleRequest{Uuid: e.schedule}, &pb.DeleteKnowledgeBaseRequest{Uuid: e.base},
			&pb.DeleteKnowledgeBaseRequest{Uuid: genaisim.KnowledgeBaseA},
		}},
		{"other deletions", []proto.Message{
			&pb.DeleteCustomModelRequest{Uuid: e.custom}, &pb.DeleteModelEvaluationRunRequest{EvalRunUuid: e.modelRun},
			&pb.DeleteAgentRequest{Uuid: e.agent}, &pb.DeleteAgentRequest{Uuid: referring[0]},
		}},
	} {
		for _, req := range step.reqs {
			w.change(w.payments, req)
		}
		w.everythingIsReadAgain()
		quiet(step.name)
	}
	if left := all[string](w, "SELECT kind FROM resources WHERE kind <> 'agent' AND team_id = $1 AND deleted_at IS NULL ORDER BY kind", w.payments); !slices.Equal(left, []string{
		"evaluation_dataset", "evaluation_metric", "evaluation_run", "evaluation_run", "evaluation_test_case", "model_evaluation_metric", "model_evaluation_preset",
	}) {
		t.Errorf("left are %v", left)
	}
}

// everythingIsReadAgain has the next round read every resource that can be read alone.
func (w *world) everythingIsReadAgain() {
	w.t.Helper()
	w.exec("UPDATE resources SET body_synced_at = NULL WHERE dirty_since IS NULL")
}

func TestChangesElsewhereAreToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	e := w.estate(w.payments, "pay")
	w.rounds(1)
	w.exec("UPDATE resources SET team_id = $1 WHERE uuid = $2", w.payments, genaisim.ModelKeyA)
	// What differs is told of fields that count, by their names.
	changes := map[string]struct {
		req  proto.Message
		name string
		want map[string]any
	}{
		knowledgeBaseKind: {&pb.UpdateKnowledgeBaseRequest{Uuid: e.base, Name: new("other base"), Tags: []string{"x"}}, "other base", map[string]any{"name": "other base", "tags": []any{"x"}}},
		"model_router":    {&pb.UpdateModelRouterRequest{Uuid: e.router, Description: new("quick"), Name: new("other router")}, "other router", map[string]any{"name": "other router", "description": "quick"}},
		workspaceKind:     {&pb.UpdateWorkspaceRequest{WorkspaceUuid: e.workspace, Name: new("other workspace")}, "other workspace", map[string]any{"name": "other workspace"}},
		"anthropic_key":   {&pb.UpdateAnthropicApiKeyRequest{ApiKeyUuid: e.anthropic, Name: new("other key")}, "other key", map[string]any{"name": "other key"}},
		"openai_key":      {&pb.UpdateOpenAiApiKeyRequest{ApiKeyUuid: e.openAI, Name: new("other key")}, "other key", map[string]any{"name": "other key"}},
		"model_api_key":   {&pb.UpdateModelApiKeyRequest{ApiKeyUuid: genaisim.ModelKeyA, Name: new("other key")}, "other key", map[string]any{"name": "other key"}},
		testCaseKind:      {&pb.UpdateEvaluationTestCaseRequest{TestCaseUuid: e.testCase, Description: new("strict")}, "pay case", map[string]any{"description": "strict"}},
		metricKind: {
			&pb.UpdateCustomEvaluationMetricRequest{MetricUuid: e.metric, Config: &pb.CustomEvaluationConfig{ScoringPrompt: new("how rude is it?")}}, "pay metric",
			map[string]any{"scoring_prompt": "how rude is it?"},
		},
		"custom_model": {&pb.UpdateCustomModelMetadataRequest{Uuid: e.custom, Description: new("ours")}, "pay model", map[string]any{"description": "ours"}},
	}
	for _, change := range changes {
		w.elsewhere(change.req)
	}
	w.rounds(2)
	told := w.driftsByKind()
	for kind, change := range changes {
		found := told[kind]
		if len(found) != 1 {
			t.Errorf("%s: told %d times: %v", kind, len(found), found)
			continue
		}
		d := found[0]
		for _, stamp := range []string{"updated_at", "version"} {
			delete(d.After, stamp)
			delete(d.Before, stamp)
		}
		if config, ok := d.After["custom_eval_config"].(map[string]any); ok {
			d.After = map[string]any{"scoring_prompt": config["scoring_prompt"]}
		}
		if d.Action != "UPDATE" || d.Name != change.name || d.Team == nil || *d.Team != w.payments {
			t.Errorf("%s: told as %+v", kind, d)
		}
		if diff := cmp.Diff(change.want, d.After); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
	if len(w.drifts()) != len(changes) {
		t.Errorf("told: %q", w.told())
	}
	// And now they all go, and others come.
	before := len(w.told())
	for _, req := range []proto.Message{
		&pb.DeleteKnowledgeBaseRequest{Uuid: e.base}, &pb.DeleteModelRouterRequest{Uuid: e.router}, &pb.DeleteWorkspaceRequest{WorkspaceUuid: e.workspace},
		&pb.DeleteAnthropicApiKeyRequest{ApiKeyUuid: e.anthropic}, &pb.DeleteOpenAiApiKeyRequest{ApiKeyUuid: e.openAI},
		&pb.DeleteModelApiKeyRequest{ApiKeyUuid: genaisim.ModelKeyA}, &pb.DeleteCustomModelRequest{Uuid: e.custom},
		&pb.DeleteModelEvaluationRunRequest{EvalRunUuid: e.modelRun},
		&pb.UpdateEvaluationTestCaseRequest{TestCaseUuid: e.testCase, Metrics: &pb.EvaluationMetricUuids{MetricUuids: []string{genaisim.MetricTone}}},
		&pb.DeleteCustomEvaluationMetricRequest{MetricUuid: e.metric},
		&pb.CreateModelRouterRequest{Name: new("new router"), FallbackModels: []string{"openai-gpt"}}, &pb.CreateWorkspaceRequest{Name: new("new workspace")},
		w.baseRequest("new base"),
	} {
		w.elsewhere(req)
	}
	w.rounds(2)
	got := w.told()[before:]
	slices.Sort(got)
	want := []string{
		"CREATE knowledge_base new base -", "CREATE model_router new router -", "CREATE workspace new workspace -",
		"DELETE anthropic_key other key payments", "DELETE custom_model pay model payments", "DELETE evaluation_metric pay metric payments",
		"DELETE knowledge_base other base payments", "DELETE model_api_key other key payments", "DELETE model_evaluation_run pay model run payments",
		"DELETE model_router other router payments", "DELETE openai_key other key payments", "DELETE workspace other workspace payments",
		"UPDATE agent pay agent payments", "UPDATE evaluation_test_case pay case payments",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if left := all[string](w, "SELECT kind FROM resources WHERE deleted_at IS NULL AND parent_uuid = $1", e.base); len(left) > 0 {
		t.Errorf("of the knowledge base are left: %v", left)
	}
}

// TestWhatIsShownAsDeletedIsDeleted has the vendor go on showing what was deleted.
func TestWhatIsShownAsDeletedIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	key := func(name string) string {
		return w.make(w.payments, &pb.CreateAnthropicApiKeyRequest{Name: &name, ApiKey: new("sk-ant-secret")})
	}
	deleted, elsewhere := key("deleted by us"), key("deleted elsewhere")
	key("kept") // which the list below leaves out
	w.rounds(1)
	w.change(w.payments, &pb.DeleteAnthropicApiKeyRequest{ApiKeyUuid: deleted})
	const gone = `"deleted_at":"2026-01-05T09:00:00Z","created_at":"2026-01-05T08:00:00Z"`
	body := fmt.Sprintf(`{"api_key_infos":[{"uuid":%q,"name":"deleted by us",%s},{"uuid":%q,"name":"deleted elsewhere",%s},
		{"uuid":"6a1f2c30-51d0-4e6b-8f00-0000000009ff","name":"never seen",%s}],"meta":{"page":1,"pages":1,"total":3}}`,
		deleted, gone, elsewhere, gone, gone)
	if err := w.sim.SetFaults([]genaisim.Fault{{Method: "GET", Path: "/v2/gen-ai/anthropic/keys", Body: body}}); err != nil {
		t.Fatal(err)
	}
	w.rounds(2)
	if left := all[string](w, "SELECT name FROM resources WHERE kind = 'anthropic_key' AND deleted_at IS NULL"); !slices.Equal(left, []string{"kept"}) {
		t.Errorf("there are %v", left)
	}
	if diff := cmp.Diff([]string{"DELETE anthropic_key deleted elsewhere payments"}, w.told()); diff != "" {
		t.Error(diff)
	}
}

// driftsByKind are the drifts, by the kinds of what they are about.
func (w *world) driftsByKind() map[string][]drift {
	w.t.Helper()
	kinds := all[string](w, `SELECT resource_kind FROM audit_events WHERE origin = 'UPSTREAM' AND actor = 'upstream' AND outcome = 'SUCCEEDED'
		ORDER BY recorded_at, id`)
	byKind := map[string][]drift{}
	for i, d := range w.drifts() {
		byKind[kinds[i]] = append(byKind[kinds[i]], d)
	}
	return byKind
}
