package identity

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
)

// actFor is the person that a service acts for, with what both of them may do. What a
// person has by their groups is in their token, which is not here, so only what is
// stored counts for them.
func (a *Authenticator) actFor(ctx context.Context, by known, names []string) (Caller, error) {
	if !by.caller.Service || !by.mayAct {
		return Caller{}, fault.New(pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
			"%s may not act for others: that takes a service with the right to, see `agentsvc token create --may-act-for-others`", by.caller.Name)
	}
	nobody := fault.New(pb.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
		"whom %s acts for must be one person who has called here before, by email address or subject", by.caller.Name)
	if len(names) != 1 || names[0] == "" || !utf8.ValidString(names[0]) {
		return Caller{}, nobody
	}
	rows, err := a.store.PersonsCalled(ctx, names[0])
	if err != nil {
		return Caller{}, db.Classify(fmt.Errorf("looking for whom a service acts for: %w", err))
	}
	if len(rows) != 1 {
		return Caller{}, nobody
	}
	person := caller(rows[0].ID, rows[0].Kind, rows[0].Name, rows[0].PlatformRole)
	if person.Teams, err = a.teamsOf(ctx, rows[0].ID); err != nil {
		return Caller{}, err
	}
	return person.through(by.caller), nil
}

// through is a person as a service may act for them: in each team with the lower of
// both roles, and on the platform with the lower of both.
func (c Caller) through(service Caller) Caller {
	both := c
	both.ActingService = service.Name
	both.Platform = min(c.Platform, service.Platform)
	both.Teams = nil
	for _, m := range slices.Concat(c.Teams, service.Teams) {
		m.Role = min(c.Role(m.TeamID), service.Role(m.TeamID))
		if m.Role != pb.Role_ROLE_UNSPECIFIED {
			both.Teams = append(both.Teams, m)
		}
	}
	slices.SortFunc(both.Teams, func(a, b Membership) int { return cmp.Compare(a.Team, b.Team) })
	both.Teams = slices.CompactFunc(both.Teams, func(a, b Membership) bool { return a.TeamID == b.TeamID })
	return both
}
