// Command agentsvc is the platform service in front of the GenAI REST API: see the
// README for what it does and docs/architecture.md for how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

const usage = `agentsvc is the platform service in front of the GenAI REST API.

  agentsvc dev       all in one process for a first look, with a simulated vendor
  agentsvc serve     the service: configured by the environment, see docs/operating.md
  agentsvc sim       the simulated vendor alone
  agentsvc migrate   up | down | status of the database's schema
  agentsvc access    who may call which method
  agentsvc account   list the vendor accounts | assign a team to one
  agentsvc team      import who owns what
  agentsvc token     create | certificate | list | revoke: tokens and certificates of services
  agentsvc audit     verify | check | export | report | leaves | seal | keygen | retain | hold: the history
  agentsvc version   what this is

Each command explains its flags with --help.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once: the first one's stop is not for ever.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "agentsvc:", err)
		os.Exit(1) //nolint:gocritic // stop only frees the signal handler
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return errors.New("no command given")
	}
	command, rest := args[0], args[1:]
	switch command {
	case "dev":
		return runDev(ctx, rest, getenv, stdout, stderr)
	case "serve":
		return runServe(ctx, rest, getenv, stdout, stderr)
	case "sim":
		return runSim(ctx, rest, stdout, stderr)
	case "migrate":
		return runMigrate(ctx, rest, getenv, stdout, stderr)
	case "access":
		return runAccess(rest, stdout, stderr)
	case "account":
		return runAccount(ctx, rest, getenv, stdout, stderr)
	case "team":
		return runTeam(ctx, rest, getenv, stdout, stderr)
	case "token":
		return runToken(ctx, rest, getenv, stdout, stderr)
	case "audit":
		return runAudit(ctx, rest, getenv, stdout, stderr)
	case "version":
		_, err := fmt.Fprintln(stdout, version)
		return err
	case "help", "-h", "-help", "--help":
		_, err := fmt.Fprint(stdout, usage)
		return err
	}
	fmt.Fprint(stderr, usage)
	return fmt.Errorf("there is no command %q", command)
}
