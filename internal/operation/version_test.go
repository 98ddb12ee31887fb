package operation_test

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestExpectedTime is expected_version where there is no hash.
func TestExpectedTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	s := &scene{bench: b, name: "expected", known: map[string]known{}}
	for name, tc := range map[string]struct {
		layout   string
		zone     *time.Location
		shift    time.Duration
		mismatch bool
	}{
		"as it is shown":     {layout: time.RFC3339Nano},
		"as an offset":       {layout: "2006-01-02T15:04:05.999999999-07:00"},
		"another zone's":     {layout: time.RFC3339Nano, zone: time.FixedZone("CEST", 2*60*60)},
		"a second before it": {layout: time.RFC3339Nano, shift: -time.Second, mismatch: true},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share the vendor
			workspace := made(s, &pb.CreateWorkspaceRequest{Name: new(name)}, &pb.CreateWorkspaceResponse{}).GetWorkspace()
			shown := workspace.GetUpdatedAt().AsTime()
			err := b.engine.Change(t.Context(), b.caller, &pb.UpdateWorkspaceRequest{
				WorkspaceUuid: workspace.GetUuid(), Description: new("changed"),
				Mutation: &pb.MutationOptions{ExpectedVersion: shown.Add(tc.shift).In(cmp.Or(tc.zone, time.UTC)).Format(tc.layout)},
			}, &pb.UpdateWorkspaceResponse{})
			if !tc.mismatch {
				if err != nil {
					t.Error(err)
				}
				return
			}
			requireReason(t, err, pb.ErrorReason_ERROR_REASON_VERSION_MISMATCH)
			if want := "is at version " + shown.Format(time.RFC3339Nano) + " by now"; !strings.Contains(err.Error(), want) {
				t.Errorf("the error is %q, without %q", err, want)
			}
		})
	}
	run := &pb.UpdateModelEvaluationRunRequest{EvalRunUuid: s.modelRun(nil), Name: new("other"), Mutation: &pb.MutationOptions{ExpectedVersion: "any"}}
	for _, req := range []proto.Message{
		run, &pb.UpdateModelApiKeyRequest{ApiKeyUuid: s.modelKey(), Name: new("other"), Mutation: &pb.MutationOptions{ExpectedVersion: "any"}},
	} {
		err := b.engine.Change(t.Context(), b.caller, req, methods.API().ByRequest(req).Output.New().Interface())
		requireReason(t, err, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
		if !strings.Contains(err.Error(), "mutation.expected_version") {
			t.Errorf("the error is %q", err)
		}
	}
	b.requireConsistent()
}
