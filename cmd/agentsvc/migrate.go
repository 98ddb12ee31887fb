package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/agentsvc/agentsvc/internal/db/migrate"
)

func runMigrate(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("agentsvc migrate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "agentsvc migrate up | down | status: the schema of the database at DATABASE_URL")
		fmt.Fprintln(stderr, "  up      applies what is missing; any number of processes may do it at once")
		fmt.Fprintln(stderr, "          --app-role ROLE (or AGENTSVC_APP_ROLE) then gives ROLE what the service needs, and no more")
		fmt.Fprintln(stderr, "  down    takes the last migration back; not for production")
		fmt.Fprintln(stderr, "  status  lists what is applied")
	}
	appRole := flags.String("app-role", getenv("AGENTSVC_APP_ROLE"), "`role` that the service runs as")
	commands, err := parseMixed(flags, args, 1)
	if err != nil {
		return err
	}
	command := strings.Join(commands, "")
	url := getenv("DATABASE_URL")
	if url == "" {
		return errors.New("DATABASE_URL is not set")
	}
	switch command {
	case "up":
		if err := migrate.Up(ctx, url); err != nil || *appRole == "" {
			return err
		}
		return migrate.Grant(ctx, url, *appRole)
	case "down":
		return migrate.Down(ctx, url)
	case "status":
		all, err := migrate.Status(ctx, url)
		if err != nil {
			return err
		}
		for _, m := range all {
			applied := "pending"
			if m.Applied {
				applied = m.AppliedAt.UTC().Format(time.RFC3339)
			}
			if _, err := fmt.Fprintf(stdout, "%-20s  %s\n", applied, m.Name); err != nil {
				return err
			}
		}
		return nil
	}
	flags.Usage()
	return fmt.Errorf("agentsvc migrate takes up, down or status, not %q", command)
}
