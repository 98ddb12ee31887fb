// Command audit measures how the history is read: pages through the real binary beside the same SQL by pgx, counting a
// month, and an export beside Postgres's own COPY. It loads a history of its own first.
//
// Pages are what auditors ask for, one sort after the other: a team, a person, an agent, a week, what failed or was denied or
// revealed, and words of reasons. These are as frequent as words of a language (Zipf's law, see [vocabulary]): looked for
// are words that every second reason has and words that a handful has, equally often, alone and together, of a week and of all time,
// and some that nobody wrote. Each sort has a line of its own, as a mean hides which one is slow.
//
// Ten million events take about 25 gigabytes of disk in all and a quarter of an hour on two processors.
//
// Database, service and client share the machine, so an export has the processors that are left by Postgres, which
// makes its rows, and by whoever takes them. COPY has one process of Postgres and one that throws away what comes.
//
//	go run ./bench/audit --events 1000000
//
// With TEST_DATABASE_URL it takes that database. If that has as many events already, they are measured and none are loaded.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/localpg"
	"github.com/agentsvc/agentsvc/internal/db/migrate"
	"github.com/agentsvc/agentsvc/internal/identity"
)

type options struct{ events, months, teams, calls, pages int }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.IntVar(&o.events, "events", 10_000_000, "how many events the history has")
	flag.IntVar(&o.months, "months", 12, "over how many months they are: fewer make a history as dense as a long one, but sooner")
	flag.IntVar(&o.teams, "teams", 50, "how many teams they are of")
	flag.IntVar(&o.calls, "calls", 3_600_000, "how many calls to the vendor there were in the last month; the vendor's limits allow no more")
	flag.IntVar(&o.pages, "pages", 3400, "how many pages to read")
	flag.Parse()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop only frees the signal handler
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	postgres, err := localpg.Start(ctx, localpg.Options{
		URL: os.Getenv("TEST_DATABASE_URL"), Fsync: true, Log: slog.New(slog.DiscardHandler),
		Settings: map[string]string{"shared_buffers": "1GB", "max_wal_size": "8GB", "maintenance_work_mem": "512MB"},
	})
	if err != nil {
		return err
	}
	defer func() { _ = postgres.Stop() }() // temporary
	if err := migrate.Up(ctx, postgres.URL()); err != nil {
		return err
	}
	pool, err := db.Open(ctx, postgres.URL(), func(c *pgxpool.Config) { c.MaxConns = 4 })
	if err != nil {
		return err
	}
	defer pool.Close()
	w, err := newWorld(ctx, pool, o.teams, o.months)
	if err != nil {
		return err
	}
	if err := fill(ctx, pool, w, o, out); err != nil {
		return err
	}
	b := &bench{o: o, pool: pool, out: out, w: w}
	auditor, err := identity.CreateToken(ctx, db.New(pool).Queries, identity.TokenSpec{
		Service: "bench-auditor", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR,
	})
	if err != nil {
		return err
	}
	member, err := identity.CreateToken(ctx, db.New(pool).Queries, identity.TokenSpec{Service: "bench-member", Team: w.names[0], Role: pb.Role_ROLE_VIEWER})
	if err != nil {
		return err
	}
	service, err := serve(ctx, postgres.URL())
	if err != nil {
		return err
	}
	defer service.stop()
	b.service, b.auditor, b.member = service, service.client(auditor.Secret), service.client(member.Secret)
	for _, measure := range []func(context.Context) error{b.sealed, b.pages, b.deepPage, b.summaries, b.exports, b.verify} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fill loads the history, unless it is there.
func fill(ctx context.Context, pool *pgxpool.Pool, w *world, o options, out io.Writer) error {
	var there bool
	if err := pool.QueryRow(ctx, "SELECT count(*) >= $1 FROM (SELECT FROM audit_events LIMIT $1) AS found", o.events).Scan(&there); err != nil {
		return err
	}
	if there {
		_, err := fmt.Fprintf(out, "loaded                        before: %d events at the least\n", o.events)
		return err
	}
	now := time.Now().UTC()
	if err := load(ctx, pool, w, o.events, now, out); err != nil {
		return err
	}
	return loadCalls(ctx, pool, o.calls, now)
}
