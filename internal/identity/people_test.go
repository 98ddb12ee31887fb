package identity_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/identity/oidctest"
)

// provider is a running OIDC provider and what its groups may do.
type provider struct {
	*oidctest.Issuer

	key oidctest.Key
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := oidctest.NewKey("first", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := oidctest.Start(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = issuer.Stop() })
	return &provider{issuer, key}
}

func (p *provider) believed(grants ...config.Grant) []config.Issuer {
	return []config.Issuer{{URL: p.URL, Audience: "agentsvc", GroupsClaim: "groups", Grants: grants}}
}

func (p *provider) token(t *testing.T, subject string, more map[string]any) identity.Credentials {
	t.Helper()
	token, err := oidctest.Sign(p.key, p.Claims(time.Now(), "agentsvc", subject, more))
	if err != nil {
		t.Fatal(err)
	}
	return identity.Credentials{Token: token}
}

// roles are a caller's, in words.
func roles(c identity.Caller) []string {
	var out []string
	for _, m := range c.Teams {
		out = append(out, m.Team+" "+strings.TrimPrefix(m.Role.String(), "ROLE_"))
	}
	return out
}

func count(t *testing.T, pool *pgxpool.Pool, sql string) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPeopleHaveWhatTheirGroupsAndTheirRowsSay(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	team(t, store, "payments")
	team(t, store, "search")
	idp := newProvider(t)
	var log bytes.Buffer
	authenticator := identity.New(store, identity.Config{
		Issuers: idp.believed(
			config.Grant{Group: "everybody", Team: "payments", Role: pb.Role_ROLE_VIEWER},
			config.Grant{Group: "payments-ops", Team: "payments", Role: pb.Role_ROLE_OPERATOR},
			config.Grant{Group: "payments-ops", Team: "nosuch", Role: pb.Role_ROLE_OWNER},
			config.Grant{Group: "audit", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR},
			config.Grant{Group: "root", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN},
		),
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	as := func(groups ...string) identity.Caller {
		t.Helper()
		got, err := authenticator.Authenticate(t.Context(), idp.token(t, "1234", map[string]any{"email": "paula@payments.example", "email_verified": true, "groups": groups}))
		if err != nil {
			t.Fatal(err)
		}
		if got.Service || got.Name != "paula@payments.example" {
			t.Errorf("caller %+v", got)
		}
		return got
	}

	first := as()
	if len(first.Teams) != 0 || first.SeesAll() {
		t.Errorf("without groups: %+v", first)
	}
	if got := as("everybody", "payments-ops", "unheard-of"); !cmp.Equal(roles(got), []string{"payments OPERATOR"}) || got.PrincipalID != first.PrincipalID {
		t.Errorf("by groups: %+v", got)
	}
	if got := as("audit", "root"); !got.Admin() {
		t.Errorf("of two platform roles: %v", got.Platform)
	}
	exec(t, pool, "INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'OWNER' FROM teams t, principals p WHERE t.name = 'search' AND p.subject = '1234'")
	exec(t, pool, "INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'VIEWER' FROM teams t, principals p WHERE t.name = 'payments' AND p.subject = '1234'")
	if got := roles(as("payments-ops")); !cmp.Equal(got, []string{"payments OPERATOR", "search OWNER"}) {
		t.Errorf("by groups and rows: %v", got)
	}
	exec(t, pool, "UPDATE memberships SET role = 'OWNER'")
	if got := roles(as("payments-ops")); !cmp.Equal(got, []string{"payments OWNER", "search OWNER"}) {
		t.Errorf("the higher role of the row: %v", got)
	}
	exec(t, pool, "UPDATE teams SET archived_at = now() WHERE name = 'payments'")
	if got := roles(as("payments-ops")); !cmp.Equal(got, []string{"search OWNER"}) {
		t.Errorf("of a team that is archived: %v", got)
	}
	exec(t, pool, "DELETE FROM memberships")
	if got := as(); len(got.Teams) != 0 || got.SeesAll() {
		t.Errorf("once the token does not say so any more: %+v", got)
	}
	if n := strings.Count(log.String(), "team=nosuch"); n != 1 {
		t.Errorf("the log has the missing team %d times, want once:\n%s", n, &log)
	}
	if n := count(t, pool, "SELECT count(*) FROM principals WHERE kind = 'PERSON' AND subject = '1234' AND issuer = '"+idp.URL+"'"); n != 1 {
		t.Errorf("%d rows of the person", n)
	}
	exec(t, pool, "UPDATE principals SET platform_role = 'AUDITOR'")
	if got := as(); !got.SeesAll() || got.Admin() {
		t.Errorf("the row's platform role: %+v", got)
	}
	exec(t, pool, "UPDATE principals SET disabled_at = now()")
	_, err := authenticator.Authenticate(t.Context(), idp.token(t, "1234", nil))
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED {
		t.Errorf("disabled: %v", err)
	}
}

func TestPeopleKeepTheirEmailAddress(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	idp := newProvider(t)
	authenticator := identity.New(db.New(pool), identity.Config{Issuers: idp.believed()})
	for _, step := range []struct {
		claims map[string]any
		want   string
	}{
		{map[string]any{"name": "Paula"}, "Paula (1234)"},
		{map[string]any{"name": "Paula P."}, "Paula P. (1234)"},
		{map[string]any{"email": "paula@payments.example", "email_verified": true}, "paula@payments.example"},
		{map[string]any{"name": "billing-bot"}, "paula@payments.example"}, // a token of hers without the address
		{map[string]any{"email": "paula.p@payments.example", "email_verified": true}, "paula.p@payments.example"},
		{map[string]any{"email": "ceo@payments.example", "email_verified": false}, "paula.p@payments.example"},
		{map[string]any{"email": "ceo@payments.example"}, "paula.p@payments.example"},
		{map[string]any{"email": "Paula.P@payments.example", "email_verified": false, "name": "Paula"}, "Paula (1234)"}, // not hers any more
		{map[string]any{"email": "ceo@payments.example", "name": "Paula"}, "Paula (1234)"},
	} {
		got, err := authenticator.Authenticate(t.Context(), idp.token(t, "1234", step.claims))
		if err != nil || got.Name != step.want {
			t.Errorf("%v: called %q, %v; want %q", step.claims, got.Name, err, step.want)
		}
	}
}

// TestAnAddressIsNoOneUntilVerified has somebody whose token has the address of another, and those
// name that address who give rights, and who act for its owner.
func TestAnAddressIsNoOneUntilVerified(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	idp, store := newProvider(t), db.New(pool)
	team(t, store, "payments")
	authenticator := identity.New(store, identity.Config{Issuers: idp.believed()})
	const ceo = "ceo@payments.example"
	as := func(subject string, claims map[string]any) string {
		t.Helper()
		claims["email"] = ceo
		got, err := authenticator.Authenticate(t.Context(), idp.token(t, subject, claims))
		if err != nil {
			t.Fatal(err)
		}
		return got.Name
	}
	portal := mustCreate(t, store, identity.TokenSpec{Service: "portal", Team: "payments", Role: pb.Role_ROLE_OWNER, MayActForOthers: new(true)})
	actsFor := func() (identity.Caller, error) {
		return authenticator.Authenticate(t.Context(), identity.Credentials{Token: portal.Secret, OnBehalfOf: []string{ceo}})
	}
	// By a release that took the address at its word.
	exec(t, pool, "INSERT INTO principals (kind, issuer, subject, name) VALUES ('PERSON', '"+idp.URL+"', 'mallory', '"+ceo+"')")
	for name, claims := range map[string]map[string]any{"denied": {"email_verified": false}, "nothing is said": {}} {
		if got := as("mallory", claims); strings.Contains(got, "@") {
			t.Errorf("%s: the history has %q", name, got)
		}
	}
	if known, err := store.PrincipalsCalled(t.Context(), ceo); err != nil || len(known) != 0 {
		t.Errorf("a role given to the address would be that of %v, %v", known, err)
	}
	if got, err := actsFor(); err == nil {
		t.Errorf("who acts for the address acts for %+v", got)
	}
	if got := as("chief", map[string]any{"email_verified": true}); got != ceo {
		t.Errorf("the owner of the address is called %q", got)
	}
	if known, err := store.PrincipalsCalled(t.Context(), ceo); err != nil || len(known) != 1 || count(t, pool,
		"SELECT count(*) FROM principals WHERE subject = 'chief' AND id = '"+known[0].ID.String()+"'") != 1 {
		t.Errorf("the address is that of %v, %v", known, err)
	}
	if got, err := actsFor(); err != nil || got.Name != ceo {
		t.Errorf("who acts for the address acts for %+v, %v", got, err)
	}
}

// TestPeopleWhoComeAtOnce are made once.
// TestTheLaterTokenNamesItsPerson shows two tokens of one person in turn, which have another name
// each: a new name has everybody forgotten, so there is one change at the most.
func TestTheLaterTokenNamesItsPerson(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	idp := newProvider(t)
	authenticator := identity.New(db.New(pool), identity.Config{Issuers: idp.believed()})
	token := func(email string, issued time.Time) identity.Credentials {
		return idp.token(t, "1234", map[string]any{"email": email, "email_verified": true, "iat": issued.Unix()})
	}
	earlier, later := token("paula@maiden.example", time.Now().Add(-time.Minute)), token("paula@payments.example", time.Now())
	for i, shown := range []identity.Credentials{earlier, later, earlier, later, earlier} {
		got, err := authenticator.Authenticate(t.Context(), shown)
		want := "paula@payments.example"
		if i == 0 {
			want = "paula@maiden.example"
		}
		if err != nil || got.Name != want {
			t.Errorf("at call %d she is %q (%v), want %q", i, got.Name, err, want)
		}
	}
}

func TestPeopleWhoComeAtOnce(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	idp := newProvider(t)
	authenticator := identity.New(db.New(pool), identity.Config{Issuers: idp.believed()})
	var group sync.WaitGroup
	for range 10 {
		token := idp.token(t, "1234", map[string]any{"email": "paula@payments.example", "email_verified": true})
		group.Go(func() {
			if _, err := authenticator.Authenticate(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := count(t, pool, "SELECT count(*) FROM principals WHERE subject = '1234'"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// TestRefusalsAreAllTheSame holds the whole answer of one wrong token against another's.
func TestRefusalsAreAllTheSame(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	team(t, store, "payments")
	idp := newProvider(t)
	authenticator := identity.New(store, identity.Config{Issuers: idp.believed()})
	good := mustCreate(t, store, identity.TokenSpec{Service: "bot", Team: "payments", Role: pb.Role_ROLE_VIEWER})
	revoked := mustCreate(t, store, identity.TokenSpec{Service: "bot", Team: "payments", Role: pb.Role_ROLE_VIEWER})
	if _, err := identity.RevokeToken(t.Context(), store.Queries, revoked.ID); err != nil {
		t.Fatal(err)
	}
	stranger := newProvider(t)
	past := time.Now().Add(-time.Hour).Unix()
	said := map[string][]string{}
	for name, c := range map[string]identity.Credentials{
		"nonsense":         {Token: "hunter2"},
		"wrong secret":     {Token: good.Secret + "x"},
		"revoked":          {Token: revoked.Secret},
		"unknown id":       {Token: "ast_aaaaaaaaaaaa_" + strings.Repeat("x", 43)},
		"a megabyte":       {Token: strings.Repeat("x", 1<<20)},
		"a megabyte, ours": {Token: "ast_aaaaaaaaaaaa_" + strings.Repeat("x", 1<<20)},
		"expired":          idp.token(t, "1234", map[string]any{"exp": past}),
		"another audience": idp.token(t, "1234", map[string]any{"aud": "other"}),
		"another issuer":   stranger.token(t, "1234", nil),
		"a service's name": idp.token(t, "", nil),
	} {
		got, err := authenticator.Authenticate(t.Context(), c)
		f := wantFault(t, name, err)
		said[f.Public] = append(said[f.Public], name)
		if f.RetryAfter != 0 || f.Metadata != nil || f.Resource != nil || f.Violations != nil || !cmp.Equal(got, identity.Caller{}) {
			t.Errorf("%s: %+v tells more", name, f)
		}
		if strings.Contains(err.Error(), c.Token) {
			t.Errorf("%s: the log would hold the token", name)
		}
	}
	if len(said) != 1 {
		t.Errorf("refusals differ: %v", said)
	}
}

func wantFault(t *testing.T, name string, err error) *fault.Error {
	t.Helper()
	f, ok := err.(*fault.Error) //nolint:errorlint // bare
	if !ok || f.Reason != pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED {
		t.Fatalf("%s: error %v, want UNAUTHENTICATED", name, err)
	}
	return f
}

// TestTheLogIsNotForStrangersToFill has a token claim a lot.
func TestTheLogIsNotForStrangersToFill(t *testing.T) {
	t.Parallel()
	idp := newProvider(t)
	authenticator := identity.New(db.New(dbtest.New(t)), identity.Config{Issuers: idp.believed()})
	_, err := authenticator.Authenticate(t.Context(), idp.token(t, "1234", map[string]any{"aud": strings.Repeat("x", 10_000)}))
	if wantFault(t, "a long audience", err); len(err.Error()) > 1000 {
		t.Errorf("the log would have %d bytes", len(err.Error()))
	}
}
