package operation_test

import (
	"errors"
	"testing"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/operation"
)

// TestSecretNotTaken loses the database between the end of a change and the delivery of its
// secret. Its caller must not be told to try again: the key is made.
func TestSecretNotTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.start(b.engine)
	agent := b.create("agent")
	stop()
	proxy := newCutter(t, b.pool.Config().ConnConfig, "-- name: TakeSealedResponse", 1, 1000)
	pool, err := db.Open(t.Context(), proxy.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	cfg := b.cfg
	cfg.Store = db.New(pool)
	engine, err := operation.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.start(engine)

	err = engine.Change(t.Context(), b.caller, &pb.CreateAgentApiKeyRequest{AgentUuid: agent, Name: new("key")}, &pb.CreateAgentApiKeyResponse{})

	if !proxy.cut.Load() {
		t.Fatal("nothing was cut: the test did not do what it is for")
	}
	refusal, ok := errors.AsType[*fault.Error](err)
	if !ok || refusal.Reason != pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE {
		t.Fatalf("the caller was told %v", err)
	}
	if n := b.count("SELECT count(*) FROM operations WHERE id::text = $1 AND state = 'SUCCEEDED'", refusal.Metadata["operation"]); n != 1 {
		t.Errorf("the caller was told %q, and of no operation", refusal.Public)
	}
	b.requireConsistent()
}
