package service

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// patientAgents tell something, and have more ready when their call has ended.
type patientAgents struct{ stubAgents }

func (*patientAgents) WaitAgent(ctx context.Context, _ *pb.WaitAgentRequest, stream *connect.ServerStream[pb.WaitAgentResponse]) error {
	if err := stream.Send(&pb.WaitAgentResponse{Agent: &pb.Agent{Name: new("first")}}); err != nil {
		return err
	}
	<-ctx.Done()
	return stream.Send(&pb.WaitAgentResponse{Agent: &pb.Agent{Name: new("late")}})
}

// patientExporter does the same with an export.
type patientExporter struct{}

func (patientExporter) Export(ctx context.Context, _ identity.Caller, _ *pb.ExportAuditEventsRequest, send audit.Send) error {
	if err := send(&pb.ExportAuditEventsResponse{Data: []byte(strings.Repeat("first\n", 2000))}); err != nil {
		return err
	}
	<-ctx.Done()
	return send(&pb.ExportAuditEventsResponse{Data: []byte("late\n")})
}

func newPatientEdge(t *testing.T) *edge {
	t.Helper()
	return newEdge(t, func(c *Config) {
		c.Services = append(c.Services[:len(c.Services)-1:len(c.Services)-1], Serve[agentsvcv1connect.AgentServiceHandler](
			agentsvcv1connect.AgentServiceName, agentsvcv1connect.NewAgentServiceHandler, &patientAgents{}))
		c.Exporter = patientExporter{}
	})
}

// TestStreamsEndWithTheRightToThem takes from the caller of a stream that has nothing to tell what
// let it in. Nothing is sent from then on.
func TestStreamsEndWithTheRightToThem(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql    string
		code   connect.Code
		reason pb.ErrorReason
	}{
		"the token is revoked":     {"UPDATE service_tokens SET revoked_at = now()", connect.CodeUnauthenticated, pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED},
		"the token expires":        {"UPDATE service_tokens SET expires_at = now()", connect.CodeUnauthenticated, pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED},
		"the service is disabled":  {"UPDATE principals SET disabled_at = now()", connect.CodeUnauthenticated, pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED},
		"the role is taken away":   {"DELETE FROM memberships", connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND},
		"the agent is nobody's":    {"UPDATE resources SET team_id = NULL", connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND},
		"the team is archived":     {"UPDATE teams SET archived_at = now()", connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND},
		"it is deleted, and taken": {"UPDATE resources SET team_id = NULL, deleted_at = now()", connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND},
	} {
		for protocol, options := range map[string][]connect.ClientOption{"connect": nil, "grpc": {connect.WithGRPC()}} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				t.Parallel()
				e := newPatientEdge(t)
				stream, err := e.client(t, options...).WaitAgent(as(t, e.token), &pb.WaitAgentRequest{Uuid: e.agent})
				if err != nil {
					t.Fatal(err)
				}
				defer stream.Close()
				if !stream.Receive() || stream.Msg().GetAgent().GetName() != "first" {
					t.Fatalf("at first %v, %v", stream.Msg(), stream.Err())
				}
				e.exec(t, tc.sql)
				for stream.Receive() {
					t.Errorf("told %v", stream.Msg())
				}
				wantFault(t, stream.Err(), tc.code, tc.reason)
			})
		}
	}
}

// TestDownloadsEndWithTheRightToThem does it to downloads, whose connection breaks: the client has not
// got all.
func TestDownloadsEndWithTheRightToThem(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ sql, reason string }{
		"the token is revoked":   {"UPDATE service_tokens SET revoked_at = now()", "UNAUTHENTICATED"},
		"the role is taken away": {"DELETE FROM memberships", "PERMISSION_DENIED"},
		"one of two roles is": {
			"DELETE FROM memberships WHERE team_id = (SELECT id FROM teams WHERE name = 'search')", "PERMISSION_DENIED",
		},
		"an auditor is none any more": {"UPDATE principals SET platform_role = NULL", "PERMISSION_DENIED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newPatientEdge(t)
			e.exec(t, "INSERT INTO teams (name) VALUES ('search')")
			e.exec(t, "INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'VIEWER' FROM teams t, principals p WHERE t.name = 'search'")
			if name == "an auditor is none any more" {
				e.exec(t, "UPDATE principals SET platform_role = 'AUDITOR'")
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+"/audit/export.csv", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+e.token)
			req.Header.Set("Accept-Encoding", "gzip;q=0")
			resp, err := httpClient(t, false).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			e.exec(t, tc.sql)
			if got, err := io.ReadAll(resp.Body); err == nil || strings.Trim(string(got), "first\n") != "" {
				t.Errorf("the client gets %q, as if that were all (%v)", got, err)
			}
			e.wantOneLine(t, "download failed", tc.reason)
		})
	}
}

// TestStreamsGoOnWithTheRightToThem changes what takes no right away, or what nobody can tell.
func TestStreamsGoOnWithTheRightToThem(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	away := dbtest.New(t)
	away.Close()
	shown := identity.Credentials{Token: e.token}
	begun, err := e.server.cfg.Authenticator.Authenticate(t.Context(), shown)
	if err != nil {
		t.Fatal(err)
	}
	ctx := identity.WithCredentials(identity.With(t.Context(), begun), shown)
	goesOn := func(what string, pool *pgxpool.Pool) {
		t.Helper()
		store := db.New(pool)
		rights := Rights{Authenticator: identity.NewAuthenticator(store), Guard: access.New(store, allKnown, slog.New(slog.DiscardHandler))}
		for _, req := range []proto.Message{&pb.WaitAgentRequest{Uuid: e.agent}, &pb.ExportAuditEventsRequest{}} {
			if why := rights.lost(ctx, methods.API().ByRequest(req), req); why != nil {
				t.Errorf("%s: %T ends with %v", what, req, why)
			}
		}
	}
	goesOn("the database is away", away)
	goesOn("all is as it was", e.pool)
	e.exec(t, "INSERT INTO teams (name) VALUES ('search')")
	e.exec(t, "INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'VIEWER' FROM teams t, principals p WHERE t.name = 'search'")
	goesOn("there is a role more", e.pool)
	e.exec(t, "UPDATE memberships SET role = 'VIEWER'")
	goesOn("the role is a lower one, which suffices", e.pool)
	e.exec(t, "UPDATE resources SET deleted_at = now()")
	goesOn("the agent is deleted, which is for the wait to tell", e.pool)
}
