package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentsvc/agentsvc/internal/db"
)

// The shape of the history that is loaded.
const (
	peoplePerTeam = 10
	agentsPerTeam = 40
	seed          = 4711
	agentService  = "agentsvc.v1.AgentService."
)

// world is who and what the events are about.
type world struct {
	teams  []uuid.UUID
	names  []string
	people [][]string
	agents [][]uuid.UUID
	words  *vocabulary
	random *rand.Rand
	months int
}

func newWorld(ctx context.Context, pool *pgxpool.Pool, teams, months int) (*world, error) {
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // the same events each time
	w := &world{random: random, words: newVocabulary(random), months: months}
	for i := range teams {
		name := fmt.Sprintf("team-%02d", i)
		id, err := db.New(pool).UpsertTeam(ctx, name)
		if err != nil {
			return nil, err
		}
		w.teams, w.names = append(w.teams, id), append(w.names, name)
		var people []string
		for p := range peoplePerTeam {
			people = append(people, fmt.Sprintf("person-%d@%s.example", p, name))
		}
		w.people = append(w.people, people)
		var agents []uuid.UUID
		for range agentsPerTeam {
			agents = append(agents, w.uuid(time.Unix(0, 0)))
		}
		w.agents = append(w.agents, agents)
	}
	return w, nil
}

// uuid is one of version 7 of a time.
func (w *world) uuid(at time.Time) (id uuid.UUID) {
	for i := range id {
		id[i] = byte(w.random.UintN(256))
	}
	ms := at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6], id[8] = 0x70|id[6]&0x0f, 0x80|id[8]&0x3f
	return id
}

// columns are those of an event, in the order of [world.event].
func columns() []string {
	return []string{
		"id", "recorded_at", "actor", "principal_id", "team_id", "action", "method", "resource_kind", "resource_uuid", "resource_name",
		"parent_kind", "parent_uuid", "parent_name", "reason", "outcome", "origin", "operation_id", "vendor_request_id", "request_id",
		"client_address", "user_agent", "error_reason", "error_message", "request", "before", "after",
	}
}

// event is one of the history's lines: for the most part changes, each of which has two.
func (w *world) event(n int, at time.Time) []any {
	team := w.random.IntN(len(w.teams))
	agent := w.random.IntN(agentsPerTeam)
	actor := w.people[team][w.random.IntN(peoplePerTeam)]
	action, method, kind := "UPDATE", agentService+"UpdateAgent", "agent"
	var parentKind string
	var parent *uuid.UUID
	resource := w.agents[team][agent]
	switch w.random.IntN(20) {
	case 0:
		action, method = "CREATE", agentService+"CreateAgent"
	case 1:
		action, method = "DELETE", agentService+"DeleteAgent"
	case 2, 3, 4:
		action, method, kind = "CREATE", "agentsvc.v1.AgentKeyService.CreateAgentApiKey", "agent_api_key"
		parentKind, parent, resource = "agent", &w.agents[team][agent], w.uuid(at)
	}
	outcome, failed, message := "ACCEPTED", "", ""
	var request, before, after []byte
	switch n % 20 {
	case 1, 3, 5, 7, 9, 11, 13, 15:
		outcome = "SUCCEEDED"
		before, after = w.settings("5"), w.settings("7")
	case 17:
		outcome, failed, message = "FAILED", "VENDOR_REFUSED", "the vendor refused the request: this model is retired in tor1"
	case 19:
		outcome, failed, message = "DENIED", "PERMISSION_DENIED", "this takes the role OPERATOR in team payments, where you are VIEWER"
	}
	if outcome == "ACCEPTED" || outcome == "DENIED" {
		request = fmt.Appendf(nil, `{"uuid": "%s", "temperature": 0.7, "instruction": "%s", "update_mask": "temperature,instruction"}`,
			resource, w.words.sentence(12))
	}
	if n%200 == 0 {
		action, method, outcome, request = "REVEAL", "agentsvc.v1.KnowledgeBaseService.GetDataSourceDownloadUrl", "SUCCEEDED", nil
	}
	operation, principal := w.uuid(at), w.uuid(time.Unix(int64(team), 0))
	return []any{
		w.uuid(at), at, actor, &principal, &w.teams[team], action, method, kind, &resource, "agent-" + strconv.Itoa(agent),
		parentKind, parent, "", w.words.reason(n), outcome, "API", &operation, "", w.uuid(at).String(),
		netip.AddrFrom4([4]byte{10, 0, byte(team), byte(agent)}).String(), "grpc-go/1.76.0", failed, message,
		raw(request), raw(before), raw(after),
	}
}

