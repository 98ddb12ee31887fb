package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const token = "dop_v1_0123456789abcdef"

// client calls a server at address with the token above; change adjusts it.
func client(t *testing.T, address string, change ...func(*Config)) *Client {
	t.Helper()
	transport := NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	cfg := Config{BaseURL: address, Token: func() string { return token }, Transport: transport}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func getAgent(ctx context.Context, c *Client) (*pb.GetAgentResponse, Reply, error) {
	resp := &pb.GetAgentResponse{}
	reply, err := c.Do(ctx, methods.API().ByName("AgentService.GetAgent"), &pb.GetAgentRequest{Uuid: agentID}, resp)
	return resp, reply, err
}

func updateAgent(ctx context.Context, c *Client) (Reply, error) {
	return c.Do(ctx, methods.API().ByName("AgentService.UpdateAgent"),
		&pb.UpdateAgentRequest{Uuid: agentID, Name: new("Ada"), Mutation: &pb.MutationOptions{Reason: "why"}},
		&pb.UpdateAgentResponse{})
}

func TestDo(t *testing.T) {
	t.Parallel()
	type seen struct {
		Line, Body string
		Header     http.Header
	}
	var got seen
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Header.Del("Accept-Encoding") // net/http's own
		got = seen{r.Method + " " + r.RequestURI, string(body), r.Header}
		w.Header().Set("X-Request-ID", "req-1")
		w.Header().Set("RateLimit-Limit", "5000")
		w.Header().Set("RATELIMIT-REMAINING", "4816")
		w.Header().Set("ratelimit-reset", "1772323200")
		w.Header().Set("Date", "Sun, 01 Mar 2026 00:00:00 GMT")
		w.Header().Set("Content-Type", "text/html") // not trusted
		io.WriteString(w, `{"agent":{"uuid":"u"}}`)
	})
	clock := time.Unix(1000, 0)
	c := client(t, address+"/prefix/", func(cfg *Config) {
		cfg.UserAgent = "agentsvc/1.2.3"
		cfg.Now = func() time.Time { clock = clock.Add(time.Second); return clock }
	})

	resp, reply, err := getAgent(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetAgent().GetUuid() != "u" {
		t.Errorf("answer %v", resp)
	}
	reply.Duration -= reply.Duration % time.Second
	when := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	if diff := cmp.Diff(Reply{
		Status: 200, RequestID: "req-1", Limit: 5000, Remaining: 4816, Reset: when, Date: when, Duration: 2 * time.Second,
	}, reply); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(seen{"GET /prefix/v2/gen-ai/agents/" + agentID, "", http.Header{
		"Authorization": {"Bearer " + token}, "User-Agent": {"agentsvc/1.2.3"}, "Accept": {"application/json"},
	}}, got); diff != "" {
		t.Errorf("a read was sent as (-want +got):\n%s", diff)
	}

	if _, err := updateAgent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(seen{"PUT /prefix/v2/gen-ai/agents/" + agentID, `{"name":"Ada"}`, http.Header{
		"Authorization": {"Bearer " + token}, "User-Agent": {"agentsvc/1.2.3"}, "Accept": {"application/json"},
		"Content-Type": {"application/json"}, "Content-Length": {"14"},
	}}, got); diff != "" {
		t.Errorf("a change was sent as (-want +got):\n%s", diff)
	}
}

func TestDoSendsTheQueryAndEscapedPaths(t *testing.T) {
	t.Parallel()
	var uri string
	c := client(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		io.WriteString(w, `{}`)
	}))
	list := &pb.ListAgentsRequest{OnlyDeployed: new(true), Page: proto.Int32(3), PageSize: 9}
	if _, err := c.Do(t.Context(), methods.API().ByRequest(list), list, &pb.ListAgentsResponse{}); err != nil {
		t.Fatal(err)
	}
	if uri != "/v2/gen-ai/agents?only_deployed=true&page=3" {
		t.Errorf("asked %s", uri)
	}
	get := &pb.GetAgentRequest{Uuid: "../a b%2F?"}
	if _, err := c.Do(t.Context(), methods.API().ByRequest(get), get, &pb.GetAgentResponse{}); err != nil {
		t.Fatal(err)
	}
	if uri != "/v2/gen-ai/agents/..%2Fa%20b%252F%3F" {
		t.Errorf("asked %s", uri)
	}
}

