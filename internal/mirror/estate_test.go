package mirror

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// clock is the vendor's time, which a test puts forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// passTo puts the time forward to the next time it is that hour.
func (c *clock) passTo(hour int) {
	year, month, day := c.now().UTC().Date()
	at := time.Date(year, month, day, hour, 0, 0, 0, time.UTC)
	c.pass((at.Sub(c.now()) + 24*time.Hour) % (24 * time.Hour))
}

// estate is one resource of each kind that a team can own, by its uuid.
type estate struct {
	team uuid.UUID
	name string

	agent, base, job, schedule, router, custom, workspace, anthropic, openAI string
	dataset, metric, testCase, run, modelRun, preset                         string
}

// started is a change that is with the vendor and not settled.
type started struct {
	op       dbsql.Operation
	method   *methods.Method
	req      proto.Message
	response proto.Message
}

// begin makes an operation of a team as the engine would, running and possibly sent.
func (w *world) begin(team uuid.UUID, req proto.Message) started {
	w.t.Helper()
	s := started{method: methods.API().ByRequest(req), req: proto.Clone(req)}
	id := uuid.New()
	if s.method.Access.GetReconcile() == pb.Reconcile_RECONCILE_FIND_BY_TAG {
		fd := s.req.ProtoReflect().Descriptor().Fields().ByName("tags")
		s.req.ProtoReflect().Mutable(fd).List().Append(protoreflect.ValueOfString(OperationTag + id.String()))
	}
	key, kind, resource := "new/"+id.String(), "", (*uuid.UUID)(nil)
	parentKind, parent := "", (*uuid.UUID)(nil)
	if target := s.method.Access.GetTargets()[0]; target.GetKind() != "team" {
		at := uuid.MustParse(methods.String(req, target.GetField()))
		key, kind, resource = target.GetKind()+"/"+at.String(), target.GetKind(), &at
	}
	if subject := s.method.Access.GetSubject(); subject != nil {
		parentKind, parent, kind, resource = kind, resource, subject.GetKind(), nil
		if at, err := uuid.Parse(methods.String(req, subject.GetField())); err == nil {
			resource = &at
		}
	}
	w.exec(`INSERT INTO operations (id, account, team_id, actor, method, resource_kind, resource_uuid, resource_name, parent_kind, parent_uuid,
		order_key, request_digest, request, reason, lane, virtual_start, state, sent_at, lease, lease_expires_at)
		VALUES ($1, 'default', $2, 'pat@example.com', $3, $4, $5, $6, $7, $8, $9, '', '', 'because', 2, 0,
		'RUNNING', clock_timestamp(), gen_random_uuid(), now() + interval '1 hour')`,
		id, team, string(s.method.Name), kind, resource, methods.String(req, "name"), parentKind, parent, key)
	var err error
	if s.op, err = w.store.OperationByID(w.t.Context(), id); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// sent is the same, and the vendor has made the change.
func (w *world) sent(team uuid.UUID, req proto.Message) started {
	w.t.Helper()
	s := w.begin(team, req)
	s.response = w.elsewhere(s.req)
	return s
}

// settled brings a change in, as the engine does: with what a read shows where the answer
// does not.
func (w *world) settled(s started) Effect {
	w.t.Helper()
	ctx := w.t.Context()
	change := Change{Method: s.method, Request: s.req, Response: s.response}
	if read := methods.API().ByName(s.method.Access.GetShownBy()); read != nil {
		ask, shown := read.Input.New(), read.Output.New().Interface()
		for _, from := range []proto.Message{s.req, s.response} {
			fill(ask, from.ProtoReflect())
		}
		if _, err := w.client.Do(ctx, read, ask.Interface(), shown); err != nil {
			w.t.Fatalf("%s: %v", read.Name, err)
		}
		change.Shown = shown
	}
	var made *uuid.UUID
	if id, err := uuid.Parse(methods.String(s.response, s.method.Access.GetSubject().GetField())); err == nil {
		made = &id
	}
	var effects []Effect
	err := w.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		var err error
		if change.Operation, err = succeed(ctx, q, s.op, made); err != nil {
			return err
		}
		effects, err = w.Apply(ctx, q, change)
		return err
	})
	if err != nil {
		w.t.Fatalf("settling %s: %v", s.method.Name, err)
	}
	return effects[0]
}

// fill sets the texts of a message that another has under the same name.
func fill(to, from protoreflect.Message) {
	fields := to.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		other := from.Descriptor().Fields().ByName(fd.Name())
		if other != nil && fd.Kind() == protoreflect.StringKind && alike(fd, other) && from.Has(other) {
			to.Set(fd, from.Get(other))
		}
	}
}

