package identity_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbtest"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/identity/oidctest"
)

// patience is for a slow machine, and less than callers are remembered for.
const patience = 20 * time.Second

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("waited %s in vain for this: %s", patience, what)
		}
	}
}

// running is an authenticator that remembers callers, on a pool of its own that can be
// shut to see whether it asks.
func running(t *testing.T, url string, cfg identity.Config) (*identity.Authenticator, *pgxpool.Pool) {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	a := identity.New(db.New(pool), cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		pool.Close()
	})
	return a, pool
}

// remembers waits until credentials are known without a query.
func remembers(t *testing.T, a *identity.Authenticator, pool *pgxpool.Pool, c identity.Credentials) {
	t.Helper()
	await(t, "the caller is remembered", func() bool {
		if _, err := a.Authenticate(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		before := pool.Stat().AcquireCount()
		if _, err := a.Authenticate(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return pool.Stat().AcquireCount() == before
	})
}

// TestWhatChangesIsForgottenEverywhere makes each change that there is, on one of three
// replicas that all remember.
func TestWhatChangesIsForgottenEverywhere(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	own, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	store := db.New(own)
	team(t, store, "payments")
	type replica struct {
		*identity.Authenticator

		pool *pgxpool.Pool
	}
	var replicas []replica
	for range 3 {
		a, pool := running(t, url, identity.Config{})
		replicas = append(replicas, replica{a, pool})
	}
	const gone = "UNAUTHENTICATED"
	for name, tc := range map[string]struct {
		sql  string // SERVICE is the service, TOKEN the token's id
		want string
	}{
		"the token is revoked":     {"UPDATE service_tokens SET revoked_at = now() WHERE id = 'TOKEN'", gone},
		"the token expires now":    {"UPDATE service_tokens SET expires_at = now() WHERE id = 'TOKEN'", gone},
		"the token is deleted":     {"DELETE FROM service_tokens WHERE id = 'TOKEN'", gone},
		"the service is disabled":  {"UPDATE principals SET disabled_at = now() WHERE name = 'SERVICE'", gone},
		"the service is deleted":   {"DELETE FROM principals WHERE name = 'SERVICE'", gone},
		"a platform role is given": {"UPDATE principals SET platform_role = 'ADMIN' WHERE name = 'SERVICE'", "[payments OPERATOR] ADMIN"},
		"a role is changed":        {"UPDATE memberships SET role = 'VIEWER' FROM principals p WHERE p.id = principal_id AND p.name = 'SERVICE'", "[payments VIEWER] UNSPECIFIED"},
		"a role is taken away":     {"DELETE FROM memberships USING principals p WHERE p.id = principal_id AND p.name = 'SERVICE'", "[] UNSPECIFIED"},
		"a role is given":          {"WITH t AS (INSERT INTO teams (name) VALUES ('t-SERVICE') RETURNING id) INSERT INTO memberships (team_id, principal_id, role) SELECT t.id, p.id, 'OWNER' FROM t, principals p WHERE p.name = 'SERVICE'", "[payments OPERATOR t-SERVICE OWNER] UNSPECIFIED"},
		"the team is changed":      {"UPDATE teams SET weight = weight + 1 WHERE name = 'payments'", "[payments OPERATOR] UNSPECIFIED"},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: each change has everything forgotten
			service := strings.ReplaceAll(name, " ", "-")
			token := mustCreate(t, store, identity.TokenSpec{Service: service, Team: "payments", Role: pb.Role_ROLE_OPERATOR})
			known := strings.NewReplacer("SERVICE", service, "TOKEN", token.ID)
			for _, r := range replicas {
				remembers(t, r.Authenticator, r.pool, identity.Credentials{Token: token.Secret})
			}
			exec(t, own, known.Replace(tc.sql))
			for i, r := range replicas {
				var got string
				await(t, fmt.Sprintf("replica %d knows", i), func() bool {
					c, err := r.Authenticate(t.Context(), identity.Credentials{Token: token.Secret})
					got = fmt.Sprintf("%v %s", roles(c), c.Platform.String()[len("PLATFORM_ROLE_"):])
					if fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED {
						got = gone
					}
					return got == known.Replace(tc.want)
				})
			}
		})
	}
}

