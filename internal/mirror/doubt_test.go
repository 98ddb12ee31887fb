package mirror

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/methods"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func TestAnswersThatShowAnotherResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	mine, other, free := w.create("mine"), w.create("other"), w.appear("free")
	if err := w.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	agent := func(id string) *pb.Agent { return &pb.Agent{Uuid: new(id), Name: new("swapped")} }
	for name, tc := range map[string]struct{ req, resp proto.Message }{
		"of an update":             {&pb.UpdateAgentRequest{Uuid: mine}, &pb.UpdateAgentResponse{Agent: agent(other)}},
		"of an update, never seen": {&pb.UpdateAgentRequest{Uuid: mine}, &pb.UpdateAgentResponse{Agent: agent(uuid.NewString())}},
		"of a deletion":            {&pb.DeleteAgentRequest{Uuid: mine}, &pb.DeleteAgentResponse{Agent: agent(other)}},
		"of a part":                {&pb.AttachKnowledgeBaseRequest{AgentUuid: mine}, &pb.AttachKnowledgeBaseResponse{Agent: agent(other)}},
		"of a key of another": {
			&pb.RegenerateAgentApiKeyRequest{AgentUuid: mine, ApiKeyUuid: uuid.NewString()},
			&pb.RegenerateAgentApiKeyResponse{ApiKeyInfo: &pb.ApiKeyInfo{Uuid: new(uuid.NewString()), SecretKey: new("theirs")}},
		},
		"of a creation, owned":             {&pb.CreateAgentRequest{}, &pb.CreateAgentResponse{Agent: agent(other)}},
		"of a creation, nobody's but seen": {&pb.CreateAgentRequest{}, &pb.CreateAgentResponse{Agent: agent(free)}},
	} {
		t.Run(name, func(t *testing.T) {
			before := all[string](w, "SELECT r::text FROM resources r WHERE kind = 'agent' ORDER BY uuid")
			op := w.send(tc.req)
			defer w.exec("DELETE FROM operations WHERE id = $1", op.ID)
			err := w.store.Tx(t.Context(), db.Durable, func(q *db.Queries) error {
				_, err := w.Apply(t.Context(), q, Change{Operation: op, Method: methods.API().ByRequest(tc.req), Request: tc.req, Response: tc.resp})
				if !errors.Is(err, ErrAnotherResource) {
					t.Errorf("got %v, want ErrAnotherResource", err)
				}
				return nil // what it wrote, if anything, stays
			})
			if err != nil {
				t.Fatal(err)
			}
			if after := all[string](w, "SELECT r::text FROM resources r WHERE kind = 'agent' ORDER BY uuid"); strings.Join(before, "\n") != strings.Join(after, "\n") {
				t.Errorf("rows before:\n%v\nafter:\n%v", before, after)
			}
		})
	}
}

func TestAListedResultIsStillTheCreations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	req := &pb.CreateAgentRequest{Name: new("checkout")}
	op := w.send(req)
	id := w.appear("checkout") // without the tag that would keep it from being stored
	if err := w.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.settle(op, methods.API().ByRequest(req), req, &pb.CreateAgentResponse{Agent: &pb.Agent{Uuid: new(id), Name: new("checkout")}})
	if row := w.row(id); row.TeamID == nil || *row.TeamID != w.payments {
		t.Errorf("row: %+v", row)
	}
}

func TestLongTextsAreClippedInColumnsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id, long := w.create("short"), strings.Repeat("ä€", 5000)
	req := &pb.UpdateAgentRequest{Uuid: id}
	w.settle(w.send(req), methods.API().ByRequest(req), req, &pb.UpdateAgentResponse{Agent: &pb.Agent{
		Uuid: new(id), Name: &long, Region: &long, Tags: []string{long, "prod"}, Model: &pb.Model{Uuid: &long},
	}})
	row := w.row(id)
	attribute, _ := object(t, row.Attributes)["model_uuid"].(string)
	for column, got := range map[string]string{"name": row.Name, "region": row.Region, "tag": row.Tags[0], "attribute": attribute} {
		if utf8.RuneCountInString(got) != 255 || !strings.HasPrefix(long, got) {
			t.Errorf("%s has %d characters", column, utf8.RuneCountInString(got))
		}
	}
	if got := w.body(id); got.GetName() != long || got.GetTags()[0] != long || row.Tags[1] != "prod" {
		t.Error("the body does not have the whole")
	}
	list, err := w.ListAgents(t.Context(), w.payer, &pb.ListAgentsRequest{})
	if err != nil || list.GetTotalSize() != 1 {
		t.Errorf("list: %v, %v", list, err)
	}
}

// TestOneLookThatFindsNothingIsNotBelieved has the vendor deny an agent that it has.
func TestOneLookThatFindsNothingIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genaisim.Config{})
	id := w.create("checkout")
	w.do(&pb.AttachKnowledgeBaseRequest{AgentUuid: id, KnowledgeBaseUuid: genaisim.KnowledgeBaseA})
	_, _, op := w.do(&pb.UpdateAgentDeploymentVisibilityRequest{Uuid: id, Visibility: pb.AgentDeployment_VISIBILITY_PUBLIC.Enum()})
	for name, explained := range map[string]bool{"current": false, "waiting for an explanation": true} {
		t.Run(name, func(t *testing.T) {
			w.exec("UPDATE resources SET body_synced_at = now() - interval '1 hour', summary_synced_at = NULL")
			if explained {
				w.exec("UPDATE resources SET dirty_since = now() - interval '1 minute', dirty_operation_id = $1", op)
			}
			read := func() error {
				_, err := w.GetAgent(t.Context(), w.payer, &pb.GetAgentRequest{Uuid: id, MaxStaleness: durationpb.New(time.Minute)})
				return err
			}
			deny := genaisim.Fault{Method: "GET", Path: "/v2/gen-ai/agents/" + id, Status: 404, Count: 2}
			if err := w.sim.SetFaults([]genaisim.Fault{deny}); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second look is too close to the first
				requireReason(t, pb.ErrorReason_ERROR_REASON_NOT_FOUND, read())
			}
			if row := w.row(id); row.DeletedAt != nil || row.DirtySince == nil || (row.DirtyOperationID != nil) != explained {
				t.Fatalf("row: %+v", row)
			}
			w.later()
			if err := read(); err != nil {
				t.Fatal(err)
			}
			if row := w.row(id); row.DeletedAt != nil || row.DirtySince != nil || row.BodySyncedAt == nil {
				t.Errorf("row: %+v", row)
			}
		})
	}
	if got := one[int64](w, "SELECT count(*) FROM agent_routes WHERE valid_to IS NULL"); got != 1 {
		t.Errorf("%d routes are open, want the one", got)
	}
	if d := w.drifts(); len(d) != 0 {
		t.Errorf("the history tells of %v", d)
	}
}
