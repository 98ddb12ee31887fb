package history_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// was is an agent at a moment, as far as the test follows it.
type was struct {
	temperature float64
	instruction string
	tags        string
	// tagged says that it has the tag of its creation, as well.
	tagged bool
	// visibility is as we saw it: versions do not tell it.
	visibility pb.AgentDeployment_Visibility
	// unseen says that only the vendor's versions tell how it was then.
	unseen bool
	// routes are the conditions by child.
	routes map[string]string
}

// model is a replay in memory: after each step, how every agent was.
type model struct {
	// now is how agents are, by uuid.
	now map[string]was
	// actual is the visibility at the vendor's, which we may not have seen.
	actual map[string]pb.AgentDeployment_Visibility
	// past is now after each step, and between holds moments in the quiet after it.
	past    []map[string]was
	between [][2]time.Time
	// ours were made or seen by us, so that changes of ours can name them.
	ours []string
	// versions are those of each agent, the oldest first.
	versions map[string][]versioned
}

// versioned is how an agent was at one of the vendor's versions.
type versioned struct {
	hash string
	was  was
}

func (m *model) snapshot() map[string]was {
	copied := map[string]was{}
	for id, w := range m.now {
		w.routes = maps.Clone(w.routes)
		copied[id] = w
	}
	return copied
}

func (m *model) set(id string, f func(*was)) {
	w := m.now[id]
	if w.routes == nil {
		w.routes = map[string]string{}
	}
	f(&w)
	m.now[id] = w
}

// saw says that an answer showed the whole agent.
func (m *model) saw(id string) {
	m.set(id, func(w *was) { w.unseen, w.visibility = false, m.actual[id] })
}

// hidden says that an agent was changed elsewhere.
func (m *model) hidden(id string, f func(*was)) {
	m.set(id, func(w *was) { f(w); w.unseen = true })
}

// leads says whether a conversation at one agent can get to another.
func (m *model) leads(from, to string) bool {
	if from == to {
		return true
	}
	for child := range m.now[from].routes {
		if m.leads(child, to) {
			return true
		}
	}
	return false
}

// alive are the agents that changes can be about, in order.
func (m *model) alive() []string {
	return slices.DeleteFunc(slices.Clone(m.ours), func(id string) bool { _, is := m.now[id]; return !is })
}

// story is one random history.
type story struct {
	*bench
	*rapid.T

	m *model
}

// TestAgentsWereAsAReplaySays makes random histories through the whole write path, changes
// elsewhere included, and asks afterwards how everything was at random moments.
//
// Moments are in the quiet between two steps, a minute long by clocks that the test moves: the
// vendor's times are whole seconds, and its clock is trusted to half a minute.
func TestAgentsWereAsAReplaySays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := &story{bench: b, T: rt, m: &model{
			now: map[string]was{}, actual: map[string]pb.AgentDeployment_Visibility{}, versions: map[string][]versioned{},
		}}
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			s.step()
		}
		for _, id := range s.m.alive() {
			s.look(id) // what is noticed only now was so before
			s.catchUp(id)
		}
		for range 40 {
			s.requireMoment()
		}
	})
}