// change makes a change of a team's from beginning to end.
func (w *world) change(team uuid.UUID, req proto.Message) proto.Message {
	w.t.Helper()
	s := w.sent(team, req)
	w.settled(s)
	return s.response
}

// make makes something for a team and answers its uuid, the first one where several are made.
func (w *world) make(team uuid.UUID, req proto.Message) string {
	w.t.Helper()
	resp := w.change(team, req)
	id := methods.String(resp, methods.API().ByRequest(req).Access.GetSubject().GetField())
	if id == "" {
		w.t.Fatalf("%T made nothing: %v", req, resp)
	}
	return id
}

// estate makes one of each kind for a team. The names are those of the kinds after the
// team's.
func (w *world) estate(team uuid.UUID, name string) *estate {
	w.t.Helper()
	e := &estate{team: team, name: name}
	e.router = w.make(team, &pb.CreateModelRouterRequest{Name: new(name + " router"), FallbackModels: []string{"llama3.3-70b-instruct"}})
	e.anthropic = w.make(team, &pb.CreateAnthropicApiKeyRequest{Name: new(name + " anthropic"), ApiKey: new("sk-ant-secret")})
	e.openAI = w.make(team, &pb.CreateOpenAiApiKeyRequest{Name: new(name + " openai"), ApiKey: new("sk-secret")})
	e.workspace = w.make(team, &pb.CreateWorkspaceRequest{Name: new(name + " workspace")})
	e.agent = w.make(team, &pb.CreateAgentRequest{
		Name: new(name + " agent"), ModelUuid: new(genaisim.ModelLlama), WorkspaceUuid: &e.workspace, AnthropicKeyUuid: &e.anthropic,
		OpenAiKeyUuid: &e.openAI, ModelRouterUuid: &e.router,
	})
	e.base = w.make(team, w.baseRequest(name+" base"))
	e.job = w.jobOf(e.base)
	e.schedule = w.make(team, &pb.CreateIndexingScheduleRequest{KnowledgeBaseUuid: &e.base, Days: []int32{1, 2, 3, 4, 5, 6, 7}, Time: new("03:00")})
	e.custom = w.make(team, &pb.ImportCustomModelRequest{
		Name: new(name + " model"), SourceType: pb.CustomModel_SOURCE_TYPE_HUGGINGFACE.Enum(), AcceptTermsAndConditions: new(true),
		SourceRef: &pb.CustomModelSourceRef{RepoId: new("meta/llama-" + name)},
	})
	e.dataset = w.make(team, datasetRequest(name+" dataset"))
	e.metric = w.make(team, metricRequest(name+" metric"))
	e.testCase = w.make(team, &pb.CreateEvaluationTestCaseRequest{
		Name: new(name + " case"), DatasetUuid: &e.dataset, Metrics: []string{genaisim.MetricCorrectness, e.metric}, WorkspaceUuid: &e.workspace,
	})
	e.run = w.make(team, &pb.RunEvaluationTestCaseRequest{TestCaseUuid: &e.testCase, AgentUuids: []string{e.agent}, RunName: new(name + " run")})
	e.modelRun = w.make(team, &pb.CreateModelEvaluationRunRequest{
		Name: new(name + " model run"), CandidateModelUuid: new(genaisim.ModelLlama), JudgeModelUuid: new(genaisim.ModelClaude),
		DatasetUuid: &e.dataset, MetricUuids: []string{genaisim.MetricModelCorrectness}, PresetName: new(name + " preset"),
		PresetSaveSections: []pb.ModelEvaluationPreset_PresetSaveSection{pb.ModelEvaluationPreset_PRESET_SAVE_SECTION_JUDGE},
	})
	run, _ := w.elsewhere(&pb.GetModelEvaluationRunRequest{EvalRunUuid: e.modelRun}).(*pb.GetModelEvaluationRunResponse)
	e.preset = run.GetRun().GetEvalPresetUuid()
	return e
}

// all are the uuids by kind.
func (e *estate) all() map[string]string {
	return map[string]string{
		agentKind: e.agent, knowledgeBaseKind: e.base, "indexing_job": e.job, "indexing_schedule": e.schedule, "model_router": e.router,
		"custom_model": e.custom, workspaceKind: e.workspace, "anthropic_key": e.anthropic, "openai_key": e.openAI,
		"evaluation_dataset": e.dataset, metricKind: e.metric, "model_evaluation_metric": e.metric, testCaseKind: e.testCase,
		"evaluation_run": e.run, "model_evaluation_run": e.modelRun, "model_evaluation_preset": e.preset,
	}
}

