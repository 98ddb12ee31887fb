// Package seal keeps secrets unreadable while they wait in the queue: AES-256-GCM
// with a ring of keys, of which the first seals and all open, so that a key can be
// replaced without a pause.
package seal

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// format is the first byte of what is sealed, should it ever change.
const format = 1

// Ring is the keys. It is safe for concurrent use.
type Ring struct {
	keys []key // the first seals
}

type key struct {
	id   string
	raw  []byte
	aead cipher.AEAD
}

// Load reads a ring from a file: one key a line, "<id> <32 bytes in base64>", the
// one that seals first. Empty lines and lines that begin with # are passed over.
func Load(path string) (*Ring, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the seal keys: %w", err)
	}
	defer file.Close()
	ring, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("reading the seal keys of %s: %w", path, err)
	}
	return ring, nil
}

// keyID is short, so that its length fits one byte.
var keyID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Read reads a ring in the form of [Load]. Its errors hold no key.
func Read(r io.Reader) (*Ring, error) {
	ring := &Ring{}
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, encoded, _ := strings.Cut(line, " ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		switch {
		case !keyID.MatchString(id):
			return nil, fmt.Errorf("line %d: the key id must match %s", n, keyID)
		case err != nil || len(raw) != KeySize:
			return nil, fmt.Errorf("line %d: key %q is not %d bytes in base64", n, id, KeySize)
		case seen[id]:
			return nil, fmt.Errorf("line %d: key %q is there twice", n, id)
		}
		seen[id] = true
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		ring.keys = append(ring.keys, key{id: id, raw: raw, aead: aead})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(ring.keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return ring, nil
}

// NewKey is a line for a key file.
func NewKey(id string) (string, error) {
	raw := make([]byte, KeySize)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return id + " " + base64.StdEncoding.EncodeToString(raw) + "\n", nil
}

// Seal encrypts plain. What is bound to context, such as the operation's id, opens
// only with the same context: a sealed value moved to another row does not open.
func (r *Ring) Seal(plain []byte, context string) ([]byte, error) {
	k := r.keys[0]
	out := make([]byte, 0, 2+len(k.id)+k.aead.NonceSize()+len(plain)+k.aead.Overhead())
	out = append(out, format, byte(len(k.id)))
	out = append(out, k.id...)
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	out = append(out, nonce...)
	return k.aead.Seal(out, nonce, plain, []byte(context)), nil
}

// Open decrypts what [Ring.Seal] made with any key of the ring.
func (r *Ring) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < 2 || sealed[0] != format || len(sealed) < 2+int(sealed[1]) {
		return nil, errors.New("not a sealed value")
	}
	id := string(sealed[2 : 2+int(sealed[1])])
	rest := sealed[2+len(id):]
	for _, k := range r.keys {
		if k.id != id {
			continue
		}
		if len(rest) < k.aead.NonceSize() {
			return nil, errors.New("sealed value cut short")
		}
		plain, err := k.aead.Open(nil, rest[:k.aead.NonceSize()], rest[k.aead.NonceSize():], []byte(context))
		if err != nil {
			return nil, errors.New("sealed value altered, or of another row")
		}
		return plain, nil
	}
	return nil, fmt.Errorf("sealed with key %q, which is not in the ring", id)
}

// Derive is a key for another purpose, the same on all replicas. It changes when
// the first key of the ring does.
func (r *Ring) Derive(purpose string) []byte {
	mac := hmac.New(sha256.New, r.keys[0].raw)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}
