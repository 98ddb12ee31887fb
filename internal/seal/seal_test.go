package seal_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/agentsvc/agentsvc/internal/seal"
)

func line(t *testing.T, id string) string {
	t.Helper()
	l, err := seal.NewKey(id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func ring(t *testing.T, lines ...string) *seal.Ring {
	t.Helper()
	r, err := seal.Read(strings.NewReader(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealedValuesOpenAfterRotation(t *testing.T) {
	t.Parallel()
	older, newer := line(t, "2026-01"), line(t, "2026-02")
	before, after, gone := ring(t, older), ring(t, newer, older), ring(t, newer)
	sealed, err := before.Seal([]byte("the secret"), "operation 1")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the sealed value shows the secret")
	}
	if plain, err := after.Open(sealed, "operation 1"); err != nil || string(plain) != "the secret" {
		t.Errorf("after rotation: %q, %v", plain, err)
	}
	if _, err := gone.Open(sealed, "operation 1"); err == nil || !strings.Contains(err.Error(), "2026-01") {
		t.Errorf("without the key: %v", err)
	}
	if _, err := after.Open(sealed, "operation 2"); err == nil {
		t.Error("a value of another row opened")
	}
}

func TestDamagedValuesDoNotOpen(t *testing.T) {
	t.Parallel()
	r := ring(t, line(t, "k"))
	sealed, err := r.Seal([]byte("x"), "c")
	if err != nil {
		t.Fatal(err)
	}
	for n := range sealed {
		if _, err := r.Open(sealed[:n], "c"); err == nil {
			t.Errorf("a value cut to %d bytes opened", n)
		}
		damaged := bytes.Clone(sealed)
		damaged[n] ^= 1
		if _, err := r.Open(damaged, "c"); err == nil {
			t.Errorf("a value with byte %d altered opened", n)
		}
	}
}

func TestBadKeyFilesAreRefused(t *testing.T) {
	t.Parallel()
	good := line(t, "a")
	for name, text := range map[string]string{
		"empty":      "# nothing\n\n",
		"short key":  "a AAAA\n",
		"no key":     "a\n",
		"twice":      good + good,
		"bad id":     "a/b " + strings.SplitN(good, " ", 2)[1],
		"not base64": "a !!!!\n",
	} {
		if _, err := seal.Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