// settings are how an agent was, as far as it changed.
func (w *world) settings(tenths string) []byte {
	return fmt.Appendf(nil, `{"temperature": %d.%s, "instruction": "%s", "version_hash": "%032x"}`,
		w.random.IntN(2), tenths, w.words.sentence(12), w.random.Uint64())
}

// raw is a JSON object; NULL for none.
func raw(text []byte) any {
	if text == nil {
		return nil
	}
	return json.RawMessage(text)
}

// fresh is how many events come after the indexes and the statistics, as all do in a history that grows.
const fresh = 20_000

// load fills the history with events over the months before now. The indexes are made
// after the events, as is usual for so many at once, but for the last ones.
func load(ctx context.Context, pool *pgxpool.Pool, w *world, events int, now time.Time, out io.Writer) error {
	var defs, names []string
	rows, err := pool.Query(ctx, //nolint:rowserrcheck // ForEachRow does
		`SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE i.indrelid = 'audit_events'::regclass AND NOT i.indisprimary`)
	if err != nil {
		return err
	}
	var name, def string
	if _, err = pgx.ForEachRow(rows, []any{&name, &def}, func() error {
		names, defs = append(names, name), append(defs, strings.Replace(def, " ON ONLY ", " ON ", 1))
		return nil
	}); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, "DROP INDEX "+strings.Join(names, ", ")); err != nil {
		return err
	}
	start := time.Now()
	c := &copying{world: w, pool: pool, at: now.AddDate(0, -w.months, 0)}
	c.step = now.Sub(c.at) / time.Duration(events)
	if err := c.upTo(ctx, max(0, events-fresh)); err != nil {
		return err
	}
	copied := time.Now()
	for _, def := range defs {
		if _, err := pool.Exec(ctx, def); err != nil {
			return err
		}
	}
	if _, err := pool.Exec(ctx, "VACUUM (ANALYZE) audit_events"); err != nil {
		return err
	}
	if err := c.upTo(ctx, events); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "loaded                        %d events over %d months and %d teams: COPY %s, indexes and vacuum %s\n",
		events, w.months, len(w.teams), copied.Sub(start).Round(time.Second), time.Since(copied).Round(time.Second))
	return err
}

// copying writes events in the order of time, each a step after the one before.
type copying struct {
	*world

	pool *pgxpool.Pool
	n    int
	at   time.Time
	step time.Duration
}

func (c *copying) upTo(ctx context.Context, events int) error {
	for c.n < events {
		month := time.Date(c.at.Year(), c.at.Month(), 1, 0, 0, 0, 0, time.UTC)
		next := month.AddDate(0, 1, 0)
		part := "audit_events_" + month.Format("2006_01")
		if _, err := c.pool.Exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s PARTITION OF audit_events FOR VALUES FROM ('%s') TO ('%s')",
			part, month.Format(time.RFC3339), next.Format(time.RFC3339))); err != nil {
			return err
		}
		_, err := c.pool.CopyFrom(ctx, pgx.Identifier{part}, columns(), pgx.CopyFromFunc(func() ([]any, error) {
			if c.n >= events || !c.at.Before(next) {
				return nil, nil
			}
			event := c.event(c.n, c.at)
			c.n, c.at = c.n+1, c.at.Add(c.step)
			return event, nil
		}))
		if err != nil {
			return err
		}
	}
	return nil
}

// loadCalls fills the log of the vendor's calls: as many as its limits allow in a month.
func loadCalls(ctx context.Context, pool *pgxpool.Pool, calls int, now time.Time) error {
	_, err := pool.Exec(ctx, `INSERT INTO vendor_calls (account, number, granted_at, purpose, method, team_id, status, answered_at)
		SELECT 'default', n, $1::timestamptz - make_interval(secs => n * 30 * 86400.0 / $2::bigint), 
		       (ARRAY['CHANGE', 'READ', 'SYNC', 'RECONCILE'])[1 + n % 4], '',
		       (SELECT array_agg(id ORDER BY name) FROM teams)[1 + n % 50], 200, now()
		  FROM generate_series(1, $2::bigint) AS n`, now, calls)
	return err
}
