package budget

import (
	"errors"
	"time"

	"github.com/agentsvc/agentsvc/internal/upstream"
)

// Seen is what an answer of the vendor told about the budget.
type Seen struct {
	Status    int
	Duration  time.Duration
	RequestID string
	// Limit and Remaining of the hour, -1 where the vendor did not say.
	Limit, Remaining int
	// RetryAfter comes with a 429.
	RetryAfter time.Duration
	Throttled  bool
	// Verdict is whether the vendor is there.
	Verdict Verdict
}

// SeenIn is what the outcome of a vendor call tells.
func SeenIn(reply upstream.Reply, err error) Seen {
	seen := Seen{
		Status: reply.Status, Duration: reply.Duration, RequestID: reply.RequestID,
		Limit: reply.Limit, Remaining: reply.Remaining, RetryAfter: reply.RetryAfter,
	}
	failure, failed := errors.AsType[*upstream.Error](err)
	switch {
	case !failed && err == nil:
		seen.Verdict = Up
	case !failed:
	case failure.Throttled():
		seen.Throttled = true
	case failure.Down():
		seen.Verdict = Down
	case failure.Answered():
		seen.Verdict = Up
	}
	return seen
}
