package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// Who and what the cases are about.
const (
	paymentsAgent = "11111111-1111-4111-8111-111111111111"
	searchAgent   = "22222222-2222-4222-8222-222222222222"
	unownedAgent  = "33333333-3333-4333-8333-333333333333"
	deletedAgent  = "44444444-4444-4444-8444-444444444444"
	unknownAgent  = "55555555-5555-4555-8555-555555555555"
	paymentsBase  = "66666666-6666-4666-8666-666666666666"
	searchBase    = "77777777-7777-4777-8777-777777777777"
	unknownBase   = "88888888-8888-4888-8888-888888888888"
	paymentsOp    = "99999999-9999-4999-8999-999999999999"
	unknownOp     = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
)

type world struct {
	pool    *pgxpool.Pool
	guard   *access.Guard
	teams   map[string]uuid.UUID
	callers map[string]identity.Caller
}

// onlyAgents is a copy that has all agents, and of other kinds what it came across.
func onlyAgents(_ context.Context, _ identity.Caller, kind string) (bool, error) {
	return kind == "agent", nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := dbtest.New(t)
	store := db.New(pool)
	w := &world{
		pool: pool, guard: access.New(store, onlyAgents, slog.New(slog.DiscardHandler)),
		teams: map[string]uuid.UUID{}, callers: map[string]identity.Caller{},
	}
	for _, name := range []string{"payments", "search", access.PlatformTeam} {
		id, err := store.UpsertTeam(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		w.teams[name] = id
	}
	in := func(team string, role pb.Role) identity.Membership {
		return identity.Membership{TeamID: w.teams[team], Team: team, Role: role}
	}
	who := func(name string, platform pb.PlatformRole, teams ...identity.Membership) {
		w.callers[name] = identity.Caller{
			PrincipalID: uuid.New(), Name: name, Platform: platform, Teams: teams,
			RequestID: "r-" + name, Address: "192.0.2.1", UserAgent: "test",
		}
	}
	who("viewer", 0, in("payments", pb.Role_ROLE_VIEWER))
	who("operator", 0, in("payments", pb.Role_ROLE_OPERATOR))
	who("owner", 0, in("payments", pb.Role_ROLE_OWNER))
	who("both", 0, in("payments", pb.Role_ROLE_OPERATOR), in("search", pb.Role_ROLE_VIEWER))
	who("nobody", 0)
	who("auditor", pb.PlatformRole_PLATFORM_ROLE_AUDITOR)
	who("auditing operator", pb.PlatformRole_PLATFORM_ROLE_AUDITOR, in("payments", pb.Role_ROLE_OPERATOR))
	who("admin", pb.PlatformRole_PLATFORM_ROLE_ADMIN)
	who("admin of payments", pb.PlatformRole_PLATFORM_ROLE_ADMIN, in("payments", pb.Role_ROLE_OWNER))
	_, err := pool.Exec(t.Context(), `
		INSERT INTO resources (kind, uuid, team_id, name, deleted_at)
		SELECT v.kind, v.id::uuid, (SELECT id FROM teams WHERE name = v.team), v.label, CASE WHEN v.gone THEN now() END
		  FROM (VALUES ('agent', '`+paymentsAgent+`', 'payments', 'refunds', false),
		               ('agent', '`+searchAgent+`', 'search', 'ranker', false),
		               ('agent', '`+unownedAgent+`', NULL, 'stray', false),
		               ('agent', '`+deletedAgent+`', 'payments', 'late', true),
		               ('knowledge_base', '`+paymentsBase+`', 'payments', 'policies', false),
		               ('knowledge_base', '`+searchBase+`', 'search', 'corpus', false)) AS v (kind, id, team, label, gone)`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = pool.Exec(t.Context(), `
		INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, request_digest, request, lane, virtual_start)
		SELECT '`+paymentsOp+`', 'default', id, 'x', 'm', 'agent', 'k', '', '', 2, 0 FROM teams WHERE name = 'payments'`)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// aMinuteLater has the next denial of anybody be an event of its own.
func (w *world) aMinuteLater(t *testing.T) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), "DELETE FROM denials"); err != nil {
		t.Fatal(err)
	}
}

