// Package oidc verifies the tokens of OIDC providers: that one of the issuers which
// are believed has signed them, for us, and for now.
//
// An issuer is asked for nothing before its first token comes, so one that is away keeps
// nothing from starting. While it is away, the keys it was last seen with hold.
package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/agentsvc/agentsvc/internal/config"
)

const (
	// Skew is how far an issuer's clock may be from ours.
	Skew = time.Minute
	// askTimeout bounds each question to an issuer, which a caller may be waiting for.
	askTimeout = 5 * time.Second
	// maxAnswer is the most that is read of an issuer's answer.
	maxAnswer = 1 << 20
)

// Person is whom a token speaks for.
type Person struct {
	Issuer  *config.Issuer
	Subject string
	// Name is for people to read: a verified email address, or something that cannot be
	// taken for one.
	Name string
	// Email is the address that the token has; "" for none. Unless it is Verified, the person
	// may have chosen it, and it is nobody's name.
	Email    string
	Verified bool
	Groups   []string
	// Issued is when the token was.
	Issued time.Time
	// Until is when the token is no longer good, the skew included.
	Until time.Time
}

// Issuers are those whose tokens are believed.
type Issuers struct {
	byURL map[string]*issuer
	now   func() time.Time
}

type issuer struct {
	config.Issuer

	keys     *keySet
	verifier *oidc.IDTokenVerifier
}

// New makes a verifier of the issuers' tokens. rotated is called when a key that was
// believed is believed no longer. now is this machine's clock: tokens are dated by the
// issuer's, which the database knows as little of.
func New(issuers []config.Issuer, now func() time.Time, log *slog.Logger, rotated func()) *Issuers {
	all := &Issuers{byURL: map[string]*issuer{}, now: now}
	client := &http.Client{
		Transport: limited{&http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}},
		Timeout:   askTimeout,
		// Whom keys are fetched from is configured, and not for an answer to say.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, one := range issuers {
		i := &issuer{Issuer: one, keys: newKeySet(one.URL, client, now, log, rotated)}
		i.verifier = oidc.NewVerifier(one.URL, i.keys, &oidc.Config{
			ClientID:             one.Audience,
			SupportedSigningAlgs: algorithmNames(),
			SkipExpiryCheck:      true, // it allows no skew after the end, and five minutes before the beginning
		})
		all.byURL[one.URL] = i
	}
	return all
}

// Verify is whom a token speaks for. Its errors say why not, for the log: they never hold
// the token.
func (a *Issuers) Verify(ctx context.Context, token string) (Person, error) {
	claimed, err := issuerOf(token)
	if err != nil {
		return Person{}, err
	}
	i := a.byURL[claimed]
	if i == nil {
		return Person{}, errors.New("its issuer is none of those that are believed")
	}
	verified, err := i.verifier.Verify(ctx, token)
	if err != nil {
		return Person{}, err
	}
	var c claims
	if err := verified.Claims(&c); err != nil {
		return Person{}, fmt.Errorf("reading the claims: %w", err)
	}
	return i.person(verified, c, a.now())
}

// Refresh fetches keys anew that were fetched long ago, so that one that an issuer has
// withdrawn does not hold for ever. What cannot be fetched stays.
func (a *Issuers) Refresh(ctx context.Context) {
	for _, i := range a.byURL {
		i.keys.refresh(ctx)
	}
}

// issuerOf is who a token says it is from, which nobody has verified: it only chooses
// whose keys to verify it with.
func issuerOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("not a signed token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errors.New("its payload is not base64")
	}
	var claimed struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claimed); err != nil {
		return "", errors.New("its payload is not JSON")
	}
	return claimed.Issuer, nil
}

// limited reads no more of an answer than it should have.
type limited struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}
