package genaisim

import (
	"encoding/json"
	"time"
)

// NoEffect is the effect of a request that changed nothing.
const NoEffect = "none"

// Request is an entry of the request log. Entries are in the order in which
// the requests took effect and are never changed once written.
type Request struct {
	Seq       int       `json:"seq"` // from 1; a reset starts again
	Time      time.Time `json:"time"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Query     string    `json:"query"`
	Operation string    `json:"operation"` // "METHOD /path/{template}"; empty for a path the API does not have
	// Body is the body as it came, secrets included; as a JSON string if it
	// was not JSON, absent if it was empty.
	Body json.RawMessage `json:"body,omitempty"`
	// Status is the status answered; 0 if the connection was dropped.
	Status int `json:"status"`
	// Effect says what changed, "created agent <uuid>" for example, or is
	// NoEffect.
	Effect       string   `json:"effect"`
	ResourceUUID string   `json:"resource_uuid,omitempty"` // of what was made, changed or read
	Deviations   []string `json:"deviations,omitempty"`    // from the contract
	RequestID    string   `json:"request_id"`
	UserAgent    string   `json:"user_agent"`
	Fault        string   `json:"fault,omitempty"` // the fault applied, in words
	// RateLimitRemaining is the header of that name, -1 without an hourly limit.
	RateLimitRemaining int `json:"ratelimit_remaining"`
}

// loggedBody is a body as the log keeps it.
func loggedBody(body []byte) json.RawMessage {
	if len(body) == 0 {
		return nil
	}
	if json.Valid(body) {
		return body
	}
	quoted, err := json.Marshal(string(body))
	if err != nil {
		return nil // a string can always be marshalled
	}
	return quoted
}
