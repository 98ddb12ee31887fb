package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// overLimit is more than the service reads of a request.
const overLimit = 5 << 20

// written is how many rows there are that a request may leave behind. What the service
// reads of its own accord is not counted.
func (w *world) written(t *testing.T) map[string]int {
	t.Helper()
	return map[string]int{
		"operations":       w.count(t, "SELECT count(*) FROM operations"),
		"audit events":     w.count(t, "SELECT count(*) FROM audit_events"),
		"calls in the log": w.count(t, "SELECT count(*) FROM vendor_calls WHERE purpose <> 'SYNC'"),
		"vendor's changes": len(slices.DeleteFunc(w.vendor.Requests(), func(r genaisim.Request) bool { return r.Method == http.MethodGet })),
	}
}

func (w *world) nothingWritten(t *testing.T, before map[string]int) {
	t.Helper()
	for what, n := range w.written(t) {
		if n != before[what] {
			t.Errorf("%s: %d, there were %d before", what, n, before[what])
		}
	}
}

// TestBadInput sends what is wrong, as it looks on the wire, and checks that the answer
// says what is wrong and that nothing came of it.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	good := s.as(t, w.payments)
	agent := newAgent(t, good, "well-formed")
	// What the service reads of its own accord at the start is over by now.
	await(t, "the first comparison with the vendor is done", func() bool {
		return w.count(t, "SELECT count(*) FROM mirror_scopes WHERE kind = 'agent'") > 0
	})
	wrong := wrongly{world: w, s: s, agent: agent}
	t.Run("JSON", wrong.json)
	t.Run("gRPC", wrong.grpc)
	t.Run("strangers", wrong.strangers)
	t.Run("the vendor's no", wrong.refused)
}

// wrongly is where what is wrong is sent to, and about which agent.
type wrongly struct {
	*world

	s     *service
	agent string
}