func TestTheTokenIsReadAtEachCall(t *testing.T) {
	t.Parallel()
	var got string
	current := " first\n"
	c := client(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		io.WriteString(w, `{}`)
	}), func(cfg *Config) { cfg.Token = func() string { return current } })
	for _, want := range []string{"first", "second"} {
		if _, _, err := getAgent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got != "Bearer "+want {
			t.Errorf("sent %q, want the %s token", got, want)
		}
		current = "second"
	}
}

func TestEmptyAnswersOfSuccess(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	resp, reply, err := getAgent(t.Context(), c)
	if err != nil || reply.Status != 204 || proto.Size(resp) != 0 {
		t.Errorf("no content: %v, %v, %v", resp, reply, err)
	}
}

// TestConnectionsAreUsedAgain after answers of all kinds.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) { io.WriteString(w, `{}`) },
		func(w http.ResponseWriter) { http.Error(w, `{"id":"not_found"}`, http.StatusNotFound) },
		func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat("x", 1500)) }, // over the limit below
		func(w http.ResponseWriter) { http.Error(w, strings.Repeat("x", 50<<10), http.StatusBadGateway) },
		func(w http.ResponseWriter) { io.WriteString(w, `{}`) },
	}
	var n int
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers[n](w)
		n++
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := client(t, s.URL, func(cfg *Config) { cfg.MaxResponse = 1000 })
	for range answers {
		getAgent(t.Context(), c)
	}
	if n != len(answers) || connections.Load() != 1 {
		t.Errorf("%d calls over %d connections", n, connections.Load())
	}
}

func TestDriftIsCountedAndSaidOnce(t *testing.T) {
	t.Parallel()
	c, lines, metrics := watched(t, `{"agent":{"new":1,"functions":[{"x":1},{"x":2}],"k":"hunter2"},"cost":3}`)
	for range 3 {
		if _, _, err := getAgent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	said := map[string]int{}
	for line := range strings.Lines(lines.String()) {
		var record map[string]string
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		said[strings.TrimSpace(strings.Join([]string{record["level"], record["method"], record["kind"], record["path"], record["problem"]}, " "))]++
	}
	const known = "WARN agentsvc.v1.AgentService.GetAgent "
	if diff := cmp.Diff(map[string]int{
		known + "unknown_field agent.new": 1, known + "unknown_field agent.functions[].x": 1, known + "unknown_field cost": 1,
		known + "wrong_type agent.k is a string where a number belongs": 1,
	}, said); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
	counts, durations := metrics()
	if diff := cmp.Diff(map[string]int64{
		"unknown_field agent.new": 3, "unknown_field agent.functions[].x": 6, "unknown_field cost": 3, "wrong_type agent.k": 3,
	}, counts); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[int64]uint64{200: 3}, durations); diff != "" {
		t.Errorf("durations (-want +got):\n%s", diff)
	}
}

// A name may be a secret: one that the vendor was sent or sends, or one beside a secret that
// is no field's name.
func TestDriftNamesNoSecret(t *testing.T) {
	t.Parallel()
	c, lines, metrics := watched(t, `{"`+token+`":1,"api_key_info":{"secret_key":"hidden_in_the_answer","new_words":1,"K3y9f":2,`+
		`"`+strings.Repeat("k", 48)+`":{"x":1}},"its_hidden_in_the_answer":3}`)
	req, resp := &pb.CreateAgentApiKeyRequest{AgentUuid: agentID, Name: new("n")}, &pb.CreateAgentApiKeyResponse{}
	if _, err := c.Do(t.Context(), methods.API().ByRequest(req), req, resp); err != nil {
		t.Fatal(err)
	}
	counts, _ := metrics()
	if diff := cmp.Diff(map[string]int64{
		"unknown_field api_key_info.new_words": 1, "unknown_field api_key_info.[redacted]": 2,
		"unknown_field [redacted]": 1, "unknown_field its_[redacted]": 1,
	}, counts); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	for _, secret := range []string{token, "K3y9f", "kkkk", "hidden_in_the_answer"} {
		if strings.Contains(lines.String(), secret) || strings.Contains(resp.GetApiKeyInfo().GetVendorExtra().String(), secret) {
			t.Errorf("%s is told: %s", secret, lines)
		}
	}
}

