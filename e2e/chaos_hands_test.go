package e2e_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
)

// hand is one client of the chaos run. It does one thing after the other, on things that
// only it changes, but for the one agent that its team shares.
type hand struct {
	run    *chaos
	team   *chaosTeam
	number int
	share  int // of the changes
	rnd    *rand.Rand
	grpc   bool
	known  map[*service]*client

	agents                               []*chaosAgent
	bases, workspaces, anthropic, openAI []*thing
	// deeds are all that it did, and left those that nobody waits for yet.
	deeds, left []*deed
}

// chaosTeam is a team, with an agent that all of its clients change.
type chaosTeam struct {
	name, token string
	// shared is the agent, made by the operation of sharing.
	shared, sharing string
}

// work makes the client's share of the changes, as far as it can begin them in time.
func (h *hand) work(ctx context.Context, begun time.Time) {
	for len(h.deeds) < h.share && time.Since(begun) < h.run.form.begin && ctx.Err() == nil {
		// On a fast machine, too, there are changes for as long as there are faults.
		early := h.run.form.rage*time.Duration(len(h.deeds))/time.Duration(h.share) - time.Since(begun)
		select {
		case <-ctx.Done():
		case <-time.After(early):
		}
		switch h.rnd.IntN(16) {
		case 0, 1:
			h.burst(ctx)
		case 2:
			h.takeBack(ctx)
		case 3:
			h.once(ctx)
		case 4, 5:
			h.look(ctx)
		default:
			if d := h.plan(); d.later && h.rnd.IntN(3) > 0 {
				h.leave(ctx, d)
			} else {
				h.insist(ctx, d)
			}
		}
		h.collect(ctx)
	}
	for _, d := range h.left {
		h.note(d, h.await(ctx, d))
	}
}

// leave asks for a change and goes on: one that fails again and again does so for long.
func (h *hand) leave(ctx context.Context, d *deed) {
	if h.send(ctx, d, true); d.operation != "" {
		h.left = append(h.left, d)
	}
}

// collect looks how the change stands that was left first, and puts it last if it goes on.
func (h *hand) collect(ctx context.Context) {
	if len(h.left) == 0 {
		return
	}
	d := h.left[0]
	h.left = h.left[1:]
	brief, cancel := context.WithTimeout(ctx, h.run.form.patience)
	defer cancel()
	got, err := h.via(h.rnd.IntN(replicaCount)).operations.GetOperation(brief, &pb.GetOperationRequest{Id: d.operation})
	if err != nil || got.GetOperation().GetFinishTime() == nil {
		h.left = append(h.left, d)
		return
	}
	h.note(d, got.GetOperation())
}

// note keeps how a change ended that nobody waited for.
func (h *hand) note(d *deed, op *pb.Operation) {
	h.mustBeOwn(op)
	if d.state = op.GetState(); d.state == pb.Operation_STATE_SUCCEEDED && d.then != nil {
		d.then(made{operation: op})
	}
}

// plan draws what to do next, from what is possible.
func (h *hand) plan() *deed {
	all := sorts()
	total := 0
	for _, s := range all {
		total += s.weight
	}
	for {
		at := h.rnd.IntN(total)
		for _, s := range all {
			if at -= s.weight; at < 0 {
				if d := s.plan(h); d != nil {
					h.deeds = append(h.deeds, d)
					return d
				}
				break
			}
		}
	}
}

// burst changes one agent several times without waiting: in this order, whatever happens.
func (h *hand) burst(ctx context.Context) {
	id := h.team.shared
	if a := pick(h, h.agents); a != nil {
		id = a.id
	}
	var burst []*deed
	for range min(3, h.share-len(h.deeds)) {
		d := h.of(updating(id, h.mark()), true, nil)
		h.deeds, burst = append(h.deeds, d), append(burst, d)
		h.send(ctx, d, true)
	}
	for _, d := range burst {
		h.await(ctx, d)
	}
}