// wireError is an error in the form of Connect.
type wireError struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"details"`
}

// unpack reads the detail of m's type into m.
func (e *wireError) unpack(t *testing.T, m proto.Message) bool {
	t.Helper()
	for _, d := range e.Details {
		if d.Type != string(m.ProtoReflect().Descriptor().FullName()) {
			continue
		}
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(d.Value, "="))
		if err == nil {
			err = proto.Unmarshal(raw, m)
		}
		if err != nil {
			t.Errorf("the detail %s cannot be read: %v", d.Type, err)
		}
		return true
	}
	return false
}

// post sends a body as it is to a method.
func (s *service) post(t *testing.T, token, method, body string) wireError {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/agentsvc.v1."+method, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := bearer{token: token, next: newTransport(t, false)}.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := wireError{status: resp.StatusCode}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Errorf("the answer is not JSON: %s", text)
	}
	if resp.Header.Get("X-Request-Id") == "" {
		t.Error("the answer has no request id")
	}
	return answer
}

func (w wrongly) json(t *testing.T) {
	s, agent := w.s, w.agent
	const update, list = "AgentService/UpdateAgent", "AgentService/ListAgents"
	for name, tc := range map[string]struct{ method, body, field string }{
		"not JSON":                 {update, `{"uuid": `, "body"},
		"nothing":                  {update, ``, "body"},
		"another type":             {update, `{"uuid": "` + agent + `", "temperature": "warm"}`, "temperature"},
		"a field that is not ours": {update, `{"uuid": "` + agent + `", "temprature": 0.5}`, "temprature"},
		"a malformed uuid":         {update, `{"uuid": "agent-1", "temperature": 0.5}`, "uuid"},
		"temperature 7":            {update, `{"uuid": "` + agent + `", "temperature": 7}`, "temperature"},
		"a mask of nonsense":       {update, `{"uuid": "` + agent + `", "temperature": 0.5, "updateMask": "warmth"}`, "update_mask"},
		"present but not masked":   {update, `{"uuid": "` + agent + `", "temperature": 0.5, "topP": 0.5, "updateMask": "temperature"}`, "update_mask"},
		"U+0000":                   {update, `{"uuid": "` + agent + `", "description": "a\u0000b"}`, "description"},
		"too large":                {update, `{"uuid": "` + agent + `", "description": "` + strings.Repeat("a", overLimit) + `"}`, "body"},
		"no name":                  {"AgentService/CreateAgent", `{"mutation": {"team": "payments"}}`, "name"},
		"a key without a key":      {"ProviderKeyService/CreateOpenAiApiKey", `{"name": "ours"}`, "api_key"},
		"an upload of no files":    {"KnowledgeBaseService/CreateDataSourceUploadUrls", `{"files": []}`, "files"},
		"a ninth day":              {"IndexingService/CreateIndexingSchedule", `{"knowledge_base_uuid": "` + agent + `", "days": [1, 9], "time": "18:00"}`, "days[1]"},
		"a 25th hour":              {"IndexingService/CreateIndexingSchedule", `{"knowledge_base_uuid": "` + agent + `", "days": [1], "time": "25:00"}`, "time"},
		"a job without sources":    {"IndexingService/StartIndexingJob", `{"knowledge_base_uuid": "` + agent + `"}`, "data_source_uuids"},
		"a router without models":  {"ModelRouterService/CreateModelRouter", `{"name": "r", "policies": [{"task_slug": "x"}]}`, "fallback_models"},
		"a router emptied": {"ModelRouterService/UpdateModelRouter",
			`{"uuid": "` + agent + `", "policies": [{"task_slug": "x"}], "update_mask": "policies,fallbackModels"}`, "fallback_models"},
		"a source of two kinds": {"KnowledgeBaseService/AddDataSource", `{"knowledge_base_uuid": "` + agent + `", "spaces_data_source": {"bucket_name": "b"},
			"web_crawler_data_source": {"base_url": "https://example.com"}}`, "spaces_data_source"},
		"page_size -1":            {list, `{"pageSize": -1}`, "page_size"},
		"page_size 5000":          {list, `{"pageSize": 5000}`, "page_size"},
		"a filter of nonsense":    {list, `{"filter": "name ===== ((("}`, "filter"},
		"a filter on a secret":    {list, `{"filter": "instruction = \"x\""}`, "filter"},
		"an order of nonsense":    {list, `{"orderBy": "beauty"}`, "order_by"},
		"a forged page token":     {list, `{"pageToken": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ"}`, "page_token"},
		"a page token of history": {"AuditService/ListAuditEvents", `{"pageToken": "!!!"}`, "page_token"},
		"a wait of an hour":       {"OperationService/WaitOperation", `{"id": "` + agent + `", "timeout": "3600s"}`, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.written(t)
			answer := s.post(t, w.payments, tc.method, tc.body)
			if answer.status != http.StatusBadRequest || answer.Code != "invalid_argument" {
				t.Errorf("answered %d %s: %s", answer.status, answer.Code, answer.Message)
			}
			var bad errdetails.BadRequest
			answer.unpack(t, &bad)
			if !slices.ContainsFunc(bad.GetFieldViolations(), func(v *errdetails.BadRequest_FieldViolation) bool {
				return v.GetField() == tc.field && v.GetDescription() != ""
			}) {
				t.Errorf("the violations are %v, want one of %s", bad.GetFieldViolations(), tc.field)
			}
			var info errdetails.ErrorInfo
			answer.unpack(t, &info)
			if info.GetReason() != pb.ErrorReason_ERROR_REASON_INVALID_REQUEST.String() || info.GetDomain() != "agentsvc" {
				t.Errorf("the reason is %v", &info)
			}
			w.nothingWritten(t, before)
		})
	}
}

