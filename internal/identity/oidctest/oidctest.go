// Package oidctest is an OIDC provider for tests and measurements: discovery, keys and
// signed tokens as any other has, and keys that can be exchanged while it runs.
package oidctest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	rsaBits = 2048
	// lifetime of tokens that do not say otherwise.
	lifetime = time.Hour
	// headerTimeout is for nobody in particular.
	headerTimeout = 10 * time.Second
)

// Issuer is a running provider.
type Issuer struct {
	// URL is its name, and where it is found.
	URL string

	server *http.Server
	done   chan error

	mu    sync.Mutex
	keys  []Key
	extra []any
	away  bool
	asked map[string]int
}

// Key signs tokens.
type Key struct {
	ID        string
	Algorithm jose.SignatureAlgorithm
	Private   crypto.Signer
}

// NewKey makes a key for RS256 or ES256.
func NewKey(id string, algorithm jose.SignatureAlgorithm) (Key, error) {
	key := Key{ID: id, Algorithm: algorithm}
	var err error
	switch algorithm {
	case jose.RS256:
		key.Private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case jose.ES256:
		key.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("no keys for %s are made here", algorithm)
	}
	return key, err
}

// Start serves on a loopback port, with these keys.
func Start(ctx context.Context, keys ...Key) (*Issuer, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	i := &Issuer{URL: "http://" + listener.Addr().String(), keys: keys, done: make(chan error, 1), asked: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.keySet)
	i.server = &http.Server{Handler: i.counted(mux), ReadHeaderTimeout: headerTimeout}
	go func() { i.done <- i.server.Serve(listener) }()
	return i, nil
}

// Stop ends it: from then on nobody answers at its address.
func (i *Issuer) Stop() error {
	err := i.server.Close()
	if served := <-i.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Publish has it show these keys and no others. extra are shown too, as they are.
func (i *Issuer) Publish(keys []Key, extra ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys, i.extra = keys, extra
}

// Away has it break every connection, or answer again.
func (i *Issuer) Away(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// Asked is how often a path was asked for.
func (i *Issuer) Asked(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

func (i *Issuer) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.asked[r.URL.Path]++
		away := i.away
		i.mu.Unlock()
		if !away {
			next.ServeHTTP(w, r)
			return
		}
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close() // that is all there is to it
		}
	})
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
	})
}

func (i *Issuer) keySet(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	keys := append([]any{}, i.extra...)
	for _, key := range i.keys {
		keys = append(keys, jose.JSONWebKey{Key: key.Private.Public(), KeyID: key.ID, Algorithm: string(key.Algorithm), Use: "sig"})
	}
	answer(w, map[string]any{"keys": keys})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// Claims are those of a person's token for an audience, good for an hour; more are added,
// or stand in place of these.
func (i *Issuer) Claims(now time.Time, audience, subject string, more map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "aud": audience, "sub": subject, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(lifetime).Unix(),
	}
	maps.Copy(claims, more)
	return claims
}

// Sign makes a token. A claim that is nil is left out.
func Sign(key Key, claims map[string]any) (string, error) {
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.Algorithm, Key: jose.JSONWebKey{Key: key.Private, KeyID: key.ID}}, options)
	if err != nil {
		return "", fmt.Errorf("making a signer: %w", err)
	}
	given := map[string]any{}
	for name, value := range claims {
		if value != nil {
			given[name] = value
		}
	}
	payload, err := json.Marshal(given)
	if err != nil {
		return "", fmt.Errorf("writing claims: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return signed.CompactSerialize()
}
