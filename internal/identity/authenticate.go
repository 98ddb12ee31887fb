package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
)

const (
	// kindService is how the principal of a service is stored.
	kindService = "SERVICE"
	// maxTokenBytes is the longest token that is looked at; ours have 60 characters.
	maxTokenBytes = 8192
)

// Authenticator knows the callers that carry a service token. Nothing is cached:
// a revoked token and a role taken away do not work from the next call on.
type Authenticator struct{ store *db.Store }

// NewAuthenticator makes one that asks store.
func NewAuthenticator(store *db.Store) *Authenticator { return &Authenticator{store: store} }

// Authenticate answers who a bearer token speaks for. A *[fault.Error] with reason
// UNAUTHENTICATED says what to do; it tells the holder of a true secret that it
// expired or was revoked, and everybody else nothing.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (Caller, error) {
	if token == "" {
		return Caller{}, errMissing()
	}
	id, secret, ok := splitToken(token)
	if !ok || len(token) > maxTokenBytes {
		return Caller{}, errUnknown()
	}
	row, err := a.store.TokenByID(ctx, id)
	if db.NoRows(err) {
		return Caller{}, errUnknown()
	}
	if err != nil {
		return Caller{}, db.Classify(fmt.Errorf("looking for a token: %w", err))
	}
	switch {
	case !sameSecret(row.SecretHash, secret):
		return Caller{}, errUnknown()
	case row.Revoked:
		return Caller{}, unauthenticated("token %s was revoked; ask an administrator for another", id)
	case row.Expired:
		return Caller{}, unauthenticated("token %s has expired; ask an administrator for another", id)
	case row.Disabled:
		return Caller{}, errDisabled(row.Name)
	}
	c := caller(row.PrincipalID, row.Kind, row.Name, row.PlatformRole)
	for i, team := range row.TeamIds {
		c.Teams = append(c.Teams, membership(team, row.TeamNames[i], row.TeamRoles[i], row.TeamAccounts[i]))
	}
	return c, nil
}

// FixedIssuer is the issuer of the principals that [Fixed] answers.
const FixedIssuer = "dev"

// Fixed knows callers by tokens that anybody can read in the documentation. It is
// for `agentsvc dev`, which listens to the machine it runs on and to nobody else.
type Fixed struct {
	store    *db.Store
	subjects map[string]string
	next     *Authenticator
}

// NewFixed answers the principals of [FixedIssuer] by token; subjects says which
// subject each token speaks for. Tokens that are not there are asked of next.
func NewFixed(store *db.Store, subjects map[string]string, next *Authenticator) *Fixed {
	return &Fixed{store: store, subjects: subjects, next: next}
}

// Authenticate is as that of [Authenticator].
func (f *Fixed) Authenticate(ctx context.Context, token string) (Caller, error) {
	subject, ok := f.subjects[token]
	if !ok {
		return f.next.Authenticate(ctx, token)
	}
	row, err := f.store.PrincipalBySubject(ctx, dbsql.PrincipalBySubjectParams{Issuer: FixedIssuer, Subject: subject})
	if db.NoRows(err) {
		return Caller{}, errUnknown()
	}
	if err != nil {
		return Caller{}, db.Classify(fmt.Errorf("looking for principal %s: %w", subject, err))
	}
	if row.Disabled {
		return Caller{}, errDisabled(row.Name)
	}
	teams, err := f.store.MembershipsOf(ctx, row.ID)
	if err != nil {
		return Caller{}, db.Classify(fmt.Errorf("looking for the teams of %s: %w", subject, err))
	}
	c := caller(row.ID, row.Kind, row.Name, row.PlatformRole)
	for _, m := range teams {
		c.Teams = append(c.Teams, membership(m.ID, m.Name, m.Role, m.Account))
	}
	return c, nil
}

// caller reads roles as they are stored. A role that this program does not know,
// because a newer one wrote it, allows nothing.
func caller(id uuid.UUID, kind, name, platform string) Caller {
	return Caller{
		PrincipalID: id, Name: name, Service: kind == kindService,
		Platform: pb.PlatformRole(pb.PlatformRole_value["PLATFORM_ROLE_"+platform]),
	}
}

func membership(team uuid.UUID, name, role, account string) Membership {
	return Membership{TeamID: team, Team: name, Role: pb.Role(pb.Role_value["ROLE_"+role]), Account: account}
}

func unauthenticated(format string, args ...any) *fault.Error {
	return fault.New(pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED, format, args...)
}

func errMissing() error {
	return unauthenticated("no token: send the header `Authorization: Bearer ast_…`; " +
		"an administrator makes tokens with `agentsvc token create`")
}

// errUnknown is the same for a token that does not exist and for a wrong secret.
func errUnknown() error {
	return unauthenticated("the token is not known: check that it was copied whole, or ask an administrator for another")
}

func errDisabled(name string) error {
	return unauthenticated("%s is disabled; ask an administrator", name)
}
