package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// deed is one change of the chaos run. Its mark, which is its idempotency key and its
// reason too, is in what the vendor is sent; where there is nothing to put it, the path is used by no other
// deed. So each request in the vendor's log is some deed's, whoever sent it and why.
type deed struct {
	hand *hand
	mark string
	// at is its place in the vendor's log.
	at string
	do func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error)
	// then notes what the client has once the change is made; nil: nothing else.
	then func(made)
	// refused: the vendor has no such thing, and the operation must fail. takenBack: the
	// client cancelled it, maybe too late.
	refused, takenBack bool
	// once: it is asked for once, without an idempotency key. denied: the service said that
	// it has not taken it.
	once, denied bool
	// later: nothing that the client does next hangs on it.
	later bool

	// When the client asked for it, and when it knew that it is accepted.
	asked, answered time.Time
	// What the client was told in the end.
	operation string
	state     pb.Operation_State
}

// place is what a deed is known by in the vendor's log.
func place(verb, path, mark string) string { return verb + " " + path + " " + mark }

// marks are the marks of deeds, all of which begin with the name of their team.
var marks = regexp.MustCompile(`(payments|search|risk|stores|travel)-\d\d-\d{4}`)

// mark is that of the client's next deed.
func (h *hand) mark() string { return fmt.Sprintf("%s-%02d-%04d", h.team.name, h.number, len(h.deeds)) }

// deed makes a deed of one request to the vendor; marked says that its body has the mark.
func (h *hand) deed(verb, path string, marked bool, do func(context.Context, *client, *pb.MutationOptions) (made, error), then func(made)) *deed {
	d := &deed{hand: h, mark: h.mark(), at: place(verb, path, ""), do: do, then: then, later: then == nil, answered: never()}
	if marked {
		d.at = place(verb, path, d.mark)
	}
	return d
}

// never is when a client knows what it was not told.
func never() time.Time { return time.Now().Add(time.Hour) }

// of makes a deed of one of the sorts that other tests have.
func (h *hand) of(it change, marked bool, then func(made)) *deed {
	return h.deed(it.verb, it.path, marked, it.do, then)
}

// chaosAgent is what a client knows of an agent of its own.
type chaosAgent struct {
	id      string
	parents int
	// children are those it routes to, bases what is attached to it.
	children, bases []*thing
	keys            []*thing
	// routed and attached are all that ever were: a path without a mark is used once.
	routed, attached map[string]bool
}

// thing is something else that a client has: an id, and whether a thing that can be done
// to it once only was done.
type thing struct {
	id   string
	used bool
	// users are the agents that have it.
	users int
}

func (h *hand) createAgent() *deed {
	d := h.of(creating(h.mark()), true, func(m made) {
		h.agents = append(h.agents, &chaosAgent{id: m.id(), routed: map[string]bool{}, attached: map[string]bool{}})
	})
	d.later = true
	return d
}

func (h *hand) updateAgent() *deed {
	a := pick(h, h.agents)
	if a == nil {
		return nil
	}
	return h.of(updating(a.id, h.mark()), true, nil)
}

// updateShared changes what all clients of the team change.
func (h *hand) updateShared() *deed { return h.of(updating(h.team.shared, h.mark()), true, nil) }

func (h *hand) deleteAgent() *deed {
	i := h.rnd.IntN(max(len(h.agents), 1))
	if len(h.agents) < 4 || h.agents[i].parents > 0 {
		return nil
	}
	a := h.agents[i]
	return h.of(deleting(a.id), false, func(made) {
		h.agents = append(h.agents[:i:i], h.agents[i+1:]...)
		for _, child := range a.children {
			h.agent(child.id).parents--
		}
		for _, base := range a.bases {
			base.users--
		}
	})
}

func (h *hand) addRoute() *deed {
	if len(h.agents) < 2 {
		return nil
	}
	// From older to newer, so that no circle closes.
	i := h.rnd.IntN(len(h.agents) - 1)
	parent, child := h.agents[i], h.agents[i+1+h.rnd.IntN(len(h.agents)-1-i)]
	if parent.routed[child.id] {
		return nil
	}
	parent.routed[child.id] = true
	path := agentsPath + "/" + parent.id + "/child_agents/" + child.id
	name := h.mark()
	return h.deed(http.MethodPost, path, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.routes.AddAgentRoute(ctx, &pb.AddAgentRouteRequest{
			ParentAgentUuid: parent.id, ChildAgentUuid: child.id, RouteName: &name, IfCase: new("it fits"), Mutation: o,
		})
		return made{operation: resp.GetOperation()}, err
	}, func(made) {
		parent.children = append(parent.children, &thing{id: child.id})
		child.parents++
	})
}

