package fault

import (
	"context"
	"errors"
	"maps"
	"strconv"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// Domain is ErrorInfo.domain of every error we send.
const Domain = "agentsvc"

// codeOf is the whole contract between our reasons and the codes clients see.
func codeOf(reason pb.ErrorReason) connect.Code {
	switch reason {
	case pb.ErrorReason_ERROR_REASON_INVALID_REQUEST:
		return connect.CodeInvalidArgument
	case pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED:
		return connect.CodeUnauthenticated
	case pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED:
		return connect.CodePermissionDenied
	case pb.ErrorReason_ERROR_REASON_NOT_FOUND:
		return connect.CodeNotFound
	case pb.ErrorReason_ERROR_REASON_VERSION_MISMATCH, pb.ErrorReason_ERROR_REASON_BATCH_INCOMPLETE,
		pb.ErrorReason_ERROR_REASON_NOT_APPROVED:
		return connect.CodeAborted
	case pb.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED, pb.ErrorReason_ERROR_REASON_ALREADY_EXISTS:
		return connect.CodeAlreadyExists
	case pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED, pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED,
		pb.ErrorReason_ERROR_REASON_ACCOUNT_NOT_CONFIGURED, pb.ErrorReason_ERROR_REASON_FROZEN, pb.ErrorReason_ERROR_REASON_APPROVAL_PENDING:
		return connect.CodeFailedPrecondition
	case pb.ErrorReason_ERROR_REASON_BACKLOG_FULL, pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED,
		pb.ErrorReason_ERROR_REASON_CALLER_LIMIT:
		return connect.CodeResourceExhausted
	case pb.ErrorReason_ERROR_REASON_OPERATION_PENDING, pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED:
		return connect.CodeDeadlineExceeded
	case pb.ErrorReason_ERROR_REASON_OPERATION_CANCELLED, pb.ErrorReason_ERROR_REASON_CALLER_CANCELLED:
		return connect.CodeCanceled
	case pb.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN:
		return connect.CodeUnknown
	case pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, pb.ErrorReason_ERROR_REASON_VENDOR_CREDENTIALS,
		pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE, pb.ErrorReason_ERROR_REASON_STOPPING:
		return connect.CodeUnavailable
	case pb.ErrorReason_ERROR_REASON_VENDOR_PROTOCOL, pb.ErrorReason_ERROR_REASON_INTERNAL:
		return connect.CodeInternal
	case pb.ErrorReason_ERROR_REASON_UNSPECIFIED:
	}
	return 0 // no reason: a test ranges over all of them and fails on this
}

// code refines the table for the vendor's refusals, whose status tells more.
func (e *Error) code() connect.Code {
	if e.Reason == pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED {
		switch e.VendorStatus {
		case 400, 422:
			return connect.CodeInvalidArgument
		case 404:
			return connect.CodeNotFound
		case 409:
			return connect.CodeAlreadyExists
		case 410:
			return connect.CodeFailedPrecondition // the vendor has ended what was asked for
		}
	}
	return codeOf(e.Reason)
}

// Connect turns any error into what its caller may see.
func Connect(err error) *connect.Error {
	var e *Error
	var wire *connect.Error
	switch {
	case errors.As(err, &e):
	case errors.As(err, &wire):
		return wire // made by connect itself, such as a message that is too large
	case errors.Is(err, context.Canceled):
		e = &Error{Reason: pb.ErrorReason_ERROR_REASON_CALLER_CANCELLED, Public: "the call was cancelled"}
	case errors.Is(err, context.DeadlineExceeded):
		e = &Error{Reason: pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, Public: "the deadline came before the answer"}
	default:
		e = &Error{Reason: pb.ErrorReason_ERROR_REASON_INTERNAL, Public: "internal error; give our operators the request id"}
	}
	out := connect.NewError(e.code(), errors.New(e.Public))
	for _, message := range e.details() {
		// A detail that cannot be marshalled is left out: the code and text still tell.
		if detail, err := connect.NewErrorDetail(message); err == nil {
			out.AddDetail(detail)
		}
	}
	return out
}

func (e *Error) details() []proto.Message {
	details := []proto.Message{&errdetails.ErrorInfo{Reason: e.Reason.String(), Domain: Domain, Metadata: e.metadata()}}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	if len(e.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range e.Violations {
			bad.FieldViolations = append(bad.FieldViolations,
				&errdetails.BadRequest_FieldViolation{Field: v.Field, Description: v.Description})
		}
		details = append(details, bad)
	}
	if e.Resource != nil {
		details = append(details, &errdetails.ResourceInfo{ResourceType: e.Resource.GetKind(), ResourceName: e.Resource.GetUuid()})
	}
	switch e.Reason {
	case pb.ErrorReason_ERROR_REASON_BACKLOG_FULL, pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED:
		details = append(details, &errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{
			{Subject: e.Metadata["quota"], Description: e.Public},
		}})
	default:
	}
	return details
}

func (e *Error) metadata() map[string]string {
	if e.VendorStatus == 0 {
		return e.Metadata
	}
	all := maps.Clone(e.Metadata)
	if all == nil {
		all = make(map[string]string, 1)
	}
	all["vendor_status"] = strconv.Itoa(e.VendorStatus)
	return all
}

// Status is the error as an operation keeps it.
func (e *Error) Status() *status.Status {
	out := &status.Status{Code: int32(e.code()), Message: e.Public}
	for _, message := range e.details() {
		if detail, err := anypb.New(message); err == nil {
			out.Details = append(out.Details, detail)
		}
	}
	return out
}

// FromStatus is the error that [Error.Status] kept.
func FromStatus(s *status.Status) *Error {
	e := &Error{Reason: pb.ErrorReason_ERROR_REASON_INTERNAL, Public: s.GetMessage()}
	for _, detail := range s.GetDetails() {
		message, err := detail.UnmarshalNew()
		if err != nil {
			continue // written by a newer version: the rest still tells
		}
		switch m := message.(type) {
		case *errdetails.ErrorInfo:
			if reason, known := pb.ErrorReason_value[m.GetReason()]; known {
				e.Reason = pb.ErrorReason(reason)
			}
			e.Metadata = m.GetMetadata()
			if n, err := strconv.Atoi(e.Metadata["vendor_status"]); err == nil {
				e.VendorStatus = n
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = m.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, v := range m.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{Field: v.GetField(), Description: v.GetDescription()})
			}
		case *errdetails.ResourceInfo:
			e.Resource = &pb.ResourceRef{Kind: m.GetResourceType(), Uuid: m.GetResourceName()}
		}
	}
	return e
}
