package db

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// AuditSummary is which events are counted.
type AuditSummary struct {
	Visible Visible
	Filter  listing.Filter
	// From is the first moment that counts, To the first one that does not; the zero time is now.
	From, To time.Time
	// Longest is how long that may be.
	Longest time.Duration
	// Top is how many of a ranking are wanted.
	Top int
	// Secrets are the methods whose successful changes hand out a secret.
	Secrets []string
}

// AuditCounts are the counts of a summary. All are of one moment.
type AuditCounts struct {
	At       time.Time
	To       time.Time
	Total    AuditTally
	Days     []AuditTally // by day
	Teams    []AuditTally // the others by events
	Actors   []AuditTally
	Actions  []AuditTally
	Outcomes []AuditTally
	// ActorCount is how many actors there are.
	ActorCount int64
	Agents     []AuditAgent
	Secrets    []AuditUse
	Denials    []AuditUse
	Budget     []AuditBudget
}

// AuditTally is how many events there are of something, and how many of them are changes that were made
// and failed, denials, and revelations.
type AuditTally struct {
	Name                                      string
	Events, Changes, Failed, Denied, Revealed int64
}

// AuditAgent is how often an agent was changed.
type AuditAgent struct {
	UUID       uuid.UUID
	Name, Team string
	Changes    int64
	LastTime   time.Time
}

// AuditUse is how often somebody called a method.
type AuditUse struct {
	Actor, Team, Method string
	Events              int64
	LastTime            time.Time
}

// AuditBudget is how many calls to the vendor a team had.
type AuditBudget struct {
	Team                             string
	Calls, Changes, Reads, Throttled int64
}

// summaryPatience is how long counting may take.
const summaryPatience = time.Minute

// SummarizeAuditEvents counts the events of a time, in one snapshot.
//
// Each statement goes once through the time's part of an index that has all that is counted by, on
// several processors where there are some; see audit_events_counted. A table of counts by day would be
// quicker, but it would have to be kept exact against events that are committed late and months that are dropped.
func (s *Store) SummarizeAuditEvents(ctx context.Context, what AuditSummary) (AuditCounts, error) {
	var counts AuditCounts
	err := patiently(ctx, summaryPatience, func(ctx context.Context) error {
		return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			var err error
			counts, err = summarize(ctx, tx, what)
			return err
		})
	})
	if err != nil {
		return AuditCounts{}, fmt.Errorf("summarizing audit events: %w", classify(err))
	}
	return counts, nil
}

func summarize(ctx context.Context, tx pgx.Tx, what AuditSummary) (AuditCounts, error) {
	counts := AuditCounts{To: what.To}
	if _, err := tx.Exec(ctx, what.planning()); err != nil {
		return counts, err
	}
	if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&counts.At); err != nil {
		return counts, err
	}
	if counts.To.IsZero() {
		counts.To = counts.At
	}
	what.To = counts.To
	switch {
	case !what.To.After(what.From):
		return counts, fault.Invalid("end_time", "is not after start_time")
	case what.To.Sub(what.From) > what.Longest:
		return counts, fault.Invalid("end_time", "is more than %d days after start_time", int(what.Longest.Hours()/24))
	}
	steps := []func() error{
		func() error { return what.tallies(ctx, tx, &counts) },
		func() error {
			type row struct {
				AuditTally

				All int64
			}
			actors, err := collect[row](ctx, tx, what.actors())
			for _, a := range actors {
				counts.Actors, counts.ActorCount = append(counts.Actors, a.AuditTally), a.All
			}
			return err
		},
		func() (err error) { counts.Agents, err = collect[AuditAgent](ctx, tx, what.agents()); return err },
		func() (err error) {
			counts.Secrets, err = collect[AuditUse](ctx, tx, what.uses(what.secret()))
			return err
		},
		func() (err error) {
			counts.Denials, err = collect[AuditUse](ctx, tx, what.uses(constant("x.outcome = 'DENIED'")))
			return err
		},
		func() (err error) { counts.Budget, err = collect[AuditBudget](ctx, tx, what.budget()); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return counts, err
		}
	}
	return counts, nil
}

