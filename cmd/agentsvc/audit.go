package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/agentsvc/agentsvc/internal/audit/evidence"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/audit/sink"
	"github.com/agentsvc/agentsvc/internal/db"
)

const auditUsage = `Usage, offline:
  agentsvc audit keygen --name LOG --out FILE
  agentsvc audit verify EXPORT --checkpoint FILE --key KEY [--old-checkpoint FILE] [--leaves FILE] [--filtered] [--first N] [--size N]

With the database of DATABASE_URL:
  agentsvc audit check [--checkpoint FILE --key KEY]   the history against its own log and checkpoints
  agentsvc audit seal                                  gives every event its place now, and signs if AGENTSVC_AUDIT_KEY_FILE is set
  agentsvc audit export [--out FILE]                   all sealed events, in the order of their places
  agentsvc audit export [--format jsonl|csv|ocsf] [--since TIME] [--until TIME] [--team TEAM] [--filter FILTER] [--out FILE]
                                                       events as they were recorded, sealed or not, in the order of time
  agentsvc audit report --month 2026-10 [--team TEAM] [--out FILE.html]
  agentsvc audit leaves [--out FILE]                   the leaf hashes of all events, for verify
  agentsvc audit retain --months N [--reason WHY] [--dry-run]
  agentsvc audit hold set NAME --reason WHY [--team TEAM]
  agentsvc audit hold release NAME --reason WHY
  agentsvc audit hold list
`

// auditCommand is one of them, with what follows its name.
type auditCommand func(ctx context.Context, e auditEnv, args []string) error

// auditEnv is what a command may use.
type auditEnv struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

// runAudit seals, verifies and keeps the history.
func runAudit(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	commands := map[string]auditCommand{
		"keygen": auditKeygen, "verify": auditVerify, "check": auditCheck, "seal": auditSeal, "export": auditExport, "leaves": auditLeaves,
		"report": auditReport, "retain": auditRetain, "hold": auditHold,
	}
	if len(args) == 0 {
		fmt.Fprint(stderr, auditUsage)
		return errors.New("audit: say what to do")
	}
	if asksForHelp(args[0]) {
		_, err := fmt.Fprint(stdout, auditUsage)
		return err
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprint(stderr, auditUsage)
		return fmt.Errorf("audit: there is no %q", args[0])
	}
	if err := command(ctx, auditEnv{getenv: getenv, stdout: stdout, stderr: stderr}, args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("audit %s: %w", args[0], err)
	}
	return nil
}

func (e auditEnv) flags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet("agentsvc audit "+name, flag.ContinueOnError)
	flags.SetOutput(e.stderr)
	return flags
}

// withStore does something with the database.
func (e auditEnv) withStore(ctx context.Context, do func(store *db.Store) error) error {
	url := e.getenv("DATABASE_URL")
	if url == "" {
		return errors.New("DATABASE_URL is not set; it says where the history is")
	}
	pool, err := db.Open(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := do(db.New(pool)); err != nil {
		if old := schemaCurrent(ctx, pool); old != nil {
			return old // whatever it was, that comes first
		}
		return err
	}
	return nil
}

// to opens where output goes: a file that is made anew, or standard output for "".
func (e auditEnv) to(path string, write func(w io.Writer) error) error {
	if path == "" {
		return write(e.stdout)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// parseMixed parses flags that may come before and after other arguments, and answers those.
func parseMixed(flags *flag.FlagSet, args []string, most int) ([]string, error) {
	var others []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return others, nil
		}
		if len(others) == most {
			return nil, fmt.Errorf("%q was not expected", flags.Arg(0))
		}
		others, args = append(others, flags.Arg(0)), flags.Args()[1:]
	}
}

func auditKeygen(_ context.Context, e auditEnv, args []string) error {
	flags := e.flags("keygen")
	name := flags.String("name", "", "`name` of the log, such as audit.example.com; it is in every checkpoint")
	out := flags.String("out", "", "`file` for the private key")
	if _, err := parseMixed(flags, args, 0); err != nil {
		return err
	}
	if *name == "" || *out == "" {
		return errors.New("say --name and --out")
	}
	private, public, err := evidence.NewKey(*name)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // a key is never written over
	if err != nil {
		return err
	}
	_, err = file.WriteString(private)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, public)
	return err
}

func auditSeal(ctx context.Context, e auditEnv, args []string) error {
	if _, err := parseMixed(e.flags("seal"), args, 0); err != nil {
		return err
	}
	cfg := ledger.Config{Log: slog.New(slog.NewTextHandler(e.stderr, nil))}
	if path := e.getenv("AGENTSVC_AUDIT_KEY_FILE"); path != "" {
		var err error
		if cfg.Signers, err = evidence.LoadSigners(path); err != nil {
			return err
		}
	}
	return e.withStore(ctx, func(store *db.Store) error {
		cfg.Store = store
		n, err := ledger.NewSealer(cfg).All(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "sealed %d events\n", n)
		return err
	})
}

func auditLeaves(ctx context.Context, e auditEnv, args []string) error {
	flags := e.flags("leaves")
	out := flags.String("out", "", "`file` to write; standard output if none is named")
	if _, err := parseMixed(flags, args, 0); err != nil {
		return err
	}
	return e.withStore(ctx, func(store *db.Store) error {
		head, err := store.LogHead(ctx, 0)
		if err != nil {
			return fmt.Errorf("looking where the log ends: %w", db.Classify(err))
		}
		return e.to(*out, func(w io.Writer) error { return sink.WriteLeaves(ctx, store, w, 0, head.Size) })
	})
}
