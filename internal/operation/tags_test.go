package operation_test

import (
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestOurTagsAreOurs has callers give the tags by which we know what an operation made.
func TestOurTagsAreOurs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	s := &scene{bench: b, name: "tags", known: map[string]known{}}
	agent, base, model := b.create("agent"), s.knowledgeBase(), s.customModel()
	forged := []string{"fine", "agentsvc-op:" + uuid.NewString()}
	given := map[string]bool{}
	for _, req := range []proto.Message{
		&pb.CreateAgentRequest{Name: new("forged"), ModelUuid: new(genaisim.ModelLlama), Tags: forged},
		&pb.UpdateAgentRequest{Uuid: agent, Tags: forged},
		&pb.CreateKnowledgeBaseRequest{Name: new("forged"), EmbeddingModelUuid: new(genaisim.ModelEmbedding), Tags: forged},
		&pb.UpdateKnowledgeBaseRequest{Uuid: base, Tags: forged},
		&pb.ImportCustomModelRequest{Name: new("forged"), Tags: &pb.CustomModelTags{Tags: forged}},
		&pb.UpdateCustomModelMetadataRequest{Uuid: model, Tags: &pb.CustomModelTags{Tags: forged}},
	} {
		m := methods.API().ByRequest(req)
		given[shortName(m)] = true
		before := len(b.sim.Requests())
		requireReason(t, b.engine.Change(t.Context(), b.caller, req, m.Output.New().Interface()), pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
		if len(b.sim.Requests()) != before {
			t.Errorf("%s was sent", m.Name)
		}
	}
	for _, m := range methods.API().All() {
		if m.Change() && m.Input.Descriptor().Fields().ByName("tags") != nil && !given[shortName(m)] {
			t.Errorf("%s takes tags and is not tried", m.Name)
		}
	}
	var tags []string
	if err := b.pool.QueryRow(t.Context(), "SELECT tags FROM resources WHERE uuid = $1", agent).Scan(&tags); err != nil || len(tags) == 0 {
		t.Fatalf("the agent has the tags %q, %v", tags, err)
	}
	made(s, &pb.UpdateAgentRequest{Uuid: agent, Tags: append(tags, "mine")}, &pb.UpdateAgentResponse{})
	b.requireConsistent()
}
