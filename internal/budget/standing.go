package budget

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// Standing is how the budget of an account is used, by the database's clock.
type Standing struct {
	ReadAt time.Time
	Limits Limits
	// Foreign is how many calls of the hour are others', as far as the vendor told.
	Foreign int
	// PausedUntil and OpenedAt are nil if the vendor did not throttle us, and if it answers.
	PausedUntil, OpenedAt *time.Time
	// Failures are calls in a row without an answer, and ProbeIn is when the next probe goes.
	Failures int
	ProbeIn  time.Duration
	// NextChange and NextRead are when the next such calls may go.
	NextChange, NextRead time.Duration
	// Calls are who made how many.
	Calls []TeamCalls
}

// TeamCalls is how often a team called within the minute and the hour. The sync's are of no
// team.
type TeamCalls struct {
	Team                 *uuid.UUID
	Name                 string
	Weight, BacklogLimit int
	InMinute, InHour     int
}

// Standing reads how the budget is used.
func (b *Budget) Standing(ctx context.Context, q *db.Queries) (Standing, error) {
	s, row, err := b.peek(ctx, q)
	if err != nil {
		return Standing{}, err
	}
	standing := Standing{
		ReadAt: row.ReadAt, Limits: b.limits, Foreign: s.foreign, OpenedAt: row.OpenedAt, Failures: int(row.Failures), ProbeIn: s.probeIn,
	}
	if s.paused > 0 {
		standing.PausedUntil = row.PausedUntil
	}
	for p, next := range map[Purpose]*time.Duration{Change: &standing.NextChange, Read: &standing.NextRead} {
		waits, err := b.Outlook(ctx, q, p, 0)
		if err != nil {
			return Standing{}, err
		}
		*next = waits[0]
	}
	calls, err := q.CallsByTeam(ctx, dbsql.CallsByTeamParams{
		Account: b.account, AfterNumber: s.lastCall - int64(b.limits.PerHour),
		MinuteSeconds: b.limits.Minute.Seconds(), HourSeconds: b.limits.Hour.Seconds(),
	})
	if err != nil {
		return Standing{}, db.Classify(err)
	}
	for _, c := range calls {
		standing.Calls = append(standing.Calls, TeamCalls{
			Team: c.TeamID, Name: c.Team, Weight: int(c.Weight), BacklogLimit: int(c.BacklogLimit), InMinute: int(c.InMinute), InHour: int(c.InHour),
		})
	}
	return standing, nil
}