// step does something, and lets time pass.
func (s *story) step() {
	alive := s.m.alive()
	kinds := []string{"create"}
	if len(alive) > 0 {
		kinds = []string{
			"create", "update", "update", "show", "route", "route", "reroute", "unroute", "rollback", "delete", "look", "versions",
			"update elsewhere", "update elsewhere", "show elsewhere", "route elsewhere", "unroute elsewhere", "rollback elsewhere", "create elsewhere",
		}
	}
	kind := rapid.SampledFrom(kinds).Draw(s.T, "step")
	id := ""
	if len(alive) > 0 {
		id = rapid.SampledFrom(alive).Draw(s.T, "agent")
	}
	switch kind {
	case "create", "create elsewhere":
		s.create(kind == "create elsewhere")
	case "update", "update elsewhere":
		s.update(id, kind == "update elsewhere")
	case "show", "show elsewhere":
		s.show(id, kind == "show elsewhere")
	case "route", "reroute", "unroute", "route elsewhere", "unroute elsewhere":
		s.reroute(kind, id)
	case "rollback", "rollback elsewhere":
		s.rollback(id, kind == "rollback elsewhere")
	case "delete":
		s.catchUp(id) // nobody can tell afterwards what was done to it elsewhere
		s.m.saw(id)
		change(s.bench, &pb.DeleteAgentRequest{Uuid: id, Force: true}, &pb.DeleteAgentResponse{})
		delete(s.m.now, id)
		for parent := range s.m.now {
			s.m.set(parent, func(w *was) { delete(w.routes, id) })
		}
	case "look":
		s.look(id)
		s.m.saw(id)
	case "versions":
		s.catchUp(id)
		s.m.saw(id)
	}
	s.noteVersions()
	quiet := s.bench.now()
	s.pass(time.Minute)
	// The next step's time at the vendor's may be up to a second before it.
	s.m.between = append(s.m.between, [2]time.Time{quiet, quiet.Add(58 * time.Second)})
	s.m.past = append(s.m.past, s.m.snapshot())
}

func (s *story) create(elsewhere bool) {
	s.bench.t.Helper()
	name := fmt.Sprintf("agent-%d", len(s.m.ours))
	req := &pb.CreateAgentRequest{
		Name: &name, Instruction: new("Be kind."), ModelUuid: new(genaisim.ModelLlama), Tags: []string{"a"},
	}
	made := was{temperature: 0.7, instruction: "Be kind.", tags: "a", visibility: pb.AgentDeployment_VISIBILITY_PRIVATE, routes: map[string]string{}}
	var id string
	if elsewhere {
		resp, _ := s.outside(req).(*pb.CreateAgentResponse)
		id = resp.GetAgent().GetUuid()
		made.unseen = true
		// Nothing of ours can be about it before a list showed it.
		err := s.copied.List(s.bench.t.Context(), s.auditor, &pb.ListAgentsRequest{MaxStaleness: zero()}, &pb.ListAgentsResponse{})
		if err != nil {
			s.Fatalf("listing agents: %v", err)
		}
	} else {
		id, made.tagged = change(s.bench, req, &pb.CreateAgentResponse{}).GetAgent().GetUuid(), true
	}
	s.m.now[id], s.m.actual[id] = made, made.visibility
	s.m.ours = append(s.m.ours, id)
}

func (s *story) update(id string, elsewhere bool) {
	req := &pb.UpdateAgentRequest{Uuid: id}
	next := s.m.now[id]
	switch rapid.IntRange(0, 2).Draw(s.T, "field") {
	case 0:
		next.temperature = float64(rapid.IntRange(0, 10).Draw(s.T, "temperature")) / 10
		req.Temperature = &next.temperature
	case 1:
		next.instruction = rapid.SampledFrom([]string{"Be kind.", "Be brief.", "Be kind and brief."}).Draw(s.T, "instruction")
		req.Instruction = &next.instruction
	default:
		next.tags = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(s.T, "tag")
		req.Tags, next.tagged = []string{next.tags}, false
	}
	is := s.m.now[id]
	changes := next.temperature != is.temperature || next.instruction != is.instruction || next.tags != is.tags || next.tagged != is.tagged
	if elsewhere {
		s.outside(req)
		if changes {
			s.m.hidden(id, next.copyTo)
		}
		return
	}
	change(s.bench, req, &pb.UpdateAgentResponse{})
	s.m.set(id, next.copyTo)
	s.m.saw(id)
}

// copyTo gives another the settings of this one.
func (w was) copyTo(other *was) {
	other.temperature, other.instruction, other.tags, other.tagged = w.temperature, w.instruction, w.tags, w.tagged
}

