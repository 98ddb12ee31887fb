package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	// maxRefusal is how much is read of an answer that is a failure.
	maxRefusal = 256 << 10
)

// failed explains an answer whose status is not a success. Its body need not be
// the vendor's: a proxy may have answered.
func (c *Client) failed(res *http.Response, reply *Reply, secrets []string) *Error {
	e := &Error{Outcome: Unknown, RetryAfter: reply.RetryAfter}
	switch {
	case res.StatusCode < 400:
		// A redirect, which is not followed: the token must not travel. Some of
		// them mean that the work has been done.
		e.kind = kindProtocol
		e.cause = fmt.Errorf("status %d is not used by this API", res.StatusCode)
	case res.StatusCode < 500 && res.StatusCode != http.StatusRequestTimeout:
		e.Outcome = Refused
	}
	if res.StatusCode == http.StatusTooManyRequests {
		reply.RetryAfter = reply.throttled(c.now())
		e.RetryAfter = reply.RetryAfter
	}
	var said struct {
		ID        any `json:"id"`
		Message   any `json:"message"`
		RequestID any `json:"request_id"`
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil || json.Unmarshal(body, &said) != nil {
		return e // the status tells enough
	}
	e.VendorID = scrub(said.ID, maxName, secrets)
	e.Message = scrub(said.Message, maxMessage, secrets)
	reply.RequestID = orElse(reply.RequestID, scrub(said.RequestID, maxID, secrets))
	return e
}

// scrub is a text of the vendor's without the secrets it may repeat.
func scrub(value any, limit int, secrets []string) string {
	text, _ := value.(string)
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, redactedText)
	}
	return clip(text, limit)
}

// secretsOf are the secrets that a request carried.
func secretsOf(req proto.Message, sent *http.Request) []string {
	token := strings.TrimPrefix(sent.Header.Get("Authorization"), "Bearer ")
	return append([]string{token}, methods.SecretValues(req)...)
}
