package operation_test

import (
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestUnknownIsNotGivenUpTooSoon has all tries of a change but one end with their workers,
// and the last meet a vendor that fails once more.
func TestUnknownIsNotGivenUpTooSoon(t *testing.T) {
	t.Parallel()
	const tries = 11
	for name, tc := range map[string]struct {
		sent string // how long ago; empty: the last try is the first to send it
		want pb.Operation_State
	}{
		"sent a minute ago": {sent: "1 minute", want: pb.Operation_STATE_SUCCEEDED},
		"sent an hour ago":  {sent: "1 hour", want: pb.Operation_STATE_FAILED},
		"sent just now":     {want: pb.Operation_STATE_SUCCEEDED},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *operation.Config) { c.Backoff = time.Millisecond })
			id := b.submit(b.caller, &pb.CreateAgentRequest{
				Name: new("new"), ModelUuid: new(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true},
			}, &pb.CreateAgentResponse{})
			if _, err := b.pool.Exec(t.Context(), `UPDATE operations SET state = 'RUNNING', claims = $2, lease = gen_random_uuid(),
				lease_expires_at = clock_timestamp(), sent_at = clock_timestamp() - nullif($3, '')::interval WHERE id = $1`, id, tries, tc.sent); err != nil {
				t.Fatal(err)
			}
			b.fault(genaisim.Fault{Status: 500, Count: 1})
			b.start(b.engine)

			if got := b.ended(id).GetState(); got != tc.want {
				t.Errorf("it ended as %s, want %s", got, tc.want)
			}
			b.requireConsistent()
		})
	}
}
