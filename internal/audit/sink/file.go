package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

// LeavesSuffix is added to the name of the file with checkpoints for that with leaf hashes.
const LeavesSuffix = ".leaves"

// tailBytes hold some hundred checkpoints.
const tailBytes = 1 << 16

// leavesAtOnce is how many leaf hashes are read at once.
const leavesAtOnce = 10_000

// File appends checkpoints to a file, and the leaf hashes that they cover, 32 bytes each, to
// the one beside it. The file is its own cursor, so each replica that has one keeps it whole.
// Kept where the database's owner cannot write, it shows whether the history is still the
// one that was signed, and which event is not.
type File struct {
	Path  string
	Store *db.Store
	Log   *slog.Logger
}

// Run appends until ctx is done.
func (f *File) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var complaints ledger.Complaints
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := f.Round(ctx); ctx.Err() == nil {
			complaints.Say(ctx, f.Log, "shipping checkpoints to a file", err)
		}
		timer.Reset(every)
	}
}

// Round appends the checkpoints that the file does not have. It refuses if the history is not
// a continuation of the file's last one.
func (f *File) Round(ctx context.Context) error {
	last, end, err := f.last()
	if err != nil {
		return fmt.Errorf("reading the file of checkpoints: %w", err)
	}
	rows, err := f.Store.CheckpointsAfter(ctx, dbsql.CheckpointsAfterParams{Size: last.Size, AtMost: maxCheckpoints})
	if err != nil {
		return fmt.Errorf("reading checkpoints: %w", db.Classify(err))
	}
	if err := ledger.Holds(ctx, f.Store, last); err != nil {
		return err
	}
	if len(rows) == 0 {
		return nil
	}
	if err := f.appendLeaves(ctx, last.Size, rows[len(rows)-1].Size); err != nil {
		return err
	}
	// A note that was cut off by a crash is written over.
	file, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the file of checkpoints: %w", err)
	}
	if err = file.Truncate(end); err == nil {
		_, err = file.Seek(0, io.SeekEnd)
	}
	for _, row := range rows {
		note := row.Note
		if end > 0 {
			note = "\n" + note // between two notes
		}
		if err == nil {
			var n int
			n, err = file.WriteString(note)
			end += int64(n)
		}
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing the file of checkpoints: %w", err)
	}
	return nil
}

// last is the file's last checkpoint, and where it ends. Only the end of the file is read.
func (f *File) last() (c evidence.Checkpoint, end int64, err error) {
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, 0, nil
	}
	if err != nil {
		return c, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return c, 0, err
	}
	from := max(0, info.Size()-tailBytes)
	text, err := io.ReadAll(io.NewSectionReader(file, from, tailBytes))
	if err != nil {
		return c, 0, err
	}
	c, n, err := evidence.LastOfFile(text)
	return c, from + int64(n), err
}

// appendLeaves brings the file of leaf hashes to a size. Those of the last checkpoint are
// certain; what a crash may have left behind them is written over.
func (f *File) appendLeaves(ctx context.Context, certain, size int64) (err error) {
	file, err := os.OpenFile(f.Path+LeavesSuffix, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the file of leaf hashes: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = fmt.Errorf("writing the file of leaf hashes: %w", err)
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	have := min(info.Size()/tlog.HashSize, certain)
	if err := file.Truncate(have * tlog.HashSize); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if err := WriteLeaves(ctx, f.Store, file, have, size); err != nil {
		return err
	}
	return file.Sync()
}

// WriteLeaves writes the leaf hashes of the places from first up to size.
func WriteLeaves(ctx context.Context, store *db.Store, w io.Writer, first, size int64) error {
	for first < size {
		rows, err := store.LeafHashes(ctx, dbsql.LeafHashesParams{First: first, Beyond: min(size, first+leavesAtOnce)})
		if err != nil {
			return fmt.Errorf("reading leaf hashes: %w", db.Classify(err))
		}
		if len(rows) == 0 {
			return fmt.Errorf("the log ends at place %d, before %d", first, size)
		}
		text := make([]byte, 0, len(rows)*tlog.HashSize)
		for _, row := range rows {
			if row.Index != first {
				return fmt.Errorf("the log is damaged: place %d is missing", first)
			}
			text = append(text, row.Hash...)
			first++
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}
