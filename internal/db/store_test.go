package db_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// TestGoodbyeAfterCommit has Postgres take a commit and then say goodbye instead of
// answering, as it does when it is shut down meanwhile. Who is told that nothing happened
// would do it again.
func TestGoodbyeAfterCommit(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t)
	if err := migrate.Up(t.Context(), server.URL()); err != nil {
		t.Fatal(err)
	}
	pool, err := db.Open(t.Context(), server.URL(), func(c *pgxpool.Config) {
		// A commit then takes a tenth of a second, during which it cannot be stopped.
		c.ConnConfig.RuntimeParams["commit_delay"], c.ConnConfig.RuntimeParams["commit_siblings"] = "100000", "0"
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	administrator, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = administrator.Close(t.Context()) })

	// The goodbye may come before the commit cannot be stopped any more.
	taken := false
	for n := 0; n < 10 && !taken; n++ {
		taken, err = goodbyeWhileCommitting(t, pool, administrator)
	}
	if !taken {
		t.Fatal("each commit was stopped: this proves nothing")
	}
	if err == nil || !strings.Contains(err.Error(), "57P01") {
		t.Fatalf("the commit was answered with %v, want a goodbye", err)
	}
	if !db.CommitLost(err) {
		t.Errorf("nobody is told that this was committed all the same: %v", err)
	}
	if got := fault.ReasonOf(err); got != pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE {
		t.Errorf("the reason is %s", got)
	}
}

// goodbyeWhileCommitting ends a session that commits, and answers what the one who commits is
// told and whether the commit took place.
func goodbyeWhileCommitting(t *testing.T, pool *pgxpool.Pool, administrator *pgx.Conn) (taken bool, told error) {
	t.Helper()
	committed := make(chan error, 1)
	go func() {
		committed <- db.New(pool).Tx(t.Context(), db.Durable, func(q *db.Queries) error {
			_, err := q.UpsertTeam(t.Context(), "taken")
			return err
		})
	}()
	const sayGoodbye = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'agentsvc' AND state = 'active' AND query = 'commit'"
	for said := 0; said == 0; {
		if err := administrator.QueryRow(t.Context(), sayGoodbye).Scan(&said); err != nil {
			t.Fatal(err)
		}
	}
	told = <-committed
	if err := administrator.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM teams WHERE name = 'taken')").Scan(&taken); err != nil {
		t.Fatal(err)
	}
	return taken, told
}
