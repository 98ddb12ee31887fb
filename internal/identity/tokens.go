package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const (
	// DefaultLifetime of a service token.
	DefaultLifetime = 90 * 24 * time.Hour
	// MaxLifetime of a service token: a leap year.
	MaxLifetime = 366 * 24 * time.Hour

	tokenPrefix  = "ast"
	tokenIDChars = 12 // 60 random bits of base32
	secretBytes  = 32
)

var (
	// serviceName is the form of services' names: they read well in the history and
	// cannot be taken for an email address.
	serviceName = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,62}$`)
	// tokenIDForm is what the schema says of ids; nothing else is asked for.
	tokenIDForm = regexp.MustCompile(`^[a-z0-9]{8,32}$`)
)

// TokenSpec says for whom a token is made and what they may do with it. The roles
// are the service's, not the token's: they hold for its other tokens too.
type TokenSpec struct {
	// Service is the name of the service, such as "billing-bot".
	Service string
	// Team it belongs to, with Role; empty for none. Other memberships stay.
	Team string
	Role pb.Role
	// Platform role; PLATFORM_ROLE_UNSPECIFIED leaves the one it has.
	Platform pb.PlatformRole
	// Lifetime up to [MaxLifetime]; zero for [DefaultLifetime].
	Lifetime time.Duration
	// MayActForOthers lets the service name the person it acts for; nil leaves that as it is.
	MayActForOthers *bool
}

// NewToken is a token just made. Secret is the whole token: it is not stored and
// can never be shown again.
type NewToken struct {
	ID        string
	Secret    string
	Principal uuid.UUID
	// Team is nil for a service that was given none.
	Team    *uuid.UUID
	Expires time.Time
}

func (s TokenSpec) validate() error {
	var problems []error
	if !serviceName.MatchString(s.Service) {
		problems = append(problems, fmt.Errorf(
			"name %q: start with a lower-case letter, then letters, digits, '.', '_' and '-', 63 at the most", s.Service))
	}
	if s.Team == "" && s.Platform == pb.PlatformRole_PLATFORM_ROLE_UNSPECIFIED {
		problems = append(problems, errors.New("a service needs a team or a platform role"))
	}
	if (s.Team == "") != (s.Role == pb.Role_ROLE_UNSPECIFIED) {
		problems = append(problems, errors.New("a team and a role in it go together"))
	}
	if s.Lifetime < 0 || s.Lifetime > MaxLifetime {
		problems = append(problems, fmt.Errorf("lifetime %s: %s at the most", s.Lifetime, MaxLifetime))
	}
	return errors.Join(problems...)
}

// CreateToken makes a token for a service, and the service itself if it is new.
// The team must exist. Run it in a transaction: it writes more than one row.
func CreateToken(ctx context.Context, q *db.Queries, spec TokenSpec) (NewToken, error) {
	if err := spec.validate(); err != nil {
		return NewToken{}, err
	}
	if spec.Lifetime == 0 {
		spec.Lifetime = DefaultLifetime
	}
	token, err := setUp(ctx, q, spec, dbsql.PrincipalBySubjectParams{Subject: spec.Service})
	if err != nil {
		return NewToken{}, err
	}
	id, secret := randomToken()
	hash := sha256.Sum256([]byte(secret))
	token.ID, token.Secret = id, tokenPrefix+"_"+id+"_"+secret
	token.Expires, err = q.InsertToken(ctx, dbsql.InsertTokenParams{
		ID: id, PrincipalID: token.Principal, SecretHash: hash[:], LifetimeSeconds: spec.Lifetime.Seconds(),
	})
	if err != nil {
		return NewToken{}, fmt.Errorf("storing the token: %w", err)
	}
	return token, nil
}

// setUp makes the service that is known as who, and its roles, as spec says.
func setUp(ctx context.Context, q *db.Queries, spec TokenSpec, who dbsql.PrincipalBySubjectParams) (NewToken, error) {
	var token NewToken
	if spec.Team != "" {
		team, err := q.TeamByName(ctx, spec.Team)
		if db.NoRows(err) {
			return NewToken{}, fmt.Errorf("there is no team %q", spec.Team)
		}
		if err != nil {
			return NewToken{}, fmt.Errorf("looking for team %q: %w", spec.Team, err)
		}
		token.Team = &team.ID
	}
	var err error
	if token.Principal, err = upsertService(ctx, q, spec, who); err != nil {
		return NewToken{}, err
	}
	if token.Team != nil {
		err = q.UpsertMembership(ctx, dbsql.UpsertMembershipParams{
			TeamID: *token.Team, PrincipalID: token.Principal, Role: strings.TrimPrefix(spec.Role.String(), "ROLE_"),
		})
		if err != nil {
			return NewToken{}, fmt.Errorf("adding %s to team %s: %w", spec.Service, spec.Team, err)
		}
	}
	if spec.MayActForOthers != nil {
		err = q.SetMayActForOthers(ctx, dbsql.SetMayActForOthersParams{ID: token.Principal, May: *spec.MayActForOthers})
		if err != nil {
			return NewToken{}, fmt.Errorf("saying whether %s may act for others: %w", spec.Service, err)
		}
	}
	return token, nil
}

// upsertService answers the service's principal. One that was disabled stays so,
// and is refused: a new token must not look as if it worked.
func upsertService(ctx context.Context, q *db.Queries, spec TokenSpec, who dbsql.PrincipalBySubjectParams) (uuid.UUID, error) {
	params := dbsql.UpsertPrincipalParams{Kind: kindService, Issuer: who.Issuer, Subject: who.Subject, Name: spec.Service}
	if spec.Platform != pb.PlatformRole_PLATFORM_ROLE_UNSPECIFIED {
		params.PlatformRole = strings.TrimPrefix(spec.Platform.String(), "PLATFORM_ROLE_")
	}
	known, err := q.PrincipalBySubject(ctx, who)
	switch {
	case db.NoRows(err):
	case err != nil:
		return uuid.Nil, fmt.Errorf("looking for service %s: %w", spec.Service, err)
	case known.Disabled:
		return uuid.Nil, fmt.Errorf("service %s is disabled", spec.Service)
	case params.PlatformRole == "":
		params.PlatformRole = known.PlatformRole
	}
	id, err := q.UpsertPrincipal(ctx, params)
	if err != nil {
		return uuid.Nil, fmt.Errorf("storing service %s: %w", spec.Service, err)
	}
	return id, nil
}

// Token is what is known of a token besides its secret.
type Token struct {
	ID, Service      string
	Created, Expires time.Time
	// Revoked is nil for a token that was not.
	Revoked *time.Time
	// LastUsed is right to a minute; nil for a token that never was.
	LastUsed *time.Time
}

// ListTokens answers all tokens, the oldest first, with those that no longer work.
func ListTokens(ctx context.Context, q *db.Queries) ([]Token, error) {
	rows, err := q.ListTokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	tokens := make([]Token, 0, len(rows))
	for _, row := range rows {
		tokens = append(tokens, Token{
			ID: row.ID, Service: row.Name, Created: row.CreatedAt, Expires: row.ExpiresAt, Revoked: row.RevokedAt,
			LastUsed: row.LastUsedAt,
		})
	}
	return tokens, nil
}

// RevokeToken ends a token: it is refused within a second, on every replica.
// Revoking it again changes nothing. It takes the id or the whole token, and
// answers the id.
func RevokeToken(ctx context.Context, q *db.Queries, token string) (id string, err error) {
	id, _, ok := splitToken(token)
	if !ok {
		id = token
	}
	n, err := q.RevokeToken(ctx, id)
	if err != nil {
		return "", fmt.Errorf("revoking token %s: %w", id, err)
	}
	if n == 0 {
		return "", fmt.Errorf("there is no token %q", id)
	}
	return id, nil
}

// randomToken makes the id, which is public, and the secret. The secret may hold
// '_': what is behind the second one is all secret.
func randomToken() (id, secret string) {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails: it ends the process instead
	secret = base64.RawURLEncoding.EncodeToString(raw)
	_, _ = rand.Read(raw)
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw))[:tokenIDChars], secret
}

// splitToken takes a token apart; false if it does not look like one.
func splitToken(token string) (id, secret string, ok bool) {
	parts := strings.SplitN(token, "_", 3)
	if len(parts) != 3 || parts[0] != tokenPrefix || !tokenIDForm.MatchString(parts[1]) || parts[2] == "" {
		return "", "", false
	}
	return parts[1], parts[2], true
}

func sameSecret(hash []byte, secret string) bool {
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(hash, got[:]) == 1
}
