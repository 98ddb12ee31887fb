package service

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"golang.org/x/time/rate"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// CallerLimits keep one caller from taking this process from all others. They are for each
// caller in each process, generous, and in memory alone.
type CallerLimits struct {
	// PerSecond is how many calls a caller may make a second in the long run, and Burst how
	// many at once after a pause; 0: 1,000 and 2,000.
	PerSecond, Burst int
	// Streams is how many streams a caller may have open; 0: 100.
	Streams int
}

func (l CallerLimits) withDefaults() CallerLimits {
	set := func(n *int, fallback int) {
		if *n == 0 {
			*n = fallback
		}
	}
	set(&l.PerSecond, 1000)
	set(&l.Burst, 2*l.PerSecond)
	set(&l.Streams, 100)
	return l
}

// forgetAfter is how long a caller who does nothing is remembered at the least: by then the
// burst is full again.
const forgetAfter = time.Minute

// callerLimits are the callers of late.
type callerLimits struct {
	CallerLimits

	mu    sync.Mutex
	of    map[taker]*usage
	swept time.Time
}

// taker is who takes: a person whom a service acts for is not slowed down by it.
type taker struct {
	principal uuid.UUID
	through   string
}

// usage is what one caller takes.
type usage struct {
	calls   *rate.Limiter
	streams int
	last    time.Time
}

func newCallerLimits(limits CallerLimits) *callerLimits {
	return &callerLimits{CallerLimits: limits.withDefaults(), of: map[taker]*usage{}}
}

// wrap refuses calls that are too many for their caller with RESOURCE_EXHAUSTED, before their
// body is read.
func (l *callerLimits) wrap(next http.Handler, writer *connect.ErrorWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := identity.From(r.Context())
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		leave, refusal := l.enter(caller, streams(r.URL.Path))
		if refusal != nil {
			_ = writer.Write(w, r, present(refusal, r.Header.Get(requestIDHeader))) // the client has gone
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}

// streams says whether a procedure answers with a stream.
func streams(procedure string) bool {
	m := methods.API().ByProcedure(procedure)
	return m != nil && m.Streams
}

func (l *callerLimits) enter(caller identity.Caller, stream bool) (leave func(), refusal error) {
	now := time.Now() //nolint:forbidigo // the age of what this process has seen
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	who := taker{caller.PrincipalID, caller.ActingService}
	u := l.of[who]
	if u == nil {
		u = &usage{calls: rate.NewLimiter(rate.Limit(l.PerSecond), l.Burst)}
		l.of[who] = u
	}
	u.last = now
	switch {
	case !u.calls.AllowN(now, 1):
		return nil, &fault.Error{
			Reason: pb.ErrorReason_ERROR_REASON_CALLER_LIMIT, RetryAfter: time.Second,
			Public: fmt.Sprintf("you call too often: this server takes %d calls a second of each caller; slow down, or read more with each call", l.PerSecond),
		}
	case stream && u.streams >= l.Streams:
		return nil, &fault.Error{
			Reason: pb.ErrorReason_ERROR_REASON_CALLER_LIMIT, RetryAfter: 10 * time.Second,
			Public: "you have too many streams open: end some of them first",
		}
	case !stream:
		return func() {}, nil
	}
	u.streams++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		u.streams--
	}, nil
}

// sweep forgets callers who have done nothing for a while and have nothing open, now and then.
func (l *callerLimits) sweep(now time.Time) {
	if now.Sub(l.swept) < forgetAfter {
		return
	}
	l.swept = now
	for id, u := range l.of {
		if u.streams == 0 && now.Sub(u.last) > forgetAfter {
			delete(l.of, id)
		}
	}
}
