package access_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// TestKeysOfEitherProvider are both for the field that takes a key of any.
func TestKeysOfEitherProvider(t *testing.T) {
	t.Parallel()
	w := newNames(t)
	for uuid, want := range map[string]pb.ErrorReason{
		seeded(13): allowed, seeded(14): allowed, seeded(15): missing, unknownBase: missing,
	} {
		for _, req := range []proto.Message{
			&pb.UpdateAgentRequest{Uuid: paymentsAgent, ModelProviderKeyUuid: &uuid}, &pb.CreateAgentRequest{ModelProviderKeyUuid: &uuid},
		} {
			if got, words := w.answer(t, req); got != want {
				t.Errorf("%T of key %s: %v (%s), want %v", req, uuid, got, words, want)
			}
		}
	}
	words := func(uuid string) string {
		_, words := w.answer(t, &pb.UpdateAgentRequest{Uuid: paymentsAgent, ModelProviderKeyUuid: &uuid})
		return strings.ReplaceAll(words, uuid, "…")
	}
	if theirs, unknown := words(seeded(15)), words(unknownBase); theirs != unknown {
		t.Errorf("another team's key: %q, an unknown one: %q", theirs, unknown)
	}
}
