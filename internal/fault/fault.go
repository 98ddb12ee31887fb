// Package fault holds the one error type whose text callers see, and the one
// table from its reasons to the codes of the wire.
//
// An error that a caller can act on is a [*Error]; any other error reaches
// callers as "internal error" and our logs in full.
package fault

import (
	"errors"
	"fmt"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// Error is an error with two audiences: Public, Violations, Resource and
// Metadata go to the caller, Cause goes to the log.
type Error struct {
	// Reason says what went wrong; it decides the code.
	Reason pb.ErrorReason
	// Public is the text for the caller. It says what to do next.
	Public string
	// RetryAfter is when trying again makes sense; zero when waiting does not help.
	RetryAfter time.Duration
	// Violations name the request's fields that are wrong.
	Violations []Violation
	// Resource is what is missing or in the way.
	Resource *pb.ResourceRef
	// Metadata goes into ErrorInfo, such as the vendor's request id.
	Metadata map[string]string
	// VendorStatus is the HTTP status of a vendor's refusal; it refines the code.
	VendorStatus int
	// Cause is logged and never sent.
	Cause error
}

// Violation is one field that is wrong, and how.
type Violation struct{ Field, Description string }

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Public
	}
	return fmt.Sprintf("%s: %v", e.Public, e.Cause)
}

func (e *Error) Unwrap() error { return e.Cause }

// New makes an error for the caller.
func New(reason pb.ErrorReason, format string, args ...any) *Error {
	return &Error{Reason: reason, Public: fmt.Sprintf(format, args...)}
}

// Invalid says that one field of the request is wrong.
func Invalid(field, format string, args ...any) *Error {
	description := fmt.Sprintf(format, args...)
	return &Error{
		Reason:     pb.ErrorReason_ERROR_REASON_INVALID_REQUEST,
		Public:     field + ": " + description,
		Violations: []Violation{{Field: field, Description: description}},
	}
}

// NotFound says that a resource does not exist or is another team's: callers
// cannot tell the two apart.
func NotFound(kind, uuid string) *Error {
	return &Error{
		Reason:   pb.ErrorReason_ERROR_REASON_NOT_FOUND,
		Public:   fmt.Sprintf("there is no %s %s that you may see", kind, uuid),
		Resource: &pb.ResourceRef{Kind: kind, Uuid: uuid},
	}
}

// Precondition says that the state of things forbids the request.
func Precondition(format string, args ...any) *Error {
	return New(pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED, format, args...)
}

// ReasonOf is the reason of err, or ERROR_REASON_INTERNAL of an error that is
// not for callers.
func ReasonOf(err error) pb.ErrorReason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return pb.ErrorReason_ERROR_REASON_INTERNAL
}
