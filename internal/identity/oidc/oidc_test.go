package oidc_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/agentsvc/agentsvc/internal/config"
	"github.com/agentsvc/agentsvc/internal/identity/oidc"
	"github.com/agentsvc/agentsvc/internal/identity/oidctest"
)

const audience = "agentsvc"

// clock is one that the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// scene is an issuer and who believes it.
type scene struct {
	issuer  *oidctest.Issuer
	issuers *oidc.Issuers
	clock   *clock
	rotated atomic.Int32
	key     oidctest.Key
}

func newKey(t *testing.T, id string, algorithm jose.SignatureAlgorithm) oidctest.Key {
	t.Helper()
	key, err := oidctest.NewKey(id, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newIssuer(t *testing.T, keys ...oidctest.Key) *oidctest.Issuer {
	t.Helper()
	issuer, err := oidctest.Start(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := issuer.Stop(); err != nil {
			t.Error(err)
		}
	})
	return issuer
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{clock: &clock{at: time.Now()}, key: newKey(t, "first", jose.RS256)}
	s.issuer = newIssuer(t, s.key)
	s.issuers = s.believe(config.Issuer{URL: s.issuer.URL, Audience: audience, GroupsClaim: "groups"})
	return s
}

func (s *scene) believe(issuers ...config.Issuer) *oidc.Issuers {
	return oidc.New(issuers, s.clock.now, slog.New(slog.DiscardHandler), func() { s.rotated.Add(1) })
}

// token is signed with the scene's key unless another is given.
func (s *scene) token(t *testing.T, more map[string]any, with ...oidctest.Key) string {
	t.Helper()
	key := s.key
	if len(with) > 0 {
		key = with[0]
	}
	token, err := oidctest.Sign(key, s.issuer.Claims(s.clock.now(), audience, "paula", more))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestATokenSpeaksForItsPerson(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for name, tc := range map[string]struct {
		claims map[string]any
		name   string
		groups []string
	}{
		"email of which nothing is said": {map[string]any{"email": "ceo@p.example", "name": "Paula"}, "Paula (paula)", nil},
		"email, verified":                {map[string]any{"email": "p@p.example", "email_verified": true}, "p@p.example", nil},
		"email, verified in words":       {map[string]any{"email": "p@p.example", "email_verified": "true"}, "p@p.example", nil},
		"email that is not verified": {
			map[string]any{"email": "ceo@p.example", "email_verified": false, "name": "Paula"}, "Paula (paula)", nil,
		},
		"email that is not verified, in words": {map[string]any{"email": "ceo@p.example", "email_verified": "false", "name": "Paula"}, "Paula (paula)", nil},
		"a name like an email":                 {map[string]any{"name": "ceo@p.example"}, "ceo@p.example (paula)", nil},
		"an email like a name":                 {map[string]any{"email": "ceo@p.example (boss)", "email_verified": true}, "paula (" + s.issuer.URL[len("http://"):] + ")", nil},
		"groups":                               {map[string]any{"email": "p@p", "email_verified": true, "groups": []string{"a", "b"}}, "p@p", []string{"a", "b"}},
		"one group":                            {map[string]any{"email": "p@p", "email_verified": true, "groups": "a"}, "p@p", []string{"a"}},
		"groups that are none":                 {map[string]any{"email": "p@p", "email_verified": true, "groups": []any{1, nil, "a"}}, "p@p", []string{"a"}},
		"several audiences":                    {map[string]any{"email": "p@p", "email_verified": true, "aud": []string{"other", audience}}, "p@p", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.issuers.Verify(t.Context(), s.token(t, tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != "paula" || got.Issuer.URL != s.issuer.URL || got.Name != tc.name || got.Verified != !strings.Contains(tc.name, " ") {
				t.Errorf("%+v, want paula called %q", got, tc.name)
			}
			if diff := cmp.Diff(tc.groups, got.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
	trusting := s.believe(config.Issuer{URL: s.issuer.URL, Audience: audience, GroupsClaim: "groups", TrustEmail: true})
	for said, want := range map[any]string{nil: "p@p.example", true: "p@p.example", false: "Paula (paula)", "no": "Paula (paula)", 1: "Paula (paula)"} {
		got, err := trusting.Verify(t.Context(), s.token(t, map[string]any{"email": "p@p.example", "email_verified": said, "name": "Paula"}))
		if err != nil || got.Name != want {
			t.Errorf("of an issuer that verifies all addresses and says %v: %q, %v; want %q", said, got.Name, err, want)
		}
	}
	within := s.believe(config.Issuer{URL: s.issuer.URL, Audience: audience, GroupsClaim: "realm_access.roles"})
	got, err := within.Verify(t.Context(), s.token(t, map[string]any{"realm_access": map[string]any{"roles": []string{"a"}}}))
	if err != nil || !cmp.Equal(got.Groups, []string{"a"}) {
		t.Errorf("groups within another claim: %v, %v", got.Groups, err)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := newIssuer(t, s.key) // the same key, to see that the issuer counts
	stranger := newKey(t, "first", jose.RS256)
	at := func(d time.Duration) int64 { return s.clock.now().Add(d).Unix() }
	good := s.token(t, nil)
	if _, err := s.issuers.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	header := func(fields string) string { return base64.RawURLEncoding.EncodeToString([]byte(fields)) }
	// The public key as a shared secret, in the form in which it is found in the world.
	der, err := x509.MarshalPKIXPublicKey(s.key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := func(secret []byte) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: "first"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := json.Marshal(s.issuer.Claims(s.clock.now(), audience, "paula", nil))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	fromOther, err := oidctest.Sign(s.key, other.Claims(s.clock.now(), audience, "paula", nil))
	if err != nil {
		t.Fatal(err)
	}

	for name, token := range map[string]string{
		"nothing":                           "",
		"no token":                          "a.b.c",
		"two parts":                         parts[0] + "." + parts[1],
		"alg none":                          header(`{"alg":"none","kid":"first"}`) + "." + parts[1] + ".",
		"alg None":                          header(`{"alg":"None"}`) + "." + parts[1] + ".",
		"no signature":                      parts[0] + "." + parts[1] + ".",
		"HS256 with the public key, PEM":    hs(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS256 with the public key, DER":    hs(der),
		"another audience":                  s.token(t, map[string]any{"aud": "other"}),
		"no audience":                       s.token(t, map[string]any{"aud": nil}),
		"expired":                           s.token(t, map[string]any{"exp": at(-oidc.Skew - time.Second)}),
		"never expires":                     s.token(t, map[string]any{"exp": nil}),
		"not valid yet":                     s.token(t, map[string]any{"nbf": at(oidc.Skew + 2*time.Second)}),
		"not valid before some word":        s.token(t, map[string]any{"nbf": "soon"}),
		"issued in the future":              s.token(t, map[string]any{"iat": at(oidc.Skew + 2*time.Second)}),
		"a key that is not known":           s.token(t, nil, newKey(t, "another", jose.RS256)),
		"a stranger's key of the same name": s.token(t, nil, stranger),
		"another issuer":                    fromOther,
		"a claim to be another issuer":      s.token(t, map[string]any{"iss": other.URL}),
		"no issuer":                         s.token(t, map[string]any{"iss": nil}),
		"no subject":                        s.token(t, map[string]any{"sub": ""}),
		"a subject that cannot be stored":   s.token(t, map[string]any{"sub": "pau\x00la"}),
		"a long subject":                    s.token(t, map[string]any{"sub": strings.Repeat("x", 300)}),
		"a flipped bit in the payload":      parts[0] + "." + flip(parts[1]) + "." + parts[2],
		"a flipped bit in the signature":    parts[0] + "." + parts[1] + "." + flip(parts[2]),
		"something behind it":               good + ".x",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.issuers.Verify(t.Context(), token)
			if err == nil {
				t.Fatalf("it speaks for %+v", got)
			}
			if len(parts[2]) > 0 && token != "" && strings.Contains(err.Error(), token) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
	if _, err := s.issuers.Verify(t.Context(), good); err != nil {
		t.Errorf("the good one is refused afterwards: %v", err)
	}
}

// flip turns one bit around of what base64 stands for.
func flip(part string) string {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return part + "?"
	}
	raw[len(raw)/2] ^= 1
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestClocksMayDifferByAMinute(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	at := func(d time.Duration) int64 { return s.clock.now().Add(d).Unix() }
	for name, claims := range map[string]map[string]any{
		"just expired":                 {"exp": at(2*time.Second - oidc.Skew)},
		"valid soon":                   {"nbf": at(oidc.Skew - 2*time.Second)},
		"issued a moment from now":     {"iat": at(oidc.Skew - 2*time.Second)},
		"without a beginning":          {"nbf": nil},
		"without when it was issued":   {"iat": nil},
		"with a fraction of a second":  {"exp": float64(at(time.Minute)) + 0.5},
		"with many claims besides":     {"azp": "console", "scope": "openid", "nonce": "n", "acr": 1},
		"of a key that has no purpose": {"sub": "someone-else"},
	} {
		if _, err := s.issuers.Verify(t.Context(), s.token(t, claims)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeysRotate has the issuer exchange its key for one of another kind.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	old := s.token(t, nil)
	if _, err := s.issuers.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	second := newKey(t, "second", jose.ES256)
	s.issuer.Publish([]oidctest.Key{s.key, second})
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil, second)); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	if _, err := s.issuers.Verify(t.Context(), old); err != nil || s.rotated.Load() != 0 {
		t.Errorf("while both are shown, the old one: %v", err)
	}
	s.issuer.Publish([]oidctest.Key{second})
	s.clock.pass(6 * time.Minute)
	s.issuers.Refresh(t.Context())
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil)); err == nil {
		t.Error("a token of a key that is gone is good")
	}
	if s.rotated.Load() != 1 {
		t.Errorf("told of %d rotations, want 1", s.rotated.Load())
	}
}

// TestAnIssuerThatIsAway needs it for new keys alone.
func TestAnIssuerThatIsAway(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.issuer.Away(true)
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil)); err == nil {
		t.Error("a token is good whose issuer was never asked")
	}
	s.issuer.Away(false)
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil)); err != nil {
		t.Fatalf("once it is back: %v", err)
	}
	s.issuer.Away(true)
	if _, err := s.issuers.Verify(t.Context(), s.token(t, map[string]any{"jti": "2"})); err != nil {
		t.Errorf("with a key that is known: %v", err)
	}
	second := newKey(t, "second", jose.ES256)
	s.issuer.Publish([]oidctest.Key{second})
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil, second)); err == nil {
		t.Error("with a key that nobody could ask about: good")
	}
	s.clock.pass(time.Hour)
	s.issuers.Refresh(t.Context())
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil)); err != nil {
		t.Errorf("an hour later, with the key that is known: %v", err)
	}
	s.issuer.Away(false)
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil, second)); err != nil {
		t.Errorf("with the new key once it is back: %v", err)
	}
}

