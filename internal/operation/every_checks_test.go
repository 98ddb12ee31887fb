package operation_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// requireAll holds a change to what its case says, and tells what it left behind.
func (s *scene) requireAll(m *methods.Method, c changeCase, with trouble, before sight, a answer) told {
	s.t.Helper()
	e := s.event(a.operation)
	if c.refused {
		s.requireRefused(a, e, before)
	} else {
		if a.err != nil {
			s.t.Fatalf("the change failed: %v", a.err)
		}
		s.requireEffects(m, c, with, before)
		s.noteMade(m, c, before, a.response)
		shows, rows := c.shows, c.rows
		if with.lost && c.lostShows != "" {
			shows = c.lostShows
		}
		if with.lost && c.lostRows != nil {
			rows = c.lostRows
		}
		s.requireEvent(c, e, shows)
		s.requireRows(rows)
		if m.Access.GetAction() == pb.Action_ACTION_CREATE {
			s.requireParent(c)
		}
		if c.also != nil {
			c.also(s, a.response)
		}
	}
	got := told{before: s.words(e.Before), after: s.words(e.After), counts: s.since(before)}
	s.requireAgreement(before, c, with)
	s.requireSecretless(a.request, a.response)
	if n := s.count("SELECT count(*) FROM operations WHERE id = $1 AND sealed_response IS NOT NULL", a.operation); n != 0 {
		s.t.Error("what was delivered is still sealed in the queue")
	}
	s.requireConsistent()
	return got
}

// requireRefused is for what the vendor has ended.
func (s *scene) requireRefused(a answer, e event, before sight) {
	s.t.Helper()
	op, err := s.engine.Get(s.t.Context(), a.operation)
	if err != nil {
		s.t.Fatal(err)
	}
	const failedPrecondition = 9
	if op.GetState() != pb.Operation_STATE_FAILED || op.GetError().GetCode() != failedPrecondition {
		s.t.Errorf("it ended as %s with %v", op.GetState(), op.GetError())
	}
	if e.Outcome != "FAILED" {
		s.t.Errorf("the history tells of %s", e.Outcome)
	}
	if made := s.effectsSince(before); len(made) != 0 {
		s.t.Errorf("the vendor made %q", made)
	}
}

// requireEffects asks whether the vendor made what it had to, and nothing twice.
func (s *scene) requireEffects(m *methods.Method, c changeCase, with trouble, before sight) {
	s.t.Helper()
	want := []string{shortName(m)}
	if with.lost && c.lost != nil {
		want = c.lost
	}
	if made := s.effectsSince(before); !slices.Equal(made, want) {
		s.t.Errorf("the vendor made %q, want %q", made, want)
	}
}

// noteMade notes what a creation made, as the vendor's log tells it, and asks whether the
// caller was told the same.
func (s *scene) noteMade(m *methods.Method, c changeCase, before sight, response proto.Message) {
	s.t.Helper()
	kind, _ := kindOf(c.about)
	if _, ok := s.known[kind]; ok || m.Access.GetAction() != pb.Action_ACTION_CREATE {
		return
	}
	for _, r := range s.requestsSince(before) {
		if r.Operation == m.Verb+" "+m.Path && r.ResourceUUID != "" {
			s.note(kind, r.ResourceUUID)
		}
	}
	if path := m.Access.GetSubject().GetField(); path != "" && methods.String(response, path) != s.known[kind].uuid {
		s.t.Errorf("the caller was told of %q, made was %q", methods.String(response, path), s.known[kind].uuid)
	}
}

// event is the history's line of how an operation ended.
type event struct {
	Outcome, Origin          string
	ResourceKind, ParentKind string
	ResourceUUID, ParentUUID *uuid.UUID
	Before, After            json.RawMessage
}

func (s *scene) event(op uuid.UUID) event {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `SELECT outcome, origin, resource_kind, parent_kind, resource_uuid, parent_uuid, before, after
		FROM audit_events WHERE operation_id = $1 AND outcome <> 'ACCEPTED'`, op)
	if err != nil {
		s.t.Fatal(err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[event])
	if err != nil {
		s.t.Fatalf("the history's line of the outcome: %v", err)
	}
	return e
}

