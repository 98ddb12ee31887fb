package e2e_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/access/accesstest"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// estate is what one team has, by kind: uuids, and names of what has no uuid.
type estate map[string]string

// step makes one thing of an estate. In its JSON, $kind stands for what was made before.
type step struct {
	kind, method, json string
	// id is where the answer has it.
	id string
}

// steps make one of everything that a method can be about.
func steps() []step {
	return []step{
		{"workspace", "WorkspaceService.CreateWorkspace", `{"name": "$name lab"}`, "workspace.uuid"},
		{"custom_model", "CustomModelService.ImportCustomModel", `{"name": "$name model", "accept_terms_and_conditions": true,
			"source_type": "SOURCE_TYPE_HUGGINGFACE", "source_ref": {"repo_id": "someone/$name", "commit_sha": "0a1b2c"}}`, "model.uuid"},
		{"model_router", "ModelRouterService.CreateModelRouter", `{"name": "$name router", "fallback_models": ["openai-gpt"]}`, "model_router.uuid"},
		{"anthropic_key", "ProviderKeyService.CreateAnthropicApiKey", `{"name": "$name a", "api_key": "sk-$name"}`, "api_key_info.uuid"},
		{"openai_key", "ProviderKeyService.CreateOpenAiApiKey", `{"name": "$name o", "api_key": "sk-$name"}`, "api_key_info.uuid"},
		{"knowledge_base", "KnowledgeBaseService.CreateKnowledgeBase",
			`{"name": "$name base", "embedding_model_uuid": "` + genaisim.ModelEmbedding + `"}`, "knowledge_base.uuid"},
		{"data_source", "KnowledgeBaseService.AddDataSource",
			`{"knowledge_base_uuid": "$knowledge_base", "web_crawler_data_source": {"base_url": "https://docs.invalid"}}`, "knowledge_base_data_source.uuid"},
		{"indexing_job", "IndexingService.StartIndexingJob",
			`{"knowledge_base_uuid": "$knowledge_base", "data_source_uuids": ["$data_source"]}`, "job.uuid"},
		{"indexing_schedule", "IndexingService.CreateIndexingSchedule",
			`{"knowledge_base_uuid": "$knowledge_base", "days": [1], "time": "03:00"}`, "indexing_info.uuid"},
		{"agent", "AgentService.CreateAgent", `{"name": "$name agent", "model_uuid": "` + genaisim.ModelLlama + `"}`, "agent.uuid"},
		{"child", "AgentService.CreateAgent", `{"name": "$name child", "model_uuid": "` + genaisim.ModelLlama + `"}`, "agent.uuid"},
		{"agent_api_key", "AgentKeyService.CreateAgentApiKey", `{"agent_uuid": "$agent", "name": "$name key"}`, "api_key_info.uuid"},
		{"agent_function", "AgentRouteService.AddFunctionRoute", `{"agent_uuid": "$agent", "function_name": "f", "faas_name": "default/f",
			"faas_namespace": "ns"}`, "agent.functions.uuid"},
		{"evaluation_dataset", "EvaluationService.CreateEvaluationDataset", `{"name": "$name questions", "file_upload_dataset":
			{"original_file_name": "q.csv", "size_in_bytes": "800", "stored_object_key": "key"}}`, "evaluation_dataset_uuid"},
		{"evaluation_metric", "EvaluationService.CreateCustomEvaluationMetric",
			`{"metric_name": "$name metric", "config": {"scoring_prompt": "Is it polite?"}}`, "metric.metric_uuid"},
		{"evaluation_test_case", "EvaluationService.CreateEvaluationTestCase",
			`{"name": "$name case", "dataset_uuid": "$evaluation_dataset", "metrics": ["` + genaisim.MetricCorrectness + `"]}`, "test_case_uuid"},
		{"evaluation_run", "EvaluationService.RunEvaluationTestCase",
			`{"test_case_uuid": "$evaluation_test_case", "run_name": "$name run", "agent_uuids": ["$agent"]}`, "evaluation_run_uuids"},
		{"catalog_entry", "ModelService.ListModelCatalog", `{}`, "data.id"},
		{"model_evaluation_run", "ModelEvaluationService.CreateModelEvaluationRun", `{"name": "$name models", "dataset_uuid": "$evaluation_dataset",
			"candidate_model_uuid": "` + genaisim.ModelLlama + `", "judge_model_uuid": "` + genaisim.ModelGPT + `",
			"metric_uuids": ["` + genaisim.MetricModelCorrectness + `"], "preset_save_sections": ["PRESET_SAVE_SECTION_METRICS"]}`, "eval_run_uuid"},
		{"model_evaluation_preset", "ModelEvaluationService.GetModelEvaluationRun",
			`{"eval_run_uuid": "$model_evaluation_run"}`, "run.eval_preset_uuid"},
		{"version", "AgentService.ListAgentVersions", `{"uuid": "$agent", "max_staleness": "0s"}`, "agent_versions.version_hash"},
		{"operation", "AgentService.UpdateAgent", `{"uuid": "$agent", "description": "changed"}`, "operation.id"},
		{"token", "TeamService.CreateServiceToken", `{"team": "$team", "service": "$team-spare", "role": "ROLE_VIEWER"}`, "token.id"},
	}
}

