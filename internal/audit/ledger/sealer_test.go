package ledger

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/db"
)

func TestEventsAreSealedInOrderWhateverTheGroups(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for _, n := range []int{1, 255, 1, 700, 3, 1500} {
		b.write(t, n)
		b.pass(t)
		b.sealedInOrder(t)
	}
	b.pass(t)
	if n := b.count(t, "SELECT count(*) FROM audit_checkpoints"); n != 6 {
		t.Errorf("%d checkpoints, want one for each pass that sealed something", n)
	}
	// 2460 leaves have 9 full blocks of 256.
	if n := b.count(t, "SELECT count(*) FROM audit_nodes"); n != 9 {
		t.Errorf("%d nodes are stored", n)
	}
}

// A tree of more than one tier takes 65,536 events.
func TestTheTreeGrowsAThirdTier(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.write(t, 66_000)
	if n, err := b.sealer.All(t.Context()); err != nil || n != 66_000 {
		t.Fatalf("sealed %d, %v", n, err)
	}
	b.sealedInOrder(t)
	if n := b.count(t, "SELECT count(*) FROM audit_nodes WHERE level = 2"); n != 1 {
		t.Errorf("%d nodes of the second tier", n)
	}
	proveSome(t, b, 0, 255, 256, 65_535, 65_536, 65_999)
}

// A transaction that commits late has its events sealed after younger ones.
func TestALateEventIsSealed(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	tx := b.tx(t)
	const insert = "INSERT INTO audit_events (id, actor, action, outcome, origin) VALUES (gen_random_uuid(), 'late', 'UPDATE', 'ACCEPTED', 'API')"
	if _, err := tx.Exec(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	b.write(t, 10)
	b.pass(t)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.pass(t)
	b.sealedInOrder(t)
	_, event := b.leaf(t, 10)
	if n := b.count(t, "SELECT count(*) FROM audit_events WHERE actor = 'late' AND id = '"+event.String()+"'"); n != 1 {
		t.Error("the late event is not the last one")
	}

	// Later than the look-back: the sweep finds it and says so.
	b.exec(t, strings.Replace(insert, "(id,", "(recorded_at, id,", 1)[:len("INSERT INTO audit_events (recorded_at, id, actor, action, outcome, origin) VALUES (")]+
		"now() - interval '1 hour', gen_random_uuid(), 'late', 'UPDATE', 'ACCEPTED', 'API')")
	b.pass(t)
	if n := b.count(t, "SELECT count(*) FROM audit_leaves"); n != 11 {
		t.Fatalf("%d are sealed: the look-back is wider than it says", n)
	}
	if err := b.sealer.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.pass(t)
	b.sealedInOrder(t)
	if !strings.Contains(b.log.String(), "long after they were written") {
		t.Errorf("the log says nothing of it: %s", b.log)
	}
}

// A clock that was set back leaves events behind those of the future.
func TestAClockSetBackDoesNotStopSealing(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.exec(t, "INSERT INTO audit_events (recorded_at, id, actor, action, outcome, origin) VALUES (now() + interval '1 hour', gen_random_uuid(), 'a', 'UPDATE', 'ACCEPTED', 'API')")
	b.pass(t)
	b.write(t, 3)
	b.pass(t)
	b.sealedInOrder(t)
}

func TestTwoSealersAtOnce(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.write(t, 3000)
	var replicas sync.WaitGroup
	for range 4 {
		sealer := b.another(b.store)
		sealer.cfg.Log = sealer.cfg.Log.With() // they share what they write to
		replicas.Go(func() {
			for range 20 {
				if _, err := sealer.seal(context.WithoutCancel(t.Context()), lookBack); err != nil {
					t.Error(err)
				}
			}
		})
	}
	b.write(t, 500)
	replicas.Wait()
	b.pass(t)
	b.sealedInOrder(t)

	// One that ignores the lock cannot take a place twice, nor seal an event twice.
	for _, sql := range []string{
		"INSERT INTO audit_leaves SELECT index, gen_random_uuid(), recorded_at, hash FROM audit_leaves WHERE index = 7",
		"INSERT INTO audit_leaves SELECT 4000, event_id, recorded_at, hash FROM audit_leaves WHERE index = 7",
	} {
		if _, err := b.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("accepted: %s", sql)
		}
	}
}

// breaker cuts a connection off before its n-th statement: what kill -9 of the process looks
// like to the database.
type breaker struct{ left int }

func (k *breaker) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return k.count(ctx, conn)
}
func (k *breaker) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (k *breaker) TraceBatchStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return k.count(ctx, conn)
}
func (k *breaker) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (k *breaker) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (k *breaker) count(ctx context.Context, conn *pgx.Conn) context.Context {
	if k.left--; k.left < 0 {
		_ = conn.PgConn().Conn().Close()
	}
	return ctx
}

// A sealer that is killed before any of its statements leaves a log that another one goes
// on with.
func TestASealerKilledBetweenAnyTwoLines(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for n := 0; ; n++ {
		b.write(t, 300) // a block becomes full nearly each time
		config := b.pool.Config()
		k := &breaker{left: n}
		config.ConnConfig.Tracer = k
		config.MaxConns = 1
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		err = b.another(db.New(pool)).Pass(t.Context())
		pool.Close()
		if err == nil && k.left > 0 {
			if n < 5 {
				t.Fatalf("a pass has only %d statements", n)
			}
			break
		}
		// The database holds the dead one's lock until it notices.
		for patience := time.Now().Add(30 * time.Second); time.Now().Before(patience); {
			b.pass(t)
			if b.count(t, "SELECT count(*) FROM audit_events") == b.count(t, "SELECT coalesce(max(size), 0) FROM audit_checkpoints") {
				break
			}
		}
		b.sealedInOrder(t)
	}
}
