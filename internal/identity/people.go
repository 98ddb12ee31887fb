package identity

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/identity/oidc"
)

// person is whom a token of an OIDC provider speaks for: with what their groups grant as
// long as the token says that they are in them, and with what is stored besides.
func (a *Authenticator) person(ctx context.Context, token string) (known, error) {
	signed, err := a.issuers.Verify(ctx, token)
	if ended(ctx, err) {
		return known{}, err
	}
	if err != nil {
		return known{}, refusedBy(err)
	}
	row, err := a.signIn(ctx, signed)
	if err != nil {
		return known{}, err
	}
	if row.Disabled {
		return known{}, refused("%s is disabled", row.Name)
	}
	found := known{caller: caller(row.ID, row.Kind, row.Name, row.PlatformRole), until: signed.Until}
	if found.caller.Teams, err = a.teamsOf(ctx, row.ID); err != nil {
		return known{}, err
	}
	return found, a.grant(ctx, &found.caller, signed)
}

// signIn is the person's row. It is made when they are first seen, and has the name that
// they were last seen with; but not all tokens of a person have their email address, and
// those that do not leave it as it is. An address that is not verified any more, or was not by
// what we are told now, is taken from them. Of two tokens the later one names its person: each other
// name has all replicas forget all callers, so it must not change with every call of somebody who
// shows both in turn.
func (a *Authenticator) signIn(ctx context.Context, p oidc.Person) (dbsql.PrincipalBySubjectRow, error) {
	who := dbsql.PrincipalBySubjectParams{Issuer: p.Issuer.URL, Subject: p.Subject}
	row, err := a.store.PrincipalBySubject(ctx, who)
	stays := !p.Verified && !strings.Contains(row.Name, " ") && !strings.EqualFold(row.Name, p.Email) || a.namedLater(row.ID, p)
	if db.NoRows(err) || err == nil && row.Name != p.Name && !stays {
		_, err = a.store.UpsertPerson(ctx, dbsql.UpsertPersonParams{Issuer: who.Issuer, Subject: who.Subject, Name: p.Name})
		if err == nil {
			row, err = a.store.PrincipalBySubject(ctx, who)
		}
	}
	if err != nil {
		return row, db.Classify(fmt.Errorf("looking for a person: %w", err))
	}
	if row.Kind == kindService {
		return row, refused("%s of %s is a service", p.Subject, p.Issuer.URL)
	}
	if !stays {
		a.named.Store(row.ID, p.Issued)
	}
	return row, nil
}

// namedLater says that this process has seen a later token of a person that named them.
func (a *Authenticator) namedLater(id uuid.UUID, p oidc.Person) bool {
	value, _ := a.named.Load(id)
	issued, seen := value.(time.Time)
	return seen && p.Issued.Before(issued)
}

// grant adds what the groups of a token say. Of two roles the higher one counts.
func (a *Authenticator) grant(ctx context.Context, c *Caller, p oidc.Person) error {
	var granted []config.Grant
	var names []string
	for _, g := range p.Issuer.Grants {
		if !slices.Contains(p.Groups, g.Group) {
			continue
		}
		c.Platform = max(c.Platform, g.Platform)
		if g.Team != "" {
			granted, names = append(granted, g), append(names, g.Team)
		}
	}
	if len(granted) == 0 {
		return nil
	}
	rows, err := a.store.TeamsCalled(ctx, names)
	if err != nil {
		return db.Classify(fmt.Errorf("looking for the teams that groups grant: %w", err))
	}
	teams := map[string]dbsql.TeamsCalledRow{}
	for _, row := range rows {
		teams[row.Name] = row
	}
	for _, g := range granted {
		team, ok := teams[g.Team]
		if !ok {
			if _, told := a.told.LoadOrStore(g.Team, true); !told {
				a.log.WarnContext(ctx, "a group grants a role in a team that does not exist",
					slog.String("issuer", p.Issuer.URL), slog.String("group", g.Group), slog.String("team", g.Team))
			}
			continue
		}
		c.Teams = join(c.Teams, Membership{TeamID: team.ID, Team: team.Name, Role: g.Role, Account: team.Account})
	}
	return nil
}

// join is teams with a membership more, unless it is there already with a role that is no
// lower. Both are ordered by name.
func join(teams []Membership, m Membership) []Membership {
	at, found := slices.BinarySearchFunc(teams, m.Team, func(have Membership, name string) int { return cmp.Compare(have.Team, name) })
	if found {
		teams[at].Role = max(teams[at].Role, m.Role)
		return teams
	}
	return slices.Insert(teams, at, m)
}
