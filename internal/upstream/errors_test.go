package upstream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const date = "Sun, 01 Mar 2026 00:00:00 GMT"

func TestFailuresByStatus(t *testing.T) {
	t.Parallel()
	const (
		refused     = pb.ErrorReason_ERROR_REASON_VENDOR_REFUSED
		unavailable = pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE
		protocol    = pb.ErrorReason_ERROR_REASON_VENDOR_PROTOCOL
		credentials = pb.ErrorReason_ERROR_REASON_VENDOR_CREDENTIALS
		exhausted   = pb.ErrorReason_ERROR_REASON_BUDGET_EXHAUSTED
	)
	for name, tc := range map[string]struct {
		status    int
		header    map[string]string
		body      string
		outcome   Outcome
		temporary bool
		wait      time.Duration // Error.RetryAfter
		reason    pb.ErrorReason
		public    string        // part of what the caller reads
		id        string        // the vendor's request id, wherever it comes from
		faultWait time.Duration // if not wait
	}{
		"not authenticated": {
			status: 401, body: `{"id":"unauthorized","message":"Unable to authenticate you."}`, outcome: Refused,
			reason: credentials, public: "administrator",
		},
		"not allowed": {status: 403, outcome: Refused, reason: credentials, public: "scopes"},
		"not found": {
			status: 404, body: `{"id":"not_found","message":"The resource\nis gone.","request_id":"r-body"}`, outcome: Refused,
			reason: refused, public: "The resource is gone.", id: "r-body",
		},
		"a conflict": {
			status: 409, header: map[string]string{"x-request-id": "r-header"}, body: `{"message":"taken","request_id":"r-body"}`,
			outcome: Refused, reason: refused, public: "taken", id: "r-header",
		},
		"not acceptable":            {status: 422, body: `{"message":"name: too long"}`, outcome: Refused, reason: refused, public: "name: too long"},
		"a refusal without words":   {status: 422, body: ``, outcome: Refused, reason: refused, public: "status 422"},
		"a refusal by a proxy":      {status: 400, body: `<html>no</html>`, outcome: Refused, reason: refused, public: "status 400"},
		"a refusal in other words":  {status: 400, body: `{"id":5,"message":{"a":1}}`, outcome: Refused, reason: refused, public: "status 400"},
		"throttled with a time":     {status: 429, header: map[string]string{"Retry-After": "7"}, outcome: Refused, temporary: true, wait: 7 * time.Second, reason: exhausted, public: "rate limit"},
		"throttled without a time":  {status: 429, body: `{"id":"too_many_requests"}`, outcome: Refused, temporary: true, wait: time.Minute, reason: exhausted, public: "rate limit"},
		"throttled with a fraction": {status: 429, header: map[string]string{"Retry-After": "0.5"}, outcome: Refused, temporary: true, wait: time.Second / 2, reason: exhausted, public: "rate limit"},
		"throttled until a date": {
			status: 429, header: map[string]string{"Date": date, "Retry-After": "Sun, 01 Mar 2026 00:00:09 GMT"},
			outcome: Refused, temporary: true, wait: 9 * time.Second, reason: exhausted, public: "rate limit",
		},
		"throttled for the hour": {
			status: 429, header: map[string]string{"Date": date, "ratelimit-remaining": "0", "ratelimit-reset": "1772323950"},
			outcome: Refused, temporary: true, wait: 750 * time.Second, reason: exhausted, public: "rate limit",
		},
		"throttled for ever": {
			status: 429, header: map[string]string{"Retry-After": "1e300"},
			outcome: Refused, temporary: true, wait: time.Hour, reason: exhausted, public: "rate limit",
		},
		"throttled for thirty years": {
			status: 429, header: map[string]string{"Retry-After": "1000000000"},
			outcome: Refused, temporary: true, wait: time.Hour, reason: exhausted, public: "rate limit",
		},
		"throttled until long after": {
			status: 429, header: map[string]string{"Date": date, "Retry-After": "Sun, 01 Mar 2037 00:00:00 GMT"},
			outcome: Refused, temporary: true, wait: time.Hour, reason: exhausted, public: "rate limit",
		},
		"throttled since before": {
			status: 429, header: map[string]string{"Retry-After": "-1000000000"},
			outcome: Refused, temporary: true, wait: time.Minute, reason: exhausted, public: "rate limit",
		},
		"throttled until a reset of next year": {
			status: 429, header: map[string]string{"Date": date, "ratelimit-remaining": "0", "ratelimit-reset": "1803859200"},
			outcome: Refused, temporary: true, wait: time.Hour, reason: exhausted, public: "rate limit",
		},
		"throttled with nonsense": {
			status: 429, header: map[string]string{"Retry-After": "NaN", "ratelimit-reset": "-4", "ratelimit-remaining": "x"},
			outcome: Refused, temporary: true, wait: time.Minute, reason: exhausted, public: "rate limit",
		},
		"too slow for the vendor": {status: 408, temporary: true, reason: unavailable, public: "status 408", faultWait: comeBack},
		"broken": {
			status: 500, body: `{"id":"server_error","message":"Unexpected server-side error"}`, temporary: true,
			reason: unavailable, public: "status 500", faultWait: comeBack,
		},
		"not made": {status: 501, reason: unavailable, public: "status 501", faultWait: comeBack},
		"down for a while": {
			status: 503, header: map[string]string{"Retry-After": "120"}, temporary: true, wait: 2 * time.Minute,
			reason: unavailable, public: "status 503",
		},
		"elsewhere":            {status: 302, header: map[string]string{"Location": "/elsewhere"}, reason: protocol, public: "understood"},
		"success without JSON": {status: 200, body: `<html>`, header: map[string]string{"x-request-id": "r"}, reason: protocol, public: "understood", id: "r"},
		"success without sense": {
			status: 201, body: `["agent"]`, header: map[string]string{"x-request-id": "r"}, reason: protocol, public: "understood", id: "r",
		},
		"success without end": {status: 200, body: `{"x":"` + strings.Repeat("y", 5000) + `"}`, reason: protocol, public: "understood"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			elsewhere := false
			c := client(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				elsewhere = elsewhere || r.URL.Path == "/elsewhere"
				for k, v := range tc.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			}), func(cfg *Config) { cfg.MaxResponse = 4096 })

			reply, err := updateAgent(t.Context(), c)

			e := failure(t, err)
			if e.Outcome != tc.outcome || e.Temporary() != tc.temporary || e.RetryAfter != tc.wait {
				t.Errorf("%v: outcome %v, temporary %v, retry after %v", e, e.Outcome, e.Temporary(), e.RetryAfter)
			}
			if reply.RetryAfter != tc.wait { // which the budget of all goes by
				t.Errorf("the reply says to retry after %v", reply.RetryAfter)
			}
			if e.Status != tc.status || reply.Status != tc.status || e.NotFound() != (tc.status == 404) || e.Throttled() != (tc.status == 429) {
				t.Errorf("%v: status %d", e, e.Status)
			}
			if e.RequestID != tc.id || reply.RequestID != tc.id {
				t.Errorf("request ids %q and %q", e.RequestID, reply.RequestID)
			}
			f := e.Fault()
			if tc.faultWait == 0 {
				tc.faultWait = tc.wait
			}
			if f.Reason != tc.reason || !strings.Contains(f.Public, tc.public) || f.RetryAfter != tc.faultWait {
				t.Errorf("the caller gets %v %q, retry after %v", f.Reason, f.Public, f.RetryAfter)
			}
			if f.Metadata["vendor_request_id"] != tc.id || f.VendorStatus != tc.status || !errors.Is(f, e) {
				t.Errorf("the caller gets %v of status %d, cause %v", f.Metadata, f.VendorStatus, f.Cause)
			}
			if elsewhere {
				t.Error("the redirect was followed")
			}
			if strings.Contains(err.Error(), token) || !strings.HasPrefix(err.Error(), "calling the vendor for AgentService.UpdateAgent: "+e.Outcome.String()) {
				t.Errorf("the log reads %q", err)
			}
		})
	}
}

func TestFailuresWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + nobody.Addr().String()
	nobody.Close()
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	encrypted.StartTLS() // with a certificate of nobody we know
	t.Cleanup(encrypted.Close)

	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	hang := func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then is the client's going noticed
		<-r.Context().Done()
	}
	for name, tc := range map[string]struct {
		address string
		handler http.HandlerFunc
		change  func(*Config)
		ctx     func(context.Context) (context.Context, context.CancelFunc)
		outcome Outcome
		status  int
		reason  pb.ErrorReason
		retry   bool
		text    string
	}{
		"nobody listens": {address: closed, outcome: NotSent, reason: pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, retry: true, text: "refused"},
		"somebody else listens": {
			address: encrypted.URL, outcome: NotSent, reason: pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, retry: true, text: "certificate",
		},
		"the connection is dropped": {handler: abort, reason: pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, retry: true, text: "EOF"},
		"the answer is dropped": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				io.WriteString(w, `{"agent":{}}`)
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			},
			status: 200, reason: pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, retry: true, text: "reading the answer",
		},
		"no answer in time": {
			handler: hang, change: func(cfg *Config) { cfg.Timeout = 30 * time.Millisecond },
			reason: pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, retry: true, text: "no answer within 30ms",
		},
		"no end of the answer in time": {
			handler: func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, `{"agent":`)
				http.NewResponseController(w).Flush()
				hang(w, r)
			},
			change: func(cfg *Config) { cfg.Timeout = 500 * time.Millisecond }, status: 200, // the beginning must have come by then
			reason: pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, retry: true, text: "no answer within 500ms",
		},
		"the caller's deadline": {
			handler: hang, reason: pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, text: "deadline",
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 30*time.Millisecond)
			},
		},
		"the caller has gone before": {
			handler: abort, outcome: NotSent, reason: pb.ErrorReason_ERROR_REASON_CALLER_CANCELLED, text: "canceled",
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return ctx, cancel
			},
		},
		"the deadline has passed before": {
			handler: abort, outcome: NotSent, reason: pb.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED, text: "deadline",
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithDeadline(ctx, time.Unix(1, 0))
			},
		},
		"no token": {
			handler: abort, change: func(cfg *Config) { cfg.Token = func() string { return " \n" } },
			outcome: NotSent, reason: pb.ErrorReason_ERROR_REASON_VENDOR_CREDENTIALS, text: "token",
		},
		"a token of two lines": {
			handler: abort, change: func(cfg *Config) { cfg.Token = func() string { return token + "\nX: y" } },
			outcome: NotSent, reason: pb.ErrorReason_ERROR_REASON_VENDOR_CREDENTIALS, text: "token",
		},
		"a transport that tells nothing": {
			address: closed, change: func(cfg *Config) { cfg.Transport = mute{} },
			reason: pb.ErrorReason_ERROR_REASON_VENDOR_UNAVAILABLE, retry: true, text: "mute",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := tc.address
			if address == "" {
				address = serve(t, tc.handler)
			}
			if tc.change == nil {
				tc.change = func(*Config) {}
			}
			ctx := t.Context()
			if tc.ctx != nil {
				var cancel context.CancelFunc
				ctx, cancel = tc.ctx(ctx)
				defer cancel()
			}

			reply, err := updateAgent(ctx, client(t, address, tc.change))

			e := failure(t, err)
			if e.Outcome != tc.outcome || e.Status != tc.status || reply.Status != tc.status || e.Temporary() != tc.retry {
				t.Errorf("%v: outcome %v, status %d, temporary %v", e, e.Outcome, e.Status, e.Temporary())
			}
			if f := e.Fault(); f.Reason != tc.reason {
				t.Errorf("the caller gets %v", f)
			}
			if !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), token) {
				t.Errorf("the log reads %q", err)
			}
			if reply.Remaining != -1 || reply.Limit != -1 {
				t.Errorf("reply %+v", reply)
			}
		})
	}
}