// takeBack makes a change and cancels it, which may come too late.
func (h *hand) takeBack(ctx context.Context) {
	a := pick(h, h.agents)
	if a == nil {
		return
	}
	d := h.of(updating(a.id, h.mark()), true, nil)
	d.takenBack = true
	h.deeds = append(h.deeds, d)
	if h.send(ctx, d, true); d.operation == "" {
		return
	}
	_ = h.ask(ctx, func(ctx context.Context, c *client) error {
		_, err := c.operations.CancelOperation(ctx, &pb.CancelOperationRequest{Id: d.operation})
		if connect.CodeOf(err) == connect.CodeFailedPrecondition {
			err = nil // it was sent
		}
		return err
	})
	h.await(ctx, d)
}

// once makes a change without an idempotency key, and does not repeat it. What is answered
// with "unavailable" and names no operation must not be made: it is what tells to try again.
func (h *hand) once(ctx context.Context) {
	a := pick(h, h.agents)
	if a == nil {
		return
	}
	d := h.of(updating(a.id, h.mark()), true, nil)
	if h.rnd.IntN(2) == 0 {
		d = h.of(keying(a.id, h.mark()), true, nil)
	}
	d.once = true
	h.deeds = append(h.deeds, d)
	o := h.options(d, false)
	o.IdempotencyKey = ""
	brief, cancel := context.WithTimeout(ctx, h.run.form.patience)
	defer cancel()
	d.asked = time.Now()
	m, err := d.do(brief, h.via(h.rnd.IntN(replicaCount)), o)
	if err == nil {
		d.operation, d.answered = m.operation.GetId(), time.Now()
	} else {
		d.operation = operationOf(err)
	}
	d.denied = connect.IsWireError(err) && connect.CodeOf(err) == connect.CodeUnavailable && d.operation == ""
	h.await(ctx, d)
}

// insist makes a change and waits for it.
func (h *hand) insist(ctx context.Context, d *deed) {
	m := h.send(ctx, d, false)
	if d.operation == "" {
		return
	}
	if m.operation == nil { // told otherwise than by an answer
		m.operation = h.await(ctx, d)
	}
	d.state = m.operation.GetState()
	if d.state == pb.Operation_STATE_SUCCEEDED && d.then != nil {
		d.then(m)
	}
	if want := h.run.vendor.secret(m.key); m.secret != "" && m.secret != want {
		h.run.t.Errorf("%s: the caller has a secret that does not hold at the vendor", d.mark)
	}
}

// send asks for a change as the README tells callers to: what gets no definite answer is
// asked for again, of another replica, with the same idempotency key.
func (h *hand) send(ctx context.Context, d *deed, async bool) made {
	again := -1
	var m made
	d.asked = time.Now()
	twin := h.twin(ctx, d, async)
	err := h.ask(ctx, func(ctx context.Context, c *client) error {
		again++
		var err error
		m, err = d.do(ctx, c, h.options(d, async))
		return err
	})
	h.run.repeats.Add(int64(again))
	defer func() {
		if other := <-twin; other != "" && d.operation != "" && other != d.operation {
			h.run.t.Errorf("%s became two operations, %s and %s", d.mark, d.operation, other)
		}
	}()
	switch {
	case err == nil:
		d.operation, d.answered = m.operation.GetId(), time.Now()
		h.mustBeOwn(m.operation)
		if !async && m.operation.GetState() != pb.Operation_STATE_SUCCEEDED {
			h.run.t.Errorf("%s was answered without an error, and is %s", d.mark, m.operation.GetState())
		}
		return m
	case ctx.Err() != nil:
		return made{}
	}
	d.operation = operationOf(err)
	if d.operation == "" {
		h.run.t.Errorf("%s: %s was told %v", d.mark, d.at, err)
	}
	return made{}
}

