package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	// maxRefusal is how much is read of an answer that is a failure.
	maxRefusal = 256 << 10
	// minSecret is the length from which a secret is taken out of texts; shorter
	// ones would take ordinary words with them.
	minSecret = 6
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
	secrets := []string{strings.TrimPrefix(sent.Header.Get("Authorization"), "Bearer ")}
	collect(req.ProtoReflect(), false, func(s string) {
		if len(s) >= minSecret {
			secrets = append(secrets, s)
		}
	})
	return secrets
}

// collect finds the strings in secret fields of m; secret says that all of m is.
func collect(m protoreflect.Message, secret bool, found func(string)) {
	if free, ok := m.Interface().(*structpb.Struct); ok {
		if secret {
			collectFree(free.AsMap(), found)
		}
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		hidden := secret || methods.Secret(fd)
		one := func(v protoreflect.Value) {
			switch {
			case fd.Message() != nil:
				collect(v.Message(), hidden, found)
			case hidden && fd.Kind() == protoreflect.StringKind:
				found(v.String())
			}
		}
		switch {
		case fd.IsMap():
		case fd.IsList():
			for i := range v.List().Len() {
				one(v.List().Get(i))
			}
		default:
			one(v)
		}
		return true
	})
}

func collectFree(value any, found func(string)) {
	switch v := value.(type) {
	case string:
		found(v)
	case []any:
		for _, item := range v {
			collectFree(item, found)
		}
	case map[string]any:
		for _, item := range v {
			collectFree(item, found)
		}
	}
}