// mute is a transport that does not say how far it came.
type mute struct{}

func (mute) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("mute") }

func TestCancelledWhileTheVendorWorks(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	c := client(t, serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := updateAgent(ctx, c)
	e := failure(t, err)
	if e.Outcome != Unknown || !errors.Is(err, context.Canceled) || e.Fault().Reason != pb.ErrorReason_ERROR_REASON_CALLER_CANCELLED {
		t.Errorf("%v: %v, %v", err, e.Outcome, e.Fault())
	}
}

func TestRequestsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") }))
	update := &pb.UpdateAgentRequest{Uuid: agentID, UpdateMask: mask("nose")}
	_, err := c.Do(t.Context(), methods.API().ByRequest(update), update, &pb.UpdateAgentResponse{})
	e := failure(t, err)
	if f := e.Fault(); e.Outcome != NotSent || e.Temporary() || f.Reason != pb.ErrorReason_ERROR_REASON_INVALID_REQUEST || len(f.Violations) != 1 {
		t.Errorf("%v: %v, %v", err, e.Outcome, f)
	}
	_, err = c.Do(t.Context(), methods.API().ByName("AgentService.GetAgent"), update, &pb.GetAgentResponse{})
	e = failure(t, err)
	if e.Outcome != NotSent || fault.ReasonOf(e.Fault()) != pb.ErrorReason_ERROR_REASON_INTERNAL {
		t.Errorf("%v: %v, %v", err, e.Outcome, e.Fault())
	}
}

func TestTheVendorsWordsAreScrubbed(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		io.WriteString(w, `{"id":"bad","message":"`+r.Header.Get("Authorization")+`, Bearer hunter2, hunter3 of Ada in `+
			strings.Repeat("é", maxMessage)+`"}`)
	}))
	req := &pb.CreateAgentRequest{Name: new("Ada"), McpServers: []*pb.McpServer{{
		Authorization: new("Bearer hunter2"), Headers: freeForm(t, map[string]any{"a": []any{map[string]any{"b": "hunter3"}}}),
	}}}
	_, err := c.Do(t.Context(), methods.API().ByRequest(req), req, &pb.CreateAgentResponse{})
	e := failure(t, err)
	for _, text := range []string{err.Error(), e.Message, e.Fault().Error(), e.Fault().Public} {
		if strings.Contains(text, token) || strings.Contains(text, "hunter") {
			t.Errorf("a secret is in %q", text)
		}
	}
	if want := "Bearer [redacted], [redacted], [redacted] of Ada in é"; !strings.HasPrefix(e.Message, want) || len(e.Message) > maxMessage {
		t.Errorf("%d bytes of message: %s", len(e.Message), e.Message)
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"short":                  {"abc", "abc"},
		"at the limit":           {"abcdefgh", "abcdefgh"},
		"over the limit":         {"abcdefghi", "abcdefgh"},
		"within a character":     {"abcdefgé", "abcdefg"},
		"within a longer one":    {"abcde€€", "abcde€"},
		"no character before":    {"ab\xffdefghi", "ab?defgh"},
		"lines and control bits": {"\ta\nb\x00c\r", "a b c"},
	} {
		if diff := cmp.Diff(tc.want, clip(tc.in, 8)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
