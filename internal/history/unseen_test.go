package history_test

import (
	"testing"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// TestWhatOthersDidTwiceIsNotOurs: others make the same of a route as a change of ours does, before it or after.
// The version is that of whoever made it then.
func TestWhatOthersDidTwiceIsNotOurs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	condition := func(parent, child, ifCase string) string {
		resp := change(b, &pb.UpdateAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, IfCase: &ifCase}, &pb.UpdateAgentRouteResponse{})
		return resp.GetOperation().GetId()
	}
	elsewhere := func(parent, child string, there bool) {
		if there {
			b.outside(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, IfCase: new("always"), RouteName: new("x")})
			return
		}
		b.outside(&pb.DeleteAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
	}
	for name, tc := range map[string]struct {
		// Each step is a minute after the one before, and answers its operation if it is ours.
		steps []func(parent, child string) string
		// want are the routes after each.
		want []string
	}{
		"before": {[]func(string, string) string{
			func(p, c string) string { elsewhere(p, c, true); return "" },
			func(p, _ string) string { elsewhere(p, b.create("another"), true); return "" }, // so that the look does not show what is known
			func(p, c string) string { return condition(p, c, "never") },
			func(p, c string) string { return condition(p, c, "always") },
		}, []string{"always", "always", "never", "always"}},
		"after": {[]func(string, string) string{
			func(p, c string) string { return b.route(p, c, "always", "needed").GetOperation().GetId() },
			func(p, c string) string { elsewhere(p, c, false); return "" },
			func(p, c string) string { elsewhere(p, c, true); return "" },
		}, []string{"always", "", "always"}},
		"after one that changed nothing": {[]func(string, string) string{
			func(p, c string) string { elsewhere(p, c, true); return "" },
			func(p, c string) string { return condition(p, c, "always") }, // it made no version
			func(p, c string) string { elsewhere(p, c, false); return "" },
			func(p, c string) string { elsewhere(p, c, true); return "" },
		}, []string{"always", "always", "", "always"}},
	} {
		parent, child := b.create("parent"), b.create("child")
		var moments []time.Time
		var ours []string
		for _, step := range tc.steps {
			b.pass(time.Minute)
			ours = append(ours, step(parent, child))
			moments = append(moments, b.now().Add(30*time.Second))
		}
		b.pass(time.Minute)
		b.look(parent)
		b.catchUp(parent)
		for n, at := range moments {
			was, err := b.asOf(b.viewer, parent, at)
			if err != nil {
				t.Fatal(err)
			}
			ifCase := ""
			for _, route := range was.GetAgent().GetChildAgents() {
				if route.GetUuid() == child {
					ifCase = route.GetIfCase()
				}
			}
			if ifCase != tc.want[n] {
				t.Errorf("%s: after step %d the condition was %q, want %q", name, n, ifCase, tc.want[n])
			}
			if by := was.GetBy().GetOperationId(); by != ours[n] {
				t.Errorf("%s: step %d is told to be by %v, want operation %q", name, n, was.GetBy(), ours[n])
			}
		}
	}
}

// TestAllThatWasMadeUnseenHasItsPlace: an agent that was made elsewhere is changed before it is first read, and several
// times afterwards. Each of the vendor's versions is told of from its own time on.
func TestAllThatWasMadeUnseenHasItsPlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	child := b.create("child")
	made, _ := b.outside(&pb.CreateAgentRequest{
		Name: new("parent"), Instruction: new("Be kind."), ModelUuid: new(genaisim.ModelLlama),
	}).(*pb.CreateAgentResponse)
	parent := made.GetAgent().GetUuid()
	if err := b.copied.List(t.Context(), b.auditor, &pb.ListAgentsRequest{MaxStaleness: zero()}, &pb.ListAgentsResponse{}); err != nil {
		t.Fatal(err)
	}
	reroute := func(ifCase string) {
		change(b, &pb.UpdateAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, IfCase: &ifCase}, &pb.UpdateAgentRouteResponse{})
	}
	var moments []time.Time
	for _, step := range []func(){
		func() {},
		func() { b.route(parent, child, "always", "needed") },
		func() { reroute("on mondays") },
		func() { b.look(parent) },
		func() { reroute("always") },
		func() {
			change(b, &pb.UpdateAgentDeploymentVisibilityRequest{
				Uuid: parent, Visibility: new(pb.AgentDeployment_VISIBILITY_PUBLIC),
			}, &pb.UpdateAgentDeploymentVisibilityResponse{})
		},
	} {
		b.pass(time.Minute)
		step()
		moments = append(moments, b.now().Add(30*time.Second))
	}
	b.pass(time.Minute)
	b.catchUp(parent)
	for n, want := range []string{"", "always", "on mondays", "on mondays", "always", "always"} {
		was, err := b.asOf(b.auditor, parent, moments[n])
		if err != nil {
			t.Fatal(err)
		}
		ifCase := ""
		for _, route := range was.GetAgent().GetChildAgents() {
			ifCase = route.GetIfCase()
		}
		if ifCase != want {
			t.Errorf("after step %d the condition was %q, want %q", n, ifCase, want)
		}
	}
}

