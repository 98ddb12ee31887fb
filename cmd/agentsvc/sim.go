package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/agentsvc/agentsvc/internal/upstream/genaisim"
)

func runSim(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg := genaisim.Config{Log: slog.New(slog.NewTextHandler(stderr, nil))}
	flags := flag.NewFlagSet("agentsvc sim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8081", "`address` to listen on")
	genaisim.BindFlags(flags, &cfg)
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listening for the simulator: %w", err)
	}
	if _, err := fmt.Fprintf(stdout, "simulator ready at http://%s\n", listener.Addr()); err != nil {
		return err
	}
	return genaisim.Serve(ctx, listener, genaisim.New(cfg))
}
