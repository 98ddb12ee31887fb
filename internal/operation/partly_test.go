package operation_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// halting is a vendor that breaks down when it has run a test case against all agents but one.
type halting struct{ operation.Vendor }

func (v halting) Do(ctx context.Context, m *methods.Method, req, resp proto.Message) (upstream.Reply, error) {
	run, ok := req.(*pb.RunEvaluationTestCaseRequest)
	if !ok {
		return v.Vendor.Do(ctx, m, req, resp)
	}
	less := proto.CloneOf(run)
	less.AgentUuids = less.GetAgentUuids()[1:]
	if reply, err := v.Vendor.Do(ctx, m, less, resp); err != nil {
		return reply, err
	}
	return upstream.Reply{Status: http.StatusInternalServerError},
		&upstream.Error{Method: m.Name, Outcome: upstream.Unknown, Status: http.StatusInternalServerError}
}

// TestAPartIsNotMadeTwice has the vendor make two of three runs and answer with a failure.
func TestAPartIsNotMadeTwice(t *testing.T) {
	t.Parallel()
	b := setupWith(t, genaisim.Config{EvaluationTime: time.Hour}, func(c *operation.Config) { c.Vendor = halting{c.Vendor} })
	b.start(b.engine)
	s := &scene{bench: b, name: "part", known: map[string]known{}}
	agents := []string{b.create("one"), b.create("two"), b.create("three")}
	request := &pb.RunEvaluationTestCaseRequest{TestCaseUuid: new(s.testCase()), RunName: new("run"), AgentUuids: agents}
	before := s.look()
	a := s.change(methods.API().ByRequest(request), request)
	requireReason(t, a.err, pb.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN)
	if made := s.effectsSince(before); len(made) != 1 {
		t.Errorf("the vendor was made to run it more than once: %q", made)
	}
	runs := &pb.ListEvaluationTestCaseRunsResponse{}
	if _, err := b.cfg.Vendor.Do(t.Context(), methods.API().ByName("EvaluationService.ListEvaluationTestCaseRuns"),
		&pb.ListEvaluationTestCaseRunsRequest{EvaluationTestCaseUuid: request.GetTestCaseUuid()}, runs); err != nil {
		t.Fatal(err)
	}
	failure, ok := errors.AsType[*fault.Error](a.err)
	if !ok || len(runs.GetEvaluationRuns()) != 2 {
		t.Fatalf("there are %d runs, after %v", len(runs.GetEvaluationRuns()), a.err)
	}
	for _, run := range runs.GetEvaluationRuns() {
		if id := run.GetEvaluationRunUuid(); !strings.Contains(failure.Public, id) || !strings.Contains(failure.Metadata["found"], id) {
			t.Errorf("the caller is not told of %s, but %q, %q", id, failure.Public, failure.Metadata)
		}
	}
	b.requireConsistent()
}