// twin asks for the same at the same time, at times, as who is impatient would. It tells
// of the operation that it got, if it got one.
func (h *hand) twin(ctx context.Context, d *deed, async bool) <-chan string {
	told := make(chan string, 1)
	if async || h.rnd.IntN(8) != 0 {
		close(told)
		return told
	}
	by := h.via(h.rnd.IntN(replicaCount))
	go func() {
		defer close(told)
		brief, cancel := context.WithTimeout(ctx, h.run.form.patience)
		defer cancel()
		if m, err := d.do(brief, by, h.options(d, false)); err == nil {
			told <- m.operation.GetId()
		}
	}()
	return told
}

// options go with each call that asks for a change.
func (h *hand) options(d *deed, async bool) *pb.MutationOptions {
	return &pb.MutationOptions{Team: h.team.name, IdempotencyKey: d.mark, Reason: d.mark, Async: async}
}

// await waits for the end of a change and notes how it ended.
func (h *hand) await(ctx context.Context, d *deed) *pb.Operation {
	if d.operation == "" {
		return nil
	}
	var op *pb.Operation
	err := h.ask(ctx, func(ctx context.Context, c *client) error {
		resp, err := c.operations.WaitOperation(ctx, &pb.WaitOperationRequest{Id: d.operation, Timeout: durationpb.New(h.run.form.patience)})
		if op = resp.GetOperation(); err == nil && op.GetFinishTime() == nil {
			err = errNotYet
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		h.run.t.Errorf("%s: who waited for operation %s was told %v", d.mark, d.operation, err)
	}
	h.mustBeOwn(op)
	d.state = op.GetState()
	return op
}

var errNotYet = errors.New("not yet")

// look looks at what is the team's and at what is not.
func (h *hand) look(ctx context.Context) {
	other := h.run.teams[(h.number/clientsPerTeam+1+h.rnd.IntN(len(h.run.teams)-1))%len(h.run.teams)]
	looks := []struct {
		own bool
		do  func(context.Context, *client) (proto.Message, error)
	}{
		{true, func(ctx context.Context, c *client) (proto.Message, error) {
			return c.agents.ListAgents(ctx, &pb.ListAgentsRequest{PageSize: 100})
		}},
		{true, func(ctx context.Context, c *client) (proto.Message, error) {
			return c.operations.ListOperations(ctx, &pb.ListOperationsRequest{PageSize: 100})
		}},
		{true, func(ctx context.Context, c *client) (proto.Message, error) {
			return c.audit.ListAuditEvents(ctx, &pb.ListAuditEventsRequest{PageSize: 100})
		}},
		{false, func(ctx context.Context, c *client) (proto.Message, error) {
			return c.agents.GetAgent(ctx, &pb.GetAgentRequest{Uuid: other.shared})
		}},
		{false, func(ctx context.Context, c *client) (proto.Message, error) {
			return c.operations.GetOperation(ctx, &pb.GetOperationRequest{Id: other.sharing})
		}},
		{false, func(ctx context.Context, c *client) (proto.Message, error) {
			return c.agents.UpdateAgent(ctx, &pb.UpdateAgentRequest{Uuid: other.shared, Description: new("not ours to change")})
		}},
	}
	it := looks[h.rnd.IntN(len(looks))]
	err := h.ask(ctx, func(ctx context.Context, c *client) error {
		answer, err := it.do(ctx, c)
		if err == nil {
			h.mustBeOwn(answer)
		}
		return err
	})
	h.run.looks.Add(1)
	if wanted := it.own && err == nil || !it.own && connect.CodeOf(err) == connect.CodeNotFound; !wanted && ctx.Err() == nil {
		h.run.t.Errorf("team %s looks at what is its own (%v) or another's, and is told %v", h.team.name, it.own, err)
	}
}

// mustBeOwn looks for other teams' marks in an answer: all that there is has one.
func (h *hand) mustBeOwn(answer proto.Message) {
	for _, mark := range marks.FindAllString(protojson.Format(answer), -1) {
		if !strings.HasPrefix(mark, h.team.name+"-") {
			h.run.leaks.Add(1)
			h.run.t.Errorf("team %s was answered with %s", h.team.name, mark)
		}
	}
}