func (w wrongly) grpc(t *testing.T) {
	s, agent := w.s, w.agent
	c := s.overGRPC(t, w.payments)
	for name, tc := range map[string]struct {
		call  func(context.Context) error
		field string
	}{
		"a malformed uuid": {func(ctx context.Context) error {
			_, err := c.agents.GetAgent(ctx, &pb.GetAgentRequest{Uuid: "agent-1"})
			return err
		}, "uuid"},
		"temperature 7": {func(ctx context.Context) error {
			_, err := c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{Uuid: agent, Temperature: proto.Float64(7)})
			return err
		}, "temperature"},
		"page_size -1": {func(ctx context.Context) error {
			_, err := c.operations.ListOperations(ctx, &pb.ListOperationsRequest{PageSize: -1})
			return err
		}, "page_size"},
		"a filter of nonsense": {func(ctx context.Context) error {
			_, err := c.audit.ListAuditEvents(ctx, &pb.ListAuditEventsRequest{Filter: "who = ("})
			return err
		}, "filter"},
		"a forged page token": {func(ctx context.Context) error {
			_, err := c.resources.ListResources(ctx, &pb.ListResourcesRequest{PageToken: "AAAA"})
			return err
		}, "page_token"},
		"too large": {func(ctx context.Context) error {
			_, err := c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{Uuid: agent, Description: new(strings.Repeat("a", overLimit))})
			return err
		}, "body"},
		"text that is not UTF-8": {func(ctx context.Context) error {
			raw := connect.NewClient[rawMessage, rawMessage](&http.Client{Transport: bearer{token: w.payments, next: newTransport(t, true)}},
				s.url+"/agentsvc.v1.AgentService/GetAgent", connect.WithGRPC(), connect.WithCodec(rawCodec{}))
			_, err := raw.CallUnary(ctx, connect.NewRequest(&rawMessage{0x0a, 0x02, 0xff, 0xfe}))
			return err
		}, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.written(t)
			err := tc.call(t.Context())
			wantCode(t, err, connect.CodeInvalidArgument)
			bad := detail[*errdetails.BadRequest](err)
			if len(bad.GetFieldViolations()) != 1 || bad.GetFieldViolations()[0].GetField() != tc.field {
				t.Errorf("the violations are %v, want one of %s", bad.GetFieldViolations(), tc.field)
			}
			w.nothingWritten(t, before)
		})
	}
}

// rawMessage is bytes that are sent as they are.
type rawMessage []byte

type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(m any) ([]byte, error) { return *m.(*rawMessage), nil }

func (rawCodec) Unmarshal(data []byte, m any) error {
	if status, ok := m.(proto.Message); ok { // the error of a call
		return proto.Unmarshal(data, status)
	}
	return nil
}

func (w wrongly) strangers(t *testing.T) {
	s, agent := w.s, w.agent
	known, _, _ := strings.Cut(strings.TrimPrefix(w.payments, "ast_"), "_")
	before := w.written(t)
	for name, token := range map[string]string{
		"no token": "", "nonsense": "let-me-in", "the form of a token": "ast_aaaaaaaaaaaa_bbbb", "a known id with another secret": "ast_" + known + "_bbbb",
		"the vendor's token": "vendor-token", "a token of the first look": "dev-admin",
	} {
		t.Run(name, func(t *testing.T) {
			answer := s.post(t, token, "AgentService/UpdateAgent", `{"uuid": "`+agent+`", "temperature": 0.5}`)
			if answer.status != http.StatusUnauthorized || answer.Code != "unauthenticated" {
				t.Errorf("answered %d %s: %s", answer.status, answer.Code, answer.Message)
			}
			_, err := s.overGRPC(t, token).agents.DeleteAgent(t.Context(), &pb.DeleteAgentRequest{Uuid: agent})
			wantCode(t, err, connect.CodeUnauthenticated)
			if reason := detail[*errdetails.ErrorInfo](err).GetReason(); reason != pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED.String() {
				t.Errorf("the reason is %q", reason)
			}
		})
	}
	t.Run("a revoked token", func(t *testing.T) {
		token := w.token(t, "payments")
		id, _, _ := strings.Cut(strings.TrimPrefix(token, "ast_"), "_")
		if _, err := s.as(t, token).teams.WhoAmI(t.Context(), &pb.WhoAmIRequest{}); err != nil {
			t.Fatal(err)
		}
		run(t, environment("DATABASE_URL="+w.database), "token", "revoke", id, "--reason", "it was seen in a chat")
		await(t, "the token is refused", func() bool {
			_, err := s.as(t, token).teams.WhoAmI(t.Context(), &pb.WhoAmIRequest{})
			return connect.CodeOf(err) == connect.CodeUnauthenticated
		})
		before["audit events"] += 2 // made and revoked
	})
	w.nothingWritten(t, before)
}

