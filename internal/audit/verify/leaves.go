package verify

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
)

// leafFile is the hashes of all events in the order of their index, 32 bytes each.
type leafFile struct {
	file io.ReaderAt
	// trusted is how many leaves are bound to a checkpoint.
	trusted int64

	page  []byte // what was read last
	first int64  // index of its first leaf
}

const pageLeaves = 4096

// at is the leaf of an index. Those of an export come in order, mostly.
func (f *leafFile) at(index int64) (tlog.Hash, error) {
	if f.page == nil || index < f.first || index >= f.first+int64(len(f.page))/tlog.HashSize {
		page := make([]byte, pageLeaves*tlog.HashSize)
		n, err := f.file.ReadAt(page, index*tlog.HashSize)
		if n < tlog.HashSize {
			return tlog.Hash{}, fmt.Errorf("reading the leaf of place %d: %w", index, err)
		}
		f.page, f.first = page[:n/tlog.HashSize*tlog.HashSize], index
	}
	from := (index - f.first) * tlog.HashSize
	return tlog.Hash(f.page[from : from+tlog.HashSize]), nil
}

// bind computes the roots of the leaves at the sizes of all checkpoints, which are in order,
// and reports where they are not what was signed.
func (f *leafFile) bind(checkpoints []evidence.Checkpoint, report *Report) error {
	size := checkpoints[len(checkpoints)-1].Size
	in := bufio.NewReaderSize(io.NewSectionReader(f.file, 0, size*tlog.HashSize), bufferSize)
	var tree evidence.Range
	for _, c := range checkpoints {
		for tree.Size() < c.Size {
			var leaf tlog.Hash
			if _, err := io.ReadFull(in, leaf[:]); err != nil {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					report.Add(Problem{Kind: Cut, Line: nowhere, Index: tree.Size(), Text: fmt.Sprintf(
						"the leaf hashes end here, and the checkpoint covers %d events", c.Size)})
					return nil
				}
				return fmt.Errorf("reading the leaf hashes: %w", err)
			}
			tree.Add(leaf)
		}
		if tree.Root() != c.Root {
			report.Add(Stretch(Changed, f.trusted, c.Size-1, fmt.Sprintf(
				"the leaf hashes themselves are not those of the checkpoint of %d events, one was changed", c.Size)))
			return nil
		}
		f.trusted = c.Size
	}
	return nil
}
