package identity

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"hash"
)

// Credentials are what a call shows of who makes it.
type Credentials struct {
	// Token is a service token, or a token of an OIDC provider; "" for none.
	Token string
	// Certificate was verified by TLS; nil for none. It counts where there is no token.
	Certificate *x509.Certificate
	// OnBehalfOf names the person that a service acts for, by email address or subject; nil
	// if the call named nobody. More than one name, or an empty one, is nobody's.
	OnBehalfOf []string
}

// key stands for credentials in memory, which holds no tokens.
type key [sha256.Size]byte

func (c Credentials) key() key {
	h := sha256.New()
	write(h, []byte(c.Token))
	if c.Token == "" && c.Certificate != nil {
		write(h, c.Certificate.Raw)
	}
	for _, name := range c.OnBehalfOf {
		write(h, []byte(name))
	}
	var k key
	h.Sum(k[:0])
	return k
}

// write hashes a part with its length, so that parts cannot run into one another.
func write(h hash.Hash, part []byte) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(part)))
	_, _ = h.Write(length[:]) // a hash never fails
	_, _ = h.Write(part)
}

type credentialsKey struct{}

// WithCredentials keeps a call's credentials, for calls that last to be asked again.
func WithCredentials(ctx context.Context, c Credentials) context.Context {
	return context.WithValue(ctx, credentialsKey{}, c)
}

// CredentialsFrom are those of a call; none if nobody was identified.
func CredentialsFrom(ctx context.Context) Credentials {
	c, _ := ctx.Value(credentialsKey{}).(Credentials)
	return c
}
