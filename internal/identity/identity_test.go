package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func create(t *testing.T, store *db.Store, spec identity.TokenSpec) (token identity.NewToken, err error) {
	t.Helper()
	err = store.Tx(t.Context(), db.Durable, func(q *db.Queries) error {
		var err error
		token, err = identity.CreateToken(t.Context(), q, spec)
		return err
	})
	return token, err
}

func mustCreate(t *testing.T, store *db.Store, spec identity.TokenSpec) identity.NewToken {
	t.Helper()
	token, err := create(t, store, spec)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func team(t *testing.T, store *db.Store, name string) {
	t.Helper()
	if _, err := store.UpsertTeam(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func TestTokenSpeaksForItsService(t *testing.T) {
	t.Parallel()
	store := db.New(dbtest.New(t))
	team(t, store, "search")
	team(t, store, "payments")
	mustCreate(t, store, identity.TokenSpec{Service: "bot", Team: "search", Role: pb.Role_ROLE_VIEWER})
	token := mustCreate(t, store, identity.TokenSpec{Service: "bot", Team: "payments", Role: pb.Role_ROLE_OWNER})

	got, err := identity.NewAuthenticator(store).Authenticate(t.Context(), identity.Credentials{Token: token.Secret})
	if err != nil {
		t.Fatal(err)
	}

	if !got.Service || got.Name != "bot" || got.PrincipalID != token.Principal || got.SeesAll() {
		t.Errorf("caller %+v, want the service bot without a platform role", got)
	}
	var roles []string
	for _, m := range got.Teams {
		roles = append(roles, m.Team+" "+m.Role.String())
	}
	if diff := cmp.Diff([]string{"payments ROLE_OWNER", "search ROLE_VIEWER"}, roles); diff != "" {
		t.Errorf("teams (-want +got):\n%s", diff)
	}
	if got.Teams[0].TeamID != *token.Team || got.Role(*token.Team) != pb.Role_ROLE_OWNER {
		t.Errorf("team %s, want %s", got.Teams[0].TeamID, token.Team)
	}
}

func TestPlatformRoleStaysUnlessGiven(t *testing.T) {
	t.Parallel()
	store := db.New(dbtest.New(t))
	team(t, store, "search")
	mustCreate(t, store, identity.TokenSpec{Service: "ops", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN})
	second := mustCreate(t, store, identity.TokenSpec{Service: "ops", Team: "search", Role: pb.Role_ROLE_VIEWER})

	got, err := identity.NewAuthenticator(store).Authenticate(t.Context(), identity.Credentials{Token: second.Secret})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Admin() {
		t.Error("a second token without --platform took the service's role away")
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	team(t, store, "payments")
	spec := func(name string) identity.TokenSpec {
		return identity.TokenSpec{Service: name, Team: "payments", Role: pb.Role_ROLE_VIEWER}
	}
	good := mustCreate(t, store, spec("good"))
	other := mustCreate(t, store, spec("other"))
	secretOf := func(token string) string { return strings.SplitN(token, "_", 3)[2] }
	const unknown = "not accepted"
	const disable = "UPDATE principals SET disabled_at = now() WHERE name = 'off'"
	set := func(column, service string) string {
		return "UPDATE service_tokens SET " + column + " = now() FROM principals p WHERE p.id = principal_id AND p.name = '" + service + "'"
	}

	for name, tc := range map[string]struct {
		token string
		says  string
		after string // SQL that changes the world first
	}{
		"none":                       {"", "Authorization: Bearer", ""},
		"something else":             {"hunter2", unknown, ""},
		"no secret":                  {"ast_" + good.ID + "_", unknown, ""},
		"another prefix":             {"pat_" + good.ID + "_" + secretOf(good.Secret), unknown, ""},
		"unknown id":                 {"ast_aaaaaaaaaaaa_" + secretOf(good.Secret), unknown, ""},
		"another token's secret":     {"ast_" + good.ID + "_" + secretOf(other.Secret), unknown, ""},
		"an id with a character 0":   {"ast_\x00_x", unknown, ""},
		"very long":                  {"ast_" + good.ID + "_" + strings.Repeat("x", 100_000), unknown, ""},
		"expired":                    {mustCreate(t, store, spec("late")).Secret, unknown, set("expires_at", "late")},
		"revoked":                    {mustCreate(t, store, spec("gone")).Secret, unknown, set("revoked_at", "gone")},
		"of a disabled service":      {mustCreate(t, store, spec("off")).Secret, unknown, disable},
		"expired, with wrong secret": {"ast_" + mustCreate(t, store, spec("late2")).ID + "_wrong", unknown, set("expires_at", "late2")},
	} {
		t.Run(name, func(t *testing.T) {
			exec(t, pool, tc.after)

			got, err := identity.NewAuthenticator(store).Authenticate(t.Context(), identity.Credentials{Token: tc.token})

			if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want UNAUTHENTICATED saying %q", err, tc.says)
			}
			if diff := cmp.Diff(identity.Caller{}, got); diff != "" {
				t.Errorf("a caller all the same:\n%s", diff)
			}
		})
	}
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if sql == "" {
		return
	}
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestRevokedAtOnce(t *testing.T) {
	t.Parallel()
	store := db.New(dbtest.New(t))
	token := mustCreate(t, store, identity.TokenSpec{Service: "bot", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR})
	authenticator := identity.NewAuthenticator(store)
	if _, err := authenticator.Authenticate(t.Context(), identity.Credentials{Token: token.Secret}); err != nil {
		t.Fatal(err)
	}

	id, err := identity.RevokeToken(t.Context(), store.Queries, token.Secret) // the whole token will do
	if err != nil || id != token.ID {
		t.Fatalf("revoked %q, error %v", id, err)
	}
	if _, err := authenticator.Authenticate(t.Context(), identity.Credentials{Token: token.Secret}); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED {
		t.Errorf("the very next call: %v", err)
	}
	listed := list(t, store)
	if len(listed) != 1 || listed[0].Revoked == nil {
		t.Fatalf("listed %+v", listed)
	}
	if _, err := identity.RevokeToken(t.Context(), store.Queries, token.ID); err != nil {
		t.Errorf("revoking twice: %v", err)
	}
	if again := list(t, store); !again[0].Revoked.Equal(*listed[0].Revoked) {
		t.Error("revoking twice moved the time")
	}
	if _, err := identity.RevokeToken(t.Context(), store.Queries, "nosuchtoken1"); err == nil {
		t.Error("revoking what does not exist worked")
	}
}

func list(t *testing.T, store *db.Store) []identity.Token {
	t.Helper()
	tokens, err := identity.ListTokens(t.Context(), store.Queries)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokensThatAreNotMade(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	team(t, store, "payments")
	mustCreate(t, store, identity.TokenSpec{Service: "off", Platform: pb.PlatformRole_PLATFORM_ROLE_ADMIN})
	exec(t, pool, "UPDATE principals SET disabled_at = now() WHERE name = 'off'")
	before := len(list(t, store))
	good := identity.TokenSpec{Service: "bot", Team: "payments", Role: pb.Role_ROLE_VIEWER}

	for name, tc := range map[string]struct {
		edit func(*identity.TokenSpec)
		says string
	}{
		"no name":            {func(s *identity.TokenSpec) { s.Service = "" }, "name"},
		"named like people":  {func(s *identity.TokenSpec) { s.Service = "a@b.example" }, "name"},
		"no roles at all":    {func(s *identity.TokenSpec) { s.Team, s.Role = "", 0 }, "needs a team"},
		"team without role":  {func(s *identity.TokenSpec) { s.Role = 0 }, "go together"},
		"role without team":  {func(s *identity.TokenSpec) { s.Team, s.Platform = "", 1 }, "go together"},
		"unknown team":       {func(s *identity.TokenSpec) { s.Team = "payment" }, `no team "payment"`},
		"too long":           {func(s *identity.TokenSpec) { s.Lifetime = identity.MaxLifetime + 1 }, "lifetime"},
		"a negative time":    {func(s *identity.TokenSpec) { s.Lifetime = -1 }, "lifetime"},
		"a disabled service": {func(s *identity.TokenSpec) { s.Service = "off" }, "disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := good
			tc.edit(&spec)
			if _, err := create(t, store, spec); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want one about %q", err, tc.says)
			}
			if after := len(list(t, store)); after != before {
				t.Errorf("%d tokens, want still %d", after, before)
			}
		})
	}
}

func TestTokenExpiresByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	for name, lifetime := range map[string]time.Duration{"default": 0, "an hour": time.Hour} {
		want := lifetime
		if want == 0 {
			want = identity.DefaultLifetime
		}
		token := mustCreate(t, store, identity.TokenSpec{Service: "bot", Platform: 1, Lifetime: lifetime})
		var got float64
		const lasts = "SELECT extract(epoch FROM expires_at - created_at) FROM service_tokens WHERE id = $1"
		err := pool.QueryRow(t.Context(), lasts, token.ID).Scan(&got)
		if err != nil || got != want.Seconds() {
			t.Errorf("%s: good for %v seconds, want %v (%v)", name, got, want.Seconds(), err)
		}
	}
}

func TestSecretIsNotStored(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	token := mustCreate(t, db.New(pool), identity.TokenSpec{Service: "bot", Platform: 1})
	secret := strings.SplitN(token.Secret, "_", 3)[2]
	if len(token.ID) != 12 || len(secret) != 43 {
		t.Errorf("token %q: id of %d characters, secret of %d", token.Secret, len(token.ID), len(secret))
	}
	var row string
	if err := pool.QueryRow(t.Context(), "SELECT t::text || encode(t.secret_hash, 'escape') FROM service_tokens t").Scan(&row); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(row, secret) {
		t.Error("the row holds the secret")
	}
}

func TestFixedTokens(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	team(t, store, "payments")
	var id [16]byte
	exec(t, pool, `INSERT INTO principals (kind, issuer, subject, name)
		VALUES ('PERSON', 'dev', 'owner', 'olga@payments.example'), ('PERSON', 'dev', 'off', 'off@payments.example')`)
	exec(t, pool, "UPDATE principals SET disabled_at = now() WHERE subject = 'off'")
	exec(t, pool, `INSERT INTO memberships (team_id, principal_id, role)
		SELECT t.id, p.id, 'OWNER' FROM teams t, principals p WHERE t.name = 'payments' AND p.subject = 'owner'`)
	if err := pool.QueryRow(t.Context(), "SELECT id FROM principals WHERE subject = 'owner'").Scan(&id); err != nil {
		t.Fatal(err)
	}
	service := mustCreate(t, store, identity.TokenSpec{Service: "bot", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR})
	subjects := map[string]string{"dev-owner": "owner", "dev-off": "off", "dev-nobody": "nobody"}
	fixed := identity.NewFixed(store, subjects, identity.NewAuthenticator(store))

	got, err := fixed.Authenticate(t.Context(), identity.Credentials{Token: "dev-owner"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "olga@payments.example" || got.Service || got.PrincipalID != id ||
		len(got.Teams) != 1 || got.Teams[0].Role != pb.Role_ROLE_OWNER {
		t.Errorf("caller %+v", got)
	}
	if got, err := fixed.Authenticate(t.Context(), identity.Credentials{Token: service.Secret}); err != nil || got.Name != "bot" || !got.SeesAll() {
		t.Errorf("a service token: %+v, %v", got, err)
	}
	for _, token := range []string{"dev-off", "dev-nobody", "dev-admin", ""} {
		if _, err := fixed.Authenticate(t.Context(), identity.Credentials{Token: token}); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

func TestDatabaseAwayIsNotTheTokensFault(t *testing.T) {
	t.Parallel()
	pool, err := db.Open(t.Context(), "postgres://nobody@127.0.0.1:1/nothing")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_, err = identity.NewAuthenticator(db.New(pool)).Authenticate(t.Context(), identity.Credentials{Token: "ast_aaaaaaaaaaaa_x"})
	if fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_DATABASE_UNAVAILABLE {
		t.Errorf("error %v, want DATABASE_UNAVAILABLE", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = identity.NewAuthenticator(db.New(pool)).Authenticate(ctx, identity.Credentials{Token: "ast_aaaaaaaaaaaa_x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the caller who left", err)
	}
}
