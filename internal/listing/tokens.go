package listing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/agentsvc/agentsvc/internal/fault"
)

// Tokens makes and reads page tokens. Replicas that share a key read each other's.
//
// A token is base64url of a version byte, the values, and a MAC over them and the
// scope. It is not encrypted: its values are of a row that its owner was shown.
type Tokens struct{ key []byte }

const (
	tokenVersion = 1
	macSize      = 16 // of SHA-256's 32 bytes: still far beyond guessing
	macLabel     = "agentsvc page token"
)

// NewTokens takes a secret key of at least 32 random bytes. It may be shared with
// other uses: what is signed begins with a label of its own.
func NewTokens(key []byte) *Tokens { return &Tokens{key: slices.Clone(key)} }

// Encode makes a token that only [Tokens.Decode] with the same scope reads.
func (t *Tokens) Encode(scope string, values ...string) string {
	body := []byte{tokenVersion}
	for _, v := range values {
		body = appendText(body, v)
	}
	return base64.RawURLEncoding.EncodeToString(append(body, t.mac(scope, body)...))
}

// Decode is the values of a token. One that was tampered with, or that is of
// another scope, key or version, is a fault about page_token.
func (t *Tokens) Decode(token, scope string) ([]string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") || // which base64 passes over
		len(raw) < 1+macSize || raw[0] != tokenVersion {
		return nil, refused()
	}
	body, mac := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	if !hmac.Equal(mac, t.mac(scope, body)) {
		return nil, refused()
	}
	values := []string{}
	for rest := body[1:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return nil, refused()
		}
		end := n + int(size)
		values = append(values, string(rest[n:end]))
		rest = rest[end:]
	}
	return values, nil
}

func (t *Tokens) mac(scope string, body []byte) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write(appendText(appendText(nil, macLabel), scope))
	h.Write(body)
	return h.Sum(nil)[:macSize]
}

// RequestScope names what a token is good for: a method, and the parts of the
// request that decide which rows come in which order.
func RequestScope(method string, parts ...string) string {
	text := appendText(nil, method)
	for _, part := range parts {
		text = appendText(text, part)
	}
	sum := sha256.Sum256(text)
	return string(sum[:])
}

// appendText puts the length first, so that no two lists of texts look the same.
func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

func refused() error {
	return fault.Invalid("page_token", "does not belong to this request, or its key was replaced since; repeat the filter and order of the first page, "+
		"or start again without it")
}
