package mirror

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestPartsBelongToWhatIsNamedBesides names parts of two teams' agents and bases beside those
// of one of them.
func TestPartsBelongToWhatIsNamedBesides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{}, plenty)
	mine, theirs := w.estate(w.payments, "payments"), w.estate(w.search, "search")
	type pair struct{ own, others string }
	both := func(of func(*estate) string) pair { return pair{of(mine), of(theirs)} }
	key := both(func(e *estate) string {
		return w.make(e.team, &pb.CreateAgentApiKeyRequest{AgentUuid: e.agent, Name: new("k")})
	})
	function := both(func(e *estate) string {
		resp, _ := w.change(e.team, &pb.AddFunctionRouteRequest{
			AgentUuid: e.agent, FunctionName: new("f"), Description: new("d"), FaasName: new("default/f"), FaasNamespace: new("fn"),
		}).(*pb.AddFunctionRouteResponse)
		return resp.GetAgent().GetFunctions()[0].GetUuid()
	})
	source := both(func(e *estate) string { return w.sourcesOf(e.base)[0] })
	for name, tc := range map[string]struct {
		part    pair
		request func(part string) proto.Message
		asks    string // of whom our copy does not know it
		copied  bool   // whether our copy shows it
	}{
		"a key renamed": {key, func(id string) proto.Message {
			return &pb.UpdateAgentApiKeyRequest{AgentUuid: mine.agent, ApiKeyUuid: id, Name: new("n")}
		}, "api_keys", true},
		"a key deleted": {key, func(id string) proto.Message {
			return &pb.DeleteAgentApiKeyRequest{AgentUuid: mine.agent, ApiKeyUuid: id}
		}, "api_keys", true},
		"a key regenerated": {key, func(id string) proto.Message {
			return &pb.RegenerateAgentApiKeyRequest{AgentUuid: mine.agent, ApiKeyUuid: id}
		}, "api_keys", true},
		"a function changed": {function, func(id string) proto.Message {
			return &pb.UpdateFunctionRouteRequest{AgentUuid: mine.agent, FunctionUuid: id}
		}, "{uuid}", true},
		"a function taken away": {function, func(id string) proto.Message {
			return &pb.DeleteFunctionRouteRequest{AgentUuid: mine.agent, FunctionUuid: id}
		}, "{uuid}", true},
		"a source changed": {source, func(id string) proto.Message {
			return &pb.UpdateDataSourceRequest{KnowledgeBaseUuid: mine.base, DataSourceUuid: id}
		}, "data_sources", false},
		"a source deleted": {source, func(id string) proto.Message {
			return &pb.DeleteDataSourceRequest{KnowledgeBaseUuid: mine.base, DataSourceUuid: id}
		}, "data_sources", false},
		"a source indexed": {source, func(id string) proto.Message {
			return &pb.StartIndexingJobRequest{KnowledgeBaseUuid: &mine.base, DataSourceUuids: []string{source.own, id}}
		}, "data_sources", false},
	} {
		t.Run(name, func(t *testing.T) {
			start := w.mark()
			if err := w.HasParts(t.Context(), tc.request(tc.part.own)); err != nil {
				t.Errorf("one's own: %v", err)
			}
			if asked := w.asked(start); tc.copied && len(asked) > 0 {
				t.Errorf("asked %v for what our copy shows", asked)
			}
			start = w.mark()
			for _, id := range []string{tc.part.others, uuid.NewString()} {
				requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, w.HasParts(t.Context(), tc.request(id)))
			}
			for call := range w.asked(start) {
				if !strings.HasPrefix(call, "GET ") || !strings.HasSuffix(call, "/"+tc.asks) {
					t.Errorf("asked %s", call)
				}
			}
			// What was made with the vendor directly is not in our copy, and is asked for.
			w.exec("UPDATE resources SET body = NULL, body_synced_at = NULL WHERE kind = 'agent'")
			if err := w.HasParts(t.Context(), tc.request(tc.part.own)); err != nil {
				t.Errorf("one's own, which our copy does not show: %v", err)
			}
			if err := w.round(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
