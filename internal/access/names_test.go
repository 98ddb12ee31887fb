package access_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// everything is a copy that has all there is.
func everything(context.Context, identity.Caller, string) (bool, error) { return true, nil }

const (
	slug       = "llama3.3-70b-instruct"
	catalogued = "c0000000-0000-4000-8000-000000000001"
)

// newNames is a world in which both teams have things, some of the same name.
func newNames(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.guard = access.New(db.New(w.pool), everything, slog.New(slog.DiscardHandler))
	for i, thing := range []struct{ kind, team, name string }{
		{"custom_model", "payments", "mine"}, {"custom_model", "search", "theirs"},
		{"custom_model", "payments", "both"}, {"custom_model", "search", "both"},
		{"custom_model", "payments", "twice"}, {"model_router", "payments", "twice"},
		{"custom_model", "search", slug}, {"custom_model", "search", "Llama 3.3"}, {"model_router", "search", "their router"},
		{"workspace", "payments", "lab"}, {"workspace", "search", "shop"},
		{"workspace", "payments", "prod"}, {"workspace", "search", "prod"},
		{"anthropic_key", "payments", "k"}, {"openai_key", "payments", "k"}, {"openai_key", "search", "k"},
	} {
		const sql = "INSERT INTO resources (kind, uuid, name, team_id) VALUES ($1, $2, $3, $4)"
		if _, err := w.pool.Exec(t.Context(), sql, thing.kind, seeded(i), thing.name, w.teams[thing.team]); err != nil {
			t.Fatal(err)
		}
	}
	const model = `INSERT INTO resources (kind, uuid, name, shared, attributes) VALUES ('model', $1, 'Llama 3.3', true, jsonb_build_object('id', $2::text))`
	if _, err := w.pool.Exec(t.Context(), model, catalogued, slug); err != nil {
		t.Fatal(err)
	}
	return w
}

// seeded is the uuid of the nth thing of [newNames].
func seeded(n int) string { return fmt.Sprintf("b0000000-0000-4000-8000-%012d", n) }

// answer is the reason of a refusal and its words, as an operator of payments gets it.
func (w *world) answer(t *testing.T, req proto.Message) (pb.ErrorReason, string) {
	t.Helper()
	_, err := w.guard.Check(t.Context(), w.callers["operator"], methods.API().ByRequest(req), req)
	if err == nil {
		return allowed, ""
	}
	return fault.ReasonOf(err), fault.Connect(err).Message()
}

func TestNames(t *testing.T) {
	t.Parallel()
	w := newNames(t)
	const (
		serverless = pb.ModelEvaluationRun_CANDIDATE_MODEL_SOURCE_SERVERLESS
		dedicated  = pb.ModelEvaluationRun_CANDIDATE_MODEL_SOURCE_DEDICATED
	)
	run := func(name, uuid string, source ...pb.ModelEvaluationRun_CandidateModelSource) proto.Message {
		req := &pb.CreateModelEvaluationRunRequest{CandidateModelName: &name}
		if uuid != "" {
			req.CandidateModelUuid = &uuid
		}
		for _, s := range source {
			req.CandidateModelSource = &s
		}
		return req
	}
	testCase := func(name, uuid string) proto.Message {
		req := &pb.CreateEvaluationTestCaseRequest{AgentWorkspaceName: &name}
		if uuid != "" {
			req.WorkspaceUuid = &uuid
		}
		return req
	}
	for name, tc := range map[string]struct {
		request proto.Message
		want    pb.ErrorReason
		audited bool
	}{
		"one's own":                            {run("mine", "", dedicated), allowed, false},
		"a name that nothing of ours has":      {run("a-deployment", "", dedicated), allowed, false},
		"another team's":                       {run("theirs", "", dedicated), invalid, true},
		"another team's router":                {run("their router", ""), invalid, true},
		"one's own and another team's":         {run("both", "", dedicated), invalid, true},
		"two of one's own":                     {run("twice", "", dedicated), invalid, false},
		"with the right uuid":                  {run("both", seeded(2), dedicated), allowed, false},
		"with another team's uuid":             {run("both", seeded(3), dedicated), missing, true},
		"the catalogue's, by its uuid":         {run(slug, catalogued), allowed, false},
		"the catalogue's, which another has":   {run(slug, ""), invalid, true},
		"the catalogue's, as it says":          {run(slug, "", serverless), allowed, false},
		"one's own workspace":                  {testCase("lab", ""), allowed, false},
		"another team's workspace":             {testCase("shop", ""), missing, true},
		"a workspace that is not there":        {testCase("nowhere", ""), missing, true},
		"workspaces of both teams":             {testCase("prod", ""), invalid, true},
		"workspaces of both teams, by uuid":    {testCase("prod", seeded(11)), allowed, false},
		"workspaces of both teams, by another": {testCase("prod", seeded(12)), missing, true},
	} {
		t.Run(name, func(t *testing.T) {
			w.aMinuteLater(t)
			before := len(w.events(t))
			reason, words := w.answer(t, tc.request)
			if reason != tc.want {
				t.Errorf("answer %v (%s), want %v", reason, words, tc.want)
			}
			if strings.Contains(words, "team") || strings.Contains(words, "search") {
				t.Errorf("it is told who has it: %s", words)
			}
			if after := w.events(t)[before:]; len(after) > 0 != tc.audited || len(after) > 0 && after[0].Team != "" {
				t.Errorf("recorded %+v", after)
			}
		})
	}
}

// TestNamesAreRefusedInTheSameWords compares what is told of names that others have with
// what is told where they have none.
func TestNamesAreRefusedInTheSameWords(t *testing.T) {
	t.Parallel()
	w := newNames(t)
	words := func(name string) string {
		source := pb.ModelEvaluationRun_CANDIDATE_MODEL_SOURCE_DEDICATED
		_, words := w.answer(t, &pb.CreateModelEvaluationRunRequest{CandidateModelName: &name, CandidateModelSource: &source})
		return strings.ReplaceAll(words, name, "…")
	}
	own := words("twice")
	if !strings.Contains(own, "candidate_model_uuid") {
		t.Errorf("it is not told what to give: %s", own)
	}
	for _, name := range []string{"both", "theirs"} {
		if got := words(name); got != own {
			t.Errorf("%s: %q, and of the caller's own %q", name, got, own)
		}
	}
}
