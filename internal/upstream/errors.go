package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Outcome is what a failed call may have done at the vendor's.
type Outcome int

const (
	// Unknown is that it may have had its effect. The time ran out, the reply was lost or
	// cannot be understood, or the vendor broke down over it.
	Unknown Outcome = iota
	// NotSent is that it had no effect, for it never left.
	NotSent
	// Refused is that it had no effect, for the vendor said no.
	Refused
)

func (o Outcome) String() string {
	switch o {
	case NotSent:
		return "not sent"
	case Refused:
		return "refused"
	case Unknown:
	}
	return "outcome unknown"
}

// kind is why a call failed, where Status does not tell.
type kind int

const (
	kindStatus      kind = iota // the vendor answered with a status of failure
	kindRequest                 // the request could not be made
	kindToken                   // we have no token to send
	kindCaller                  // the caller gave up, or its deadline came
	kindUnreachable             // no answer, or not a whole one
	kindProtocol                // an answer that cannot be understood
)

// Error is the error of every failed [Client.Do].
type Error struct {
	// Method is the name of the method that was called.
	Method  protoreflect.FullName
	Outcome Outcome
	// Status is the vendor's HTTP status; 0 when none came.
	Status int
	// VendorID is the vendor's short name for what is wrong, such as "not_found".
	VendorID string
	// Message is the vendor's explanation, without the secrets of the request.
	Message string
	// RequestID is the vendor's; empty when it gave none.
	RequestID string
	// RetryAfter is when the vendor takes requests again; always set when
	// throttled, otherwise zero unless the vendor says.
	RetryAfter time.Duration

	kind  kind
	cause error
	// dropped: the connection was one that had been kept, and broke before the answer.
	dropped bool
}

// Dropped says that a call failed on a connection that had been kept from an earlier one: the
// vendor may have closed it while it was idle, and nothing may be wrong. Who only reads asks
// again.
func Dropped(err error) bool {
	failure, ok := errors.AsType[*Error](err)
	return ok && failure.dropped
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "calling the vendor for %s: %s", e.Method.Parent().Name()+"."+e.Method.Name(), e.Outcome)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.VendorID != "" {
		fmt.Fprintf(&b, " %s", e.VendorID)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// Unusable is the error of an answer that could be read, and does not say what it has to.
// Whether the call had its effect is unknown.
func Unusable(m *methods.Method, problem string) *Error {
	return &Error{Method: m.Name, Status: http.StatusOK, kind: kindProtocol, cause: &FormatError{Problem: problem}}
}

func (e *Error) Unwrap() error { return e.cause }

// Throttled says that the vendor's rate limit was exceeded.
func (e *Error) Throttled() bool { return e.Status == http.StatusTooManyRequests }

// NotFound says that the vendor does not know the resource.
func (e *Error) NotFound() bool { return e.Status == http.StatusNotFound }

// Temporary says that trying again may help. For a change whose outcome is
// unknown, only after that has been settled.
func (e *Error) Temporary() bool {
	switch e.kind {
	case kindUnreachable:
		return true
	case kindStatus:
		return e.Throttled() || e.Status == http.StatusRequestTimeout ||
			e.Status >= 500 && e.Status != http.StatusNotImplemented
	case kindRequest, kindToken, kindCaller, kindProtocol:
	}
	return false
}

// Down says that the vendor was not there: it did not answer, or only with a 5xx, or with
// something that is no answer of its, such as a page of a proxy's.
func (e *Error) Down() bool {
	return e.kind == kindUnreachable || e.kind == kindProtocol || e.kind == kindStatus && e.Status >= 500 && e.Status != http.StatusNotImplemented
}

// Answered says that the vendor was there and answered with a status of failure that means
// something.
func (e *Error) Answered() bool { return e.kind == kindStatus && !e.Down() }

// comeBack is RetryInfo where the vendor cannot be reached and does not say for
// how long.
const comeBack = 5 * time.Second

// Fault is what the caller of the service may see of it.
func (e *Error) Fault() *fault.Error {
	var known *fault.Error
	if e.kind == kindRequest && errors.As(e.cause, &known) {
		return known
	}
	out := e.fault()
	out.Cause = e
	out.VendorStatus = e.Status
	if e.RequestID != "" {
		if out.Metadata == nil {
			out.Metadata = map[string]string{}
		}
		out.Metadata["vendor_request_id"] = e.RequestID
	}
	return out
}

func (e *Error) fault() *fault.Error {
	switch e.kind {
	case kindRequest:
		return fault.New(pb.ErrorReason_ERROR_REASON_INTERNAL,
			"the request to the vendor could not be made; give our operators the request id")
	case kindToken:
		return fault.New(pb.ErrorReason_ERROR_REASON_VENDOR_CREDENTIALS,
			"there is no usable vendor token; an administrator must renew it")
	case kindProtocol:
		return fault.New(pb.ErrorReason_ERROR_REASON_VENDOR_PROTOCOL,
			"the vendor's answer could not be understood; give our operators the request id")
	case kindCaller:
		if errors.Is(e.cause, context.DeadlineExceeded) {
			return fault.New(pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED,
				"the deadline came before the vendor's answer; allow more time")
		}
		return fault.New(pb.ErrorReason_ERROR_REASON_CALLER_CANCELLED, "the call was cancelled")
	case kindUnreachable:
		return e.unavailable("the vendor cannot be reached or does not answer; try again later")
	case kindStatus:
	}
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return fault.New(pb.ErrorReason_ERROR_REASON_VENDOR_CREDENTIALS,
			"the vendor refused our token; an administrator must renew it or widen its scopes")
	case e.Throttled():
		out := fault.New(pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED,
			"the vendor's rate limit is used up; come back when it is free again")
		out.RetryAfter = e.RetryAfter
		out.Metadata = map[string]string{"quota": "vendor"}
		return out
	case e.Outcome == Refused && e.Message == "":
		return fault.New(pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, "the vendor refused the request with status %d", e.Status)
	case e.Outcome == Refused:
		return fault.New(pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED, "the vendor refused the request: %s", e.Message)
	default:
		return e.unavailable(fmt.Sprintf("the vendor answered with status %d; try again later", e.Status))
	}
}

func (e *Error) unavailable(text string) *fault.Error {
	out := fault.New(pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, "%s", text)
	out.RetryAfter = orElse(e.RetryAfter, comeBack)
	return out
}