// TestAChangeWithoutEffectLeavesTheAgentAsItWas: it made no version, and what others did before it was not seen until
// later. The one before it is ours.
func TestAChangeWithoutEffectLeavesTheAgentAsItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	parent, child := b.create("parent"), b.create("child")
	b.pass(time.Minute)
	b.outside(&pb.UpdateAgentRequest{Uuid: parent, Temperature: new(0.2)})
	b.pass(time.Minute)
	made := b.route(parent, child, "always", "needed").GetOperation().GetId()
	b.pass(time.Minute)
	again := change(b, &pb.UpdateAgentRouteRequest{
		ParentAgentUuid: parent, ChildAgentUuid: child, IfCase: new("always"),
	}, &pb.UpdateAgentRouteResponse{}).GetOperation().GetId()
	b.pass(time.Minute)
	b.catchUp(parent)
	for ago, operation := range map[time.Duration]string{90 * time.Second: made, 30 * time.Second: again} {
		was, err := b.asOf(b.viewer, parent, b.now().Add(-ago))
		if err != nil {
			t.Fatal(err)
		}
		if was.GetAgent().GetTemperature() != 0.2 || len(was.GetAgent().GetChildAgents()) != 1 || was.GetBy().GetOperationId() != operation || was.GetVersionHash() == "" {
			t.Errorf("%s before, it was %v; want what operation %s left", ago, was, operation)
		}
	}
}

// TestARollbackToWhatIsThereMakesNoVersion: a child was deleted, so that going back to the version before it was added changes
// nothing. The vendor answers with the version that applies, which another change made.
func TestARollbackToWhatIsThereMakesNoVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, _ := b.outside(&pb.CreateAgentRequest{
		Name: new("parent"), Instruction: new("Be kind."), ModelUuid: new(genaisim.ModelLlama),
	}).(*pb.CreateAgentResponse)
	parent, child := made.GetAgent().GetUuid(), b.create("child")
	if err := b.copied.List(t.Context(), b.auditor, &pb.ListAgentsRequest{MaxStaleness: zero()}, &pb.ListAgentsResponse{}); err != nil {
		t.Fatal(err)
	}
	b.pass(time.Minute)
	b.route(parent, child, "always", "needed")
	routed := b.now().Add(30 * time.Second)
	b.pass(time.Minute)
	change(b, &pb.DeleteAgentRequest{Uuid: child, Force: true}, &pb.DeleteAgentResponse{})
	b.pass(time.Minute)
	back := made.GetAgent().GetVersionHash()
	operation := change(b, &pb.RollbackAgentVersionRequest{Uuid: parent, VersionHash: &back}, &pb.RollbackAgentVersionResponse{}).GetOperation().GetId()
	b.pass(time.Minute)
	b.catchUp(parent)
	was, err := b.asOf(b.auditor, parent, routed)
	if err != nil || len(was.GetAgent().GetChildAgents()) != 1 {
		t.Errorf("while it routed it was %v (%v)", was, err)
	}
	is, err := b.asOf(b.auditor, parent, b.now())
	if err != nil || is.GetVersionHash() != was.GetVersionHash() || is.GetBy().GetOperationId() != operation {
		t.Errorf("now it is %v (%v), want that by %s", is, err, operation)
	}
}