// requireEvent asks whether the history names what was changed, and shows as much of it
// as it must.
func (s *scene) requireEvent(c changeCase, e event, shows string) {
	s.t.Helper()
	kind, part := kindOf(c.about)
	if e.Outcome != "SUCCEEDED" || e.Origin != "API" {
		s.t.Errorf("the history tells of %s by %s", e.Outcome, e.Origin)
	}
	if got, want := ref(e.ResourceKind, e.ResourceUUID), kind+" "+s.known[kind].uuid; got != want {
		s.t.Errorf("the history tells of %s, want %s", got, want)
	}
	want := ""
	if part != "" {
		want = part + " " + s.known[part].uuid
	}
	if got := ref(e.ParentKind, e.ParentUUID); got != want {
		s.t.Errorf("the history tells that it is a part of %q, want %q", got, want)
	}
	for what, object := range map[string]json.RawMessage{"before": e.Before, "after": e.After} {
		if has := len(object) > len("{}"); has != strings.Contains(shows, what) {
			s.t.Errorf("the history shows %s %s: %s", what, object, fmt.Sprintf("want it to show %q", shows))
		}
	}
}

func ref(kind string, id *uuid.UUID) string {
	if id == nil {
		return kind
	}
	return kind + " " + id.String()
}

// row is how our copy holds what the scene has a name for; nil if it does not.
func (s *scene) row(name string) *dbsql.Resource {
	s.t.Helper()
	on, ok := s.known[name]
	if !ok {
		s.t.Fatalf("nobody noted %s", name)
	}
	row, err := s.store.Resource(s.t.Context(), dbsql.ResourceParams{Kind: on.kind, UUID: mustID(s.t, on.uuid)})
	if db.NoRows(err) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return &row
}

// requireRows asks how our copy holds what the change touched, and for whom.
func (s *scene) requireRows(rows map[string]held) {
	s.t.Helper()
	for name, want := range rows {
		row, got := s.row(name), behind
		switch {
		case row == nil:
			got = unseen
		case row.DeletedAt != nil:
			got = gone
		case row.DirtySince == nil && row.BodySyncedAt != nil:
			got = current
		}
		if got != want {
			s.t.Errorf("our copy of %s is %s, want %s", name, got, want)
		}
		if row == nil || s.known[name].foreign {
			continue
		}
		if row.TeamID == nil || *row.TeamID != s.caller.ActingTeam.ID {
			s.t.Errorf("%s belongs to %v", name, row.TeamID)
		}
	}
}

// requireParent asks whether what was created is held as a part of what it is a part of.
func (s *scene) requireParent(c changeCase) {
	s.t.Helper()
	kind, part := kindOf(c.about)
	if _, told := c.rows[kind]; !told {
		return // it is held within the body of what it is a part of
	}
	want := part
	if part != "" {
		want += " " + s.known[part].uuid
	}
	if row := s.row(kind); row != nil && ref(row.ParentKind, row.ParentUUID) != want {
		s.t.Errorf("our copy holds it as a part of %q, want %q", ref(row.ParentKind, row.ParentUUID), want)
	}
}

// requireAgreement asks the vendor for all that the change touched. It must be as our copy
// has it, unless that is behind, and nothing of it may seem to have happened elsewhere.
func (s *scene) requireAgreement(before sight, c changeCase, with trouble) {
	s.t.Helper()
	rows := c.rows
	if with.lost && c.lostRows != nil {
		rows = c.lostRows
	}
	for name, how := range rows {
		if how == gone || how == unseen {
			continue
		}
		was := s.row(name)
		s.ask(s.known[name])
		is := s.row(name)
		if is == nil || is.DeletedAt != nil || is.DirtySince != nil || is.BodySyncedAt == nil {
			s.t.Errorf("our copy of %s is not as it should be after asking for it: %+v", name, is)
			continue
		}
		if how != current || was == nil {
			continue
		}
		if held, shown := s.body(was), s.body(is); !proto.Equal(held, shown) {
			s.t.Errorf("our copy of %s was\n%v\nand the vendor has\n%v", name, held, shown)
		}
	}
	if n := s.drift() - before.events; n != 0 {
		s.t.Errorf("%d changes seem to have been made elsewhere", n)
	}
}

