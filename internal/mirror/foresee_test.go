package mirror

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// TestUpdatesAreForeseen compares what an agent is with what it would be.
func TestUpdatesAreForeseen(t *testing.T) {
	t.Parallel()
	agent := &pb.Agent{
		Name: new("a"), Temperature: new(0.5), K: new(int32(3)), Tags: []string{"x", "y"}, Model: &pb.Model{Uuid: new("m1"), Name: new("One")},
		RetrievalMethod: pb.Agent_RETRIEVAL_METHOD_NONE.Enum(), Chatbot: &pb.Chatbot{AllowedDomains: []string{"https://a.example"}, Name: new("bot")},
		McpServers: []*pb.McpServer{{ServerLabel: new("s")}}, LoggingConfig: &pb.AgentLoggingConfig{InsightsEnabled: new(true)},
	}
	masked := func(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }
	for name, tc := range map[string]struct {
		update *pb.UpdateAgentRequest
		paths  []string
		whole  bool
	}{
		"nothing":                  {&pb.UpdateAgentRequest{}, nil, true},
		"the same":                 {&pb.UpdateAgentRequest{Name: new("a"), Temperature: new(0.5), ModelUuid: new("m1"), Tags: []string{"x", "y"}}, nil, true},
		"another model":            {&pb.UpdateAgentRequest{ModelUuid: new("m2")}, []string{"model.uuid"}, true},
		"other tags":               {&pb.UpdateAgentRequest{Tags: []string{"y", "x"}}, []string{"tags"}, true},
		"no tags":                  {&pb.UpdateAgentRequest{UpdateMask: masked("tags")}, []string{"tags"}, true},
		"zero":                     {&pb.UpdateAgentRequest{UpdateMask: masked("temperature", "k")}, []string{"k", "temperature"}, true},
		"zero of what is absent":   {&pb.UpdateAgentRequest{UpdateMask: masked("top_p", "description")}, nil, true},
		"domains":                  {&pb.UpdateAgentRequest{AllowedDomains: []string{"https://b.example"}}, []string{"chatbot.allowed_domains"}, true},
		"insights":                 {&pb.UpdateAgentRequest{AgentLogInsightsEnabled: new(true)}, nil, true},
		"an enum":                  {&pb.UpdateAgentRequest{RetrievalMethod: pb.Agent_RETRIEVAL_METHOD_REWRITE.Enum()}, []string{"retrieval_method"}, true},
		"no servers":               {&pb.UpdateAgentRequest{ClearMcpServers: new(true)}, []string{"mcp_servers"}, true},
		"no servers, by the mask":  {&pb.UpdateAgentRequest{UpdateMask: masked("mcp_servers")}, []string{"mcp_servers"}, true},
		"servers as they look":     {&pb.UpdateAgentRequest{McpServers: []*pb.McpServer{{ServerLabel: new("s"), Authorization: new("secret")}}}, nil, false},
		"what an agent shows not":  {&pb.UpdateAgentRequest{RouterPresetSlug: new("general")}, nil, false},
		"a key that is there not":  {&pb.UpdateAgentRequest{AnthropicKeyUuid: new("k")}, []string{"anthropic_api_key"}, true},
		"a router among the other": {&pb.UpdateAgentRequest{ModelRouterUuid: new("r"), Name: new("a")}, []string{"model_router"}, true},
	} {
		before, after, whole := wouldBe(agent, tc.update)
		changes, err := audit.Compare(before, after)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, c := range changes {
			paths = append(paths, c.GetPath())
		}
		if !slices.Equal(paths, tc.paths) || whole != tc.whole {
			t.Errorf("%s: changes %q, whole %v; want %q, %v", name, paths, whole, tc.paths, tc.whole)
		}
	}
	if _, after, _ := wouldBe(nil, &pb.UpdateAgentRequest{ModelUuid: new("m2")}); after.GetModel().GetUuid() != "m2" {
		t.Errorf("an agent that nobody read would be %v", after)
	}
}

// TestEverySettingIsForeseen finds settings that are new, and where an agent shows them.
func TestEverySettingIsForeseen(t *testing.T) {
	t.Parallel()
	unseen := []string{"uuid", "clear_mcp_servers", "router_preset_slug"}
	fields := (&pb.UpdateAgentRequest{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		at := methods.Resolve((&pb.Agent{}).ProtoReflect().Descriptor(), shownAs(string(fd.Name())))
		shown := at != nil && at.Kind() == fd.Kind() && at.IsList() == fd.IsList()
		if known := methods.Local(fd) || slices.Contains(unseen, string(fd.Name())); !shown && !known {
			t.Errorf("an agent does not show %s: name where it does, or that it does not", fd.Name())
		}
	}
}