// planning has Postgres go once through the index for each statement, on all processors, and count into tables: memory for
// those, and no compilation, which takes longer than it saves. By itself it takes each event to be on a day of its
// own, sorts them all, and keeps other processors out for so many groups. And without a filter, whatever is asked for is too
// frequent for a bitmap, which reads the events themselves.
func (a AuditSummary) planning() string {
	settings := "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_sort = off; SET LOCAL parallel_tuple_cost = 0.001"
	if a.Filter.IsZero() {
		settings += "; SET LOCAL enable_bitmapscan = off"
	}
	return settings
}

// statement is SQL with its arguments.
type statement struct {
	sql  string
	args *listing.Args
}

func collect[R any](ctx context.Context, tx pgx.Tx, s statement) ([]R, error) {
	found, err := tx.Query(ctx, s.sql, append([]any{pgx.QueryExecModeCacheDescribe}, s.args.Values()...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowToStructByName[R])
}

func constant(sql string) func(*listing.Args) string {
	return func(*listing.Args) string { return sql }
}

// made are changes that were made.
const made = "x.outcome = 'SUCCEEDED' AND x.action IN ('CREATE', 'UPDATE', 'DELETE')"

// secret is that a secret was handed out: on demand, or once with a change that succeeded.
func (a AuditSummary) secret() func(*listing.Args) string {
	return func(args *listing.Args) string {
		return "x.outcome = 'SUCCEEDED' AND (x.action = 'REVEAL' OR x.method = ANY (" + args.Add(a.Secrets) + "::text[]))"
	}
}

// counted are the counts of a tally, without the secrets of changes, of which the statement of revelations tells.
func (a AuditSummary) counted(args *listing.Args) string {
	return "count(*) AS events, count(*) FILTER (WHERE " + made + ") AS changes, count(*) FILTER (WHERE x.outcome = 'FAILED') AS failed, " +
		"count(*) FILTER (WHERE x.outcome = 'DENIED') AS denied, count(*) FILTER (WHERE " + a.secret()(args) + ") AS revealed"
}

// where is the condition of the events that are counted.
func (a AuditSummary) where(args *listing.Args) string {
	where := []string{"x.recorded_at >= " + args.Add(a.From) + "::timestamptz AND x.recorded_at < " + args.Add(a.To) + "::timestamptz"}
	if !a.Visible.All {
		where = append(where, "x.team_id = ANY ("+args.Add(teams(a.Visible))+"::uuid[])")
	}
	return strings.Join(append(where, a.Filter.SQL(args)), " AND ")
}

// tallies reads the counts by day, team, action and outcome: small groups first, and of these the sums.
func (a AuditSummary) tallies(ctx context.Context, tx pgx.Tx, counts *AuditCounts) error {
	args := &listing.Args{}
	sql := `WITH grouped AS (
		SELECT (x.recorded_at AT TIME ZONE 'UTC')::date AS day, x.team_id, x.action, x.outcome, ` + a.counted(args) + `
		  FROM audit_events AS x WHERE ` + a.where(args) + ` GROUP BY 1, 2, 3, 4)
	SELECT grouping(day, team_id, action, outcome) AS which,
	       coalesce(day::text, (SELECT name FROM teams WHERE teams.id = team_id), action, outcome, '') AS name,
	       sum(events)::bigint AS events, sum(changes)::bigint AS changes, sum(failed)::bigint AS failed,
	       sum(denied)::bigint AS denied, sum(revealed)::bigint AS revealed
	  FROM grouped GROUP BY GROUPING SETS ((day), (team_id), (action), (outcome))
	 ORDER BY which, CASE WHEN day IS NULL THEN -sum(events) END, name`
	type row struct {
		AuditTally

		Which int
	}
	found, err := collect[row](ctx, tx, statement{sql, args})
	if err != nil {
		return err
	}
	// The bits say by which column a row is not grouped.
	into := map[int]*[]AuditTally{0b0111: &counts.Days, 0b1011: &counts.Teams, 0b1101: &counts.Actions, 0b1110: &counts.Outcomes}
	for _, r := range found {
		*into[r.Which] = append(*into[r.Which], r.AuditTally)
	}
	for _, o := range counts.Outcomes {
		counts.Total.Events += o.Events
		counts.Total.Changes += o.Changes
		counts.Total.Failed += o.Failed
		counts.Total.Denied += o.Denied
		counts.Total.Revealed += o.Revealed
	}
	return nil
}

// actors are those with the most events, each with how many actors there are.
func (a AuditSummary) actors() statement {
	args := &listing.Args{}
	return statement{"SELECT x.actor AS name, " + a.counted(args) + ", count(*) OVER () AS \"all\" FROM audit_events AS x WHERE " + a.where(args) +
		" GROUP BY x.actor ORDER BY 2 DESC, 1 LIMIT " + args.Add(a.Top) + "::bigint", args}
}

// agents are those that were changed most often, by themselves or in their parts. It is called what our
// copy calls it.
func (a AuditSummary) agents() statement {
	args := &listing.Args{}
	return statement{`SELECT top.uuid, coalesce((SELECT r.name FROM resources AS r WHERE r.kind = 'agent' AND r.uuid = top.uuid), '') AS name,
	       coalesce((SELECT teams.name FROM teams WHERE teams.id = top.team_id), '') AS team, top.changes, top.last_time
	  FROM (SELECT CASE WHEN x.resource_kind = 'agent' THEN x.resource_uuid ELSE x.parent_uuid END AS uuid, x.team_id,
	               count(*) AS changes, max(x.recorded_at) AS last_time
	          FROM audit_events AS x WHERE ` + a.where(args) + " AND " + made + ` AND (x.resource_kind = 'agent' OR x.parent_kind = 'agent')
	               AND CASE WHEN x.resource_kind = 'agent' THEN x.resource_uuid ELSE x.parent_uuid END IS NOT NULL
	         GROUP BY 1, 2 ORDER BY 3 DESC, 1 LIMIT ` + args.Add(a.Top) + `::bigint) AS top
	 ORDER BY top.changes DESC, top.uuid`, args}
}

// uses are who did what, of the events that a condition holds of.
func (a AuditSummary) uses(condition func(*listing.Args) string) statement {
	args := &listing.Args{}
	return statement{`SELECT top.actor, coalesce((SELECT teams.name FROM teams WHERE teams.id = top.team_id), '') AS team, top.method, top.events, top.last_time
	  FROM (SELECT x.actor, x.team_id, x.method, count(*) AS events, max(x.recorded_at) AS last_time
	          FROM audit_events AS x WHERE ` + a.where(args) + " AND " + condition(args) + `
	         GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 3 LIMIT ` + args.Add(a.Top) + `::bigint) AS top
	 ORDER BY top.events DESC, top.actor, top.method`, args}
}

// budget is who used the vendor's limits. Calls that were given back count for nothing. The filter is about events,
// so calls do not know it.
func (a AuditSummary) budget() statement {
	args := &listing.Args{}
	where := "c.granted_at >= " + args.Add(a.From) + "::timestamptz AND c.granted_at < " + args.Add(a.To) +
		"::timestamptz AND c.answered_at IS DISTINCT FROM 'epoch'"
	if !a.Visible.All {
		where += " AND c.team_id = ANY (" + args.Add(teams(a.Visible)) + "::uuid[])"
	}
	return statement{`SELECT coalesce((SELECT teams.name FROM teams WHERE teams.id = used.team_id), '') AS team,
	       used.calls, used.changes, used.reads, used.throttled
	  FROM (SELECT c.team_id, count(*) AS calls, count(*) FILTER (WHERE c.purpose IN ('CHANGE', 'RECONCILE')) AS changes,
	               count(*) FILTER (WHERE c.purpose = 'READ') AS reads, count(*) FILTER (WHERE c.status = 429) AS throttled
	          FROM vendor_calls AS c WHERE ` + where + ` GROUP BY 1) AS used ORDER BY used.calls DESC, team`, args}
}