// listed are the methods that list the kinds that cannot be read alone.
func listed() map[string]string {
	return map[string]string{
		"model_api_key": "ModelKeyService.ListModelApiKeys", "evaluation_dataset": "EvaluationService.ListEvaluationDatasets",
		"evaluation_metric": "EvaluationService.ListEvaluationMetrics",
	}
}

// ask has our copy of something brought up to date.
func (s *scene) ask(on known) {
	s.t.Helper()
	var err error
	switch list := listed()[on.kind]; {
	case list != "":
		s.list(list)
	case on.kind == "indexing_schedule":
		err = s.mirror.Fetch(s.t.Context(), s.caller, &pb.GetIndexingScheduleRequest{KnowledgeBaseUuid: s.known["knowledge_base"].uuid},
			&pb.GetIndexingScheduleResponse{})
	default:
		_, _, err = s.mirror.Refresh(s.t.Context(), budget.Read, on.kind, mustID(s.t, on.uuid))
	}
	if err != nil {
		s.t.Errorf("asking for the %s: %v", on.kind, err)
	}
}

// list has our copy of a whole kind brought up to date.
func (s *scene) list(method string) {
	s.t.Helper()
	m := methods.API().ByName(method)
	request := m.Input.New()
	now := request.Descriptor().Fields().ByName("max_staleness")
	request.Set(now, protoreflect.ValueOfMessage(durationpb.New(0).ProtoReflect()))
	if err := s.mirror.List(s.t.Context(), s.caller, request.Interface(), m.Output.New().Interface()); err != nil {
		s.t.Errorf("listing with %s: %v", method, err)
	}
}

// body is what a row holds, without what is told of others.
func (s *scene) body(row *dbsql.Resource) proto.Message {
	s.t.Helper()
	body := map[string]proto.Message{
		"agent": &pb.Agent{}, "knowledge_base": &pb.KnowledgeBase{}, "indexing_job": &pb.IndexingJob{},
		"indexing_schedule": &pb.ScheduledIndexing{}, "model_router": &pb.ModelRouter{}, "custom_model": &pb.CustomModel{},
		"workspace": &pb.Workspace{}, "anthropic_key": &pb.AnthropicApiKeyInfo{}, "openai_key": &pb.OpenAiApiKeyInfo{},
		"model_api_key": &pb.ApiKeyInfo{}, "evaluation_dataset": &pb.EvaluationDataset{}, "evaluation_metric": &pb.EvaluationMetric{},
		"evaluation_test_case": &pb.EvaluationTestCase{}, "model_evaluation_run": &pb.ModelEvaluationRun{},
	}[row.Kind]
	if body == nil {
		s.t.Fatalf("what is a %s?", row.Kind)
	}
	if err := proto.Unmarshal(row.Body, body); err != nil {
		s.t.Fatal(err)
	}
	switch body := body.(type) {
	case *pb.KnowledgeBase:
		body.DatabaseStatus, body.LastIndexingJob = nil, nil
	case *pb.EvaluationTestCase:
		body.TotalRuns, body.LatestVersionNumberOfRuns = nil, nil
	}
	return body
}

// requireSecretless looks for the secrets of messages wherever they could have been left.
func (s *scene) requireSecretless(messages ...proto.Message) {
	s.t.Helper()
	var secrets []string
	for _, m := range messages {
		secrets = append(secrets, methods.SecretValues(m)...)
	}
	if len(secrets) == 0 {
		return
	}
	rows, err := s.pool.Query(s.t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
	if err != nil {
		s.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) == 0 {
		s.t.Fatalf("listing the tables: %q, %v", tables, err)
	}
	for _, secret := range secrets {
		for _, table := range tables {
			if n := s.count("SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()+" r WHERE strpos(r::text, $1) > 0 OR strpos(r::text, $2) > 0",
				secret, hex.EncodeToString([]byte(secret))); n != 0 { // bytes read as hexadecimal digits
				s.t.Errorf("a secret is in table %s", table)
			}
		}
	}
}