type event struct {
	Actor, Team, Action, Method, Kind, Name, Outcome, Reason, Why, RequestID, Request string
}

// events are what the history holds, the oldest first.
func (w *world) events(t *testing.T) []event {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), `
		SELECT e.actor, coalesce(t.name, ''), e.action, e.method, e.resource_kind, e.resource_name, e.outcome, e.error_reason, e.reason,
		       e.request_id, coalesce(e.request::text, '')
		  FROM audit_events e LEFT JOIN teams t ON t.id = e.team_id ORDER BY e.recorded_at, e.id`)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const (
	allowed   = pb.ErrorReason_ERROR_REASON_UNSPECIFIED
	forbidden = pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED
	missing   = pb.ErrorReason_ERROR_REASON_NOT_FOUND
	invalid   = pb.ErrorReason_ERROR_REASON_INVALID_REQUEST
)

func TestRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	get := func(id string) proto.Message { return &pb.GetAgentRequest{Uuid: id} }
	del := func(id string) proto.Message { return &pb.DeleteAgentRequest{Uuid: id} }
	again := func(id string) proto.Message {
		return &pb.DeleteAgentRequest{Uuid: id, Mutation: &pb.MutationOptions{IdempotencyKey: "k"}}
	}
	create := func(team string, bases ...string) proto.Message {
		return &pb.CreateAgentRequest{Mutation: &pb.MutationOptions{Team: team}, KnowledgeBaseUuid: bases}
	}
	route := func(parent, child string) proto.Message {
		return &pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child}
	}
	keys := func(agent string) proto.Message { return &pb.ListAgentApiKeysRequest{AgentUuid: agent} }
	attach := func(bases ...string) proto.Message {
		return &pb.AttachKnowledgeBasesRequest{AgentUuid: paymentsAgent, KnowledgeBaseUuids: bases}
	}

	for name, tc := range map[string]struct {
		who     string
		request proto.Message
		want    pb.ErrorReason
		team    string // the operation's, when allowed
		target  string // name of the first target, when allowed
		audited string // team of the event, "-" for an event without one, "" for none
	}{
		"viewer reads":                     {"viewer", get(paymentsAgent), allowed, "payments", "refunds", ""},
		"viewer may not change":            {"viewer", del(paymentsAgent), forbidden, "", "", "payments"},
		"operator changes":                 {"operator", del(paymentsAgent), allowed, "payments", "refunds", ""},
		"owner changes":                    {"owner", del(paymentsAgent), allowed, "payments", "refunds", ""},
		"another team's is not there":      {"owner", get(searchAgent), missing, "", "", "-"},
		"nor to be changed":                {"owner", del(searchAgent), missing, "", "", "-"},
		"viewer in the other team":         {"both", get(searchAgent), allowed, "search", "ranker", ""},
		"viewer there is no operator":      {"both", del(searchAgent), forbidden, "", "", "search"},
		"unowned is not there":             {"owner", get(unownedAgent), missing, "", "", "-"},
		"unknown is not there":             {"owner", get(unknownAgent), missing, "", "", "-"},
		"deleted is not there":             {"owner", get(deletedAgent), missing, "", "", ""},
		"nor to be deleted anew":           {"owner", del(deletedAgent), missing, "", "", ""},
		"a deletion may be repeated":       {"owner", again(deletedAgent), allowed, "payments", "late", ""},
		"but not by a viewer":              {"viewer", again(deletedAgent), missing, "", "", ""},
		"a key opens no other team":        {"both", again(searchAgent), forbidden, "", "", "search"},
		"nobody sees nothing":              {"nobody", get(paymentsAgent), missing, "", "", "-"},
		"no UUID":                          {"owner", get("x"), invalid, "", "", ""},
		"no target at all":                 {"owner", get(""), invalid, "", "", ""},
		"auditor reads any":                {"auditor", get(paymentsAgent), allowed, "payments", "refunds", ""},
		"auditor reads unowned":            {"auditor", get(unownedAgent), allowed, "", "stray", ""},
		"auditor lists any":                {"auditor", keys(searchAgent), allowed, "search", "ranker", ""},
		"auditor changes nothing":          {"auditor", del(paymentsAgent), forbidden, "", "", "-"},
		"auditor changes nothing unowned":  {"auditor", del(unownedAgent), forbidden, "", "", "-"},
		"auditor finds nothing unknown":    {"auditor", get(unknownAgent), missing, "", "", ""},
		"auditor with a role uses it":      {"auditing operator", del(paymentsAgent), allowed, "payments", "refunds", ""},
		"but only there":                   {"auditing operator", del(searchAgent), forbidden, "", "", "-"},
		"admin changes any":                {"admin", del(searchAgent), allowed, "search", "ranker", ""},
		"admin reads unowned":              {"admin", get(unownedAgent), allowed, "", "stray", ""},
		"admin changes unowned":            {"admin", del(unownedAgent), allowed, "platform", "stray", ""},
		"admin finds nothing unknown":      {"admin", get(unknownAgent), missing, "", "", ""},
		"admin finds nothing deleted":      {"admin", del(deletedAgent), missing, "", "", ""},
		"create in the only team":          {"operator", create(""), allowed, "payments", "payments", ""},
		"create in a named team":           {"both", create("payments"), allowed, "payments", "payments", ""},
		"create needs a name of several":   {"both", create(""), invalid, "", "", ""},
		"create needs an operator":         {"viewer", create(""), forbidden, "", "", "payments"},
		"create needs an operator there":   {"both", create("search"), forbidden, "", "", "search"},
		"create in another team":           {"owner", create("search"), missing, "", "", "-"},
		"create in no team":                {"owner", create("nosuch"), missing, "", "", "-"},
		"create by nobody":                 {"nobody", create(""), forbidden, "", "", "-"},
		"create by auditor":                {"auditor", create("payments"), forbidden, "", "", "-"},
		"create by admin in any team":      {"admin", create("search"), allowed, "search", "search", ""},
		"create by admin needs a name":     {"admin", create(""), invalid, "", "", ""},
		"create by admin in the only team": {"admin of payments", create(""), allowed, "payments", "payments", ""},
		"create by admin in no team":       {"admin", create("nosuch"), missing, "", "", ""},
		"create with an own base":          {"operator", create("", paymentsBase), allowed, "payments", "payments", ""},
		"create with another's base":       {"operator", create("", paymentsBase, searchBase), missing, "", "", "-"},
		"create with an unknown base":      {"operator", create("", unknownBase), missing, "", "", "-"},
		"admin is believed about bases":    {"admin", create("search", unknownBase), allowed, "search", "search", ""},
		"a role is needed on both ends":    {"both", route(paymentsAgent, searchAgent), allowed, "payments", "refunds", ""},
		"operator on the first":            {"both", route(searchAgent, paymentsAgent), forbidden, "", "", "search"},
		"and any on the second":            {"operator", route(paymentsAgent, searchAgent), missing, "", "", "-"},
		"auditor's eyes are no role":       {"auditing operator", route(paymentsAgent, searchAgent), forbidden, "", "", "-"},
		"every element counts":             {"operator", attach(paymentsBase, searchBase), missing, "", "", "-"},
		"every element is theirs":          {"both", attach(paymentsBase, searchBase), allowed, "payments", "refunds", ""},
		"own operation":                    {"viewer", &pb.GetOperationRequest{Id: paymentsOp}, allowed, "payments", "", ""},
		"own operation, cancelled":         {"operator", &pb.CancelOperationRequest{Id: paymentsOp}, allowed, "payments", "", ""},
		"viewers cancel nothing":           {"viewer", &pb.CancelOperationRequest{Id: paymentsOp}, forbidden, "", "", "payments"},
		"another's operation":              {"nobody", &pb.GetOperationRequest{Id: paymentsOp}, missing, "", "", "-"},
		"unknown operation":                {"admin", &pb.GetOperationRequest{Id: unknownOp}, missing, "", "", ""},
		"any operation for auditors":       {"auditor", &pb.GetOperationRequest{Id: paymentsOp}, allowed, "payments", "", ""},
		"auditors cancel nothing":          {"auditor", &pb.CancelOperationRequest{Id: paymentsOp}, forbidden, "", "", "-"},
		"lists are for all":                {"nobody", &pb.ListAgentsRequest{}, allowed, "", "", ""},
		"about oneself":                    {"nobody", &pb.WhoAmIRequest{}, allowed, "", "", ""},
		"admins only: owner":               {"owner", &pb.ClaimResourceRequest{}, forbidden, "", "", "payments"},
		"admins only: auditor":             {"auditor", &pb.ClaimResourceRequest{}, forbidden, "", "", "-"},
		"auditors only: auditor":           {"auditor", &pb.GetCheckpointRequest{}, allowed, "", "", ""},
		"auditors only: admin":             {"admin", &pb.GetCheckpointRequest{}, allowed, "", "", ""},
		"auditors only: owner":             {"owner", &pb.GetCheckpointRequest{}, forbidden, "", "", "payments"},
		"admins only: admin":               {"admin", &pb.ClaimResourceRequest{}, allowed, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := methods.API().ByRequest(tc.request)
			before := len(w.events(t))
			w.aMinuteLater(t)

			got, err := w.guard.Check(t.Context(), w.callers[tc.who], m, tc.request)

			reason := allowed
			if err != nil {
				reason = fault.ReasonOf(err)
			}
			if reason != tc.want {
				t.Fatalf("answer %v (%v), want %v", reason, err, tc.want)
			}
			if got.Team.Name != tc.team || got.Team.ID != w.teams[tc.team] || got.Target.Name != tc.target {
				t.Errorf("decision %+v, want team %q and target %q", got, tc.team, tc.target)
			}
			after := w.events(t)[before:]
			if tc.audited == "" {
				if len(after) > 0 {
					t.Errorf("recorded %+v, want nothing", after)
				}
				return
			}
			if len(after) != 1 {
				t.Fatalf("recorded %+v, want one event", after)
			}
			e := after[0]
			if team := strings.TrimSuffix(tc.audited, "-"); e.Team != team || e.Actor != tc.who || e.Outcome != "DENIED" ||
				e.Reason != strings.TrimPrefix(tc.want.String(), "ERROR_REASON_") || e.Method != string(m.Name) || e.RequestID != "r-"+tc.who {
				t.Errorf("recorded %+v", e)
			}
		})
	}
}

