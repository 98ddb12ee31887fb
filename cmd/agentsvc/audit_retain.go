package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/agentsvc/agentsvc/internal/audit/retention"
	"github.com/agentsvc/agentsvc/internal/db"
)

func auditRetain(ctx context.Context, e auditEnv, args []string) error {
	flags := e.flags("retain")
	months := flags.Int("months", 0, "how many full `months` to keep besides the current one")
	reason := flags.String("reason", "", "`why`, for the audit history")
	dry := flags.Bool("dry-run", false, "only say what would be dropped")
	if _, err := parseMixed(flags, args, 0); err != nil {
		return err
	}
	return e.withStore(ctx, func(store *db.Store) error {
		var found []retention.Month
		var err error
		verb := "dropped"
		if *dry {
			verb = "would drop"
			found, err = retention.Droppable(ctx, store.Queries, *months)
		} else {
			found, err = retention.Retain(ctx, store, *months, *reason)
		}
		if err != nil {
			return err
		}
		for _, m := range found {
			fmt.Fprintf(e.stdout, "%s %s: %d events, places %d to %d\n", verb, m.Name, m.Events, m.First, m.Last)
		}
		if len(found) == 0 {
			fmt.Fprintln(e.stdout, "no month is that old")
		}
		return nil
	})
}

func auditHold(ctx context.Context, e auditEnv, args []string) error {
	if len(args) == 0 {
		return errors.New("say set, release or list")
	}
	command := args[0]
	if asksForHelp(command) {
		_, err := fmt.Fprint(e.stdout, auditUsage)
		return err
	}
	flags := e.flags("hold " + command)
	team := flags.String("team", "", "`team` whose events are kept; all events if none is named")
	reason := flags.String("reason", "", "`why`, for the audit history")
	names, err := parseMixed(flags, args[1:], 1)
	if err != nil {
		return err
	}
	name := ""
	if len(names) > 0 {
		name = names[0]
	}
	return e.withStore(ctx, func(store *db.Store) error {
		switch command {
		case "set":
			if err := retention.Hold(ctx, store, name, *team, *reason); err != nil {
				return err
			}
			fmt.Fprintln(e.stdout, "set")
		case "release":
			if err := retention.Release(ctx, store, name, *reason); err != nil {
				return err
			}
			fmt.Fprintln(e.stdout, "released")
		case "list":
			return listHolds(ctx, e, store)
		default:
			return fmt.Errorf("there is no %q; say set, release or list", command)
		}
		return nil
	})
}

func listHolds(ctx context.Context, e auditEnv, store *db.Store) error {
	holds, err := store.Holds(ctx)
	if err != nil {
		return db.Classify(err)
	}
	table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTEAM\tSET\tRELEASED\tREASON")
	for _, h := range holds {
		team, released := h.Team, "-"
		if team == "" {
			team = "all"
		}
		if h.ReleasedAt != nil {
			released = h.ReleasedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", h.Name, team, h.SetAt.UTC().Format(time.RFC3339), released, h.Reason)
	}
	return table.Flush()
}