// The teams of the matrix are payments, search and these.
const (
	iced  = "iced"  // is frozen
	ghost = "ghost" // is not there
)

// newMatrix is a world whose service has compared itself with the vendor, so that it knows what
// there is and what not.
func newMatrix(t *testing.T) *matrix {
	t.Helper()
	x := &matrix{world: newWorld(t), c: readContract(t), called: map[string]int{}, speaks: map[accesstest.Who]*speaker{}}
	x.service = x.serve(t, "AGENTSVC_CALLER_RATE=100000")
	x.admin = x.service.caller(t, x.platformToken(t, "admin"))
	x.compared(t, x.c)
	x.listed = column[string](t, x.world, "SELECT DISTINCT kind FROM mirror_scopes WHERE scope = '' ORDER BY kind")
	t.Logf("our copy has all there is of %q", x.listed)
	return x
}

// platformToken is that of a service with a role across all teams.
func (x *matrix) platformToken(t *testing.T, role string) string {
	t.Helper()
	return run(t, environment("DATABASE_URL="+x.database), "token", "create", "--name", role, "--platform", role)
}

// build makes an estate for a team, as an administrator. The names of its things begin with name.
func (x *matrix) build(t *testing.T, team, name string) estate {
	t.Helper()
	e := estate{"team": team, "name": name}
	for _, s := range steps() {
		x.make(t, e, s)
	}
	// No such key can be made any more, and there are but two: it is as if it had been listed.
	e["model_api_key"] = uuid.NewString()
	x.know(t, "model_api_key", e["model_api_key"], team)
	for _, kind := range ownable(t) {
		e["name of "+kind] = column[string](t, x.world, "SELECT name FROM resources WHERE kind = $1 AND uuid = $2", kind, e[kind])[0]
	}
	return e
}

// make makes one step of an estate.
func (x *matrix) make(t *testing.T, e estate, s step) {
	t.Helper()
	m := methods.API().ByName(s.method)
	req := e.fill(t, m, s.json)
	if targets := m.Access.GetTargets(); len(targets) > 0 && targets[0].GetKind() == "team" && targets[0].GetField() != "team" {
		put(t, req, targets[0].GetField(), e["team"])
	}
	resp := x.asAdmin(t, s.method, req)
	if e[s.kind] = methods.String(resp, s.id); e[s.kind] == "" {
		t.Fatalf("making the %s of %s: nothing at %s of %v", s.kind, e["team"], s.id, resp)
	}
}

// fill is a request made of JSON.
func (e estate) fill(t *testing.T, m *methods.Method, text string) proto.Message {
	t.Helper()
	text = regexp.MustCompile(`\$\w+`).ReplaceAllStringFunc(text, func(name string) string {
		value, known := e[name[1:]]
		if !known {
			t.Fatalf("%s: an estate has no %s", m.Name, name)
		}
		return value
	})
	req := m.Input.New().Interface()
	if err := protojson.Unmarshal([]byte(text), req); err != nil {
		t.Fatalf("%s: %v", m.Name, err)
	}
	return req
}

