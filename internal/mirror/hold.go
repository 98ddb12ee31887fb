package mirror

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// holding is what there is of a resource that an answer of the vendor's shows.
type holding struct {
	known

	// operation is the change that is settled; zero for a look.
	operation uuid.UUID
	// row is locked; nil if we have never seen the resource.
	row *dbsql.Resource
	// under says that what the vendor showed may be the work of a change that is not settled:
	// one of the resource, or one of what is tied to it and shows in it, such as the deletion
	// of an agent that it routed to.
	under bool
}

// known is what was read of an agent besides its row, if it was.
type known struct {
	isRead bool
	// routes are those as they are held.
	routes []dbsql.AgentRoute
	// state is how the agent is, nil if it was never read at the vendor's.
	state *dbsql.AgentState
}

// read reads what is known of the agent whose body is stored, if nobody has.
func (s *storing) read(ctx context.Context, q *db.Queries) error {
	if s.isRead {
		return nil
	}
	all, err := agentTies{}.read(ctx, q, []uuid.UUID{s.id})
	s.known = all[s.id]
	return err
}

// hold reads at once what there is of the resources whose bodies the answers to changes show,
// and locks them in the order of their uuids. What was made, taken away or shown in place of
// another, and what no answer shows, has nil. It is locked with the others of its kind all the
// same, if it is there: locked later, and after those behind it, it would be out of order.
func (m *Mirror) hold(ctx context.Context, q *db.Queries, changes []Change) ([]*holding, error) {
	all := make([]*holding, len(changes))
	beside := m.besides(changes)
	shown := map[*kind]*shownOf{}
	others := map[*kind][]uuid.UUID{}
	for i, c := range changes {
		k, id := m.named(c)
		body := m.replaces(c, k, id)
		if body == nil {
			others[k] = append(others[k], id)
			continue
		}
		if shown[k] == nil {
			shown[k] = &shownOf{kind: k, bodies: map[uuid.UUID]proto.Message{}, held: map[uuid.UUID]*holding{}, beside: beside}
		}
		all[i] = shown[k].add(id, body, c)
	}
	for _, k := range m.kinds { // in their order, as by all
		s := shown[k]
		if s == nil {
			continue
		}
		if err := m.lockAll(ctx, q, s, others[k]); err != nil {
			return nil, err
		}
		if err := m.judge(ctx, q, s); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// replaces is what a change shows of the resource that it names; nil if it shows that not, or
// has made something or taken it away.
func (m *Mirror) replaces(c Change, k *kind, id uuid.UUID) proto.Message {
	_, rolledBack := c.Response.(*pb.RollbackAgentVersionResponse)
	if k == nil || m.creates(c.Method) || deletes(c) || rolledBack {
		return nil
	}
	shown, body := m.body(c)
	if shown != k {
		return nil
	}
	if is, err := k.identify(body); err != nil || is != id {
		return nil
	}
	return body
}

// shownOf is what the vendor showed of resources of one kind, with what there is of them.
type shownOf struct {
	kind   *kind
	ids    []uuid.UUID
	bodies map[uuid.UUID]proto.Message
	held   map[uuid.UUID]*holding
	beside beside
}

// beside are changes that are settled together. To each other they are like those under way:
// what one did may show in the answer to another, and is told of by the one.
type beside struct {
	// byKey are the operations by what they are ordered by.
	byKey map[string]uuid.UUID
	// made are the kinds of what they made.
	made map[string]bool
}

func (m *Mirror) besides(changes []Change) beside {
	b := beside{byKey: map[string]uuid.UUID{}, made: map[string]bool{}}
	for _, c := range changes {
		for _, key := range append([]string{c.Operation.OrderKey}, c.Operation.AlsoKeys...) {
			b.byKey[key] = c.Operation.ID
		}
		if m.creates(c.Method) {
			b.made[c.Operation.ResourceKind] = true
		}
	}
	return b
}

// hides says that an operation beside the one has one of the keys.
func (b beside) hides(operation uuid.UUID, keys []string) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		other, is := b.byKey[key]
		return is && other != operation
	})
}

// add adds what the answer to a change shows of a resource; nil if it is there already.
func (s *shownOf) add(id uuid.UUID, body proto.Message, c Change) *holding {
	if s.held[id] != nil {
		return nil
	}
	h := &holding{operation: c.Operation.ID}
	s.ids, s.bodies[id], s.held[id] = append(s.ids, id), body, h
	return h
}

func (m *Mirror) lockAll(ctx context.Context, q *db.Queries, s *shownOf, others []uuid.UUID) error {
	rows, err := q.LockResources(ctx, dbsql.LockResourcesParams{Kind: s.kind.name, Uuids: slices.Concat(s.ids, others)})
	if err != nil {
		return fmt.Errorf("locking resources of kind %s: %w", s.kind.name, err)
	}
	for i := range rows {
		if h := s.held[rows[i].UUID]; h != nil {
			h.row = &rows[i]
		}
	}
	return nil
}

// unsettled completes what is held of a resource whose row is locked.
func (m *Mirror) unsettled(ctx context.Context, q *db.Queries, k *kind, id uuid.UUID, body proto.Message, h *holding) error {
	return m.judge(ctx, q, &shownOf{
		kind: k, ids: []uuid.UUID{id}, bodies: map[uuid.UUID]proto.Message{id: body}, held: map[uuid.UUID]*holding{id: h},
	})
}

// judge reads what else there is of resources whose rows are locked, and which of them may
// show the work of changes that are not settled.
func (m *Mirror) judge(ctx context.Context, q *db.Queries, s *shownOf) error {
	if s.kind.ties != nil {
		read, err := s.kind.ties.read(ctx, q, s.ids)
		if err != nil {
			return err
		}
		for id, h := range s.held {
			h.known = read[id]
		}
	}
	var keys []string
	suspected := make(map[uuid.UUID][]string, len(s.ids))
	for _, id := range s.ids {
		var err error
		if suspected[id], err = m.suspected(ctx, q, s, id); err != nil {
			return err
		}
		keys = append(keys, suspected[id]...)
	}
	found, err := q.ChangesUnderWay(ctx, dbsql.ChangesUnderWayParams{Account: m.budget.Account(), OrderKeys: keys})
	if err != nil {
		return fmt.Errorf("looking for changes under way: %w", err)
	}
	for id, h := range s.held {
		h.under = h.under || s.beside.hides(h.operation, suspected[id]) ||
			slices.ContainsFunc(suspected[id], func(key string) bool { return slices.Contains(found, key) })
	}
	return nil
}

// suspected are the order keys of changes that may be behind what was shown of a resource. It
// notes as well whether one is that has no key, as it makes what the resource refers to.
func (m *Mirror) suspected(ctx context.Context, q *db.Queries, s *shownOf, id uuid.UUID) ([]string, error) {
	own := orderKey(s.kind.name, id.String())
	if s.kind.ties == nil {
		return []string{own}, nil
	}
	h := s.held[id]
	others, err := s.kind.ties.suspects(ctx, q, id, s.bodies[id], h)
	if err != nil {
		return nil, err
	}
	for _, kind := range others.made {
		creating, err := q.CreatingKind(ctx, dbsql.CreatingKindParams{Account: m.budget.Account(), Kind: kind})
		if err != nil {
			return nil, fmt.Errorf("looking for creations under way: %w", err)
		}
		h.under = h.under || creating || s.beside.made[kind]
	}
	return append(others.keys, own), nil
}
