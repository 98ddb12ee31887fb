package history_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// requireMoment asks how an agent was at a moment, and where a conversation could go.
func (s *story) requireMoment() {
	n := rapid.IntRange(0, len(s.m.past)-1).Draw(s.T, "after step")
	id := rapid.SampledFrom(s.m.ours).Draw(s.T, "agent")
	part := rapid.Float64Range(0, 1).Draw(s.T, "moment")
	at := s.m.between[n][0].Add(time.Duration(part * float64(s.m.between[n][1].Sub(s.m.between[n][0]))))
	want, there := s.m.past[n][id]
	got, err := s.asOf(s.auditor, id, at)
	if fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_NOT_FOUND {
		if there {
			s.Fatalf("after step %d (%s) agent %s was there: %v", n, at, id, err)
		}
		return
	}
	if err != nil {
		s.Fatalf("asking how agent %s was: %v", id, err)
	}
	if !there {
		s.Fatalf("after step %d (%s) agent %s was not there, and is told to be %v", n, at, id, got)
	}
	s.requireSame(fmt.Sprintf("after step %d (%s) agent %s", n, at, id), got, want)
	s.requireGraph(n, id, at)
}

func (s *story) requireSame(when string, got *pb.GetAgentAsOfResponse, want was) {
	agent := got.GetAgent()
	routes := map[string]string{}
	for _, child := range agent.GetChildAgents() {
		routes[child.GetUuid()] = child.GetIfCase()
	}
	switch {
	case agent.GetTemperature() != want.temperature, agent.GetInstruction() != want.instruction, !slices.Equal(own(agent.GetTags()), []string{want.tags}):
		s.Fatalf("%s was %v, %q, %q, and is told to be %v, %q, %q", when, want.temperature, want.instruction, want.tags,
			agent.GetTemperature(), agent.GetInstruction(), agent.GetTags())
	case !maps.Equal(routes, want.routes):
		s.Fatalf("%s had the routes %v, and is told to have %v", when, want.routes, routes)
	case !slices.Contains(got.GetUnknownFields(), "deployment") && agent.GetDeployment().GetVisibility() != want.visibility && !want.unseen:
		s.Fatalf("%s was %v, and is told to be %v", when, want.visibility, agent.GetDeployment().GetVisibility())
	case slices.Contains(got.GetUnknownFields(), "deployment") && !want.unseen:
		s.Fatalf("%s was seen whole, and %q is told to be unknown", when, got.GetUnknownFields())
	}
}

// own are tags without that by which a creation of ours is found again.
func own(tags []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return len(tag) > 1 })
}

// requireGraph compares all that can be reached with a walk through the replay, in both directions.
func (s *story) requireGraph(n int, id string, at time.Time) {
	for _, direction := range []pb.GetRouteGraphRequest_Direction{pb.GetRouteGraphRequest_DIRECTION_CHILDREN, pb.GetRouteGraphRequest_DIRECTION_PARENTS} {
		resp, err := s.GetRouteGraph(s.bench.t.Context(), s.auditor, &pb.GetRouteGraphRequest{
			RootUuid: id, AsOf: timestamppb.New(at), Direction: direction, MaxDepth: 32,
		})
		if err != nil {
			s.Fatalf("asking for the routes of agent %s: %v", id, err)
		}
		got := map[string]bool{}
		for _, edge := range resp.GetEdges() {
			got[edge.GetParentUuid()+" "+edge.GetChildUuid()+" "+edge.GetIfCase()] = true
		}
		want := map[string]bool{}
		reach(s.m.past[n], id, direction, map[string]bool{}, want)
		if !maps.Equal(got, want) {
			s.Fatalf("after step %d (%s) the graph of %s from %s was %v, and is told to be %v", n, at, direction, id, want, got)
		}
	}
}

func reach(past map[string]was, at string, direction pb.GetRouteGraphRequest_Direction, met, edges map[string]bool) {
	if met[at] {
		return
	}
	met[at] = true
	for parent, w := range past {
		for child, ifCase := range w.routes {
			near, far := parent, child
			if direction == pb.GetRouteGraphRequest_DIRECTION_PARENTS {
				near, far = child, parent
			}
			if near == at {
				edges[parent+" "+child+" "+ifCase] = true
				reach(past, far, direction, met, edges)
			}
		}
	}
}
