package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/protobuf/proto"

	"github.com/agentsvc/agentsvc/internal/methods"
)

// Config is what a [Client] needs. BaseURL and Token are required.
type Config struct {
	// BaseURL is https, or http to a loopback address, without query or user.
	BaseURL string
	// Token is asked for at each call, so that it can be rotated.
	Token func() string
	// Timeout bounds one call from connecting to the last byte; 0 for 30 seconds.
	Timeout time.Duration
	// MaxResponse is the most bytes of an answer, unpacked; 0 for 16 MiB.
	MaxResponse int64
	// Account names the vendor account that the token is of, in metrics.
	Account string
	// UserAgent is such as "agentsvc/1.2.3"; empty for "agentsvc".
	UserAgent string
	// Transport carries the requests; nil for [NewTransport]. One that is given
	// must not send a change twice, and should honour [net/http/httptrace]:
	// without it, no failure counts as [NotSent].
	Transport http.RoundTripper
	// Log gets one line for each new kind of drift; nil for none.
	Log *slog.Logger
	// Meter gets the counter agentsvc.upstream.drift and the histogram
	// agentsvc.upstream.duration; nil for none.
	Meter metric.Meter
	// Now is the clock for durations, and for waits where the vendor does not
	// tell its own time; nil for the machine's.
	Now func() time.Time
}

// Client calls the vendor. It is safe for concurrent use. It keeps no count of
// the vendor's rate limit: whoever calls it does.
type Client struct {
	base      string
	token     func() string
	timeout   time.Duration
	limit     int64
	account   attribute.KeyValue
	agent     string
	transport http.RoundTripper
	now       func() time.Time
	drift     *driftLog
	durations metric.Float64Histogram
	shapes    shapes
	buffers   sync.Pool // of *bytes.Buffer
}

