package methods_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/methods"
)

func TestLastPage(t *testing.T) {
	t.Parallel()
	links := func(next string) *pb.Links {
		return &pb.Links{Pages: &pb.LinkPages{Next: &next}}
	}
	meta := func(pages int32) *pb.Meta { return &pb.Meta{Pages: &pages} }
	for name, tc := range map[string]struct {
		answer proto.Message
		last   bool
	}{
		"a link to the next":               {&pb.ListAgentsResponse{Links: links("https://x/?page=3")}, false},
		"no link to the next":              {&pb.ListAgentsResponse{Links: links("")}, true},
		"links without pages":              {&pb.ListAgentsResponse{Links: &pb.Links{}}, true},
		"fewer than all":                   {&pb.ListAgentsResponse{Meta: meta(3)}, false},
		"the last of all":                  {&pb.ListAgentsResponse{Meta: meta(2)}, true},
		"beyond all":                       {&pb.ListAgentsResponse{Meta: meta(0)}, true},
		"a count of something else":        {&pb.ListAgentsResponse{Meta: &pb.Meta{}}, true},
		"nothing about pages":              {&pb.ListAgentsResponse{}, true},
		"a response without pages":         {&pb.GetAgentResponse{}, true},
		"no link, though there are more":   {&pb.ListAgentsResponse{Links: links(""), Meta: meta(3)}, false},
		"a link, though there are no more": {&pb.ListAgentsResponse{Links: links("https://x/?page=3"), Meta: meta(2)}, false},
	} {
		if got := methods.LastPage(tc.answer, 2); got != tc.last {
			t.Errorf("%s: last %v", name, got)
		}
	}
}

func TestSetPage(t *testing.T) {
	t.Parallel()
	list := &pb.ListAgentsRequest{}
	if !methods.SetPage(list, 3, 200) || list.GetPage() != 3 || list.GetPerPage() != 200 {
		t.Errorf("got %v", list)
	}
	one := &pb.GetAgentRequest{Uuid: "u"}
	if methods.SetPage(one, 3, 200) || !proto.Equal(one, &pb.GetAgentRequest{Uuid: "u"}) {
		t.Errorf("got %v", one)
	}
}
