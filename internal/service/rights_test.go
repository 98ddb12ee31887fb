package service

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/gen/agentsvc/v1/agentsvcv1connect"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/upstream"
)

// awayVendor never answers.
type awayVendor struct{}

func (awayVendor) Do(context.Context, *methods.Method, proto.Message, proto.Message) (upstream.Reply, error) {
	return upstream.Reply{}, &upstream.Error{Status: http.StatusServiceUnavailable}
}

// waitingAgents are served by the real wait.
type waitingAgents struct {
	stubAgents

	backend Backend
}

func (s *waitingAgents) WaitAgent(ctx context.Context, req *pb.WaitAgentRequest, stream *connect.ServerStream[pb.WaitAgentResponse]) error {
	return wait(ctx, s.backend, req, stream)
}

// TestAWaitEndsWithTheRightToIt takes from callers what lets them see what they wait for.
func TestAWaitEndsWithTheRightToIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql    string
		code   connect.Code
		reason pb.ErrorReason
		denied int
	}{
		"the token is revoked": {
			"UPDATE service_tokens SET revoked_at = now()", connect.CodeUnauthenticated, pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED, 0,
		},
		"the role is taken away": {"DELETE FROM memberships", connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND, 1},
		"the agent is another team's": {
			"UPDATE resources SET team_id = (SELECT id FROM teams WHERE name = 'search')", connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agents := &waitingAgents{}
			e := newEdge(t, func(c *Config) {
				c.Services = append(c.Services[:len(c.Services)-1:len(c.Services)-1], Serve[agentsvcv1connect.AgentServiceHandler](
					agentsvcv1connect.AgentServiceName, agentsvcv1connect.NewAgentServiceHandler, agents))
				agents.backend.Rights = Rights{Authenticator: c.Authenticator, Guard: c.Guard}
			})
			store, log := db.New(e.pool), slog.New(slog.DiscardHandler)
			agents.backend.Mirror = mirror.NewAccounts(nil, mirror.New(mirror.Config{
				Store: store, Client: awayVendor{}, Budget: budget.New(store, budget.DefaultAccount, budget.Limits{}, log), Log: log,
				PollEvery: 10 * time.Millisecond,
			}))
			body, err := proto.Marshal(&pb.Agent{Uuid: &e.agent, Name: new("refunds")})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.pool.Exec(t.Context(), `UPDATE resources SET body = $1, body_synced_at = now(), summary_synced_at = now(),
				account = 'default', status = 'STATUS_DEPLOYING' WHERE kind = 'agent' AND uuid = $2`, body, e.agent); err != nil {
				t.Fatal(err)
			}
			e.exec(t, "INSERT INTO teams (name) VALUES ('search')")
			stream, err := e.client(t, connect.WithGRPC()).WaitAgent(as(t, e.token), &pb.WaitAgentRequest{Uuid: e.agent})
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			if !stream.Receive() || stream.Msg().GetAgent().GetName() != "refunds" || stream.Msg().GetProgress().GetStatus() != "STATUS_DEPLOYING" {
				t.Fatalf("at first %v, %v", stream.Msg(), stream.Err())
			}
			e.exec(t, tc.sql)
			for stream.Receive() {
				t.Errorf("told %v", stream.Msg())
			}
			wantFault(t, stream.Err(), tc.code, tc.reason)
			denied := 0
			if err := e.pool.QueryRow(t.Context(), "SELECT count(*) FROM audit_events WHERE outcome = 'DENIED'").Scan(&denied); err != nil || denied != tc.denied {
				t.Errorf("%d denials in the history, want %d (%v)", denied, tc.denied, err)
			}
		})
	}
}

// TestRightsAreThoseOfNow follows what a caller gains.
func TestRightsAreThoseOfNow(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	store := db.New(e.pool)
	rights := Rights{Authenticator: identity.NewAuthenticator(store), Guard: access.New(store, allKnown, slog.New(slog.DiscardHandler))}
	shown := identity.Credentials{Token: e.token}
	who := rights.still(identity.Caller{RequestID: "r-1", Address: "127.0.0.1", UserAgent: "test"}, shown, &pb.WaitAgentRequest{Uuid: e.agent})
	e.exec(t, "INSERT INTO teams (name) VALUES ('search')")
	e.exec(t, "INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'VIEWER' FROM teams t, principals p WHERE t.name = 'search'")
	now, err := who(t.Context())
	if err != nil || len(now.Teams) != 2 || now.ActingTeam.Name != "payments" || now.RequestID != "r-1" || now.Address == "" || now.UserAgent == "" {
		t.Errorf("%+v, %v", now, err)
	}
}
