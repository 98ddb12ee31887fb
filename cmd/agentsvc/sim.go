package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"text/tabwriter"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

const simUsage = `agentsvc sim stands in for the vendor's GenAI REST API: all of its operations,
in memory, below /v2/gen-ai. Any bearer token will do, and clients of the
vendor's only need another base URL. Below /_sim one can read the log of
requests, cause faults and start anew. docs/simulator.md tells more.

  agentsvc sim [flags]

`

// runSim serves the simulated vendor until ctx is done.
func runSim(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg := genaisim.Config{Log: slog.New(slog.NewTextHandler(stderr, nil))}
	flags := flag.NewFlagSet("agentsvc sim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8081", "`address` to listen on; port 0 for one that is free")
	genaisim.BindFlags(flags, &cfg)
	var tokens []string
	flags.Func("account", "`token` of a further account, empty at the start; may be given several times", func(token string) error {
		tokens = append(tokens, token)
		return nil
	})
	flags.Usage = func() { explain(flags, simUsage) }
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("agentsvc sim takes flags only, not %q", flags.Arg(0))
	}
	simulator, err := genaisim.NewAccounts(cfg, tokens...)
	if err != nil {
		return fmt.Errorf("agentsvc sim: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listening for the simulator: %w", err)
	}
	if _, err := fmt.Fprintf(stdout, "simulator ready at http://%s\n", listener.Addr()); err != nil {
		return err
	}
	return genaisim.Serve(ctx, listener, simulator)
}

// explain writes what a command is for, and its flags, one a line.
func explain(flags *flag.FlagSet, about string) {
	out := flags.Output()
	_, _ = io.WriteString(out, about) // nobody to tell that the help could not be written
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	flags.VisitAll(func(f *flag.Flag) {
		value, what := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			what += " (default " + f.DefValue + ")"
		}
		_, _ = fmt.Fprintf(table, "  --%s %s\t%s\n", f.Name, value, what)
	})
	_ = table.Flush()
}