// TestStrangersCannotHaveTheIssuerAskedAtWill sends tokens whose keys nobody knows.
func TestStrangersCannotHaveTheIssuerAskedAtWill(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil)); err != nil {
		t.Fatal(err)
	}
	stranger := newKey(t, "unknown", jose.ES256)
	var group sync.WaitGroup
	for range 50 {
		token := s.token(t, nil, stranger)
		group.Go(func() { _, _ = s.issuers.Verify(context.Background(), token) })
	}
	group.Wait()
	for range 50 {
		if _, err := s.issuers.Verify(t.Context(), s.token(t, nil, stranger)); err == nil {
			t.Fatal("a stranger's token is good")
		}
	}
	if n := s.issuer.Asked("/keys"); n > 3 {
		t.Errorf("its keys were asked for %d times, want 3 at the most", n)
	}
	second := newKey(t, "second", jose.ES256)
	s.issuer.Publish([]oidctest.Key{s.key, second})
	s.clock.pass(10 * time.Second)
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil, second)); err != nil {
		t.Errorf("a new key, a moment later: %v", err)
	}
	// A known key with a wrong signature is no reason to ask.
	before := s.issuer.Asked("/keys")
	s.clock.pass(time.Hour)
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil, newKey(t, "first", jose.RS256))); err == nil || s.issuer.Asked("/keys") != before {
		t.Errorf("a wrong signature: %v, and the issuer was asked", err)
	}
}

