package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/agentsvc/agentsvc/internal/db"
)

// databaseCommand is what a command does in the database of DATABASE_URL. Who may reach
// the database may do all of it.
type databaseCommand func(ctx context.Context, store *db.Store, args []string, stdout, stderr io.Writer) error

// databaseCommands are those of one name, by the word that follows it.
type databaseCommands struct {
	name, usage string
	all         map[string]databaseCommand
}

func (c databaseCommands) run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	words := strings.Join(slices.Sorted(maps.Keys(c.all)), ", ")
	if len(args) == 0 {
		fmt.Fprint(stderr, c.usage)
		return fmt.Errorf("%s: say one of %s", c.name, words)
	}
	if asksForHelp(args[0]) {
		_, err := fmt.Fprint(stdout, c.usage)
		return err
	}
	command, ok := c.all[args[0]]
	if !ok {
		fmt.Fprint(stderr, c.usage)
		return fmt.Errorf("%s: there is no %q; say one of %s", c.name, args[0], words)
	}
	if len(args) > 1 && args[1] != "help" && asksForHelp(args[1]) { // the flags say so before a database is looked for
		return command(ctx, nil, args[1:2], stdout, stderr)
	}
	url := getenv("DATABASE_URL")
	if url == "" {
		return fmt.Errorf("%s: DATABASE_URL is not set; it says which database is meant", c.name)
	}
	pool, err := db.Open(ctx, url)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	defer pool.Close()
	if err := command(ctx, db.New(pool), args[1:], stdout, stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		if old := schemaCurrent(ctx, pool); old != nil {
			err = old // whatever it was, that comes first
		}
		return fmt.Errorf("%s %s: %w", c.name, args[0], err)
	}
	return nil
}

// asksForHelp tells whether a word is no command but asks which there are.
func asksForHelp(word string) bool {
	return word == "help" || word == "-h" || word == "-help" || word == "--help"
}
