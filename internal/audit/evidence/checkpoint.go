package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint says that the log had this root at this size, and is signed.
type Checkpoint struct {
	// Origin names the log; it is the name of the key.
	Origin string
	// Size is how many events it covers.
	Size int64
	Root tlog.Hash
	// Note is the signed text, whole.
	Note string
}

// Open reads a signed checkpoint that one of the keys vouches for.
func Open(text string, keys note.Verifiers) (Checkpoint, error) {
	signed, err := note.Open([]byte(text), keys)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("a checkpoint is not signed by a key that is trusted here: %w", err)
	}
	c, err := parse(signed.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if !slices.ContainsFunc(signed.Sigs, func(s note.Signature) bool { return s.Name == c.Origin }) {
		return Checkpoint{}, fmt.Errorf("the checkpoint is of the log %q, which is not the name of its key", c.Origin)
	}
	c.Note = text
	return c, nil
}

// parse reads "origin\nsize\nroot\n". More lines may follow in other logs; ours has none.
func parse(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] == "" {
		return Checkpoint{}, errors.New("the signed text is not a checkpoint: origin, size and root, a line each")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("%q is not the size of a log", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%q is not the root of a log", lines[2])
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// Sign makes a checkpoint.
func (s *Signers) Sign(size int64, root tlog.Hash) (Checkpoint, error) {
	c := Checkpoint{Origin: s.Origin(), Size: size, Root: root}
	text := c.Origin + "\n" + strconv.FormatInt(size, 10) + "\n" + root.String() + "\n"
	signed, err := note.Sign(&note.Note{Text: text}, s.list...)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	c.Note = string(signed)
	return c, nil
}

// LoadFile reads the checkpoints of a file, one or many after another, in order of size.
func LoadFile(path string, keys note.Verifiers) ([]Checkpoint, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	var all []Checkpoint
	for i, one := range splitNotes(text) {
		c, err := Open(one, keys)
		if err != nil {
			return nil, fmt.Errorf("checkpoint %d of %s: %w", i+1, path, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no checkpoint in %s", path)
	}
	slices.SortStableFunc(all, func(a, b Checkpoint) int { return int(min(1, max(-1, a.Size-b.Size))) })
	return all, nil
}

// splitNotes cuts notes apart that were written one after another. A note ends with its
// last line of signature; what is cut off in the middle, as by a crash while it was
// written, is left out if it has no signature yet.
func splitNotes(text []byte) []string {
	var all []string
	var one strings.Builder
	signed := false
	flush := func() {
		if signed {
			all = append(all, one.String())
		}
		one.Reset()
		signed = false
	}
	for line := range bytes.Lines(text) {
		signature := bytes.HasPrefix(line, []byte("— ")) && bytes.HasSuffix(line, []byte("\n"))
		if signed && !signature {
			flush()
		}
		if one.Len() == 0 && len(bytes.TrimSpace(line)) == 0 {
			continue // between two notes
		}
		one.Write(line)
		signed = signed || signature
	}
	flush()
	return all
}

// OriginOf is the first line of a note, which names its log. Nothing is verified.
func OriginOf(text string) string {
	origin, _, _ := strings.Cut(text, "\n")
	return origin
}

// LastOfFile is the last whole checkpoint of a file that we write ourselves, and where it
// ends; zero if there is none. Its signature is not verified, as its key may have been
// replaced since.
func LastOfFile(text []byte) (last Checkpoint, end int, err error) {
	notes := splitNotes(text)
	if len(notes) == 0 {
		return Checkpoint{}, 0, nil
	}
	note := notes[len(notes)-1]
	signed, _, _ := strings.Cut(note, "\n\n")
	if last, err = parse(signed + "\n"); err != nil {
		return Checkpoint{}, 0, err
	}
	last.Note = note
	return last, bytes.LastIndex(text, []byte(note)) + len(note), nil
}
