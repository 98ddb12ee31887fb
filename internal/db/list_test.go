package db_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/listing"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// world is a database with 60 agents in two teams and none, made so that names,
// statuses and times repeat and some are missing.
type world struct {
	pool           *pgxpool.Pool
	store          *db.Store
	tokens         *listing.Tokens
	red, blue, all db.Visible
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := dbtest.New(t)
	w := &world{pool: pool, store: db.New(pool), tokens: listing.NewTokens([]byte(strings.Repeat("k", 32))), all: db.Visible{All: true}}
	w.red.Teams = []uuid.UUID{w.team(t, "red")}
	w.blue.Teams = []uuid.UUID{w.team(t, "blue")}
	w.exec(t, `
INSERT INTO resources (kind, uuid, team_id, name, status, region, tags, attributes, version_hash, upstream_created_at,
       upstream_updated_at, deleted_at)
SELECT CASE WHEN n % 10 = 9 THEN 'workspace' ELSE 'agent' END,
       ('00000000-0000-4000-8000-' || lpad(((n * 37) % 60)::text, 12, '0'))::uuid,
       CASE n % 3 WHEN 0 THEN $1::uuid WHEN 1 THEN $2::uuid END,
       (ARRAY['alpha', 'Alpha', 'beta', 'be_ta', 'be%ta', 'bé''ta', ''])[n % 7 + 1],
       (ARRAY['STATUS_RUNNING', 'STATUS_FAILED', ''])[n % 3 + 1],
       (ARRAY['tor1', 'nyc3'])[n % 2 + 1],
       (ARRAY['{}', '{prod}', '{prod,"a b"}', '{"%"}']::text[])[n % 4 + 1]::text[],
       CASE WHEN n % 2 = 0 THEN '{"visibility": "VISIBILITY_PUBLIC"}' ELSE '{}' END::jsonb,
       'v' || n % 5,
       CASE WHEN n % 4 > 0 THEN timestamptz '2026-01-01 00:00:00.000001+00' + make_interval(days => n % 6) END,
       CASE WHEN n % 5 > 0 THEN timestamptz '2026-02-01 00:00:00+00' + make_interval(secs => (n % 8) * 1e-6) END,
       CASE WHEN n >= 57 THEN now() END
  FROM generate_series(0, 59) AS n`, w.red.Teams[0], w.blue.Teams[0])
	return w
}