// TestNobodyIsRememberedUnheard breaks the connection on which changes are heard of.
func TestNobodyIsRememberedUnheard(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	own, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	store := db.New(own)
	token := mustCreate(t, store, identity.TokenSpec{Service: "bot", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR})
	c := identity.Credentials{Token: token.Secret}

	silent := identity.NewAuthenticator(store) // nobody runs it
	for range 2 {
		if _, err := silent.Authenticate(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	a, pool := running(t, url, identity.Config{})
	remembers(t, a, pool, c)
	exec(t, own, "ALTER TABLE service_tokens DISABLE TRIGGER service_tokens_tell") // so that nothing but the break can tell
	exec(t, own, "UPDATE service_tokens SET revoked_at = now()")
	if _, err := a.Authenticate(t.Context(), c); err != nil {
		t.Errorf("it did not remember: %v", err)
	}
	if _, err := silent.Authenticate(t.Context(), c); err == nil {
		t.Error("what nobody runs remembers")
	}
	exec(t, own, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' OR query = '-- ping'")
	await(t, "what was remembered is forgotten", func() bool {
		_, err := a.Authenticate(t.Context(), c)
		return fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED
	})
}

// TestATokenIsNotRememberedBeyondItsEnd gives one a second.
func TestATokenIsNotRememberedBeyondItsEnd(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	own, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	token := mustCreate(t, db.New(own), identity.TokenSpec{
		Service: "bot", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR, Lifetime: 2 * time.Second,
	})
	a, _ := running(t, url, identity.Config{})
	await(t, "it ends by itself", func() bool {
		_, err := a.Authenticate(t.Context(), identity.Credentials{Token: token.Secret})
		return fault.ReasonOf(err) == pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED
	})
}

// TestPeopleAreRememberedToo until their key is exchanged.
func TestPeopleAreRememberedToo(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	idp := newProvider(t)
	a, pool := running(t, url, identity.Config{Issuers: idp.believed()})
	c := idp.token(t, "1234", map[string]any{"email": "paula@payments.example"})
	remembers(t, a, pool, c)
	second := newProvider(t).key
	second.ID = "second"
	idp.Publish([]oidctest.Key{second})
	renewed := &provider{idp.Issuer, second}
	if _, err := a.Authenticate(t.Context(), renewed.token(t, "1234", nil)); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	if _, err := a.Authenticate(t.Context(), c); fault.ReasonOf(err) != pb.ErrorReason_ERROR_REASON_UNAUTHENTICATED {
		t.Errorf("with the old one, which is gone: %v", err)
	}
}

// TestWhenTokensWereUsed is written by and by, and at the end.
func TestWhenTokensWereUsed(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	store := db.New(pool)
	used := mustCreate(t, store, identity.TokenSpec{Service: "used", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR})
	idle := mustCreate(t, store, identity.TokenSpec{Service: "idle", Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR})
	a := identity.NewAuthenticator(store)
	use := func() {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		for range 3 {
			if _, err := a.Authenticate(t.Context(), identity.Credentials{Token: used.Secret}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Authenticate(t.Context(), identity.Credentials{Token: idle.Secret + "x"}); err == nil {
			t.Fatal("a wrong secret")
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	last := func() map[string]*time.Time {
		seen := map[string]*time.Time{}
		for _, token := range list(t, store) {
			seen[token.Service] = token.LastUsed
		}
		return seen
	}
	use()
	first := last()
	if first["used"] == nil || first["idle"] != nil {
		t.Fatalf("last used: %v", first)
	}
	use()
	if again := last(); !again["used"].Equal(*first["used"]) {
		t.Error("written again within a minute")
	}
	exec(t, pool, "UPDATE service_tokens SET last_used_at = last_used_at - interval '2 minutes'")
	use()
	if again := last(); again["used"].Before(*first["used"]) {
		t.Error("not written again after a minute")
	}
}

// TestFreezesAreHeardOf by whoever is to know, though another process made them.
func TestFreezesAreHeardOf(t *testing.T) {
	t.Parallel()
	url := dbtest.NewURL(t)
	heard := make(chan struct{}, 1000)
	_, pool := running(t, url, identity.Config{Changed: func() { heard <- struct{}{} }})
	await(t, "the process listens", func() bool {
		return count(t, pool, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %' AND state = 'idle'") == 1
	})
	for _, change := range []string{
		"INSERT INTO freezes (actor, reason) VALUES ('ada', 'leaked key')", "UPDATE freezes SET lifted_at = now()",
	} {
		exec(t, pool, change)
		await(t, "the process hears of "+change, func() bool {
			select {
			case <-heard:
				return true
			default:
				return false
			}
		})
	}
}
