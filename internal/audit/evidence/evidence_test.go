package evidence_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
)

// The root that is computed leaf by leaf is that of the library at every size.
func TestARangeHasTheRootOfTheTree(t *testing.T) {
	t.Parallel()
	var grown evidence.Range
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, i := range indexes {
			hashes = append(hashes, stored[i])
		}
		return hashes, nil
	})
	for n := range int64(600) {
		want, err := tlog.TreeHash(n, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got := grown.Root(); got != want || grown.Size() != n {
			t.Fatalf("at size %d the root is %s, want %s", n, got, want)
		}
		leaf := tlog.RecordHash([]byte(strconv.FormatInt(n, 10)))
		more, err := tlog.StoredHashesForRecordHash(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		grown.Add(leaf)
	}
	if evidence.EmptyRoot() != tlog.Hash(sha256.Sum256(nil)) {
		t.Error("the empty root is another")
	}
}

// keyFile is a key file and its verifier key.
func keyFile(t *testing.T, names ...string) (path string, public []string) {
	t.Helper()
	var text strings.Builder
	text.WriteString("# made by a test\n\n")
	for _, name := range names {
		private, verifier, err := evidence.NewKey(name)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(private)
		public = append(public, verifier)
	}
	path = filepath.Join(t.TempDir(), "audit.key")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, public
}

func TestACheckpointFromSignatureToFile(t *testing.T) {
	t.Parallel()
	path, public := keyFile(t, "log.example.com", "log.example.com")
	signers, err := evidence.LoadSigners(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := signers.Public(); len(got) != 2 || got[0] != public[0] || got[1] != public[1] {
		t.Fatalf("the public keys are %q, want %q", got, public)
	}
	var file strings.Builder
	for _, size := range []int64{9, 3} {
		c, err := signers.Sign(size, tlog.RecordHash([]byte{byte(size)}))
		if err != nil {
			t.Fatal(err)
		}
		file.WriteString(c.Note + "\n")
	}
	file.WriteString("log.example.com\n12\n") // a crash while it was written
	name := filepath.Join(t.TempDir(), "checkpoints")
	if err := os.WriteFile(name, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// Each of the two keys is enough.
	for _, key := range public {
		keys, err := evidence.Verifiers(key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := evidence.LoadFile(name, keys)
		if err != nil || len(got) != 2 || got[0].Size != 3 || got[1].Size != 9 || got[1].Root != tlog.RecordHash([]byte{9}) {
			t.Fatalf("read %+v, %v", got, err)
		}
	}
}

func TestWhatIsNoCheckpointIsRefused(t *testing.T) {
	t.Parallel()
	path, public := keyFile(t, "log.example.com")
	_, strange := keyFile(t, "log.example.com")
	signers, err := evidence.LoadSigners(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := signers.Sign(7, tlog.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct{ text, key string }{
		"another key of that name": {c.Note, strange[0]},
		"a changed size":           {strings.Replace(c.Note, "\n7\n", "\n8\n", 1), public[0]},
		"a changed origin":         {strings.Replace(c.Note, "log.example.com\n", "other.example.com\n", 1), public[0]},
		"no signature":             {c.Note[:strings.Index(c.Note, "\n\n")+1], public[0]},
		"nothing":                  {"", public[0]},
	} {
		keys, err := evidence.Verifiers(tc.key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := evidence.Open(tc.text, keys); err == nil {
			t.Errorf("%s: accepted as %+v", what, got)
		}
	}
	two, _ := keyFile(t, "a.example.com", "b.example.com")
	if _, err := evidence.LoadSigners(two); err == nil {
		t.Error("keys of two names were taken for one log's")
	}
	if _, err := evidence.Verifiers("nonsense"); err == nil {
		t.Error("nonsense is a key")
	}
}
