package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

const (
	// stale is the age from which keys are fetched anew, whether a new one was asked for or not.
	stale = 5 * time.Minute
	// Anybody can send a token with a key that nobody knows. So many such tokens have their
	// issuer asked at once, and then one each so often: a new key is known as soon as that,
	// whoever else knocks.
	burst  = 3
	refill = 10 * time.Second
	// minRSABits is what an RSA key must have.
	minRSABits = 2048
)

// algorithms are those with a public key to verify by. With a shared secret, whoever
// verifies could sign, and "none" is no signature.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

func algorithmNames() []string {
	var names []string
	for _, a := range algorithms() {
		names = append(names, string(a))
	}
	return names
}

// keySet are the keys of an issuer as they were last seen. That of go-oidc fetches for
// each token that does not verify, and keeps for ever what it has.
type keySet struct {
	issuer  string
	client  *http.Client
	now     func() time.Time
	log     *slog.Logger
	rotated func()
	flight  singleflight.Group

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // zero: never
	url     string    // of the keys, as discovered; "" if that is to be asked
	allowed float64   // how many more fetches callers may cause
	since   time.Time // when allowed was right
	failing bool      // the log has it
}

var _ oidc.KeySet = (*keySet)(nil)

func newKeySet(issuer string, client *http.Client, now func() time.Time, log *slog.Logger, rotated func()) *keySet {
	return &keySet{issuer: issuer, client: client, now: now, log: log, rotated: rotated, allowed: burst, since: now()}
}

// VerifySignature implements [oidc.KeySet].
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSigned(token, algorithms())
	if err != nil {
		return nil, err
	}
	if len(signed.Signatures) != 1 {
		return nil, errors.New("it does not have one signature")
	}
	id := signed.Signatures[0].Header.KeyID
	keys := k.named(id)
	if len(keys) == 0 {
		if err := k.ask(ctx); err != nil {
			return nil, err
		}
		if keys = k.named(id); len(keys) == 0 {
			return nil, errors.New("its key is not one of the issuer's")
		}
	}
	for _, key := range keys {
		if payload, err := signed.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("its signature is wrong")
}

// named are the keys that a token may be signed with: the one it names, or any.
func (k *keySet) named(id string) []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id == "" {
		return k.keys
	}
	var keys []jose.JSONWebKey
	for _, key := range k.keys {
		if key.KeyID == id {
			keys = append(keys, key)
		}
	}
	return keys
}

// ask fetches the keys for a token whose key is not known, if that was not done too often
// already. Who comes meanwhile waits for the same answer.
func (k *keySet) ask(ctx context.Context) error {
	answer := k.flight.DoChan("", func() (any, error) {
		if !k.mayAsk() {
			return nil, errors.New("its key is not known, and the issuer was asked too often just now")
		}
		return nil, k.fetch(context.WithoutCancel(ctx))
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-answer:
		return got.Err
	}
}

func (k *keySet) mayAsk() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	k.allowed = min(burst, k.allowed+now.Sub(k.since).Seconds()/refill.Seconds())
	k.since = now
	if k.allowed < 1 {
		return false
	}
	k.allowed--
	return true
}

// refresh fetches keys that are known and old.
func (k *keySet) refresh(ctx context.Context) {
	k.mu.Lock()
	due := !k.fetched.IsZero() && k.now().Sub(k.fetched) >= stale
	k.mu.Unlock()
	if due {
		_, _, _ = k.flight.Do("", func() (any, error) { return nil, k.fetch(ctx) }) // the log has it, and the keys of before hold
	}
}

// fetch gets the keys as they are now. On an error, those of before stay.
func (k *keySet) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	k.mu.Lock()
	at := k.url
	k.mu.Unlock()
	keys, at, err := k.get(ctx, at)
	k.mu.Lock()
	if err != nil {
		k.url = "" // it may have moved
		first := !k.failing
		k.failing = true
		k.mu.Unlock()
		if first {
			k.log.WarnContext(ctx, "the keys of an OIDC issuer cannot be fetched; those of before hold, if there are any",
				slog.String("issuer", k.issuer), slog.Any("error", err))
		}
		return err
	}
	gone := lost(k.keys, keys)
	k.keys, k.url, k.fetched, k.failing = keys, at, k.now(), false
	k.mu.Unlock()
	if gone {
		k.rotated()
	}
	return nil
}

// get asks the issuer for its keys, and first where they are if that is not known.
func (k *keySet) get(ctx context.Context, at string) ([]jose.JSONWebKey, string, error) {
	if at == "" {
		provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
		if err != nil {
			return nil, "", fmt.Errorf("discovering the issuer: %w", err)
		}
		var said struct {
			Keys string `json:"jwks_uri"`
		}
		if err := provider.Claims(&said); err != nil {
			return nil, "", fmt.Errorf("reading what the issuer says of itself: %w", err)
		}
		if at = said.Keys; !sameScheme(at, k.issuer) {
			return nil, "", errors.New("the issuer's keys are at no URL of its own scheme")
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("fetching the issuer's keys: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("reading the issuer's keys: %w", err)
	case resp.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("fetching the issuer's keys: it answers %s", resp.Status)
	}
	keys, err := parseKeys(text)
	return keys, at, err
}

// parseKeys reads those that can verify signatures, and passes over all others. An answer
// without any is none.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("reading the issuer's keys: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err == nil && fit(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the issuer has no key that can verify a signature")
	}
	return keys, nil
}

// fit says that a key is public and strong enough. A shared secret is neither.
func fit(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default:
		return false
	}
}

// lost says that one of the keys of before is not among those of now.
func lost(before, now []jose.JSONWebKey) bool {
	there := map[string]bool{}
	for _, key := range now {
		there[fingerprint(key)] = true
	}
	for _, key := range before {
		if !there[fingerprint(key)] {
			return true
		}
	}
	return false
}

// fingerprint tells keys apart, also where two have the same id.
func fingerprint(key jose.JSONWebKey) string {
	text, err := key.MarshalJSON()
	if err != nil {
		return key.KeyID
	}
	return string(text)
}

func sameScheme(a, b string) bool {
	first, err := url.Parse(a)
	second, err2 := url.Parse(b)
	return err == nil && err2 == nil && first.Host != "" && first.Scheme == second.Scheme
}
