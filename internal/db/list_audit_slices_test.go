package db_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// longHistory makes four years of events, of which one month has most and another lies in the default partition. Some are of
// one moment, or of the future, as when a clock was set back.
func longHistory(t *testing.T) (w *world, now time.Time) {
	t.Helper()
	w = newWorld(t)
	now = time.Now().UTC().Truncate(time.Second)
	for n := range 48 {
		if n == 1 {
			continue
		}
		month := time.Date(now.Year(), now.Month()-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
		w.exec(t, fmt.Sprintf("CREATE TABLE IF NOT EXISTS audit_events_%s PARTITION OF audit_events FOR VALUES FROM ('%s') TO ('%s')",
			month.Format("2006_01"), month.Format(time.RFC3339), month.AddDate(0, 1, 0).Format(time.RFC3339)))
	}
	w.exec(t, `INSERT INTO audit_events (id, recorded_at, actor, team_id, action, outcome, origin, reason)
		SELECT gen_random_uuid(), CASE WHEN n <= 900 THEN $1::timestamptz - make_interval(hours => n * n / 24)
		                               WHEN n <= 1500 THEN $1::timestamptz - interval '400 days' - make_interval(mins => n)
		                               WHEN n <= 1520 THEN $1::timestamptz - interval '6 hours'
		                               ELSE $1::timestamptz + make_interval(hours => n - 1520) END,
		       'person-' || n % 7, CASE n % 3 WHEN 0 THEN $2::uuid WHEN 1 THEN $3::uuid END,
		       CASE n % 50 WHEN 0 THEN 'REVEAL' ELSE 'UPDATE' END, CASE n % 11 WHEN 0 THEN 'FAILED' ELSE 'SUCCEEDED' END, 'API',
		       'asked for' || CASE WHEN n % 5 = 0 THEN ' often' ELSE '' END || CASE WHEN n % 200 = 3 THEN ' seldom' ELSE '' END
		  FROM generate_series(1, 1530) AS n`, now, w.red.Teams[0], w.blue.Teams[0])
	w.exec(t, "ANALYZE audit_events")
	return w, now
}

// TestPagesOfALongHistoryAreItsOrder reads it page by page, from clocks that are right and wrong.
func TestPagesOfALongHistoryAreItsOrder(t *testing.T) {
	t.Parallel()
	w, now := longHistory(t)
	old, older := now.AddDate(0, 0, -390), now.AddDate(0, 0, -420)
	span := fmt.Sprintf("time >= %q AND time < %q", older.Format(time.RFC3339), old.Format(time.RFC3339))
	for filter, where := range map[string]string{
		"":                                        "TRUE",
		`actor = "person-3"`:                      "actor = 'person-3'",
		`words:"often"`:                           "reason LIKE '%often%'",
		`words:"seldom"`:                          "reason LIKE '%seldom%'",
		`words:"never"`:                           "FALSE",
		`words:"often" AND ` + span:               fmt.Sprintf("reason LIKE '%%often%%' AND recorded_at >= '%s' AND recorded_at < '%s'", older.Format(time.RFC3339), old.Format(time.RFC3339)),
		`action = REVEAL AND outcome = FAILED`:    "action = 'REVEAL' AND outcome = 'FAILED'",
		`time > "9000-01-01T00:00:00Z"`:           "FALSE",
		`time < "1000-01-01T00:00:00Z"`:           "FALSE",
		`time <= ` + quoted(now.Add(time.Hour)):   "recorded_at <= '" + now.Add(time.Hour).Format(time.RFC3339) + "'",
		`time = ` + quoted(now.Add(-6*time.Hour)): "recorded_at = '" + now.Add(-6*time.Hour).Format(time.RFC3339) + "'",
		`NOT time < ` + quoted(old):               "recorded_at >= '" + old.Format(time.RFC3339) + "'",
	} {
		for name, who := range map[string]struct {
			visible db.Visible
			where   string
		}{
			"all":     {w.all, "TRUE"},
			"a team":  {w.red, "team_id = (SELECT id FROM teams WHERE name = 'red')"},
			"two":     {db.Visible{Teams: append(slices.Clone(w.red.Teams), w.blue.Teams...)}, "team_id IS NOT NULL"},
			"no team": {db.Visible{}, "FALSE"},
		} {
			want := w.strings(t, "SELECT id::text FROM audit_events WHERE "+where+" AND "+who.where+" ORDER BY recorded_at DESC, id DESC")
			for _, clock := range []time.Time{now, now.AddDate(-3, 0, 0), now.AddDate(5, 0, 0)} {
				for _, size := range []int32{90, 1000} {
					got := w.events(t, who.visible, filter, size, clock)
					if !slices.Equal(got, want) {
						t.Fatalf("%q for %s in pages of %d by a clock at %s: %d events, want %d in order", filter, name, size, clock, len(got), len(want))
					}
				}
			}
		}
	}
}

func quoted(at time.Time) string { return `"` + at.Format(time.RFC3339) + `"` }

// events lists events page by page.
func (w *world) events(t *testing.T, visible db.Visible, filter string, size int32, now time.Time) []string {
	t.Helper()
	all := []string{}
	req := &pb.ListAuditEventsRequest{Filter: filter, PageSize: size}
	for {
		page, err := w.tokens.Open(db.AuditSchema(), req)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := w.store.ListAuditEvents(t.Context(), visible, page, now)
		if err != nil {
			t.Fatal(err)
		}
		rows, req.PageToken = listing.Cut(w.tokens, page, rows)
		for _, row := range rows {
			all = append(all, row.ID.String())
		}
		if req.GetPageToken() == "" {
			return all
		}
	}
}

// TestAPageLooksAtFewMonths asks Postgres which months it looks into for the newest events: not the years before them.
func TestAPageLooksAtFewMonths(t *testing.T) {
	t.Parallel()
	w, now := longHistory(t)
	for filter, at := range map[string]time.Time{
		"":              now,
		`words:"often"`: now,
		`actor = "person-3" OR actor = "person-4"`:                    now,
		`words:"often" AND time < ` + quoted(now.AddDate(0, 0, -400)): now.AddDate(0, 0, -400),
	} {
		for name, visible := range map[string]db.Visible{"all": w.all, "a team": w.red} {
			page, err := w.tokens.Open(db.AuditSchema(), &pb.ListAuditEventsRequest{Filter: filter, PageSize: 50})
			if err != nil {
				t.Fatal(err)
			}
			sql, args := db.FirstAuditStatement(visible, page, now)
			plan := strings.Join(w.strings(t, "EXPLAIN "+sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...), "\n")
			for n := range 48 {
				month := time.Date(now.Year(), now.Month()-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
				near := !month.After(at) && month.AddDate(0, 1, 0).After(at.AddDate(0, 0, -1))
				if part := "audit_events_" + month.Format("2006_01"); strings.Contains(plan, part) && !near {
					t.Errorf("%q for %s looks into %s:\n%s", filter, name, part, plan)
				}
			}
		}
	}
}
