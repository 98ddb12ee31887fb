package upstream

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Reply is what an answer tells beside its message. It is filled as far as known
// when a call fails, too.
type Reply struct {
	// Status is the HTTP status; 0 when no answer came.
	Status int
	// RequestID is the vendor's name for the request; empty when it gave none.
	RequestID string
	// Limit and Remaining are the vendor's count of requests; -1 when absent.
	Limit, Remaining int
	// Reset is when the oldest request counted expires, by the vendor's clock;
	// zero when absent.
	Reset time.Time
	// RetryAfter is how long the vendor asks to wait, an hour at the most; 0 when it
	// does not ask. When throttled it is always set, if need be by what else is told.
	RetryAfter time.Duration
	// Duration is from before the request to after the last byte of the answer.
	Duration time.Duration
	// Misread says that the message lacks something that the answer has, for it came in
	// a form that it cannot have. So what the message does not show may exist.
	Misread bool
	// Date is the vendor's clock when it answered; zero when absent.
	Date time.Time
}

const (
	// maxWait bounds what we believe of the vendor's waiting times: the longer of its
	// two windows, after which everything is free again.
	maxWait = time.Hour
	// throttledWait is how long to wait when throttled without being told: the
	// shorter of the two.
	throttledWait = time.Minute
)

// read fills in the headers of an answer that came at now.
func (r *Reply) read(res *http.Response, now time.Time) {
	r.Status = res.StatusCode
	r.RequestID = clip(res.Header.Get("X-Request-Id"), maxID)
	r.Limit = count(res.Header.Get("Ratelimit-Limit"))
	r.Remaining = count(res.Header.Get("Ratelimit-Remaining"))
	if t, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		r.Date = t
	}
	epoch, err := strconv.ParseInt(strings.TrimSpace(res.Header.Get("Ratelimit-Reset")), 10, 64)
	if err == nil && epoch > 0 && epoch < 1<<40 {
		r.Reset = time.Unix(epoch, 0).UTC()
	}
	r.RetryAfter = r.wait(strings.TrimSpace(res.Header.Get("Retry-After")), now)
}

// count reads a number that is not negative; -1 when it is not there.
func count(header string) int {
	n, err := strconv.Atoi(strings.TrimSpace(header))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// wait reads Retry-After: seconds, or a date by the vendor's clock.
func (r *Reply) wait(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseFloat(header, 64); err == nil {
		if !(seconds > 0) { // not a number, too
			return 0
		}
		return time.Duration(math.Min(seconds, maxWait.Seconds()) * float64(time.Second))
	}
	if t, err := http.ParseTime(header); err == nil {
		return min(max(t.Sub(r.clock(now)), 0), maxWait)
	}
	return 0
}

// clock is the vendor's, or ours where it does not tell.
func (r *Reply) clock(now time.Time) time.Time {
	if r.Date.IsZero() {
		return now
	}
	return r.Date
}

// throttled is how long to wait after 429. The vendor only says so for the
// burst limit; for the hourly one, that nothing remains and when that changes.
func (r *Reply) throttled(now time.Time) time.Duration {
	if r.RetryAfter > 0 {
		return r.RetryAfter
	}
	if left := r.Reset.Sub(r.clock(now)); !r.Reset.IsZero() && r.Remaining == 0 && left > 0 {
		return min(left, maxWait)
	}
	return throttledWait
}
