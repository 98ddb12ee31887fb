package access_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestCallsGoWhereThingsAre asks which vendor account a call goes to.
func TestCallsGoWhereThingsAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, sql := range []string{
		"INSERT INTO accounts (name) VALUES ('emea'), ('apac')",
		"UPDATE teams SET account = 'emea' WHERE name = 'payments'",
		"UPDATE resources SET account = 'apac' WHERE uuid = '" + paymentsAgent + "'",
	} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		req     proto.Message
		account string
		reason  pb.ErrorReason
	}{
		"something new: where its team creates": {
			&pb.CreateAgentRequest{Mutation: &pb.MutationOptions{Team: "payments"}}, "emea", 0,
		},
		"something new that is about something: where that is": {
			&pb.CreateAgentRequest{
				Mutation: &pb.MutationOptions{Team: "payments"}, KnowledgeBaseUuid: []string{paymentsBase},
			}, "default", 0,
		},
		"something that is there": {&pb.GetAgentRequest{Uuid: paymentsAgent}, "apac", 0},
		"an operation":            {&pb.GetOperationRequest{Id: paymentsOp}, "default", 0},
		"a list":                  {&pb.ListAgentsRequest{}, "", 0},
		"several":                 {&pb.BatchUpdateAgentsRequest{Uuids: []string{paymentsAgent, unownedAgent}}, "apac", 0},
		"two accounts": {
			&pb.AttachKnowledgeBaseRequest{AgentUuid: paymentsAgent, KnowledgeBaseUuid: paymentsBase}, "",
			pb.ErrorReason_ERROR_REASON_PRECONDITION_FAILED,
		},
		"two accounts, one of another team": {
			&pb.AttachKnowledgeBaseRequest{AgentUuid: paymentsAgent, KnowledgeBaseUuid: unknownBase}, "",
			pb.ErrorReason_ERROR_REASON_NOT_FOUND,
		},
	} {
		t.Run(name, func(t *testing.T) {
			caller := "admin"
			if c.reason == pb.ErrorReason_ERROR_REASON_NOT_FOUND {
				caller = "operator"
			}
			decision, err := w.guard.Check(t.Context(), w.callers[caller], methods.API().ByRequest(c.req), c.req)
			refused := err != nil && fault.ReasonOf(err) == c.reason
			if refused != (c.reason != 0) || decision.Account != c.account {
				t.Errorf("goes to %q, %v", decision.Account, err)
			}
		})
	}
}
