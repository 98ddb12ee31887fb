package evidence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Signers are the private keys that sign checkpoints: one, or while a key is being
// replaced the old and the new. All have the name of the log.
type Signers struct {
	list      []note.Signer
	verifiers []string
}

// NewKey makes a key pair for the log of that name: the line of a key file, and the
// verifier key for everybody.
func NewKey(name string) (private, public string, err error) {
	private, public, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("making a key: %w", err)
	}
	if _, err := note.NewVerifier(public); err != nil {
		return "", "", fmt.Errorf("making a key: %q cannot be the name of a log: it is one word without +", name)
	}
	return private + "\n", public, nil
}

// LoadSigners reads a key file: one private key a line, all of one name. Empty lines and
// lines that begin with # are passed over. Its errors hold no key.
func LoadSigners(path string) (*Signers, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the audit key: %w", err)
	}
	s := &Signers{}
	for line := range bytes.Lines(text) {
		key := strings.TrimSpace(string(line))
		if key == "" || strings.HasPrefix(key, "#") {
			continue
		}
		signer, err := note.NewSigner(key)
		if err != nil {
			return nil, fmt.Errorf("%s: a line is not a private key of `agentsvc audit keygen`", path)
		}
		public, err := publicOf(key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if len(s.list) > 0 && s.list[0].Name() != signer.Name() {
			return nil, fmt.Errorf("%s: the keys have the names %q and %q; the name is the log's, so it is one", path, s.list[0].Name(), signer.Name())
		}
		s.list, s.verifiers = append(s.list, signer), append(s.verifiers, public)
	}
	if len(s.list) == 0 {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	return s, nil
}

// Origin is the name of the log.
func (s *Signers) Origin() string { return s.list[0].Name() }

// Public are the verifier keys, in the order of the file.
func (s *Signers) Public() []string { return s.verifiers }

// publicOf is the verifier key that belongs to a private one: its last part is, behind a
// byte for the algorithm, the seed of an Ed25519 key.
func publicOf(private string) (string, error) {
	const parts = 5 // PRIVATE+KEY+name+hash+key
	fields := strings.SplitN(private, "+", parts)
	if len(fields) != parts {
		return "", errors.New("the key has an unknown form")
	}
	key, err := base64.StdEncoding.DecodeString(fields[parts-1])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return "", errors.New("the key is not an Ed25519 key")
	}
	public, ok := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("the key has no public part")
	}
	return note.NewEd25519VerifierKey(fields[2], public)
}

// Verifiers reads verifier keys: those that are trusted.
func Verifiers(public ...string) (note.Verifiers, error) {
	var list []note.Verifier
	for _, key := range public {
		v, err := note.NewVerifier(strings.TrimSpace(key))
		if err != nil {
			return nil, fmt.Errorf("%q is not a verifier key such as `agentsvc audit keygen` prints", key)
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		return nil, errors.New("no verifier key is given")
	}
	return note.VerifierList(list...), nil
}
