package service

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// stubAgents answers GetAgent as the test wants.
type stubAgents struct {
	agentsvcv1connect.UnimplementedAgentServiceHandler

	get func(ctx context.Context, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error)
}

func (s *stubAgents) GetAgent(ctx context.Context, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
	return s.get(ctx, req)
}

// edge is a whole server on real sockets and a real database, with a handler of
// the test's own behind it.
type edge struct {
	server *Server
	url    string
	agents *stubAgents
	pool   *pgxpool.Pool
	log    *syncBuffer
	token  string // an operator of payments
	agent  string // an agent of payments
	other  string // an agent of nobody's
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// allKnown is a copy that has everything.
func allKnown(context.Context, identity.Caller, string) (bool, error) { return true, nil }

func newEdge(t *testing.T, configure ...func(*Config)) *edge {
	t.Helper()
	pool := dbtest.New(t)
	store := db.New(pool)
	e := &edge{pool: pool, agents: &stubAgents{}, log: &syncBuffer{}, agent: uuid.NewString(), other: uuid.NewString()}
	e.agents.get = func(_ context.Context, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
		return &pb.GetAgentResponse{Agent: &pb.Agent{Uuid: new(req.GetUuid())}}, nil
	}
	e.exec(t, "INSERT INTO teams (name) VALUES ('payments')")
	e.exec(t, `INSERT INTO resources (kind, uuid, team_id, name)
		SELECT 'agent', '`+e.agent+`', id, 'refunds' FROM teams WHERE name = 'payments'`)
	e.exec(t, "INSERT INTO resources (kind, uuid) VALUES ('agent', '"+e.other+"')")
	e.token = e.newToken(t, "bot")

	log := slog.New(slog.NewJSONHandler(e.log, nil))
	cfg := Config{
		Services: append(Vendor(Backend{})[1:], append(Ours(nil, nil, nil, &Teams{}),
			Serve[agentsvcv1connect.AgentServiceHandler](agentsvcv1connect.AgentServiceName, agentsvcv1connect.NewAgentServiceHandler, e.agents))...),
		Authenticator: identity.NewAuthenticator(store), Guard: access.New(store, allKnown, log), Log: log, Ready: store.Ping,
	}
	for _, c := range configure {
		c(&cfg)
	}
	var err error
	if e.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	e.url = serve(t, e.server, log)
	return e
}

// serve serves on a port of its own until the test ends.
func serve(t *testing.T, handler http.Handler, log *slog.Logger) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewHTTPServer(handler, nil, log)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}

func (e *edge) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := e.pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func (e *edge) newToken(t *testing.T, name string) string {
	t.Helper()
	spec := identity.TokenSpec{Service: name, Team: "payments", Role: pb.Role_ROLE_OPERATOR}
	token, err := identity.CreateToken(t.Context(), db.New(e.pool).Queries, spec)
	if err != nil {
		t.Fatal(err)
	}
	return token.Secret
}

// protocols are those that clients speak, by name.
func protocols() map[string][]connect.ClientOption {
	return map[string][]connect.ClientOption{
		"connect":      nil,
		"connect json": {connect.WithProtoJSON()},
		"connect get":  {connect.WithHTTPGet()},
		"grpc":         {connect.WithGRPC()},
		"grpc json":    {connect.WithGRPC(), connect.WithProtoJSON()},
		"grpc-web":     {connect.WithGRPCWeb()},
	}
}

// client speaks HTTP/2 without TLS when it has to, as gRPC does.
func (e *edge) client(t *testing.T, options ...connect.ClientOption) agentsvcv1connect.AgentServiceClient {
	t.Helper()
	return agentsvcv1connect.NewAgentServiceClient(httpClient(t, true), e.url, options...)
}

func httpClient(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// as is a context in which calls carry a token and other headers.
func as(t *testing.T, token string, headers ...string) context.Context {
	t.Helper()
	ctx, call := connect.NewClientContext(t.Context())
	if token != "" {
		call.RequestHeader().Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		call.RequestHeader().Set(headers[i], headers[i+1])
	}
	return ctx
}

// wantFault wants an error with a code, and the whole of our details.
func wantFault(t *testing.T, err error, code connect.Code, reason pb.ErrorReason) *fault.Error {
	t.Helper()
	if connect.CodeOf(err) != code || err == nil {
		t.Fatalf("error %v, want %s", err, code)
	}
	var wire *connect.Error
	if !asWire(err, &wire) {
		t.Fatalf("error %v is not from the wire", err)
	}
	out := &fault.Error{Public: wire.Message()}
	for _, d := range wire.Details() {
		value, err := d.Value()
		if err != nil {
			t.Fatal(err)
		}
		switch m := value.(type) {
		case *errdetails.ErrorInfo:
			out.Reason, out.Metadata = pb.ErrorReason(pb.ErrorReason_value[m.GetReason()]), m.GetMetadata()
			if m.GetDomain() != fault.Domain {
				t.Errorf("domain %q", m.GetDomain())
			}
		case *errdetails.BadRequest:
			for _, v := range m.GetFieldViolations() {
				out.Violations = append(out.Violations, fault.Violation{Field: v.GetField(), Description: v.GetDescription()})
			}
		}
	}
	if out.Reason != reason {
		t.Errorf("reason %s, want %s", out.Reason, reason)
	}
	return out
}

func asWire(err error, wire **connect.Error) bool {
	w, ok := err.(*connect.Error) //nolint:errorlint // clients return it bare
	*wire = w
	return ok
}

// post sends a body as it is and answers status and body.
func (e *edge) post(
	t *testing.T, client *http.Client, path, contentType string, body io.Reader, headers ...string,
) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+e.token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(t, client, req)
}

func do(t *testing.T, client *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// wantOneLine wants one line in the log that has all the words.
func (e *edge) wantOneLine(t *testing.T, words ...string) {
	t.Helper()
	found := 0
lines:
	for line := range strings.Lines(e.log.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		found++
	}
	if found != 1 {
		t.Errorf("%d lines of the log have %q, want one:\n%s", found, words, e.log)
	}
}
