package db_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// TestOrdersHaveAnIndex asks Postgres how it finds a page of a large account.
func TestOrdersHaveAnIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `INSERT INTO resources (kind, uuid, team_id, name, upstream_created_at, upstream_updated_at)
		SELECT 'agent', gen_random_uuid(), CASE n % 2 WHEN 0 THEN $1::uuid END, 'agent-' || n, now() - make_interval(mins => n),
		       CASE WHEN n % 10 > 0 THEN now() - make_interval(secs => n) END
		  FROM generate_series(1, 20000) AS n`, w.red.Teams[0])
	w.exec(t, "ANALYZE resources")
	for orderBy, index := range map[string]string{
		"": "resources_by_name", "name desc": "resources_by_name",
		"created_at": "resources_by_created", "created_at desc": "resources_by_created",
		"updated_at": "resources_by_updated", "updated_at desc": "resources_by_updated",
	} {
		req := &pb.ListAgentsRequest{PageSize: 20, OrderBy: orderBy}
		for range 2 { // the first page, and one after it
			page, err := w.tokens.Open(db.KindSchema("visibility", "model_uuid"), req)
			if err != nil {
				t.Fatal(err)
			}
			which := db.ResourceList{Visible: w.all, Kind: "agent"}
			sql, args := db.PageStatement(which, page)
			plan := strings.Join(w.strings(t, "EXPLAIN "+sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...), "\n")
			if !strings.Contains(plan, " using "+index+" ") {
				t.Errorf("order %q after %v is not found by %s:\n%s", orderBy, page.After, index, plan)
			}
			rows, err := w.store.ListResources(t.Context(), which, page)
			if err != nil || len(rows) != 21 {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			req.PageToken = w.tokens.Encode(listing.ScopeOf(req), rows[19].SortKeys()...)
		}
	}
}

// TestClaimsHaveAnIndex asks Postgres how it finds what may be claimed among many changes that
// have ended or wait: a claim is made for each change, so none may go through them all.
func TestClaimsHaveAnIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `INSERT INTO operations (id, account, team_id, actor, method, resource_kind, order_key, request_digest, request, lane,
		       virtual_start, state, finished_at)
		SELECT gen_random_uuid(), 'default', $1, '', '', 'agent', 'agent/' || n % 900, '', '', 2, n,
		       CASE WHEN n % 5 = 0 THEN 'QUEUED' ELSE 'SUCCEEDED' END, CASE WHEN n % 5 > 0 THEN now() END
		  FROM generate_series(1, 20000) AS n`, w.red.Teams[0])
	queries, err := os.ReadFile("queries/operations.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, claim, _ := strings.Cut(string(queries), "-- name: ClaimQueued :many\n")
	claim, _, _ = strings.Cut(claim, "-- name: ")
	for _, name := range []string{"each has one key", "some have further keys"} {
		if name == "some have further keys" {
			w.exec(t, "UPDATE operations SET also_keys = ARRAY['agent/' || number % 7, 'agent/' || number] WHERE number % 50 = 0")
		}
		w.exec(t, "ANALYZE operations")
		plan := strings.Join(w.strings(t, "EXPLAIN "+claim, pgx.NamedArgs{
			"worker": "w", "lease_seconds": 1.0, "account": "default", "at_most": 16, "lowest_lane": 1, "waited_seconds": 0.0, "at_once": []string{},
		}), "\n")
		for _, index := range []string{"operations_queue_by_lane", "operations_order", "operations_one_running", "operations_also"} {
			if !strings.Contains(plan, " using "+index+" ") && !strings.Contains(plan, " on "+index+" ") {
				t.Errorf("where %s, %s is not used", name, index)
			}
		}
		if strings.Contains(plan, "Seq Scan") || t.Failed() {
			t.Errorf("where %s, the plan is\n%s", name, plan)
		}
	}
}

// TestNewPartitionsDoNotStopTheHistory has somebody read the history for long.
func TestNewPartitionsDoNotStopTheHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reader, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback(t.Context())
	if _, err := reader.Exec(t.Context(), "SELECT count(*) FROM audit_events"); err != nil {
		t.Fatal(err)
	}
	const partitions = "SELECT count(*)::text FROM pg_inherits WHERE inhparent = 'audit_events'::regclass"
	before := w.strings(t, partitions)[0]
	start := time.Now()
	if err := w.store.EnsureAuditPartitions(t.Context(), 12); err == nil {
		t.Fatal("there are new partitions, though somebody reads the history")
	}
	if waited := time.Since(start); waited > 10*time.Second {
		t.Errorf("it held up the history for %s", waited)
	}
	if after := w.strings(t, partitions)[0]; after != before {
		t.Errorf("%s partitions, then %s", before, after)
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.store.EnsureAuditPartitions(t.Context(), 12); err != nil {
		t.Fatal(err)
	}
	if after := w.strings(t, partitions)[0]; after != "14" { // this month, twelve more, and the default one
		t.Errorf("%s partitions", after)
	}
}

// TestFewWordsWaitToBeIndexed: a search goes through those that wait.
func TestFewWordsWaitToBeIndexed(t *testing.T) {
	t.Parallel()
	pool, err := db.Open(t.Context(), dbtest.NewURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for range 5 {
		if _, err := pool.Exec(t.Context(), `INSERT INTO audit_events (id, actor, action, outcome, origin, reason)
			SELECT gen_random_uuid(), 'ada', 'UPDATE', 'SUCCEEDED', 'API', 'because of ' || n || ' and ' || md5(n::text) FROM generate_series(1, 1000) AS n`); err != nil {
			t.Fatal(err)
		}
	}
	var pages int
	if err := pool.QueryRow(t.Context(), `SELECT gin_clean_pending_list(i.inhrelid)
		FROM pg_inherits AS i JOIN pg_index AS x ON x.indexrelid = i.inhrelid
		WHERE i.inhparent = 'audit_events_by_words'::regclass AND x.indrelid = (SELECT tableoid FROM audit_events LIMIT 1)`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if pages > 40 {
		t.Errorf("the words of %d pages had to wait", pages)
	}
}