func TestAnothersAndUnknownAreRefusedInTheSameWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	words := func(id string) string {
		req := &pb.GetAgentRequest{Uuid: id}
		_, err := w.guard.Check(t.Context(), w.callers["owner"], methods.API().ByRequest(req), req)
		return strings.ReplaceAll(fault.Connect(err).Message(), id, "…")
	}
	for _, id := range []string{searchAgent, unownedAgent, deletedAgent} {
		if diff := cmp.Diff(words(unknownAgent), words(id)); diff != "" {
			t.Errorf("%s (-unknown +this):\n%s", id, diff)
		}
	}
	team := func(name string) string {
		_, err := w.guard.Check(t.Context(), w.callers["owner"], methods.API().ByName("AgentService.CreateAgent"),
			&pb.CreateAgentRequest{Mutation: &pb.MutationOptions{Team: name}})
		return strings.ReplaceAll(fault.Connect(err).Message(), name, "…")
	}
	if team("search") != team("nosuch") {
		t.Errorf("team: %q and %q", team("search"), team("nosuch"))
	}
}

func TestDenialIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	req := &pb.UpdateAgentRequest{
		Uuid: paymentsAgent, Instruction: new("be nice"), Mutation: &pb.MutationOptions{Reason: "friday"},
	}

	if _, err := w.guard.Check(t.Context(), w.callers["viewer"], methods.API().ByRequest(req), req); fault.ReasonOf(err) != forbidden {
		t.Fatal(err)
	}

	// Methods that take no options have a reason of their own.
	cancel := &pb.CancelOperationRequest{Id: paymentsOp, Reason: "mistaken"}
	if _, err := w.guard.Check(t.Context(), w.callers["viewer"], methods.API().ByRequest(cancel), cancel); fault.ReasonOf(err) != forbidden {
		t.Fatal(err)
	}

	want := []event{{
		Actor: "viewer", Team: "payments", Action: "UPDATE", Method: "agentsvc.v1.AgentService.UpdateAgent", Kind: "agent", Name: "refunds",
		Outcome: "DENIED", Reason: "PERMISSION_DENIED", Why: "friday", RequestID: "r-viewer",
		Request: `{"uuid": "` + paymentsAgent + `", "instruction": "be nice"}`,
	}, {
		Actor: "viewer", Team: "payments", Action: "UPDATE", Method: "agentsvc.v1.OperationService.CancelOperation", Kind: "operation",
		Outcome: "DENIED", Reason: "PERMISSION_DENIED", Why: "mistaken", RequestID: "r-viewer",
		Request: `{"id": "` + paymentsOp + `", "reason": "mistaken"}`,
	}}
	if diff := cmp.Diff(want, w.events(t)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

func TestDenialKeepsLittleOfALargeRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	req := &pb.UpdateAgentRequest{
		Uuid: paymentsAgent, Instruction: new(strings.Repeat("x", 9<<10)), Mutation: &pb.MutationOptions{Reason: "friday"},
	}
	if _, err := w.guard.Check(t.Context(), w.callers["viewer"], methods.API().ByRequest(req), req); fault.ReasonOf(err) != forbidden {
		t.Fatal(err)
	}
	events := w.events(t)
	if len(events) != 1 || events[0].Why != "friday" {
		t.Fatalf("history: %+v", events)
	}
	kept := struct {
		Truncated bool `json:"truncated"`
		Bytes     int  `json:"bytes"`
	}{}
	if err := json.Unmarshal([]byte(events[0].Request), &kept); err != nil || !kept.Truncated || kept.Bytes < 9<<10 || len(events[0].Request) > 100 {
		t.Errorf("%d bytes are kept: %.200s", len(events[0].Request), events[0].Request)
	}
}

func TestDenialIsRecordedThoughTheCallerLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// No look-up is needed for this one, so only the recording could be prevented.
	req := &pb.ClaimResourceRequest{}
	_, err := w.guard.Check(ctx, w.callers["owner"], methods.API().ByRequest(req), req)
	if fault.ReasonOf(err) != forbidden || len(w.events(t)) != 1 {
		t.Errorf("error %v and %d events, want a recorded denial", err, len(w.events(t)))
	}
}

func TestDenialThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	pool, err := db.Open(t.Context(), "postgres://nobody@127.0.0.1:1/nothing")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	guard := access.New(db.New(pool), onlyAgents, slog.New(slog.DiscardHandler))
	for name, req := range map[string]proto.Message{
		"no look-up": &pb.ClaimResourceRequest{}, "look-up": &pb.GetAgentRequest{Uuid: paymentsAgent},
	} {
		_, err := guard.Check(t.Context(), identity.Caller{Name: "x"}, methods.API().ByRequest(req), req)
		if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE {
			t.Errorf("%s: %v, want DATABASE_UNAVAILABLE", name, err)
		}
	}
}

func TestDenyIsTheDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	get := methods.API().ByName("AgentService.GetAgent")
	with := func(rule *pb.Access) *methods.Method {
		m := *get
		m.Access = rule
		return &m
	}
	for name, m := range map[string]*methods.Method{
		"no method":  nil,
		"no rule":    with(nil),
		"empty rule": with(&pb.Access{}),
		"no action":  with(&pb.Access{Scope: pb.Scope_SCOPE_VISIBLE}),
		"no scope":   with(&pb.Access{Action: pb.Action_ACTION_READ}),
		"no role":    with(&pb.Access{Action: pb.Action_ACTION_READ, Targets: []*pb.Target{{Kind: "agent", Field: "uuid"}}}),
	} {
		t.Run(name, func(t *testing.T) {
			for _, who := range []string{"owner", "admin"} {
				_, err := w.guard.Check(t.Context(), w.callers[who], m, &pb.GetAgentRequest{Uuid: paymentsAgent})
				var refused *fault.Error
				if !errors.As(err, &refused) || refused.Reason != forbidden {
					t.Errorf("%s: %v, want PERMISSION_DENIED", who, err)
				}
			}
		})
	}
}
