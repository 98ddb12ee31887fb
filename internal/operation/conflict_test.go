package operation_test

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestRefusedForWhatIsOlder loses a request before it has any effect, where the vendor
// refuses it anyway for something that is there already and was not made by it.
func TestRefusedForWhatIsOlder(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path    string
		request func(base string) (proto.Message, func() proto.Message)
	}{
		"an older job has not ended": {
			path: "/v2/gen-ai/indexing_jobs",
			request: func(base string) (proto.Message, func() proto.Message) {
				return &pb.StartIndexingJobRequest{KnowledgeBaseUuid: &base}, func() proto.Message { return &pb.StartIndexingJobResponse{} }
			},
		},
		"there is a schedule": {
			path: "/v2/gen-ai/scheduled-indexing",
			request: func(base string) (proto.Message, func() proto.Message) {
				return &pb.CreateIndexingScheduleRequest{KnowledgeBaseUuid: &base, Days: []int32{1}, Time: new("03:00")},
					func() proto.Message { return &pb.CreateIndexingScheduleResponse{} }
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, genaisim.Config{IndexTime: time.Hour}, func(c *operation.Config) { c.MaxTries = 6 })
			b.start(b.engine)
			request, response := tc.request(genaisim.KnowledgeBaseA)
			if err := b.engine.Change(t.Context(), b.caller, request, response()); err != nil {
				t.Fatalf("making the older one: %v", err)
			}
			before := len(b.effects())
			b.fault(genaisim.Fault{Method: http.MethodPost, Path: tc.path, Drop: "before", Count: 1})
			err := b.engine.Change(t.Context(), b.caller, request, response())
			b.fault()
			if got := fault.ReasonOf(err); err == nil || got == pb.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN {
				t.Fatalf("the caller is told %v, not what the vendor said", err)
			}
			if n := b.count("SELECT attempts FROM operations ORDER BY number DESC LIMIT 1"); n != 2 {
				t.Errorf("it was sent %d times", n)
			}
			if made := b.effects()[before:]; len(made) != 0 {
				t.Errorf("the vendor made %+v", made)
			}
			b.requireConsistent()
		})
	}
}
