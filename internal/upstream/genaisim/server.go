package genaisim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody is the most bytes of a request body that are read.
const maxBody = 8 << 20

// handler carries out one operation under the server's mutex. What it returns
// is encoded after the mutex is released, so it must not refer to anything
// that changes later.
type handler func(*call) (any, *apiError)

// Server is the simulator: an http.Handler that serves the vendor's API below
// /v2/gen-ai and its own control API below /_sim.
type Server struct {
	cfg      Config
	contract *contract
	handlers map[string]handler // by operation key
	control  http.Handler

	mu     sync.Mutex // guards everything below
	state  *state
	rates  rateLog
	faults []*activeFault
	random *rand.Rand // for faults with a probability
	log    []Request  // append-only between resets
}

// New returns a simulator with its seeds planted.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), contract: loadContract()}
	s.handlers = s.operations()
	s.control = s.controlAPI()
	s.Reset()
	return s
}

// Reset puts the simulator back to its start: the seeds as they were, an empty
// request log, no faults, nothing counted against the limits.
func (s *Server) Reset() {
	fresh := newState(s.cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = fresh
	s.rates = rateLog{
		perMinute: s.cfg.RatePerMinute, perHour: s.cfg.RatePerHour,
		minute: s.cfg.RateMinuteWindow, hour: s.cfg.RateHourWindow,
		countRefused: s.cfg.Count429, burstZero: s.cfg.BurstZeroRemaining,
	}
	s.faults = nil
	s.random = rand.New(rand.NewPCG(s.cfg.Seed, faultStream)) //nolint:gosec // G404: repeatable on purpose
	s.log = nil
}

// Requests returns the request log: every request for the vendor's API since
// the start or the last reset, in the order in which they took effect.
func (s *Server) Requests() []Request {
	log := s.requestsSince(0)
	return append(make([]Request, 0, len(log)), log...)
}

// requestsSince returns the entries after seq. They must not be changed.
func (s *Server) requestsSince(seq int) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq = min(max(seq, 0), len(s.log))
	return s.log[seq:len(s.log):len(s.log)]
}

// SetFaults replaces all faults. If a rule is wrong the error tells all that
// is wrong, and the faults stay as they were.
func (s *Server) SetFaults(rules []Fault) error {
	active, err := compileFaults(rules)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = active
	return nil
}

// exchange is one request on its way through the simulator.
type exchange struct {
	r         *http.Request
	requestID string
	body      []byte
	rate      rateState
	fault     *activeFault
	entry     Request
}

// ServeHTTP answers one request. A fault that drops the connection panics with
// http.ErrAbortHandler, as net/http wants it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.control.ServeHTTP(w, r)
		return
	}
	x := &exchange{r: r, requestID: r.Header.Get("X-Request-Id")}
	if x.requestID == "" {
		x.requestID = randomUUID()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		panic(http.ErrAbortHandler) // the client broke off while sending
	}
	x.body = body

	c, refusal := s.prepare(x, tooLarge != nil)
	if refusal == nil {
		refusal = s.admit(x)
	} else {
		s.note(x)
	}
	pause(r, x.fault.before())
	answer, status := s.carryOut(x, c, refusal)
	s.cfg.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", status), slog.String("effect", x.entry.Effect), slog.String("request_id", x.requestID))
	pause(r, x.fault.afterwards())
	if x.fault.drops() {
		panic(http.ErrAbortHandler)
	}
	s.write(w, x, answer, status)
}

// prepare does what needs no state: it finds out who asks, for which operation,
// and what departs from the contract. A refusal here has not been counted
// against the limits: only those who may ask have any.
func (s *Server) prepare(x *exchange, tooLarge bool) (*call, *apiError) {
	x.entry = Request{
		Method: x.r.Method, Path: x.r.URL.Path, Query: x.r.URL.RawQuery, Body: loggedBody(x.body),
		Effect: NoEffect, RequestID: x.requestID, UserAgent: x.r.UserAgent(),
	}
	if !s.authentic(x.r) {
		return nil, plainError(http.StatusUnauthorized)
	}
	if tooLarge {
		return nil, plainError(http.StatusRequestEntityTooLarge)
	}
	return s.newCall(x), nil
}

func (s *Server) authentic(r *http.Request) bool {
	token := bearer(r)
	return token != "" && (s.cfg.Token == "" || token == s.cfg.Token)
}

// bearer is the token of a request, "" if it has none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// admit counts a request against the limits and picks the fault for it.
func (s *Server) admit(x *exchange) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ok bool
	if x.rate, ok = s.rates.admit(s.cfg.Now()); !ok {
		return plainError(http.StatusTooManyRequests)
	}
	x.fault = pickFault(s.faults, s.random, x.r.Method, x.r.URL.Path)
	return nil
}

// note reads the state of the limits for an answer that does not count.
func (s *Server) note(x *exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.rate = s.rates.state(s.cfg.Now())
}

// carryOut lets the request take effect, unless it is refused or a fault
// prevents it, and writes the log entry in the same critical section, so that
// the log has the order of the effects.
func (s *Server) carryOut(x *exchange, c *call, refusal *apiError) (answer any, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	switch {
	case refusal != nil:
	case x.fault.prevents():
		refusal = plainError(x.fault.Status)
	case c.early != nil:
		refusal = c.early
	default:
		c.now, c.st = now, s.state
		answer, refusal = c.handle(c)
	}
	status = http.StatusOK
	if refusal != nil {
		refusal.RequestID = x.requestID
		answer, status = refusal, refusal.status
	}
	if x.fault != nil && x.fault.After && x.fault.Status != 0 {
		substitute := plainError(x.fault.Status)
		substitute.RequestID = x.requestID
		answer = substitute
	}
	status = x.fault.status(status)

	entry := &x.entry
	entry.Seq, entry.Time, entry.Status, entry.Fault = len(s.log)+1, now, status, x.fault.String()
	entry.RateLimitRemaining = -1
	if x.rate.limited {
		entry.RateLimitRemaining = x.rate.remaining
	}
	if c != nil {
		if c.op != nil {
			entry.Operation = c.op.key
		}
		entry.Deviations = c.deviations
		entry.ResourceUUID = c.resource
		if c.effect != "" && refusal == nil {
			entry.Effect = c.effect
		}
	}
	s.log = append(s.log, *entry)
	return answer, status
}

// write sends the answer, as a fault may have changed it.
func (s *Server) write(w http.ResponseWriter, x *exchange, answer any, status int) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Request-Id", x.requestID)
	x.rate.headers(h)
	var body []byte
	if x.fault != nil {
		for name, value := range x.fault.Headers {
			h.Set(name, value)
		}
		body = []byte(x.fault.Body)
	}
	if len(body) == 0 {
		body = encode(answer)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone; there is nobody to tell
	}
}

func encode(answer any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(answer); err != nil {
		panic("encoding an answer: " + err.Error()) // every answer is of plain types
	}
	return buf.Bytes()
}

// pause waits, or until the client goes away.
func pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// baseURL is the address under which the client reached the simulator.
func baseURL(r *http.Request) url.URL {
	base := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path}
	if r.TLS != nil {
		base.Scheme = "https"
	}
	return base
}
