package genaisim

import (
	"fmt"
	"net/http"
)

// apiError is an answer other than 200. The request id is added when it is
// written.
type apiError struct {
	status    int
	ID        string `json:"id"`
	Message   string `json:"message"`
	RequestID string `json:"request_id,omitempty"`
}

func notFound(what, id string) *apiError {
	return &apiError{status: http.StatusNotFound, ID: "not_found", Message: fmt.Sprintf("%s %s could not be found.", what, id)}
}

func badRequest(format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, ID: "bad_request", Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *apiError {
	return &apiError{status: http.StatusConflict, ID: "conflict", Message: fmt.Sprintf(format, args...)}
}

func unprocessable(message string) *apiError {
	return &apiError{status: http.StatusUnprocessableEntity, ID: "unprocessable_entity", Message: message}
}

// plainError is the answer of a status that needs no details, in the words of
// the contract where it has some.
func plainError(status int) *apiError {
	e := &apiError{status: status, ID: "error", Message: http.StatusText(status)}
	switch {
	case status == http.StatusBadRequest:
		e.ID = "bad_request"
	case status == http.StatusUnauthorized:
		e.ID, e.Message = "unauthorized", "Unable to authenticate you."
	case status == http.StatusForbidden:
		e.ID, e.Message = "forbidden", "You are not authorized to perform this operation."
	case status == http.StatusNotFound:
		e.ID, e.Message = "not_found", "The resource you requested could not be found."
	case status == http.StatusMethodNotAllowed:
		e.ID, e.Message = "method_not_allowed", "The method is not allowed for this resource."
	case status == http.StatusConflict:
		e.ID = "conflict"
	case status == http.StatusRequestEntityTooLarge:
		e.ID = "request_entity_too_large"
	case status == http.StatusUnprocessableEntity:
		e.ID = "unprocessable_entity"
	case status == http.StatusTooManyRequests:
		e.ID, e.Message = "too_many_requests", "API rate limit exceeded."
	case status == http.StatusNotImplemented:
		e.ID, e.Message = "not_implemented", "The simulator does not have this operation."
	case status == http.StatusServiceUnavailable:
		e.ID, e.Message = "service_unavailable", "Service unavailable"
	case status >= http.StatusInternalServerError:
		e.ID, e.Message = "server_error", "Unexpected server-side error"
	}
	return e
}
