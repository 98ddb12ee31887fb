package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
)

func TestEveryReasonHasACode(t *testing.T) {
	t.Parallel()
	for number, name := range pb.ErrorReason_name {
		if number == 0 {
			continue
		}
		code := fault.Connect(fault.New(pb.ErrorReason(number), "text")).Code()
		if code < connect.CodeCanceled || code > connect.CodeUnauthenticated {
			t.Errorf("%s has code %d", name, code)
		}
	}
}

func TestPlainErrorsStayInside(t *testing.T) {
	t.Parallel()
	err := fault.Connect(fmt.Errorf("reading row: %w", errors.New("password=hunter2")))
	if err.Code() != connect.CodeInternal || err.Message() != "internal error; give our operators the request id" {
		t.Errorf("a plain error reached the caller as %v", err)
	}
	if got := fault.Connect(&fault.Error{Public: "shown", Cause: errors.New("hidden")}).Message(); got != "shown" {
		t.Errorf("the cause reached the caller: %q", got)
	}
}

func TestVendorStatusRefinesTheCode(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]connect.Code{
		400: connect.CodeInvalidArgument,
		404: connect.CodeNotFound,
		409: connect.CodeAlreadyExists,
		410: connect.CodeFailedPrecondition,
	} {
		err := &fault.Error{Reason: pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, VendorStatus: status}
		if got := fault.Connect(err).Code(); got != want {
			t.Errorf("status %d: %v, want %v", status, got, want)
		}
	}
}

func TestStatusKeepsEverything(t *testing.T) {
	t.Parallel()
	want := &fault.Error{
		Reason:       pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED,
		Public:       "no such model",
		RetryAfter:   3 * time.Second,
		Violations:   []fault.Violation{{Field: "model_uuid", Description: "unknown"}},
		Resource:     &pb.ResourceRef{Kind: "agent", Uuid: "1"},
		Metadata:     map[string]string{"vendor_request_id": "r", "vendor_status": "404"},
		VendorStatus: 404,
	}
	got := fault.FromStatus(want.Status())
	if diff := cmp.Diff(*want, *got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}