func TestKeysThatAreNotFit(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.issuer.Publish([]oidctest.Key{s.key},
		map[string]any{"kty": "oct", "kid": "shared", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
		map[string]any{"kty": "moon", "kid": "moon"}, "no key at all")
	if _, err := s.issuers.Verify(t.Context(), s.token(t, nil)); err != nil {
		t.Errorf("a key among some that cannot be used: %v", err)
	}
}

func TestIssuersAreKeptApart(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	key := newKey(t, "first", jose.ES256) // of the same name
	second := newIssuer(t, key)
	both := s.believe(
		config.Issuer{URL: s.issuer.URL, Audience: audience, GroupsClaim: "groups"},
		config.Issuer{URL: second.URL, Audience: "other", GroupsClaim: "groups"},
	)
	sign := func(key oidctest.Key, issuer *oidctest.Issuer, audience string) string {
		token, err := oidctest.Sign(key, issuer.Claims(s.clock.now(), audience, "paula", nil))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, tc := range map[string]struct {
		token string
		good  bool
	}{
		"the first's":                           {sign(s.key, s.issuer, audience), true},
		"the second's":                          {sign(key, second, "other"), true},
		"the second's for the first's audience": {sign(key, second, audience), false},
		"the first's by the second's key":       {sign(key, s.issuer, audience), false},
	} {
		if _, err := both.Verify(t.Context(), tc.token); (err == nil) != tc.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