func (w *world) team(t *testing.T, name string) uuid.UUID {
	t.Helper()
	id, err := w.store.UpsertTeam(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// strings reads a column of texts.
func (w *world) strings(t *testing.T, sql string, args ...any) []string {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// theAgents is how a test says on its own which agents it expects.
const theAgents = "SELECT uuid::text FROM resources WHERE kind = 'agent' AND deleted_at IS NULL AND "

// agents lists agents page by page, and says how many pages there were.
func (w *world) agents(t *testing.T, which db.ResourceList, req *pb.ListAgentsRequest) (uuids []string, pages int) {
	t.Helper()
	which.Kind = "agent"
	uuids = []string{}
	for {
		page, err := w.tokens.Open(db.KindSchema("visibility", "model_uuid"), req)
		if err != nil {
			t.Fatalf("%v: %v", req, err)
		}
		rows, err := w.store.ListResources(t.Context(), which, page)
		if err != nil {
			t.Fatalf("%v: %v", req, err)
		}
		rows, req.PageToken = listing.Cut(w.tokens, page, rows)
		for _, row := range rows {
			uuids = append(uuids, row.UUID.String())
		}
		pages++
		if req.GetPageToken() == "" {
			return uuids, pages
		}
		if len(rows) != page.Size {
			t.Fatalf("%v: a page that is not the last has %d rows", req, len(rows))
		}
	}
}

func TestPagesTogetherAreTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	created, updated := "coalesce(upstream_created_at, '-infinity')", "coalesce(upstream_updated_at, '-infinity')"
	orders := map[string]string{
		"":                                 "name, uuid",
		"name":                             "name, uuid",
		"name desc":                        "name DESC, uuid DESC",
		"uuid desc":                        "uuid DESC",
		"updated_at desc, name":            updated + " DESC, name, uuid",
		"created_at":                       created + ", uuid",
		"created_at desc":                  created + " DESC, uuid DESC",
		"status, updated_at desc, name":    "status, " + updated + " DESC, name, uuid",
		"region desc, status, uuid desc":   "region DESC, status, uuid DESC",
		"uuid, name desc":                  "uuid",
		"status desc, created_at, name":    "status DESC, " + created + ", name, uuid",
		"region,status,name,created_at":    "region, status, name, " + created + ", uuid",
		"created_at, updated_at desc":      created + ", " + updated + " DESC, uuid DESC",
		"updated_at, created_at, name asc": updated + ", " + created + ", name, uuid",
	}
	both := append(slices.Clone(w.red.Teams), w.blue.Teams...)
	for name, seen := range map[string]struct {
		visible db.Visible
		where   string
	}{
		"all":               {w.all, "TRUE"},
		"one team":          {w.red, "team_id = (SELECT id FROM teams WHERE name = 'red')"},
		"two teams":         {db.Visible{Teams: both}, "team_id IS NOT NULL"},
		"a team named more": {db.Visible{Teams: append(slices.Clone(both), both...)}, "team_id IS NOT NULL"},
		"no team":           {db.Visible{}, "FALSE"},
	} {
		for orderBy, sql := range orders {
			t.Run(name+" by "+orderBy, func(t *testing.T) {
				t.Parallel()
				want := w.strings(t, theAgents+seen.where+" ORDER BY "+sql)
				for _, size := range []int32{1, 3, 7, 17, 1000} {
					req := &pb.ListAgentsRequest{PageSize: size, OrderBy: orderBy}
					got, pages := w.agents(t, db.ResourceList{Visible: seen.visible}, req)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("pages of %d: %s", size, diff)
					}
					if most := max(1, (len(want)+int(size)-1)/int(size)); pages != most {
						t.Errorf("%d pages of %d, want %d", pages, size, most)
					}
				}
			})
		}
	}
}

func TestRowsThatComeAndGoDoNotShiftPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want, _ := w.agents(t, db.ResourceList{Visible: w.all}, &pb.ListAgentsRequest{PageSize: 1000})
	req := &pb.ListAgentsRequest{PageSize: 10}
	page, err := w.tokens.Open(db.KindSchema("visibility", "model_uuid"), req)
	if err != nil {
		t.Fatal(err)
	}
	which := db.ResourceList{Visible: w.all, Kind: "agent"}
	rows, err := w.store.ListResources(t.Context(), which, page)
	if err != nil {
		t.Fatal(err)
	}
	_, req.PageToken = listing.Cut(w.tokens, page, rows)

	w.exec(t, "INSERT INTO resources (kind, uuid, name) VALUES ('agent', gen_random_uuid(), '')") // before the page
	w.exec(t, "DELETE FROM resources WHERE uuid = $1", want[9])                                   // the row the page begins after

	got, _ := w.agents(t, which, req)
	if diff := cmp.Diff(want[10:], got); diff != "" {
		t.Error(diff)
	}
}

func TestAgentFiltersFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := "00000000-0000-4000-8000-000000000037"
	for filter, where := range map[string]string{
		`name = "alpha"`:                        `name = 'alpha'`,
		`name = alpha`:                          `name = 'alpha'`,
		`name != "alpha"`:                       `name <> 'alpha'`,
		`name = "bé'ta"`:                        `name = 'bé''ta'`,
		`name:"A"`:                              `lower(name) LIKE '%a%'`,
		`name:"_"`:                              `name = 'be_ta'`,
		`name:"%"`:                              `name = 'be%ta'`,
		`name:*`:                                `name <> ''`,
		`NOT name:*`:                            `name = ''`,
		`uuid = "` + one + `"`:                  `uuid = '` + one + `'`,
		`uuid != "` + one + `"`:                 `uuid <> '` + one + `'`,
		`team = "red"`:                          `team_id = (SELECT id FROM teams WHERE name = 'red')`,
		`team != "red"`:                         `team_id IS DISTINCT FROM (SELECT id FROM teams WHERE name = 'red')`,
		`team = ""`:                             `team_id IS NULL`,
		`team != ""`:                            `team_id IS NOT NULL`,
		`team = "nobody"`:                       `FALSE`,
		`team:"E"`:                              `team_id IS NOT NULL`,
		`team > "blue"`:                         `team_id = (SELECT id FROM teams WHERE name = 'red')`,
		`status = "STATUS_RUNNING"`:             `status = 'STATUS_RUNNING'`,
		`visibility = "VISIBILITY_PUBLIC"`:      `attributes->>'visibility' = 'VISIBILITY_PUBLIC'`,
		`visibility != "VISIBILITY_PUBLIC"`:     `NOT attributes ? 'visibility'`,
		`model_uuid = ""`:                       `TRUE`,
		`region = tor1 AND version_hash = "v1"`: `region = 'tor1' AND version_hash = 'v1'`,
		`tags:"prod"`:                           `'prod' = ANY (tags)`,
		`tags:"a b" OR tags:"%"`:                `tags && '{"a b","%"}'`,
		`NOT tags:*`:                            `tags = '{}'`,
		`created_at > "2026-01-03T00:00:00Z"`:   `upstream_created_at > '2026-01-03 00:00:00+00'`,
		`created_at:*`:                          `upstream_created_at IS NOT NULL`,
		`NOT created_at > "2026-01-03T00:00:00Z"`:         `coalesce(upstream_created_at, '-infinity') <= '2026-01-03 00:00:00+00'`,
		`updated_at = "2026-02-01T01:00:00.000003+01:00"`: `upstream_updated_at = '2026-02-01 00:00:00.000003+00'`,
		`name = alpha AND region = tor1 OR region = nyc3`: `name = 'alpha'`, // OR binds tighter
		`(name = alpha AND region = tor1) OR status = ""`: `(name = 'alpha' AND region = 'tor1' OR status = '')`,
	} {
		t.Run(filter, func(t *testing.T) {
			t.Parallel()
			want := w.strings(t, theAgents+"("+where+") ORDER BY name, uuid")
			got, _ := w.agents(t, db.ResourceList{Visible: w.all}, &pb.ListAgentsRequest{PageSize: 9, Filter: filter})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			f, err := db.KindSchema("visibility", "model_uuid").Filter(filter)
			if err != nil {
				t.Fatal(err)
			}
			count, err := w.store.CountListed(t.Context(), db.ResourceList{Visible: w.all, Kind: "agent"}, f)
			if err != nil || int(count) != len(want) {
				t.Errorf("counted %d (%v), want %d", count, err, len(want))
			}
			// A filter never shows more than may be seen.
			mine := w.strings(t, theAgents+"team_id = $1 AND ("+where+") ORDER BY name, uuid", w.red.Teams[0])
			got, _ = w.agents(t, db.ResourceList{Visible: w.red}, &pb.ListAgentsRequest{Filter: filter})
			if diff := cmp.Diff(mine, got); diff != "" {
				t.Errorf("for one team: %s", diff)
			}
			count, err = w.store.CountListed(t.Context(), db.ResourceList{Visible: w.red, Kind: "agent"}, f)
			if err != nil || int(count) != len(mine) {
				t.Errorf("for one team: counted %d (%v), want %d", count, err, len(mine))
			}
		})
	}
}

func TestSomeOnlyAndAnyKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.strings(t, theAgents+"status = 'STATUS_RUNNING' ORDER BY name, uuid")
	only := []uuid.UUID{}
	for _, id := range want {
		only = append(only, uuid.MustParse(id))
	}
	got, _ := w.agents(t, db.ResourceList{Visible: w.all, Only: only}, &pb.ListAgentsRequest{})
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Error(diff)
	}
	if none, _ := w.agents(t, db.ResourceList{Visible: w.all, Only: []uuid.UUID{}}, &pb.ListAgentsRequest{}); len(none) != 0 {
		t.Errorf("none of them: got %d", len(none))
	}
	count, err := w.store.CountListed(t.Context(), db.ResourceList{Visible: w.all}, listing.Filter{})
	if err != nil || count != 57 {
		t.Errorf("counted %d of any kind (%v), want 57", count, err)
	}
}

