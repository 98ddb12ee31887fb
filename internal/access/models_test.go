package access_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// TestModelsOfAnother are refused wherever a request can name one.
func TestModelsOfAnother(t *testing.T) {
	t.Parallel()
	w := newNames(t)
	const router = "d0000000-0000-4000-8000-000000000001"
	const sql = "INSERT INTO resources (kind, uuid, name, team_id) VALUES ('model_router', $1, 'r', $2)"
	if _, err := w.pool.Exec(t.Context(), sql, router, w.teams["payments"]); err != nil {
		t.Fatal(err)
	}
	// The vendor says of a model that it offers no more, to which agents it may still be given.
	const withdrawn = "d0000000-0000-4000-8000-000000000002"
	if _, err := w.pool.Exec(t.Context(),
		"INSERT INTO resources (kind, uuid, name, shared, deleted_at) VALUES ('model', $1, 'old', true, now())", withdrawn); err != nil {
		t.Fatal(err)
	}
	const own, theirs = 0, 1 // of what newNames makes
	for name, tc := range map[string]struct {
		model string
		want  pb.ErrorReason
	}{
		"one's own":                          {"mine", allowed},
		"one's own, by its uuid":             {seeded(own), allowed},
		"another team's":                     {"theirs", invalid},
		"another team's, by its uuid":        {seeded(theirs), invalid},
		"one's own and another team's":       {"both", invalid},
		"what nothing of ours is called":     {"openai-gpt", allowed},
		"the catalogue's, which another has": {slug, allowed},
		"as the catalogue's is shown":        {"Llama 3.3", invalid},
	} {
		t.Run(name, func(t *testing.T) {
			models := []string{"openai-gpt", tc.model}
			policies := []*pb.ModelRouterPolicy{{Models: models[:1]}, {Models: models}}
			for what, req := range map[string]proto.Message{
				"create, fallback": &pb.CreateModelRouterRequest{FallbackModels: models},
				"create, policy":   &pb.CreateModelRouterRequest{Policies: policies},
				"update, fallback": &pb.UpdateModelRouterRequest{Uuid: router, FallbackModels: models},
				"update, policy":   &pb.UpdateModelRouterRequest{Uuid: router, Policies: policies},
			} {
				if got, words := w.answer(t, req); got != tc.want {
					t.Errorf("%s: %v (%s), want %v", what, got, words, tc.want)
				}
			}
		})
	}
	for model, want := range map[string]pb.ErrorReason{
		seeded(own): allowed, seeded(theirs): missing, catalogued: allowed, withdrawn: allowed, unknownBase: missing,
	} {
		for _, req := range []proto.Message{
			&pb.CreateAgentRequest{ModelUuid: &model}, &pb.UpdateAgentRequest{Uuid: paymentsAgent, ModelUuid: &model},
		} {
			if got, words := w.answer(t, req); got != want {
				t.Errorf("%T with model %s: %v (%s), want %v", req, model, got, words, want)
			}
		}
	}
}
