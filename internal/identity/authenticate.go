package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity/oidc"
)

const (
	// kindService is how the principal of a service is stored.
	kindService = "SERVICE"
	// maxTokenBytes is the longest token that is looked at. Ours have 60 characters; those of
	// OIDC providers grow with the groups of a person.
	maxTokenBytes = 32 << 10
	// maxCause is how much the log has of why a token was refused, in bytes.
	maxCause = 300
)

// Config is what an [Authenticator] may have.
type Config struct {
	// Issuers are OIDC providers whose tokens are believed; none: people cannot sign in.
	Issuers []config.Issuer
	// Log is told why somebody was not let in for reasons that are ours; nil: nobody is.
	Log *slog.Logger
	// Changed is called when something that decides what callers may do has changed in the
	// database: who is who, who belongs where, and what is frozen; nil: nobody is told.
	Changed func()
}

// Authenticator knows callers by their credentials. While it runs, see [Authenticator.Run],
// it remembers them for a while; else it asks the database for each call.
type Authenticator struct {
	store   *db.Store
	cache   *cache
	issuers *oidc.Issuers
	log     *slog.Logger
	changed func()
	// told are the teams of grants that do not exist, so that the log has them once.
	told sync.Map
	// named is when the token was issued that a person, by their row, has their name of.
	named sync.Map
}

// New makes an authenticator that asks store.
func New(store *db.Store, cfg Config) *Authenticator {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	now := time.Now //nolint:forbidigo // how long something is remembered, and what other clocks have dated: the database's is not asked
	a := &Authenticator{store: store, cache: newCache(now), log: cfg.Log, changed: cfg.Changed}
	a.issuers = oidc.New(cfg.Issuers, now, cfg.Log, a.cache.forget)
	return a
}

// NewAuthenticator makes one that knows services by their tokens and certificates alone.
func NewAuthenticator(store *db.Store) *Authenticator { return New(store, Config{}) }

// known is a caller as found out.
type known struct {
	caller Caller
	// mayAct says that the caller may name the person it acts for.
	mayAct bool
	// token is the id of the service token.
	token string
	// until is when the credentials end by themselves; zero: not in the time that anything
	// is remembered for.
	until time.Time
}

// Authenticate answers who credentials speak for. Of why they do not, only the log learns
// more than that they do not: the *[fault.Error] with reason UNAUTHENTICATED has the same
// words for whatever is wrong with them. A service that may not act for whom it names is
// answered together with an error of reason PERMISSION_DENIED, for the history.
func (a *Authenticator) Authenticate(ctx context.Context, c Credentials) (Caller, error) {
	switch {
	case c.Token == "" && c.Certificate == nil:
		return Caller{}, errMissing()
	case len(c.Token) > maxTokenBytes:
		return Caller{}, refused("the token has %d bytes", len(c.Token))
	}
	k := c.key()
	if caller, ok := a.cache.get(k); ok {
		return caller, nil
	}
	begun := a.cache.begin()
	found, err := a.identify(ctx, c)
	if err != nil {
		return Caller{}, err
	}
	if c.OnBehalfOf != nil {
		caller, err := a.actFor(ctx, found, c.OnBehalfOf)
		if err != nil {
			return found.caller, err
		}
		found.caller = caller
	}
	a.cache.put(begun, k, found)
	return found.caller, nil
}

// identify finds out whom credentials speak for. A token counts before a certificate,
// also if it is wrong: a mesh shows its own certificate with its clients' tokens.
func (a *Authenticator) identify(ctx context.Context, c Credentials) (known, error) {
	switch {
	case c.Token == "":
		return a.certificate(ctx, c.Certificate)
	case strings.HasPrefix(c.Token, tokenPrefix+"_"):
		return a.serviceToken(ctx, c.Token)
	default:
		return a.person(ctx, c.Token)
	}
}

func (a *Authenticator) serviceToken(ctx context.Context, token string) (known, error) {
	id, secret, ok := splitToken(token)
	if !ok {
		return known{}, refused("this is not the form of a service token")
	}
	row, err := a.store.TokenByID(ctx, id)
	if db.NoRows(err) {
		return known{}, refused("there is no token %s", id)
	}
	if err != nil {
		return known{}, db.Classify(fmt.Errorf("looking for a token: %w", err))
	}
	switch {
	case !sameSecret(row.SecretHash, secret):
		return known{}, refused("the secret of token %s is another", id)
	case row.Revoked:
		return known{}, refused("token %s was revoked", id)
	case row.SecondsLeft <= 0:
		return known{}, refused("token %s has expired", id)
	case row.Disabled:
		return known{}, refused("%s is disabled", row.Name)
	}
	found := known{
		caller: caller(row.PrincipalID, row.Kind, row.Name, row.PlatformRole), mayAct: row.MayActForOthers, token: id,
		until: a.cache.now().Add(time.Duration(row.SecondsLeft * float64(time.Second))),
	}
	for i, team := range row.TeamIds {
		found.caller.Teams = append(found.caller.Teams, membership(team, row.TeamNames[i], row.TeamRoles[i], row.TeamAccounts[i]))
	}
	return found, nil
}

// teamsOf are a principal's memberships as they are stored, by name.
func (a *Authenticator) teamsOf(ctx context.Context, principal uuid.UUID) ([]Membership, error) {
	rows, err := a.store.MembershipsOf(ctx, principal)
	if err != nil {
		return nil, db.Classify(fmt.Errorf("looking for the teams of a principal: %w", err))
	}
	teams := make([]Membership, 0, len(rows))
	for _, m := range rows {
		teams = append(teams, membership(m.ID, m.Name, m.Role, m.Account))
	}
	return teams, nil
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

func errMissing() error {
	return fault.New(pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED, "no credentials: send the header `Authorization: Bearer …` "+
		"with a token of your identity provider or, for a service, one that an administrator made with `agentsvc token create`")
}

// refused is the same for everything that is wrong with credentials; why is for the log,
// and never holds any.
func refused(why string, args ...any) error {
	return refusedBy(fmt.Errorf(why, args...))
}

func refusedBy(cause error) error {
	// It may quote what a token claims, and strangers must not fill the log.
	if text := cause.Error(); len(text) > maxCause {
		cause = errors.New(text[:maxCause])
	}
	return &fault.Error{
		Reason: pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED, Cause: cause,
		Public: "the credentials are not accepted: check that the token was copied whole and is still good, or get another",
	}
}

// ended says that err is about a caller who left, and not about what they showed.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}
