package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/audit/sink"
	"github.com/agentsvc/agentsvc/internal/audit/verify"
	"github.com/agentsvc/agentsvc/internal/db"
)

// many is a flag that may be given several times.
type many []string

func (m *many) String() string { return strings.Join(*m, " ") }

func (m *many) Set(value string) error {
	*m = append(*m, value)
	return nil
}

// trusted reads verifier keys, each given as it is or as the file that holds it.
func trusted(keys []string) (note.Verifiers, error) {
	var public []string
	for _, key := range keys {
		if text, err := os.ReadFile(key); err == nil {
			public = append(public, strings.Fields(string(text))...)
			continue
		}
		public = append(public, key)
	}
	return evidence.Verifiers(public...)
}

// errWrong ends a command that found something, after the report.
var errWrong = errors.New("the history is not what was signed")

func auditVerify(_ context.Context, e auditEnv, args []string) error {
	flags := e.flags("verify")
	var keys, old many
	flags.Var(&keys, "key", "verifier `key` of the log, or a file with it; may be repeated")
	checkpoint := flags.String("checkpoint", "", "`file` of signed checkpoints; the export is held against the newest")
	flags.Var(&old, "old-checkpoint", "`file` of checkpoints that were kept from before; may be repeated")
	leaves := flags.String("leaves", "", "`file` of leaf hashes; if not given, that beside the checkpoints, if there is one")
	filtered := flags.Bool("filtered", false, "the export holds only a part of the events")
	first := flags.Int64("first", 0, "the first `place` of the export, as what is before it was dropped by retention")
	size := flags.Int64("size", 0, "hold it against the checkpoint of that many `events`, not the newest")
	files, err := parseMixed(flags, args, 1)
	if err != nil {
		return err
	}
	if len(files) == 0 || *checkpoint == "" || len(keys) == 0 {
		return errors.New("say the file of the export, --checkpoint and --key")
	}
	known, err := trusted(keys)
	if err != nil {
		return err
	}
	options := verify.Options{First: *first, Filtered: *filtered}
	for i, path := range append([]string{*checkpoint}, old...) {
		found, err := evidence.LoadFile(path, known)
		if err != nil {
			return err
		}
		for _, c := range found {
			if i > 0 || *size == 0 || c.Size <= *size {
				options.Checkpoints = append(options.Checkpoints, c)
			}
		}
	}
	if *size > 0 && (len(options.Checkpoints) == 0 || options.Checkpoints[len(options.Checkpoints)-1].Size != *size && len(old) == 0) {
		return fmt.Errorf("%s has no checkpoint of %d events", *checkpoint, *size)
	}
	closeLeaves, err := openLeaves(*leaves, *checkpoint, &options)
	if err != nil {
		return err
	}
	defer closeLeaves()
	file, err := os.Open(files[0])
	if err != nil {
		return err
	}
	defer file.Close()
	in, err := plain(file)
	if err != nil {
		return err
	}
	report, err := verify.Export(in, options)
	if err != nil {
		return err
	}
	return printReport(e.stdout, report, "the export")
}

// openLeaves opens the leaf hashes: those that are named, or those beside the checkpoints.
func openLeaves(path, checkpoint string, options *verify.Options) (closeIt func(), err error) {
	named := path != ""
	if !named {
		path = checkpoint + sink.LeavesSuffix
	}
	file, err := os.Open(path)
	switch {
	case !named && errors.Is(err, fs.ErrNotExist):
		return func() {}, nil
	case err != nil:
		return nil, err
	}
	options.Leaves = file
	return func() { _ = file.Close() }, nil // it was only read
}

// plain is what r holds, without gzip.
func plain(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	if magic, err := buffered.Peek(2); err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, nil //nolint:nilerr // a file of one byte is no gzip either
	}
	return gzip.NewReader(buffered)
}

// printReport says what was found, the first bad event first.
func printReport(w io.Writer, r *verify.Report, what string) error {
	var out strings.Builder
	c := r.Checkpoint
	if r.OK() {
		fmt.Fprintf(&out, "ok: %d events of %s are what %s signed for %d events (root %s)\n", r.Checked, what, c.Origin, c.Size, c.Root)
	} else {
		fmt.Fprintf(&out, "BAD: %s\n", r.FirstBad())
		for _, p := range r.Problems {
			if p != r.FirstBad() {
				fmt.Fprintf(&out, "     %s\n", p)
			}
		}
		if more := r.Found - int64(len(r.Problems)); more > 0 {
			fmt.Fprintf(&out, "     and %d more\n", more)
		}
	}
	if r.Beyond > 0 {
		fmt.Fprintf(&out, "%d events were sealed after the checkpoint was signed: nothing is said of them\n", r.Beyond)
	}
	if r.Unsealed > 0 {
		fmt.Fprintf(&out, "%d events had no place yet: nothing is said of them\n", r.Unsealed)
	}
	if r.Other > 0 {
		fmt.Fprintf(&out, "%d lines are none of events\n", r.Other)
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return err
	}
	if !r.OK() {
		return errWrong
	}
	return nil
}

func auditCheck(ctx context.Context, e auditEnv, args []string) error {
	flags := e.flags("check")
	var keys many
	flags.Var(&keys, "key", "verifier `key` of the log, or a file with it; may be repeated; if not given, of AGENTSVC_AUDIT_KEY_FILE")
	checkpoint := flags.String("checkpoint", "", "`file` of checkpoints that was kept elsewhere")
	if _, err := parseMixed(flags, args, 0); err != nil {
		return err
	}
	if path := e.getenv("AGENTSVC_AUDIT_KEY_FILE"); len(keys) == 0 && path != "" {
		signers, err := evidence.LoadSigners(path)
		if err != nil {
			return err
		}
		keys = signers.Public()
	}
	var known note.Verifiers
	var outside []evidence.Checkpoint
	var err error
	if len(keys) > 0 {
		if known, err = trusted(keys); err != nil {
			return err
		}
	}
	if *checkpoint != "" {
		if known == nil {
			return errors.New("--checkpoint takes --key: whose checkpoints are trusted")
		}
		if outside, err = evidence.LoadFile(*checkpoint, known); err != nil {
			return err
		}
	}
	return e.withStore(ctx, func(store *db.Store) error {
		report, err := ledger.Check(ctx, store, outside, known)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%d places, %d events dropped by retention, %d waiting for a place\n", report.Size, report.Dropped, report.Waiting)
		unsigned := report.Size - report.Checkpoint.Size
		if !report.OK() || unsigned <= 0 {
			return printReport(e.stdout, &report.Report, "the database")
		}
		signed := report.Report
		signed.Checked -= unsigned
		if err := printReport(e.stdout, &signed, "the database"); err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%d events were sealed after the newest checkpoint: they are what the database's own log says\n", unsigned)
		return err
	})
}
