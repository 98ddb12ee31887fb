package identity

import (
	"context"
	"fmt"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

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
func (f *Fixed) Authenticate(ctx context.Context, c Credentials) (Caller, error) {
	subject, ok := f.subjects[c.Token]
	if !ok {
		return f.next.Authenticate(ctx, c)
	}
	row, err := f.store.PrincipalBySubject(ctx, dbsql.PrincipalBySubjectParams{Issuer: FixedIssuer, Subject: subject})
	if db.NoRows(err) {
		return Caller{}, refused("there is no principal %s", subject)
	}
	if err != nil {
		return Caller{}, db.Classify(fmt.Errorf("looking for principal %s: %w", subject, err))
	}
	if row.Disabled {
		return Caller{}, refused("%s is disabled", row.Name)
	}
	found := known{caller: caller(row.ID, row.Kind, row.Name, row.PlatformRole), mayAct: row.MayActForOthers}
	if found.caller.Teams, err = f.next.teamsOf(ctx, row.ID); err != nil {
		return Caller{}, err
	}
	if c.OnBehalfOf == nil {
		return found.caller, nil
	}
	acting, err := f.next.actFor(ctx, found, c.OnBehalfOf)
	if err != nil {
		return found.caller, err
	}
	return acting, nil
}
