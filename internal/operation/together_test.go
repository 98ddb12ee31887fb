package operation_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/mirror"
	"github.com/agentsvc/agentsvc/internal/operation"
	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

// hold keeps the rows that a query locks until let is called.
func (b *bench) hold(sql string, args ...any) (let func()) {
	b.t.Helper()
	tx, err := b.pool.Begin(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := tx.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(b.t.Context()); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			b.t.Error(err)
		}
	}
}

// TestSubmittedTogether has many changes wait for one commit, of which the database cannot
// take some: those fail, and no others.
func TestSubmittedTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.submit(b.caller, newAgent("first", ""), &pb.CreateAgentResponse{})
	let := b.hold("SELECT FROM fair_teams FOR UPDATE")
	const many = 30
	errs := make([]error, many)
	var clients sync.WaitGroup
	for i := range many {
		clients.Go(func() {
			reason := ""
			if i%10 == 0 {
				reason = "not \x00 a text"
			}
			errs[i] = b.engine.Change(b.t.Context(), b.caller, newAgent(fmt.Sprint("agent-", i), reason), &pb.CreateAgentResponse{})
		})
	}
	b.await("one waits for the team's row", func() bool {
		return b.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0
	})
	let()
	clients.Wait()
	for i, err := range errs {
		if wrong := i%10 == 0; (err != nil) != wrong {
			t.Errorf("change %d: %v", i, err)
		}
	}
	if n := b.count("SELECT count(*) FROM operations"); n != 1+many-many/10 {
		t.Errorf("%d operations", n)
	}
	if n := b.count("SELECT count(DISTINCT virtual_start) FROM operations"); n != 1+many-many/10 {
		t.Errorf("they have %d places", n)
	}
	b.requireConsistent()
}

// TestOneTeamHoldsUpNoOther has a team's change wait for a lock, and another team submit one.
func TestOneTeamHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.submit(b.caller, newAgent("first", ""), &pb.CreateAgentResponse{})
	let := b.hold("SELECT FROM fair_teams WHERE team_id = $1 FOR UPDATE", b.caller.ActingTeam.ID)
	held := make(chan error, 1)
	go func() {
		held <- b.engine.Change(t.Context(), b.caller, newAgent("held", ""), &pb.CreateAgentResponse{})
	}()
	b.await("it waits for its team's row", func() bool {
		return b.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0
	})
	b.submit(b.team("search", 1), newAgent("another", ""), &pb.CreateAgentResponse{})
	if len(held) > 0 {
		t.Error("the other team had to wait until this was over")
	}
	let()
	if err := <-held; err != nil {
		t.Error(err)
	}
	b.requireConsistent()
}

func newAgent(name, reason string) *pb.CreateAgentRequest {
	return &pb.CreateAgentRequest{
		Name: &name, ModelUuid: proto.String(genaisim.ModelLlama), Mutation: &pb.MutationOptions{Async: true, Reason: reason},
	}
}

// TestSettledTogether has many changes end while a commit runs, one of which the history does
// not take for a while: the others end, and it does when it can.
func TestSettledTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(b.engine)
	agents := make([]string, 8)
	for i := range agents {
		agents[i] = b.create(fmt.Sprint("agent-", i))
	}
	if _, err := b.pool.Exec(t.Context(), fmt.Sprintf(`CREATE TABLE refused AS SELECT '%s'::uuid AS agent;
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.outcome = 'SUCCEEDED' AND EXISTS (SELECT FROM refused WHERE agent = NEW.resource_uuid) THEN RAISE EXCEPTION 'not this one'; END IF;
			RETURN NEW; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse()`, agents[3])); err != nil {
		t.Fatal(err)
	}
	// Whoever is settled first waits for its agent, and the others for it.
	let := b.hold("SELECT FROM resources WHERE kind = 'agent' AND uuid = $1 FOR UPDATE", mustID(t, agents[0]))
	ids := make([]uuid.UUID, len(agents))
	for i, agent := range agents {
		ids[i] = b.submit(b.caller, &pb.UpdateAgentRequest{
			Uuid: agent, Description: new("changed"), Mutation: &pb.MutationOptions{Async: true},
		}, &pb.UpdateAgentResponse{})
	}
	b.await("all but those two have ended", func() bool {
		return b.count("SELECT count(*) FROM operations WHERE method LIKE '%UpdateAgent' AND state = 'SUCCEEDED'") == len(agents)-2
	})
	let()
	if op := b.ended(ids[0]); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("the one that had to wait ended as %s", op.GetState())
	}
	if n := b.count("SELECT count(*) FROM operations WHERE id = $1 AND state = 'RUNNING'", ids[3]); n != 1 {
		t.Error("the one that the history does not take has ended")
	}
	if _, err := b.pool.Exec(t.Context(), "DELETE FROM refused"); err != nil {
		t.Fatal(err)
	}
	if op := b.ended(ids[3]); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("it ended as %s", op.GetState())
	}
	b.requireConsistent()
}

