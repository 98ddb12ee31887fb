package db

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentsvc/agentsvc/internal/listing"
)

// Visible limits a list to what its caller may see.
type Visible struct {
	// All shows everything, with what belongs to no team.
	All bool
	// Teams are those whose rows are shown. None and not All shows nothing.
	Teams []uuid.UUID
	// Shared shows what every caller may see as well. Only for lists of kinds that have
	// such: they are short, so one condition serves all teams.
	Shared bool
}

// maxCount is how far rows are counted.
const maxCount = 100_000

// list is a table, or part of one, that is listed. Its texts are constants, and
// its conditions hold places of args.
type list struct {
	table   string // called x in all expressions
	columns []string
	where   []string
	args    *listing.Args
}

// teamField is the filter by team name of a table with a team_id.
func teamField() listing.Field {
	return listing.Field{
		Name: "team", Type: listing.Text,
		SQL:    "coalesce((SELECT named.name FROM teams AS named WHERE named.id = x.team_id), '')",
		Key:    "x.team_id",
		Lookup: "(SELECT named.id FROM teams AS named WHERE named.name = %s)",
	}
}

// page writes the statement of a page, and one row more.
//
// Each team is asked for a page of its own, which indexes that begin with the team
// answer in order, and the pages are merged. An ANY over the teams would have
// Postgres sort all that they ever did.
func (l list) page(visible Visible, page listing.Page) string {
	from, where := "", slices.Clone(l.where)
	switch {
	case visible.All:
	case visible.Shared:
		where = append(where, "(x.shared OR x.team_id = ANY ("+l.args.Add(teams(visible))+"::uuid[]))")
	default:
		from = "unnest(" + l.args.Add(teams(visible)) + "::uuid[]) AS visible (team_id) CROSS JOIN LATERAL "
		where = append(where, "x.team_id = visible.team_id")
	}
	where = append(where, page.Filter.SQL(l.args), page.Order.After(page.After, l.args))
	limit := " ORDER BY " + page.Order.By() + " LIMIT " + l.args.Add(page.Size+1) + "::bigint"
	return "SELECT page." + strings.Join(l.columns, ", page.") + ", coalesce(team.name, '') AS team, " +
		page.Order.Texts("page") + " AS keys" +
		" FROM " + from + "(SELECT x." + strings.Join(l.columns, ", x.") + ", " + page.Order.Columns() +
		" FROM " + l.table + " AS x WHERE " + strings.Join(where, " AND ") + limit + ") AS page" +
		" LEFT JOIN teams AS team ON team.id = page.team_id" + limit
}

// count writes the statement that counts all pages.
func (l list) count(visible Visible, filter listing.Filter) string {
	return l.countUpTo(visible, filter, maxCount)
}

func (l list) countUpTo(visible Visible, filter listing.Filter, most int) string {
	where := slices.Clone(l.where)
	if !visible.All {
		mine := "x.team_id = ANY (" + l.args.Add(teams(visible)) + "::uuid[])"
		if visible.Shared {
			mine = "(x.shared OR " + mine + ")"
		}
		where = append(where, mine)
	}
	where = append(where, filter.SQL(l.args))
	return "SELECT count(*) FROM (SELECT FROM " + l.table + " AS x WHERE " + strings.Join(where, " AND ") +
		" LIMIT " + l.args.Add(most) + "::bigint) AS found"
}

// teams are in order and once each: a team named twice would show its rows twice.
func teams(visible Visible) []uuid.UUID {
	sorted := slices.SortedFunc(slices.Values(visible.Teams), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(sorted)
}

// rows reads all rows of a statement into structs by column name. Fields without a
// column stay zero.
//
// Statements differ with every filter, so they are planned for their arguments each
// time and never prepared: prepared ones would push the fixed queries out.
func rows[R any](ctx context.Context, s *Store, sql string, args *listing.Args) ([]R, error) {
	found, err := s.pool.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args.Values()...)...)
	if err != nil {
		return nil, classify(err)
	}
	all, err := pgx.CollectRows(found, pgx.RowToStructByNameLax[R])
	return all, classify(err)
}
