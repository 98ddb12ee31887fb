package operation_test

import (
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// TestSecretTakenByAnother has the secret gone when the call that made it comes for it, as
// when the call was repeated meanwhile: it must be told.
func TestSecretTakenByAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agent := b.create("agent")
	for _, sql := range []string{
		`CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.sealed_response = NULL; RETURN NEW; END $$`,
		`CREATE TRIGGER take BEFORE UPDATE ON operations FOR EACH ROW WHEN (NEW.state = 'SUCCEEDED') EXECUTE FUNCTION take()`,
	} {
		if _, err := b.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	err := b.engine.Change(t.Context(), b.caller, &pb.CreateAgentApiKeyRequest{AgentUuid: agent, Name: new("key")}, &pb.CreateAgentApiKeyResponse{})
	requireReason(t, err, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED)
	b.requireConsistent()
}
