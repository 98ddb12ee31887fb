package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

const getAgentPath = agentsvcv1connect.AgentServiceGetAgentProcedure

func TestStrangersAreRefusedInTheirOwnProtocol(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.agents.get = func(context.Context, *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
		t.Error("a stranger reached the handler")
		return &pb.GetAgentResponse{}, nil
	}
	const wrong = "the credentials are not accepted: check that the token was copied whole and is still good, or get another"
	tokens := map[string]struct{ token, says string }{
		"missing": {"", "Authorization: Bearer"},
		"garbage": {"garbage", wrong},
		"unknown": {"ast_aaaaaaaaaaaa_x", wrong},
		"expired": {e.newToken(t, "late"), wrong},
		"revoked": {e.newToken(t, "gone"), wrong},
		"of 1 MB": {strings.Repeat("x", 1<<20), wrong},
	}
	e.exec(t, "UPDATE service_tokens SET expires_at = now() FROM principals p WHERE p.id = principal_id AND p.name = 'late'")
	e.exec(t, "UPDATE service_tokens SET revoked_at = now() FROM principals p WHERE p.id = principal_id AND p.name = 'gone'")
	for protocol, options := range protocols() {
		client := e.client(t, options...)
		for name, tc := range tokens {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				_, err := client.GetAgent(as(t, tc.token), &pb.GetAgentRequest{Uuid: e.agent})

				f := wantFault(t, err, connect.CodeUnauthenticated, pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED)
				if !strings.Contains(f.Public, tc.says) || f.Metadata["request_id"] == "" {
					t.Errorf("told %q with metadata %v, want %q and a request id", f.Public, f.Metadata, tc.says)
				}
			})
		}
	}
	resp, body := e.post(t, httpClient(t, false), getAgentPath, "application/json", strings.NewReader("{}"), "Authorization", "Basic eDp5")
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s %v %s, want 401 with a challenge", resp.Status, resp.Header, body)
	}
}

func TestCallersReachTheHandlerWithWhatIsKnown(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for protocol, options := range protocols() {
		t.Run(protocol, func(t *testing.T) {
			var got identity.Caller
			e.agents.get = func(ctx context.Context, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
				got, _ = identity.From(ctx)
				return &pb.GetAgentResponse{Agent: &pb.Agent{Uuid: new(req.GetUuid())}}, nil
			}
			resp, err := e.client(t, options...).GetAgent(as(t, e.token, "X-Request-Id", "r-1"), &pb.GetAgentRequest{Uuid: e.agent})
			if err != nil || resp.GetAgent().GetUuid() != e.agent {
				t.Fatalf("%v, %v", resp, err)
			}
			if got.Name != "bot" || !got.Service || got.RequestID != "r-1" || got.Address != "127.0.0.1" ||
				!strings.Contains(got.UserAgent, "connect") {
				t.Errorf("caller %+v", got)
			}
			if got.ActingTeam.Name != "payments" || got.ActingTeam.ID != got.Teams[0].TeamID {
				t.Errorf("acting for %+v, want payments", got.ActingTeam)
			}
			if got.Target.Kind != "agent" || got.Target.Name != "refunds" || got.Target.UUID.String() != e.agent {
				t.Errorf("target %+v, want the agent", got.Target)
			}
		})
	}
}