// sourcesOf are the data sources of a knowledge base.
func (w *world) sourcesOf(base string) []string {
	w.t.Helper()
	list, _ := w.elsewhere(&pb.ListDataSourcesRequest{KnowledgeBaseUuid: base}).(*pb.ListDataSourcesResponse)
	var ids []string
	for _, source := range list.GetKnowledgeBaseDataSources() {
		ids = append(ids, source.GetUuid())
	}
	return ids
}

// baseRequest creates a knowledge base with a bucket in it, which is indexed at once.
func (w *world) baseRequest(name string) *pb.CreateKnowledgeBaseRequest {
	return &pb.CreateKnowledgeBaseRequest{
		Name: &name, EmbeddingModelUuid: new(genaisim.ModelEmbedding),
		Datasources: []*pb.DataSourceInput{{SpacesDataSource: &pb.SpacesDataSource{BucketName: new("bucket-of-" + strings.ReplaceAll(name, " ", "-"))}}},
	}
}

func datasetRequest(name string) *pb.CreateEvaluationDatasetRequest {
	return &pb.CreateEvaluationDatasetRequest{
		Name: &name, DatasetType: pb.EvaluationDataset_EVALUATION_DATASET_TYPE_NON_ADK.Enum(),
		FileUploadDataset: &pb.FileUploadDataSource{OriginalFileName: new("prompts.csv"), StoredObjectKey: new("x/prompts.csv"), SizeInBytes: new(uint64(500))},
	}
}

func metricRequest(name string) *pb.CreateCustomEvaluationMetricRequest {
	return &pb.CreateCustomEvaluationMetricRequest{
		MetricName: &name, Config: &pb.CustomEvaluationConfig{ScoringPrompt: new("how kind is it?")},
	}
}

// jobOf is the latest indexing job of a knowledge base, by the vendor's list.
func (w *world) jobOf(base string) string {
	w.t.Helper()
	jobs, _ := w.elsewhere(&pb.ListKnowledgeBaseIndexingJobsRequest{KnowledgeBaseUuid: base}).(*pb.ListKnowledgeBaseIndexingJobsResponse)
	if len(jobs.GetJobs()) == 0 {
		w.t.Fatalf("knowledge base %s has no jobs", base)
	}
	return jobs.GetJobs()[0].GetUuid()
}

// rowOf is a row of any kind.
func (w *world) rowOf(kind, id string) dbsql.Resource {
	w.t.Helper()
	row, err := w.store.Resource(w.t.Context(), dbsql.ResourceParams{Kind: kind, UUID: uuid.MustParse(id)})
	if err != nil {
		w.t.Fatalf("reading the row of %s %s: %v", kind, id, err)
	}
	return row
}

// teamOfRow is who owns a row; "" if nobody does.
func (w *world) teamOfRow(kind, id string) string {
	w.t.Helper()
	row := w.rowOf(kind, id)
	if row.TeamID == nil {
		return ""
	}
	return one[string](w, "SELECT name FROM teams WHERE id = $1", *row.TeamID)
}

// told is what the history holds of changes made elsewhere, as "ACTION kind name team".
func (w *world) told() []string {
	w.t.Helper()
	return all[string](w, `SELECT action || ' ' || resource_kind || ' ' || resource_name || ' ' || coalesce((SELECT name FROM teams t WHERE t.id = e.team_id), '-')
		FROM audit_events e WHERE origin = 'UPSTREAM' AND outcome = 'SUCCEEDED' ORDER BY recorded_at, id`)
}

// rounds runs rounds of the sync. In each all kinds are listed but the catalogues.
func (w *world) rounds(n int) {
	w.t.Helper()
	for range n {
		w.later()
		w.exec("UPDATE mirror_scopes SET synced_at = now() - interval '20 minutes'")
		if err := w.round(w.t.Context()); err != nil {
			w.t.Fatalf("syncing: %v", err)
		}
	}
}

// askTo calls a method that reads.
func askTo[R proto.Message](t *testing.T, call func(context.Context, identity.Caller, proto.Message, proto.Message) error, c identity.Caller, req proto.Message, resp R) R {
	t.Helper()
	if err := call(t.Context(), c, req, resp); err != nil {
		t.Fatalf("%T: %v", req, err)
	}
	return resp
}

// either is payments' viewer, or search's.
func (w *world) either(paying bool) identity.Caller {
	if paying {
		return w.payer
	}
	return w.searcher
}