// hostile are texts that would do harm if they became SQL.
func hostile() []string {
	return []string{
		`'`, `''`, `"`, `\`, `\'`, `%`, `_`, `*`, `$1`, `$$`, `;`, `--`, `/*`, `x' OR '1'='1`, `x" OR "1"="1`,
		`'; DROP TABLE resources; --`, `\'; DROP TABLE resources; --`, `') UNION SELECT secret_hash FROM service_tokens --`,
		`x.deleted_at`, `(SELECT 1)`, `pg_sleep(10)`, `E'\x41'`, `U&'\0041'`, `{a,b}`, `{`, `NULL`, `null`, `1; SELECT 1`,
		"\u0001", "\u202e", "\U0001F600", "a\u0300", "\ufffd", `${jndi:x}`, strings.Repeat("(", 40), strings.Repeat(`\`, 40),
	}
}

func TestHostileValuesAreOnlyValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for i, text := range hostile() {
		// It is found where it is, as it is.
		id := fmt.Sprintf("00000000-0000-4000-9000-%012d", i)
		w.exec(t, "INSERT INTO resources (kind, uuid, name, tags, version_hash) VALUES ('agent', $1, $2, ARRAY[$2], 'hostile')", id, text)
		for _, op := range []string{`name = "%s"`, `tags:"%s"`} {
			got, _ := w.agents(t, db.ResourceList{Visible: w.all}, &pb.ListAgentsRequest{
				Filter: `version_hash = "hostile" AND ` + fmt.Sprintf(op, quote.Replace(text)),
			})
			if diff := cmp.Diff([]string{id}, got); diff != "" {
				if text != `*` { // which asks whether there is a tag
					t.Errorf("%s for %q: %s", op, text, diff)
				}
			}
		}
		for _, field := range []string{
			"name", "team", "status", "visibility", "region", "model_uuid", "version_hash", "uuid", "created_at", "tags",
		} {
			for _, op := range []string{"=", "!=", "<", ">=", ":"} {
				w.tryFilter(t, field+" "+op+` "`+quote.Replace(text)+`"`)
				w.tryFilter(t, field+" "+op+" "+text)
				w.tryFilter(t, text+" "+op+" "+field)
			}
		}
	}
	// Pages that begin after such names.
	want := w.strings(t, theAgents+"version_hash = 'hostile' ORDER BY name DESC, uuid DESC")
	got, _ := w.agents(t, db.ResourceList{Visible: w.all}, &pb.ListAgentsRequest{
		PageSize: 1, Filter: "version_hash = hostile", OrderBy: "name desc",
	})
	if diff := cmp.Diff(want, got); diff != "" || len(want) != len(hostile()) {
		t.Error(diff)
	}
}

// tryFilter checks that a filter is either refused by us or understood by Postgres.
func (w *world) tryFilter(t *testing.T, filter string) {
	t.Helper()
	f, err := db.KindSchema("visibility", "model_uuid").Filter(filter)
	if err != nil {
		if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_INVALID_REQUEST {
			t.Errorf("%s: %v", filter, err)
		}
		return
	}
	if _, err := w.store.CountListed(t.Context(), db.ResourceList{Visible: w.red}, f); err != nil {
		t.Errorf("%s: %v", filter, err)
	}
}

func TestLongFiltersAreUnderstood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, operator := range []string{" OR ", " AND "} {
		w.tryFilter(t, strings.TrimSuffix(strings.Repeat("name=a"+operator, 150), operator))
		w.tryFilter(t, strings.TrimSuffix(strings.Repeat("NOT name=a"+operator, 120), operator))
	}
	w.tryFilter(t, strings.Repeat("NOT (", 50)+"name=a"+strings.Repeat(")", 50))
}

func TestACancelledCallListsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page, err := w.tokens.Open(db.KindSchema("visibility", "model_uuid"), &pb.ListAgentsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.store.ListResources(ctx, db.ResourceList{Visible: w.all}, page); err == nil {
		t.Error("a cancelled call listed resources")
	}
}