func (h *hand) updateRoute() *deed {
	parent := pick(h, h.agents)
	if parent == nil || len(parent.children) == 0 {
		return nil
	}
	return h.renameRoute(parent.id, pick(h, parent.children).id)
}

// updateNoRoute changes a route that is not there.
func (h *hand) updateNoRoute() *deed {
	if len(h.agents) < 2 {
		return nil
	}
	d := h.renameRoute(h.agents[len(h.agents)-1].id, h.agents[0].id)
	d.refused = true
	return d
}

func (h *hand) renameRoute(parent, child string) *deed {
	path := agentsPath + "/" + parent + "/child_agents/" + child
	name := h.mark()
	return h.deed(http.MethodPut, path, true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.routes.UpdateAgentRoute(ctx, &pb.UpdateAgentRouteRequest{
			ParentAgentUuid: parent, ChildAgentUuid: child, RouteName: &name, Mutation: o,
		})
		return made{operation: resp.GetOperation()}, err
	}, nil)
}

func (h *hand) deleteRoute() *deed {
	parent := pick(h, h.agents)
	if parent == nil || len(parent.children) == 0 {
		return nil
	}
	child := pick(h, parent.children)
	path := agentsPath + "/" + parent.id + "/child_agents/" + child.id
	return h.deed(http.MethodDelete, path, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.routes.DeleteAgentRoute(ctx, &pb.DeleteAgentRouteRequest{ParentAgentUuid: parent.id, ChildAgentUuid: child.id, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(made) {
		parent.children = less(parent.children, child)
		h.agent(child.id).parents--
	})
}

func (h *hand) createKey() *deed {
	a := pick(h, h.agents)
	if a == nil {
		return nil
	}
	return h.of(keying(a.id, h.mark()), true, func(m made) { a.keys = append(a.keys, &thing{id: m.id()}) })
}

// withKey is an agent that has a key, and the key.
func (h *hand) withKey() (*chaosAgent, *thing) {
	a := pick(h, h.agents)
	if a == nil || len(a.keys) == 0 {
		return nil, nil
	}
	return a, pick(h, a.keys)
}

func (h *hand) renameKey() *deed {
	a, key := h.withKey()
	if a == nil {
		return nil
	}
	name := h.mark()
	return h.deed(http.MethodPut, keyPath(a, key), true, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.keys.UpdateAgentApiKey(ctx, &pb.UpdateAgentApiKeyRequest{AgentUuid: a.id, ApiKeyUuid: key.id, Name: &name, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, nil)
}

func (h *hand) regenerateKey() *deed {
	a, key := h.withKey()
	if a == nil || key.used {
		return nil
	}
	key.used = true
	path := keyPath(a, key) + regenerated
	return h.deed(http.MethodPut, path, false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.keys.RegenerateAgentApiKey(ctx, &pb.RegenerateAgentApiKeyRequest{AgentUuid: a.id, ApiKeyUuid: key.id, Mutation: o})
		return made{operation: resp.GetOperation(), key: key.id, secret: resp.GetApiKeyInfo().GetSecretKey()}, err
	}, nil)
}

func (h *hand) deleteKey() *deed {
	a, key := h.withKey()
	if a == nil {
		return nil
	}
	return h.deed(http.MethodDelete, keyPath(a, key), false, func(ctx context.Context, c *client, o *pb.MutationOptions) (made, error) {
		resp, err := c.keys.DeleteAgentApiKey(ctx, &pb.DeleteAgentApiKeyRequest{AgentUuid: a.id, ApiKeyUuid: key.id, Mutation: o})
		return made{operation: resp.GetOperation()}, err
	}, func(made) { a.keys = less(a.keys, key) })
}

// regenerated ends the path that gives a key another secret.
const regenerated = "/regenerate"

func keyPath(a *chaosAgent, key *thing) string {
	return agentsPath + "/" + a.id + "/api_keys/" + key.id
}

// id is that of the resource that a change is about.
func (m made) id() string { return m.operation.GetResource().GetUuid() }

// pick draws one of a list; the zero value if there is none.
func pick[T any](h *hand, list []T) T {
	var none T
	if len(list) == 0 {
		return none
	}
	return list[h.rnd.IntN(len(list))]
}

func less(list []*thing, gone *thing) []*thing {
	var left []*thing
	for _, it := range list {
		if it != gone {
			left = append(left, it)
		}
	}
	return left
}

// agent is the client's agent of an id.
func (h *hand) agent(id string) *chaosAgent {
	for _, a := range h.agents {
		if a.id == id {
			return a
		}
	}
	return &chaosAgent{} // deleted
}
