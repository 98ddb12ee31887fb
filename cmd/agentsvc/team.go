package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/resource"
)

const teamUsage = `Usage:
  agentsvc team import OWNERS.csv [--apply] [--reason WHY]

Gives resources that belong to no team to one each. The file is CSV with the header
kind,uuid,team. It only says what it would do, until --apply does it: all of it, or
nothing if there is a problem with any line. Teams are made by TeamService.CreateTeam.
`

// mostClaims is how many lines one import may have: it is one transaction.
const mostClaims = 10_000

// runTeam gives many resources to teams.
func runTeam(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	commands := databaseCommands{name: "team", usage: teamUsage, all: map[string]databaseCommand{"import": teamImport}}
	return commands.run(ctx, args, getenv, stdout, stderr)
}

func teamImport(ctx context.Context, store *db.Store, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("agentsvc team import", flag.ContinueOnError)
	flags.SetOutput(stderr)
	apply := flags.Bool("apply", false, "do it; else only say what would be done")
	reason := flags.String("reason", "", "`why`, for the audit history")
	if err := flags.Parse(args); err != nil {
		return err
	}
	path := flags.Arg(0)
	if flags.NArg() > 1 { // flags may also come after the file, as in the usage
		if err := flags.Parse(flags.Args()[1:]); err != nil {
			return err
		}
		if flags.NArg() > 0 {
			return fmt.Errorf("%q: one file at a time", flags.Arg(0))
		}
	}
	if path == "" {
		return errors.New("say which file")
	}
	claims, err := readClaims(path)
	if err != nil {
		return err
	}
	outcomes, problem := resource.Import(ctx, store, claims, *reason, *apply)
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KIND\tUUID\tNAME\tTEAM\tRESULT")
	for _, o := range outcomes {
		result := "would be given"
		switch {
		case o.Problem != "":
			result = "problem: " + o.Problem
		case o.Done:
			result = "owned already"
		case *apply && problem == nil:
			result = "given"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", o.Kind, o.UUID, o.Name, o.Team, result)
	}
	return errors.Join(problem, table.Flush())
}

func readClaims(path string) ([]resource.Claim, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the file of owners: %w", err)
	}
	defer func() { _ = file.Close() }() // read only
	in := csv.NewReader(file)
	in.FieldsPerRecord, in.TrimLeadingSpace = 3, true
	header, err := in.Read()
	if err != nil || !slices.Equal(header, []string{"kind", "uuid", "team"}) {
		return nil, errors.New("the first line must be kind,uuid,team")
	}
	var claims []resource.Claim
	for {
		record, err := in.Read()
		switch {
		case errors.Is(err, io.EOF):
			return claims, nil
		case err != nil:
			return nil, fmt.Errorf("reading the file of owners: %w", err)
		case len(claims) == mostClaims:
			return nil, fmt.Errorf("more than %d lines: import them in parts", mostClaims)
		}
		claims = append(claims, resource.Claim{Kind: record[0], UUID: record[1], Team: record[2]})
	}
}