func (s *story) show(id string, elsewhere bool) {
	wanted := rapid.SampledFrom([]pb.AgentDeployment_Visibility{
		pb.AgentDeployment_VISIBILITY_PRIVATE, pb.AgentDeployment_VISIBILITY_PUBLIC,
	}).Draw(s.T, "visibility")
	req := &pb.UpdateAgentDeploymentVisibilityRequest{Uuid: id, Visibility: &wanted}
	is := s.m.actual[id]
	s.m.actual[id] = wanted
	if elsewhere {
		s.outside(req)
		if is != wanted {
			s.m.hidden(id, func(*was) {}) // it makes a version that says nothing of it
		}
		return
	}
	change(s.bench, req, &pb.UpdateAgentDeploymentVisibilityResponse{})
	s.m.saw(id)
}

// noteVersions asks the vendor, behind our back, which versions there are by now.
func (s *story) noteVersions() {
	for _, id := range s.m.alive() {
		resp, _ := s.outside(&pb.GetAgentRequest{Uuid: id}).(*pb.GetAgentResponse)
		hash := resp.GetAgent().GetVersionHash()
		if !slices.ContainsFunc(s.m.versions[id], func(v versioned) bool { return v.hash == hash }) {
			s.m.versions[id] = append(s.m.versions[id], versioned{hash, s.m.snapshot()[id]})
		}
	}
}

// rollback brings back one of the versions whose children are there and do not lead back. The visibility stays.
func (s *story) rollback(id string, elsewhere bool) {
	version := rapid.SampledFrom(s.m.versions[id]).Draw(s.T, "version")
	for child := range version.was.routes {
		if _, alive := s.m.now[child]; !alive || s.m.leads(child, id) {
			return
		}
	}
	bring := func(w *was) { version.was.copyTo(w); w.routes = maps.Clone(version.was.routes) }
	is := s.m.snapshot()[id]
	next := is
	bring(&next)
	req := &pb.RollbackAgentVersionRequest{Uuid: id, VersionHash: &version.hash}
	if !elsewhere {
		change(s.bench, req, &pb.RollbackAgentVersionResponse{})
		s.m.set(id, bring)
		return
	}
	s.outside(req)
	if next.temperature != is.temperature || next.instruction != is.instruction || next.tags != is.tags || next.tagged != is.tagged ||
		!maps.Equal(next.routes, is.routes) {
		s.m.hidden(id, bring)
	}
}

// reroute adds, changes or takes away a route. Changes of ours do not show the agent.
func (s *story) reroute(kind, parent string) {
	if kind == "reroute" || kind == "unroute" || kind == "unroute elsewhere" {
		children := slices.Sorted(maps.Keys(s.m.now[parent].routes))
		if len(children) == 0 {
			return
		}
		child := rapid.SampledFrom(children).Draw(s.T, "child")
		ifCase := rapid.SampledFrom([]string{"always", "never", "on mondays"}).Draw(s.T, "if")
		switch kind {
		case "unroute":
			s.unroute(parent, child, "enough")
			s.m.set(parent, func(w *was) { delete(w.routes, child) })
		case "unroute elsewhere":
			s.outside(&pb.DeleteAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child})
			s.m.hidden(parent, func(w *was) { delete(w.routes, child) })
		default:
			change(s.bench, &pb.UpdateAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, IfCase: &ifCase}, &pb.UpdateAgentRouteResponse{})
			s.m.set(parent, func(w *was) { w.routes[child] = ifCase })
		}
		return
	}
	child := rapid.SampledFrom(s.m.alive()).Draw(s.T, "child")
	if _, is := s.m.now[parent].routes[child]; is || s.m.leads(child, parent) {
		return
	}
	if kind == "route" {
		s.route(parent, child, "always", "help")
		s.m.set(parent, func(w *was) { w.routes[child] = "always" })
		return
	}
	s.outside(&pb.AddAgentRouteRequest{ParentAgentUuid: parent, ChildAgentUuid: child, IfCase: new("always"), RouteName: new("x")})
	s.m.hidden(parent, func(w *was) { w.routes[child] = "always" })
}