func TestDriftWithoutEndIsBounded(t *testing.T) {
	t.Parallel()
	var body strings.Builder
	body.WriteString(`{"cost":0`)
	for i := range maxDrift + 500 {
		body.WriteString(`,"c` + strings.Repeat("x", i%50) + string(rune('a'+i/50)) + `":1`)
	}
	body.WriteString(`}`)
	c, lines, metrics := watched(t, body.String())
	for range 2 {
		if _, _, err := getAgent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(lines.String(), "\n"); n != maxDrift {
		t.Errorf("%d lines", n)
	}
	counts, _ := metrics()
	var total int64
	for _, n := range counts {
		total += n
	}
	if len(counts) > maxDrift+1 || counts["unknown_field other"] == 0 || total != 2*(maxDrift+501) {
		t.Errorf("%d places, %d of them other, %d in all", len(counts), counts["unknown_field other"], total)
	}
}

// watched is a client of a server that always answers body, its log, and its
// metrics: drift by kind and path, and the number of durations by status.
func watched(t *testing.T, body string) (*Client, *bytes.Buffer, func() (map[string]int64, map[int64]uint64)) {
	t.Helper()
	lines := &bytes.Buffer{}
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(2*maxDrift))
	c := client(t, serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }), func(cfg *Config) {
		cfg.Log = slog.New(slog.NewJSONHandler(lines, nil))
		cfg.Meter = provider.Meter("test")
	})
	return c, lines, func() (map[string]int64, map[int64]uint64) {
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		counts, durations := map[string]int64{}, map[int64]uint64{}
		for _, m := range all.ScopeMetrics[0].Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, point := range data.DataPoints {
					kind, _ := point.Attributes.Value(attribute.Key("kind"))
					path, _ := point.Attributes.Value(attribute.Key("path"))
					counts[kind.AsString()+" "+path.AsString()] += point.Value
				}
			case metricdata.Histogram[float64]:
				for _, point := range data.DataPoints {
					status, _ := point.Attributes.Value(attribute.Key("status"))
					durations[status.AsInt64()] += point.Count
				}
			}
		}
		return counts, durations
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	t.Parallel()
	tokens := func() string { return token }
	for name, tc := range map[string]struct {
		cfg  Config
		want string
	}{
		"nothing":                  {Config{}, "upstream token"},
		"no host":                  {Config{Token: tokens, BaseURL: "https:///x"}, "absolute"},
		"no URL":                   {Config{Token: tokens, BaseURL: "api.example.com"}, "absolute"},
		"no encryption":            {Config{Token: tokens, BaseURL: "http://api.example.com"}, "https"},
		"no encryption by a trick": {Config{Token: tokens, BaseURL: "http://localhost.example.com"}, "https"},
		"another scheme":           {Config{Token: tokens, BaseURL: "ftp://127.0.0.1"}, "https"},
		"a user":                   {Config{Token: tokens, BaseURL: "https://u:p@api.example.com"}, "user"},
		"a query":                  {Config{Token: tokens, BaseURL: "https://api.example.com?x=1"}, "query"},
		"a negative timeout":       {Config{Token: tokens, BaseURL: "https://x", Timeout: -1}, "timeout"},
		"a negative limit":         {Config{Token: tokens, BaseURL: "https://x", MaxResponse: -1}, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "u:p") {
				t.Errorf("got %v, want something about %q", err, tc.want)
			}
		})
	}
	for _, base := range []string{"https://api.example.com", "http://127.0.0.1:8081/", "http://[::1]:1", "http://localhost"} {
		if _, err := New(Config{Token: tokens, BaseURL: base}); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
	if _, err := New(Config{BaseURL: "x", Timeout: -1}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all problems are told: %v", err)
	}
}

// failure is the error of a call, which must be an [*Error].
func failure(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a failed call", err)
	}
	return e
}