// clumsy panics where an update is to be brought into the copy.
type clumsy struct{ operation.History }

func (c clumsy) Apply(ctx context.Context, q *db.Queries, changes ...mirror.Change) ([]mirror.Effect, error) {
	for _, change := range changes {
		if _, ok := change.Request.(*pb.UpdateAgentRequest); ok {
			panic("a bug")
		}
	}
	return c.History.Apply(ctx, q, changes...)
}

// TestAPanicWhileSettling has a bug in how a result is taken in: the result counts, and the
// process lives.
func TestAPanicWhileSettling(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *operation.Config) { c.History = clumsy{c.History} })
	b.start(b.engine)
	agent := b.create("agent")
	id := b.submit(b.caller, &pb.UpdateAgentRequest{
		Uuid: agent, Description: new("changed"), Mutation: &pb.MutationOptions{Async: true},
	}, &pb.UpdateAgentResponse{})
	if op := b.ended(id); op.GetState() != pb.Operation_STATE_SUCCEEDED {
		t.Errorf("it ended as %s", op.GetState())
	}
	if n := b.count("SELECT count(*) FROM resources WHERE uuid = $1 AND dirty_since IS NOT NULL", mustID(t, agent)); n != 1 {
		t.Error("our copy does not count as behind")
	}
	b.requireConsistent()
}

// TestSettledTwice has a process end an operation that it has claimed again meanwhile, at once
// with the second try: only that one counts.
func TestSettledTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.submit(b.caller, newAgent("agent", ""), &pb.CreateAgentResponse{})
	if _, err := b.pool.Exec(t.Context(), `UPDATE operations SET state = 'RUNNING', lease = gen_random_uuid(), leased_by = 'worker',
		started_at = now(), lease_expires_at = now() + interval '1 minute' WHERE id = $1`, id); err != nil {
		t.Fatal(err)
	}
	row, err := b.store.OperationByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	former := row
	former.Lease = new(uuid.New())
	held, lost := b.engine.FailTwice(t.Context(), row, former)
	if held != nil || !errors.Is(lost, pgx.ErrNoRows) {
		t.Errorf("the one that holds the lease: %v; the one that lost it: %v", held, lost)
	}
	if n := b.count("SELECT count(*) FROM audit_events WHERE operation_id = $1 AND outcome = 'FAILED' AND error_message = 'first'", id); n != 1 {
		t.Error("the history tells of the one that had lost its lease")
	}
	b.requireConsistent()
}

// TestACallThatIsNotMadeIsGivenBack cancels a change between its claim and its sending.
func TestACallThatIsNotMadeIsGivenBack(t *testing.T) {
	t.Parallel()
	var b *bench
	b = setup(t, func(c *operation.Config) {
		c.Rules = operation.Rules{"agentsvc.v1.AgentService.CreateAgent": func(ctx context.Context, id uuid.UUID, _ proto.Message) error {
			if id == uuid.Nil {
				return nil
			}
			_, err := b.engine.Cancel(ctx, b.caller, id, "not now")
			return err
		}}
	})
	id := b.submit(b.caller, newAgent("agent", ""), &pb.CreateAgentResponse{})
	b.start(b.engine)
	if op := b.ended(id); op.GetState() != pb.Operation_STATE_CANCELLED {
		t.Fatalf("it ended as %s", op.GetState())
	}
	b.await("its call is given back", func() bool {
		return b.count("SELECT count(*) FROM vendor_calls WHERE operation_id = $1 AND answered_at = 'epoch'", id) == 1
	})
	if n := len(b.effects()); n != 0 {
		t.Errorf("the vendor made %d changes", n)
	}
	b.requireConsistent()
}