func TestAccessComesAfterValidation(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for protocol, options := range protocols() {
		t.Run(protocol, func(t *testing.T) {
			client := e.client(t, options...)
			_, err := client.GetAgent(as(t, e.token), &pb.GetAgentRequest{Uuid: "refunds"})
			f := wantFault(t, err, connect.CodeInvalidArgument, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
			if len(f.Violations) != 1 || f.Violations[0].Field != "uuid" || f.Violations[0].Description == "" {
				t.Errorf("violations %+v, want one of uuid", f.Violations)
			}
			_, err = client.GetAgent(as(t, e.token), &pb.GetAgentRequest{Uuid: e.other})
			wantFault(t, err, connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND)
		})
	}
}

func TestViolationsNameFieldsByTheirPath(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	_, err := e.client(t).DeleteAgent(as(t, e.token), &pb.DeleteAgentRequest{
		Uuid: "x", Mutation: &pb.MutationOptions{IdempotencyKey: strings.Repeat("k", 129), Lane: 9},
	})
	f := wantFault(t, err, connect.CodeInvalidArgument, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
	var fields []string
	for _, v := range f.Violations {
		fields = append(fields, v.Field)
	}
	if diff := cmp.Diff([]string{"uuid", "mutation.idempotency_key", "mutation.lane"}, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if !strings.Contains(f.Public, "2 more") {
		t.Errorf("told %q", f.Public)
	}
}

func TestRequestsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	client := httpClient(t, false)
	for name, tc := range map[string]struct{ contentType, body, field string }{
		"no JSON":             {"application/json", `{"uuid": "s3cret`, "body"},
		"nothing":             {"application/json", ``, "body"},
		"an unknown field":    {"application/json", `{"uid": "s3cret"}`, "uid"},
		"the wrong type":      {"application/json", `{"uuid": 5}`, "uuid"},
		"a list":              {"application/json; charset=utf-8", `["s3cret"]`, "body"},
		"no Protobuf":         {"application/proto", "\x0a\xffs3cret", "body"},
		"text that no row is": {"application/json", `{"uuid": "s3cret\u0000"}`, "uuid"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := e.post(t, client, getAgentPath, tc.contentType, strings.NewReader(tc.body))
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"code":"invalid_argument"`) ||
				!strings.Contains(body, "google.rpc.ErrorInfo") || !strings.Contains(body, `"field":"`+tc.field+`"`) &&
				!strings.Contains(body, `"field": "`+tc.field+`"`) {
				t.Errorf("%s %s, want 400 with a violation of %q", resp.Status, body, tc.field)
			}
		})
	}
	if strings.Contains(e.log.String(), "s3cret") {
		t.Errorf("the log quotes requests:\n%s", e.log)
	}
}

func TestFieldsOfNewerClientsArePassedOver(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	body := "\x0a\x24" + e.agent + "\xfa\x3e\x03new" // field 1, and a field 1007 that we do not know
	resp, text := e.post(t, httpClient(t, false), getAgentPath, "application/proto", strings.NewReader(body))
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestRequestsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *Config) { c.MaxRequestBytes = 100_000 })
	e.agents.get = func(context.Context, *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
		t.Error("too large a request reached the handler")
		return &pb.GetAgentResponse{}, nil
	}
	huge := strings.Repeat("x", 300_000)
	for protocol, options := range protocols() {
		if protocol == "connect get" {
			continue // the limit of URLs is that of headers
		}
		for name, more := range map[string][]connect.ClientOption{"plain": nil, "gzip": {connect.WithSendGzip()}} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				_, err := e.client(t, append(more, options...)...).GetAgent(as(t, e.token), &pb.GetAgentRequest{Uuid: huge})
				f := wantFault(t, err, connect.CodeInvalidArgument, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
				if len(f.Violations) != 1 || !strings.Contains(f.Public, "100000") {
					t.Errorf("told %q with %+v", f.Public, f.Violations)
				}
			})
		}
	}
	for name, body := range map[string]io.Reader{
		"of known length":   strings.NewReader(`{"uuid":"` + huge + `"}`),
		"of unknown length": io.MultiReader(strings.NewReader(`{"uuid":"` + huge + `"}`)),
	} {
		t.Run("HTTP/1.1 "+name, func(t *testing.T) {
			resp, text := e.post(t, httpClient(t, false), getAgentPath, "application/json", body)
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "google.rpc.BadRequest") {
				t.Errorf("%s %s, want 400 with details", resp.Status, text)
			}
		})
	}
}

func TestRequestsUpToTheLimit(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(c *Config) { c.MaxRequestBytes = 1000 })
	request := func(n int) string { return `{"uuid":"` + e.agent + `"` + strings.Repeat(" ", n-len(e.agent)-11) + `}` }
	client := httpClient(t, false)
	for _, n := range []int{100, 1000} {
		body := request(n)
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		io.WriteString(w, body)
		w.Close()
		resp, text := e.post(t, client, getAgentPath, "application/json", strings.NewReader(body))
		if len(body) != n || resp.StatusCode != http.StatusOK {
			t.Errorf("%d bytes: %s %s", len(body), resp.Status, text)
		}
		resp, text = e.post(t, client, getAgentPath, "application/json", &zipped, "Content-Encoding", "gzip")
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%d bytes zipped: %s %s", len(body), resp.Status, text)
		}
	}
}

func TestErrorsOfHandlers(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	const secret = "password=hunter2"
	for name, tc := range map[string]struct {
		fail   func() error
		code   connect.Code
		reason pb.ErrorReason
		says   string
		logged string
	}{
		"for callers": {
			func() error {
				f := fault.Precondition("the route closes a circle")
				f.Cause = errors.New(secret)
				return f
			}, connect.CodeFailedPrecondition, pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED, "the route closes a circle", secret,
		},
		"not for callers": {
			func() error { return errors.New(secret) },
			connect.CodeInternal, pb.ErrorReason_ERROR_REASON_INTERNAL, "internal error", secret,
		},
		"a panic": {
			func() error { panic(secret) },
			connect.CodeInternal, pb.ErrorReason_ERROR_REASON_INTERNAL, "internal error", "panic: " + secret,
		},
		"the database away": {
			func() error { return io.ErrUnexpectedEOF },
			connect.CodeUnavailable, pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE, "our database", "unexpected EOF",
		},
	} {
		for protocol, options := range protocols() {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				e.agents.get = func(context.Context, *pb.GetAgentRequest) (*pb.GetAgentResponse, error) { return nil, tc.fail() }
				id := strings.ReplaceAll("r-"+name+"-"+protocol, " ", "-")

				_, err := e.client(t, options...).GetAgent(as(t, e.token, "X-Request-Id", id), &pb.GetAgentRequest{Uuid: e.agent})

				f := wantFault(t, err, tc.code, tc.reason)
				if !strings.Contains(f.Public, tc.says) || f.Metadata["request_id"] != id {
					t.Errorf("told %q with %v", f.Public, f.Metadata)
				}
				var wire *connect.Error
				if asWire(err, &wire); wire.Meta().Get("X-Request-Id") != id {
					t.Errorf("metadata %v, want the request id", wire.Meta())
				}
				if everything := fmt.Sprint(err, wire.Meta(), f); strings.Contains(everything, "hunter2") {
					t.Errorf("the caller was told the cause: %s", everything)
				}
				logged := `"request_id":"` + id + `"`
				e.wantOneLine(t, `"msg":"rpc failed"`, tc.logged, logged, `"caller":"bot"`, getAgentPath)
				if strings.HasPrefix(tc.logged, "panic") {
					e.wantOneLine(t, `"msg":"panic"`, "chain_test.go", logged)
				}
			})
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	client := httpClient(t, false)
	for name, tc := range map[string]struct {
		id   string
		kept bool
	}{
		"a sane one":     {"abc-123/x", true},
		"128 characters": {strings.Repeat("a", 128), true},
		"none":           {"", false},
		"129 characters": {strings.Repeat("a", 129), false},
		"with a space":   {"a b", false},
		"not ASCII":      {"é", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{getAgentPath, "/healthz", "/nowhere"} {
				resp, _ := e.post(t, client, path, "application/json", strings.NewReader("{}"), "X-Request-Id", tc.id)
				got := resp.Header.Values("X-Request-Id")
				if len(got) != 1 || (got[0] == tc.id) != tc.kept || len(got[0]) < 9 {
					t.Errorf("%s: answered %q to %q", path, got, tc.id)
				}
			}
		})
	}
}

func TestServerStreamsAreCheckedLikeUnaryCalls(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	store := db.New(e.pool)
	cfg := e.server.cfg
	validator := newValidator(t)
	interceptors, err := chain(t.Context(), cfg, requestChecks(validator, cfg.Resolve, cfg.Guard))
	if err != nil {
		t.Fatal(err)
	}
	options := append(codecs(), connect.WithInterceptors(interceptors...))
	var caller identity.Caller
	mux := http.NewServeMux()
	mux.Handle(getAgentPath, connect.NewServerStreamHandler(getAgentPath,
		func(ctx context.Context, req *connect.Request[pb.GetAgentRequest], stream *connect.ServerStream[pb.GetAgentResponse]) error {
			caller, _ = identity.From(ctx)
			if err := stream.Send(&pb.GetAgentResponse{Agent: &pb.Agent{Uuid: &req.Msg.Uuid}}); err != nil {
				return err
			}
			return errors.New("password=hunter2")
		}, options...))
	bidi := agentsvcv1connect.AgentServiceListAgentsProcedure
	mux.Handle(bidi, connect.NewBidiStreamHandler(bidi,
		func(context.Context, *connect.BidiStream[pb.ListAgentsRequest, pb.ListAgentsResponse]) error {
			t.Error("a stream of requests reached its handler")
			return nil
		}, options...))
	url := serve(t, requestID(identify(Rights{Authenticator: identity.NewAuthenticator(store), Guard: cfg.Guard}, cfg.Log, mux, options...)), cfg.Log)

	for protocol, clientOptions := range protocols() {
		t.Run(protocol, func(t *testing.T) {
			client := connect.NewClient[pb.GetAgentRequest, pb.GetAgentResponse](httpClient(t, true), url+getAgentPath, clientOptions...)
			call := func(id string) (n int, err error) {
				req := connect.NewRequest(&pb.GetAgentRequest{Uuid: id})
				req.Header().Set("Authorization", "Bearer "+e.token)
				stream, err := client.CallServerStream(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				defer stream.Close()
				for stream.Receive() {
					n++
				}
				return n, stream.Err()
			}
			n, err := call(e.agent)
			f := wantFault(t, err, connect.CodeInternal, pb.ErrorReason_ERROR_REASON_INTERNAL)
			if n != 1 || strings.Contains(f.Public, "hunter2") {
				t.Errorf("%d messages, then %v", n, err)
			}
			if caller.Target.UUID.String() != e.agent || caller.ActingTeam.Name != "payments" {
				t.Errorf("caller %+v", caller)
			}
			_, err = call(e.other)
			wantFault(t, err, connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND)
			_, err = call("x")
			wantFault(t, err, connect.CodeInvalidArgument, pb.ErrorReason_ERROR_REASON_INVALID_REQUEST)
		})
	}

	lists := connect.NewClient[pb.ListAgentsRequest, pb.ListAgentsResponse](httpClient(t, true), url+bidi)
	stream := lists.CallBidiStream(t.Context())
	stream.RequestHeader().Set("Authorization", "Bearer "+e.token)
	stream.CloseRequest()
	_, err = stream.Receive()
	wantFault(t, err, connect.CodeInternal, pb.ErrorReason_ERROR_REASON_INTERNAL)
	stream.CloseResponse()
}
