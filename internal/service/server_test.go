package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
)

func newValidator(t *testing.T) protovalidate.Validator {
	t.Helper()
	v, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func fetchPage(t *testing.T, e *edge, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(t, httpClient(t, false), req)
}

func TestPagesThatNeedNoToken(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("calls 1")) })
	})
	for path, want := range map[string]struct {
		status int
		holds  string
	}{
		"/healthz": {http.StatusOK, "alive"},
		"/readyz":  {http.StatusOK, "ready"},
		"/metrics": {http.StatusOK, "calls 1"},
		"/nowhere": {http.StatusNotFound, `"code":"not_found"`},
		"/":        {http.StatusNotFound, `"code":"not_found"`},
	} {
		resp, body := fetchPage(t, e, path)
		if resp.StatusCode != want.status || !strings.Contains(body, want.holds) {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *Config) {
		c.Ready = func(ctx context.Context) error {
			if deadline, ok := ctx.Deadline(); !ok || deadline.IsZero() {
				t.Error("Ready was given no deadline")
			}
			return errors.New("schema 3 of host db-17")
		}
	})
	resp, body := fetchPage(t, e, "/readyz")
	if resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "db-17") {
		t.Errorf("%s %s, want 503 without the cause", resp.Status, body)
	}
	e.wantOneLine(t, "not ready", "db-17")
	if resp, _ := fetchPage(t, e, "/healthz"); resp.StatusCode != http.StatusOK {
		t.Errorf("%s: not being ready is no reason to be restarted", resp.Status)
	}
}

func TestDrainingIsTold(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	url := e.url + agentsvcv1connect.TeamServiceWhoAmIProcedure
	client := connect.NewClient[pb.WhoAmIRequest, pb.WhoAmIResponse](httpClient(t, true), url)
	for _, serving := range []bool{true, false, true} {
		e.server.SetServing(serving)
		want := grpchealth.StatusNotServing
		status := http.StatusServiceUnavailable
		if serving {
			want, status = grpchealth.StatusServing, http.StatusOK
		}
		for _, name := range []string{"", agentsvcv1connect.AgentServiceName, agentsvcv1connect.TeamServiceName} {
			got, err := e.server.health.Check(t.Context(), &grpchealth.CheckRequest{Service: name})
			if err != nil || got.Status != want {
				t.Errorf("health of %q: %v %v, want %s", name, got, err, want)
			}
		}
		if resp, body := fetchPage(t, e, "/readyz"); resp.StatusCode != status {
			t.Errorf("%s %s, want %d", resp.Status, body, status)
		}
		req := connect.NewRequest(&pb.WhoAmIRequest{})
		req.Header().Set("Authorization", "Bearer "+e.token)
		if _, err := client.CallUnary(t.Context(), req); err != nil {
			t.Errorf("serving %v: calls are served all the same: %v", serving, err)
		}
	}
	const check = "/grpc.health.v1.Health/Check"
	resp, body := e.post(t, httpClient(t, false), check, "application/json", strings.NewReader("{}"), "Authorization", "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "SERVING") {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestReflectionNeedsNoToken(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	stream := grpcreflect.NewClient(httpClient(t, true), e.url, connect.WithGRPC()).NewStream(t.Context())
	defer stream.Close()
	names, err := stream.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != len(e.server.cfg.Services)+1 {
		t.Errorf("services %v", names)
	}
	if files, err := stream.FileContainingSymbol(agentsvcv1connect.AgentServiceName); err != nil || len(files) == 0 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	client := agentsvcv1connect.NewTeamServiceClient(httpClient(t, true), e.url, connect.WithHTTPGet())
	got, err := client.WhoAmI(as(t, e.token), &pb.WhoAmIRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetName() != "bot" || !got.GetService() || len(got.GetMemberships()) != 1 ||
		got.GetMemberships()[0].GetTeam() != "payments" || got.GetMemberships()[0].GetRole() != pb.Role_ROLE_OPERATOR ||
		got.GetPlatformRole() != pb.PlatformRole_PLATFORM_ROLE_UNSPECIFIED {
		t.Errorf("I am %v", got)
	}
}

func TestMethodsThatDoNotExist(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for protocol, options := range protocols() {
		url := e.url + "/agentsvc.v1.TeamService/WhoAreYou"
		client := connect.NewClient[pb.WhoAmIRequest, pb.WhoAmIResponse](httpClient(t, true), url, options...)
		req := connect.NewRequest(&pb.WhoAmIRequest{})
		req.Header().Set("Authorization", "Bearer "+e.token)
		_, err := client.CallUnary(t.Context(), req)
		if connect.CodeOf(err) != connect.CodeUnimplemented {
			t.Errorf("%s: %v, want UNIMPLEMENTED", protocol, err)
		}
	}
}

func TestBrowsersOfOtherOrigins(t *testing.T) {
	t.Parallel()
	const console, stranger = "https://console.example.com", "https://stranger.example.com"
	open := newEdge(t, func(c *Config) { c.Origins = []string{console} })
	closed := newEdge(t)
	for name, tc := range map[string]struct {
		edge   *edge
		origin string
		want   string
	}{
		"ours":             {open, console, console},
		"not ours":         {open, stranger, ""},
		"none is the rule": {closed, console, ""},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, tc.edge.url+getAgentPath, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", tc.origin)
			req.Header.Set("Access-Control-Request-Method", "POST")
			req.Header.Set("Access-Control-Request-Headers", "authorization,connect-protocol-version,content-type,x-request-id")
			resp, _ := do(t, httpClient(t, false), req)
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != tc.want {
				t.Errorf("preflight allows %q, want %q (%s)", got, tc.want, resp.Status)
			}
			if got := resp.Header.Get("Access-Control-Allow-Credentials"); got != "" {
				t.Errorf("preflight allows credentials: %q", got)
			}
			body := strings.NewReader(`{}`)
			resp, _ = tc.edge.post(t, httpClient(t, false), getAgentPath, "application/json", body, "Origin", tc.origin)
			exposed := strings.ToLower(resp.Header.Get("Access-Control-Expose-Headers"))
			if (tc.want != "") != strings.Contains(exposed, "x-request-id") {
				t.Errorf("exposes %q", exposed)
			}
		})
	}
}

func TestPanicsOutsideOfRPCs(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "begun" {
				w.Write([]byte("calls "))
				w.(http.Flusher).Flush()
			}
			panic("password=hunter2")
		})
	})
	resp, body := fetchPage(t, e, "/metrics")
	if resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "hunter2") {
		t.Errorf("%s %s, want 500 without the cause", resp.Status, body)
	}
	e.wantOneLine(t, `"msg":"panic"`, "hunter2", "server_test.go", resp.Header.Get("X-Request-Id"))

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+"/metrics?begun", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err = httpClient(t, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := resp.Body.Read(make([]byte, 100)); err == nil {
		_, err = resp.Body.Read(make([]byte, 100))
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("read %d bytes, then %v: an answer that was cut off looks whole", n, err)
		}
	}
}

func TestConfigSaysAllThatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := New(Config{MaxRequestBytes: -1})
	if err == nil {
		t.Fatal("a server of nothing")
	}
	for _, name := range []string{
		"AgentService", "PlatformService", "OperationService", "TeamService", "Authenticator", "Guard", "Log", "Ready", "MaxRequestBytes",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q says nothing of %s", err, name)
		}
	}
}
