package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// AuditExport is which events are exported: all that a caller may see and a filter lets
// pass, the oldest first.
type AuditExport struct {
	Visible Visible
	Filter  listing.Filter
	// Moment is when; the zero AuditMoment is now.
	Moment AuditMoment
	// After is the event before the first one; nil: from the beginning.
	After *AuditPlace
	// StallSeconds is how long Postgres lets whoever exports do nothing before it ends the
	// transaction, so that no snapshot is held for somebody who is gone.
	StallSeconds int
}

// AuditMoment is a moment of the history. Events that were committed then are in it.
type AuditMoment struct {
	// Time is when, by the database's clock.
	Time time.Time
	// Snapshot is Postgres's own account of which transactions had ended then.
	Snapshot string
}

// AuditPlace is an event's place in the order of time.
type AuditPlace struct {
	RecordedAt time.Time
	ID         uuid.UUID
}

// AuditLine is an event that is exported. It is used again for the next one.
type AuditLine struct {
	dbsql.AuditEvent

	// Index is its place in the sealed log; nil while it has none.
	Index *int64

	index int64
	ids   [5]uuid.UUID
	texts []byte
}

const (
	// exportBatch is how many events are read at once. It bounds what an export holds in
	// memory: a request may have megabytes, but few have.
	exportBatch = 500
	// momentSlack is how long before a moment events may have been recorded that were
	// committed after it: longer than any transaction of ours.
	momentSlack = time.Hour
)

// ExportAuditEvents reads events as they were at one moment, and hands them to each, which must not keep them; batch
// is called after some. begin learns the moment before that, and the names of all teams.
//
// All is read in one REPEATABLE READ transaction. A moment before that is put together from what
// Postgres remembers of it: as the history only grows, those of its events whose transactions had ended
// then are exactly what was there. The transaction that wrote an event stays known to Postgres for longer than an
// hour, and what was recorded an hour before had been committed.
func (s *Store) ExportAuditEvents(
	ctx context.Context, what AuditExport, begin func(AuditMoment, map[uuid.UUID]string) error, each func(*AuditLine), batch func() error,
) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		moment, names, err := enterAudit(ctx, tx, what)
		if err != nil {
			return err
		}
		if err := begin(moment, names); err != nil {
			return err
		}
		sql, args := what.statement()
		// Not prepared under a name: each filter has another text.
		if _, err := tx.Exec(ctx, "DECLARE exported NO SCROLL CURSOR FOR "+sql, append([]any{pgx.QueryExecModeDescribeExec}, args.Values()...)...); err != nil {
			return err
		}
		return fetchAudit(ctx, tx, each, batch)
	})
	if stalled(err) {
		err = errors.Join(ErrStalled, err)
	}
	if err != nil {
		return fmt.Errorf("exporting audit events: %w", classify(err))
	}
	return nil
}

// ErrStalled says that an export was ended because nobody took what it had.
var ErrStalled = errors.New("nobody took the export's events for too long")

// idleInTransaction is the SQLSTATE with which Postgres ends a transaction in which nothing
// happens.
const idleInTransaction = "25P03"

func stalled(err error) bool { return sqlState(err) == idleInTransaction }

// enterAudit sets the transaction up, and answers the moment that it sees.
func enterAudit(ctx context.Context, tx pgx.Tx, what AuditExport) (AuditMoment, map[uuid.UUID]string, error) {
	// All rows are wanted, not the first ones soon. Events and their places in the log have indexes of the same order, so
	// that they are read side by side; a hash of the one, or a sort of the other, would take disk for a long history.
	settings := "SET LOCAL cursor_tuple_fraction = 1.0; SET LOCAL jit = off; SET LOCAL enable_hashjoin = off; " +
		"SET LOCAL idle_in_transaction_session_timeout = " + strconv.Itoa(what.StallSeconds*1000)
	if what.Visible.All {
		settings += "; SET LOCAL enable_sort = off"
	}
	if _, err := tx.Exec(ctx, settings); err != nil {
		return AuditMoment{}, nil, err
	}
	moment := what.Moment
	if moment.Snapshot == "" {
		if err := tx.QueryRow(ctx, "SELECT clock_timestamp(), pg_current_snapshot()::text").Scan(&moment.Time, &moment.Snapshot); err != nil {
			return AuditMoment{}, nil, err
		}
	}
	names, err := teamNames(ctx, tx)
	return moment, names, err
}

func teamNames(ctx context.Context, tx pgx.Tx) (map[uuid.UUID]string, error) {
	found, err := tx.Query(ctx, "SELECT id, name FROM teams") //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return nil, err
	}
	names := map[uuid.UUID]string{}
	var id uuid.UUID
	var name string
	_, err = pgx.ForEachRow(found, []any{&id, &name}, func() error {
		names[id] = name
		return nil
	})
	return names, err
}

// statement is that of the events, in order.
func (e AuditExport) statement() (string, *listing.Args) {
	args := &listing.Args{}
	var where []string
	if !e.Visible.All {
		where = append(where, "x.team_id = ANY ("+args.Add(teams(e.Visible))+"::uuid[])")
	}
	where = append(where, e.Filter.SQL(args))
	if e.After != nil {
		where = append(where, "(x.recorded_at, x.id) > ("+args.Add(e.After.RecordedAt)+"::timestamptz, "+args.Add(e.After.ID)+"::uuid)")
	}
	if e.Moment.Snapshot != "" {
		where = append(where, "(x.recorded_at < "+args.Add(e.Moment.Time.Add(-momentSlack))+"::timestamptz OR "+
			visibleIn(args.Add(e.Moment.Snapshot)+"::text::pg_snapshot")+")")
	}
	return "SELECT sealed.index, x." + strings.Join(auditColumns(), ", x.") + " FROM audit_events AS x" +
		" LEFT JOIN audit_leaves AS sealed ON sealed.recorded_at = x.recorded_at AND sealed.event_id = x.id" +
		" WHERE " + strings.Join(where, " AND ") + " ORDER BY x.recorded_at, x.id", args
}

// visibleIn says that the transaction that wrote a row had ended in a snapshot. A row knows the lower half of
// its transaction's number; the upper half is that of the snapshot, or one less.
func visibleIn(snapshot string) string {
	newest := "pg_snapshot_xmax(" + snapshot + ")::text::numeric"
	epoch := "trunc(" + newest + " / 4294967296) * 4294967296"
	number := "(" + epoch + " + x.xmin::text::numeric)"
	return "pg_visible_in_snapshot((CASE WHEN " + number + " > " + newest + " + 2147483648 THEN greatest(" + number + " - 4294967296, 0) ELSE " +
		number + " END)::text::xid8, " + snapshot + ")"
}

// fetchAudit reads the cursor to its end.
func fetchAudit(ctx context.Context, tx pgx.Tx, each func(*AuditLine), batch func() error) error {
	var line AuditLine
	fetch := "FETCH " + strconv.Itoa(exportBatch) + " FROM exported"
	for {
		found, err := tx.Query(ctx, fetch, pgx.QueryResultFormats{binaryFormat})
		if err != nil {
			return err
		}
		if err := binaryColumns(found.FieldDescriptions()); err != nil {
			found.Close()
			return cmp.Or(found.Err(), err) // without an answer there are no columns
		}
		n := 0
		for ; found.Next(); n++ {
			line.decode(found.RawValues())
			each(&line)
		}
		if err := found.Err(); err != nil || n == 0 {
			return err
		}
		if err := batch(); err != nil {
			return err
		}
	}
}
