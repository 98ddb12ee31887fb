package service

import (
	"context"
	"log/slog"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// TestWhoActsForWhomIsInTheHistory has a service act for people who may and who may not.
func TestWhoActsForWhomIsInTheHistory(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	store := db.New(e.pool)
	e.exec(t, `INSERT INTO principals (kind, issuer, subject, name) VALUES ('PERSON', 'a', 'u1', 'paula@payments.example'), ('PERSON', 'a', 'u2', 'sofia@search.example')`)
	e.exec(t, `INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'OWNER' FROM teams t, principals p WHERE t.name = 'payments' AND p.subject = 'u1'`)
	var got identity.Caller
	e.agents.get = func(ctx context.Context, req *pb.GetAgentRequest) (*pb.GetAgentResponse, error) {
		got, _ = identity.From(ctx)
		return &pb.GetAgentResponse{Agent: &pb.Agent{Uuid: new(req.GetUuid())}}, nil
	}
	call := func(options []connect.ClientOption, person, agent string) error {
		_, err := e.client(t, options...).GetAgent(as(t, e.token, onBehalfOfHeader, person, "X-Request-Id", "r-1"), &pb.GetAgentRequest{Uuid: agent})
		return err
	}
	err := call(nil, "paula@payments.example", e.agent)
	wantFault(t, err, connect.CodePermissionDenied, pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED)
	e.exec(t, "UPDATE principals SET may_act_for_others = true WHERE name = 'bot'")
	for protocol, options := range protocols() {
		if err := call(options, "paula@payments.example", e.agent); err != nil {
			t.Errorf("%s: %v", protocol, err)
		}
		if got.Name != "paula@payments.example" || got.ActingService != "bot" || got.Service || got.Role(got.ActingTeam.ID) != pb.Role_ROLE_OPERATOR {
			t.Errorf("%s: %+v", protocol, got)
		}
	}
	// Of what a person may not see, the service that acts for them sees no more.
	wantFault(t, call(nil, "sofia@search.example", e.agent), connect.CodeNotFound, pb.ErrorReason_ERROR_REASON_NOT_FOUND)
	wantFault(t, call(nil, "nobody@payments.example", e.agent), connect.CodePermissionDenied, pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED)
	wantFault(t, call(nil, "", e.agent), connect.CodePermissionDenied, pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED)

	type event struct{ Actor, Acting, Method, Outcome, Request string }
	e.exec(t, "UPDATE denials SET minute = minute - interval '10 minutes', count = count + 1 WHERE actor = 'sofia@search.example'")
	if err := access.New(store, allKnown, slog.New(slog.DiscardHandler)).TellRepeats(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := e.pool.Query(t.Context(), `SELECT actor, coalesce(acting_service, ''), method, outcome, request_id FROM audit_events
		WHERE NOT (actor = 'bot' AND error_message LIKE 'denied%')
		GROUP BY 1, 2, 3, 4, 5 ORDER BY min(recorded_at)`) // those of the bot may be of two minutes
	if err != nil {
		t.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	if err != nil {
		t.Fatal(err)
	}
	const method = "agentsvc.v1.AgentService.GetAgent"
	want := []event{
		{"bot", "", method, "DENIED", "r-1"},
		{"sofia@search.example", "bot", method, "DENIED", "r-1"},
		{"sofia@search.example", "bot", method, "DENIED", ""}, // repeated, as told later
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	reader := audit.NewReader(store, listing.NewTokens([]byte("0123456789abcdef0123456789abcdef")))
	listed, err := reader.List(t.Context(), identity.Caller{Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}, &pb.ListAuditEventsRequest{Filter: `acting_service = "bot"`})
	if err != nil || len(listed.GetEvents()) != 2 || listed.GetEvents()[0].GetActor() != "sofia@search.example" || listed.GetEvents()[0].GetActingService() != "bot" {
		t.Errorf("listed by the service that acted: %v, %v", listed, err)
	}
}
