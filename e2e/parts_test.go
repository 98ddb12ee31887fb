package e2e_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestAPartOfAnother names another team's key beside an agent of one's own: the vendor must
// not be asked to change it, since it might look at the key alone.
func TestAPartOfAnother(t *testing.T) {
	w := newWorld(t)
	s := w.serve(t)
	payments, search := s.as(t, w.payments), s.as(t, w.search)
	mine := newAgent(t, payments, "mine")
	made, err := search.agents.CreateAgent(t.Context(), agentRequest("theirs", &pb.MutationOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	key, err := search.keys.CreateAgentApiKey(t.Context(), &pb.CreateAgentApiKeyRequest{AgentUuid: made.GetAgent().GetUuid(), Name: new("theirs")})
	if err != nil {
		t.Fatal(err)
	}
	theirs := key.GetApiKeyInfo().GetUuid()
	for name, call := range map[string]func(context.Context) error{
		"regenerate": func(ctx context.Context) error {
			_, err := payments.keys.RegenerateAgentApiKey(ctx, &pb.RegenerateAgentApiKeyRequest{AgentUuid: mine, ApiKeyUuid: theirs})
			return err
		},
		"rename": func(ctx context.Context) error {
			_, err := payments.keys.UpdateAgentApiKey(ctx, &pb.UpdateAgentApiKeyRequest{AgentUuid: mine, ApiKeyUuid: theirs, Name: new("x")})
			return err
		},
		"delete": func(ctx context.Context) error {
			_, err := payments.keys.DeleteAgentApiKey(ctx, &pb.DeleteAgentApiKeyRequest{AgentUuid: mine, ApiKeyUuid: theirs})
			return err
		},
	} {
		if err := call(t.Context()); connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), "agent_api_key "+theirs) {
			t.Errorf("%s: %v, want NOT_FOUND", name, err)
		}
	}
	if slices.ContainsFunc(w.vendor.Requests(), func(r genaisim.Request) bool {
		return r.Method != http.MethodGet && strings.Contains(r.Path, theirs)
	}) {
		t.Error("the vendor was asked to change another team's key")
	}
	if _, err := search.keys.RegenerateAgentApiKey(t.Context(), &pb.RegenerateAgentApiKeyRequest{
		AgentUuid: made.GetAgent().GetUuid(), ApiKeyUuid: theirs,
	}); err != nil {
		t.Errorf("its owner: %v", err)
	}
}