// New makes a client. It joins all that is wrong with cfg, and does not connect.
func New(cfg Config) (*Client, error) {
	var problems []error
	if err := checkBase(cfg.BaseURL); err != nil {
		problems = append(problems, err)
	}
	if cfg.Token == nil {
		problems = append(problems, errors.New("upstream token: required"))
	}
	if cfg.Timeout < 0 {
		problems = append(problems, errors.New("upstream timeout: negative"))
	}
	if cfg.MaxResponse < 0 {
		problems = append(problems, errors.New("upstream response limit: negative"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	c := &Client{
		base:      strings.TrimRight(cfg.BaseURL, "/"),
		token:     cfg.Token,
		timeout:   orElse(cfg.Timeout, 30*time.Second),
		limit:     orElse(cfg.MaxResponse, 16<<20),
		account:   attribute.String("account", cfg.Account),
		agent:     orElse(cfg.UserAgent, "agentsvc"),
		transport: cfg.Transport,
		now:       cfg.Now,
	}
	if c.transport == nil {
		c.transport = NewTransport()
	}
	if c.now == nil {
		c.now = time.Now //nolint:forbidigo // the default of what is injected
	}
	return c, c.instrument(cfg)
}

func (c *Client) instrument(cfg Config) error {
	log, meter := cfg.Log, cfg.Meter
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if meter == nil {
		meter = noop.NewMeterProvider().Meter("")
	}
	counter, err := meter.Int64Counter("agentsvc.upstream.drift",
		metric.WithDescription("What the vendor sent otherwise than agreed: fields and enum values that this version does not know, wrong types."))
	if err != nil {
		return fmt.Errorf("making the drift counter: %w", err)
	}
	c.durations, err = meter.Float64Histogram("agentsvc.upstream.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
		metric.WithDescription("Calls to the vendor; status 0 where no answer came."))
	if err != nil {
		return fmt.Errorf("making the histogram of durations: %w", err)
	}
	c.drift = &driftLog{log: log, account: c.account, counter: counter, seen: map[driftKey]bool{}}
	return nil
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func checkBase(base string) error {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "":
		return errors.New("upstream URL: not an absolute URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("upstream URL: must have no user, query or fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	default:
		return errors.New("upstream URL: must be https, for the token goes there; http is for loopback addresses only")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Do asks the vendor what req says and fills resp, whose earlier content is
// lost. A failure is an [*Error], with resp empty; the reply is filled as far as
// known. A change is sent at most once.
func (c *Client) Do(ctx context.Context, m *methods.Method, req, resp proto.Message) (Reply, error) {
	reply := Reply{Limit: -1, Remaining: -1}
	proto.Reset(resp)
	start := c.now()
	e := c.exchange(ctx, m, req, resp, &reply)
	reply.Duration = c.now().Sub(start)
	c.durations.Record(ctx, reply.Duration.Seconds(), metric.WithAttributes(c.account,
		attribute.String("method", string(m.Name)), attribute.Int("status", reply.Status)))
	if e != nil {
		e.Method = m.Name
		e.Status, e.RequestID = reply.Status, reply.RequestID
		return reply, e
	}
	return reply, nil
}

func (c *Client) exchange(ctx context.Context, m *methods.Method, req, resp proto.Message, reply *Reply) *Error {
	if ctx.Err() != nil {
		return &Error{Outcome: NotSent, kind: kindCaller, cause: ctx.Err()}
	}
	rendered, err := Render(m, req)
	if err != nil {
		return &Error{Outcome: NotSent, kind: kindRequest, cause: err}
	}
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var w wire
	out, e := c.request(w.trace(bounded), rendered)
	if e != nil {
		return e
	}
	res, err := c.transport.RoundTrip(out) //nolint:bodyclose // drain closes it
	if err != nil {
		e := c.unanswered(ctx, bounded, w.outcome(), err)
		e.dropped = w.reused.Load() && bounded.Err() == nil
		return e
	}
	defer drain(res.Body)
	reply.read(res, c.now())
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return c.failed(res, reply, secretsOf(req, out))
	}
	body := c.buffer()
	defer c.giveBack(body)
	if e := c.body(ctx, bounded, res, body); e != nil {
		return e
	}
	found, e := c.understand(body.Bytes(), resp, reply)
	if e == nil && len(found) > 0 {
		c.drift.report(ctx, m.Name, found, append(secretsOf(req, out), methods.SecretValues(resp)...))
	}
	return e
}

func (c *Client) request(ctx context.Context, rendered HTTPRequest) (*http.Request, *Error) {
	token := strings.TrimSpace(c.token()) // a file's last line break is no part of it
	if token == "" || clip(token, len(token)) != token {
		return nil, &Error{Outcome: NotSent, kind: kindToken, cause: errors.New("the token is empty or not a header's text")}
	}
	address := c.base + rendered.Path
	if len(rendered.Query) > 0 {
		address += "?" + rendered.Query.Encode()
	}
	var body io.Reader
	if rendered.Body != nil {
		body = bytes.NewReader(rendered.Body)
	}
	out, err := http.NewRequestWithContext(ctx, rendered.Method, address, body)
	if err != nil {
		return nil, &Error{Outcome: NotSent, kind: kindRequest, cause: err}
	}
	out.Header.Set("Authorization", "Bearer "+token)
	out.Header.Set("User-Agent", c.agent)
	out.Header.Set("Accept", "application/json")
	if rendered.Body != nil {
		out.Header.Set("Content-Type", "application/json")
	} else if rendered.Method == http.MethodGet {
		out.Body = once{}
	}
	return out, nil
}

// unanswered explains a call without a whole answer.
func (c *Client) unanswered(caller, bounded context.Context, outcome Outcome, err error) *Error {
	switch {
	case caller.Err() != nil:
		return &Error{Outcome: outcome, kind: kindCaller, cause: caller.Err()}
	case bounded.Err() != nil:
		return &Error{Outcome: outcome, kind: kindUnreachable, cause: fmt.Errorf("no answer within %s", c.timeout)}
	default:
		return &Error{Outcome: outcome, kind: kindUnreachable, cause: err}
	}
}

// body reads the whole answer into the buffer.
func (c *Client) body(caller, bounded context.Context, res *http.Response, into *bytes.Buffer) *Error {
	into.Grow(int(min(max(res.ContentLength, 0), maxIdle)) + bytes.MinRead)
	if _, err := into.ReadFrom(io.LimitReader(res.Body, c.limit+1)); err != nil {
		return c.unanswered(caller, bounded, Unknown, fmt.Errorf("reading the answer: %w", err))
	}
	if int64(into.Len()) > c.limit {
		return &Error{kind: kindProtocol, cause: &FormatError{Problem: fmt.Sprintf("the answer is over %d bytes", c.limit)}}
	}
	if res.StatusCode == http.StatusNoContent {
		into.Reset()
		into.WriteString("{}") // done, and nothing to say about it
	}
	return nil
}

// buffer is for one answer, and to be given back.
func (c *Client) buffer() *bytes.Buffer {
	if b, ok := c.buffers.Get().(*bytes.Buffer); ok {
		return b
	}
	return &bytes.Buffer{}
}

// giveBack keeps the buffer's memory for the next answer, and nothing of this one: there
// may be secrets in it.
func (c *Client) giveBack(b *bytes.Buffer) {
	clear(b.Bytes())
	b.Reset()
	if b.Cap() <= maxIdle {
		c.buffers.Put(b)
	}
}

// understand fills resp from the body of a success, and answers how that departs from what
// was agreed.
func (c *Client) understand(body []byte, resp proto.Message, reply *Reply) (map[drift]*driftCount, *Error) {
	found, err := c.shapes.decode(body, resp)
	if err != nil {
		return nil, &Error{kind: kindProtocol, cause: err}
	}
	reply.RequestID = orElse(reply.RequestID, found.requestID)
	reply.Misread = found.misread
	return found.drift, nil
}