// unclaimed makes an estate that nobody has: it was a team's. Teams and operations are
// always somebody's; what comes closest is the team that changes of unclaimed things belong to.
func (x *matrix) unclaimed(t *testing.T) estate {
	t.Helper()
	e := x.build(t, "payments", "stray")
	for _, kind := range append(ownable(t), "child") {
		of := kind
		if kind == "child" {
			of = "agent"
		}
		x.asAdmin(t, "ResourceService.ReleaseResource", &pb.ReleaseResourceRequest{Kind: of, Uuid: e[kind]})
	}
	e["team"] = access.PlatformTeam
	for _, s := range steps() {
		if s.kind == "operation" || s.kind == "token" {
			x.make(t, e, s)
		}
	}
	return e
}

// ownable are the kinds that a team can own by themselves, as the API lists them.
func ownable(t *testing.T) []string {
	t.Helper()
	rules, err := protovalidate.ResolveFieldRules((&pb.ReleaseResourceRequest{}).ProtoReflect().Descriptor().Fields().ByName("kind"))
	if err != nil {
		t.Fatal(err)
	}
	return rules.GetString().GetIn()
}

// missing is an estate of which there is nothing.
func missing(t *testing.T) estate {
	t.Helper()
	e := estate{"team": ghost, "version": strings.Repeat("0", 64)}
	for _, s := range steps() {
		if e[s.kind] == "" {
			e[s.kind] = uuid.NewString()
		}
	}
	for _, kind := range ownable(t) {
		e["name of "+kind] = "no such " + kind
	}
	e["model_api_key"], e["token"] = uuid.NewString(), "0123456789abcdef"
	return e
}

// estates are made through the port, by an administrator, who then freezes one of their teams.
func (x *matrix) estates(t *testing.T) {
	t.Helper()
	x.asAdmin(t, "TeamService.CreateTeam", &pb.CreateTeamRequest{Name: iced})
	x.estate = map[string]estate{
		"payments": x.build(t, "payments", "payments"), "search": x.build(t, "search", "search"), iced: x.build(t, iced, iced),
		"": x.unclaimed(t), ghost: missing(t),
	}
	for _, e := range x.estate {
		e["now"] = time.Now().UTC().Format(time.RFC3339Nano)
	}
	x.tokens = map[accesstest.Who]string{accesstest.Admin: x.admin.token, accesstest.Auditor: x.platformToken(t, "auditor")}
	for who, in := range map[accesstest.Who]struct {
		team string
		role pb.Role
	}{
		accesstest.Viewer: {"payments", pb.Role_ROLE_VIEWER}, accesstest.Operator: {"payments", pb.Role_ROLE_OPERATOR},
		accesstest.Owner: {"payments", pb.Role_ROLE_OWNER}, accesstest.OtherOwner: {"search", pb.Role_ROLE_OWNER}, accesstest.FrozenOwner: {iced, pb.Role_ROLE_OWNER},
	} {
		service := in.team + "-" + strings.ToLower(strings.TrimPrefix(in.role.String(), "ROLE_"))
		made := x.asAdmin(t, "TeamService.CreateServiceToken", &pb.CreateServiceTokenRequest{Team: in.team, Service: service, Role: in.role})
		x.tokens[who] = methods.String(made, "secret")
	}
	x.asAdmin(t, "TeamService.Freeze", &pb.FreezeRequest{Team: iced, Reason: "a leaked key"})
	// A process may accept changes for as long as it believes what it last saw.
	update := &pb.UpdateAgentRequest{Uuid: x.estate[iced]["agent"], Description: new("x"), Mutation: &pb.MutationOptions{ValidateOnly: true}}
	await(t, "the freeze is known", func() bool {
		_, _, failure := x.admin.call(t, methods.API().ByName("AgentService.UpdateAgent"), update)
		return failure != nil
	})
}

// asAdmin makes a call as an administrator, which must be answered.
func (x *matrix) asAdmin(t *testing.T, method string, req proto.Message) proto.Message {
	t.Helper()
	resp, _, failure := x.admin.call(t, methods.API().ByName(method), req)
	if failure != nil {
		t.Fatalf("%s: %s", method, failure)
	}
	return resp
}