// refused checks that the vendor's own words reach the caller.
func (w wrongly) refused(t *testing.T) {
	c := w.s.as(t, w.payments)
	agent := newAgent(t, c, "refused")
	refused := func(t *testing.T, err error, code connect.Code, status, message string) {
		t.Helper()
		wantCode(t, err, code)
		info := detail[*errdetails.ErrorInfo](err)
		log := w.vendor.Requests()
		last := log[len(log)-1]
		if !strings.Contains(err.Error(), message) || info.GetReason() != pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED.String() ||
			info.GetMetadata()["vendor_status"] != status || info.GetMetadata()["vendor_request_id"] != last.RequestID {
			t.Errorf("told %v with %v, want the vendor's %q and request id %s", err, info, message, last.RequestID)
		}
		op := info.GetMetadata()["operation"]
		got, err := c.operations.GetOperation(t.Context(), &pb.GetOperationRequest{Id: op})
		if err != nil || got.GetOperation().GetState() != pb.Operation_STATE_FAILED || !strings.Contains(got.GetOperation().GetError().GetMessage(), message) {
			t.Errorf("the operation is %v (%v), want it FAILED with the vendor's message", got.GetOperation(), err)
		}
		history := column[string](t, w.world, "SELECT outcome FROM audit_events WHERE operation_id = $1 ORDER BY recorded_at", op)
		if !slices.Equal(history, []string{"ACCEPTED", "FAILED"}) {
			t.Errorf("the history has %q, want ACCEPTED and FAILED", history)
		}
		if last.Effect != genaisim.NoEffect {
			t.Errorf("and yet it had the effect %q", last.Effect)
		}
	}
	update := func() error {
		_, err := c.agents.UpdateAgent(t.Context(), &pb.UpdateAgentRequest{Uuid: agent, Description: new("changed")})
		return err
	}
	t.Run("422", func(t *testing.T) {
		w.vendor.fail(t, genaisim.Fault{
			Method: http.MethodPut, Path: agentsPath + "/" + agent, Count: 1, Status: http.StatusUnprocessableEntity,
			Body: `{"id": "unprocessable_entity", "message": "this model is retired in tor1"}`,
		})
		refused(t, update(), connect.CodeInvalidArgument, "422", "this model is retired in tor1")
	})
	t.Run("400 for a region that does not exist", func(t *testing.T) {
		_, err := c.agents.CreateAgent(t.Context(), &pb.CreateAgentRequest{
			Name: new("nowhere"), ModelUuid: proto.String(genaisim.ModelLlama), Region: new("nowhere1"),
		})
		refused(t, err, connect.CodeInvalidArgument, "400", "does not exist")
	})
	t.Run("409 for a route that is there", func(t *testing.T) {
		child := newAgent(t, c, "refused-child")
		route := &pb.AddAgentRouteRequest{ParentAgentUuid: agent, ChildAgentUuid: child}
		if _, err := c.routes.AddAgentRoute(t.Context(), route); err != nil {
			t.Fatal(err)
		}
		_, err := c.routes.AddAgentRoute(t.Context(), route)
		refused(t, err, connect.CodeAlreadyExists, "409", "already routes to")
	})
	t.Run("404 for an agent deleted in the vendor's console", func(t *testing.T) {
		w.inConsole(t, http.MethodDelete, agent, "")
		refused(t, update(), connect.CodeNotFound, "404", "could not be found")
	})
}
