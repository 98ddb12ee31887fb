package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
)

const accountUsage = `Usage:
  agentsvc account list
  agentsvc account assign --team TEAM --account ACCOUNT [--reason WHY]

Which vendor accounts there are is said by AGENTSVC_ACCOUNTS_DIR of the service, which
has the token of each. A team creates in one of them; what it has already stays where it
is. The database is that of DATABASE_URL.
`

// runAccount says which team creates in which vendor account.
func runAccount(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	commands := databaseCommands{
		name: "account", usage: accountUsage, all: map[string]databaseCommand{"list": accountList, "assign": accountAssign},
	}
	return commands.run(ctx, args, getenv, stdout, stderr)
}

func accountList(ctx context.Context, store *db.Store, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("agentsvc account list", flag.ContinueOnError)
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		return err
	}
	accounts, err := store.ListAccounts(ctx)
	if err != nil {
		return db.Classify(err)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ACCOUNT\tOWNED RESOURCES\tUNFINISHED CHANGES\tTEAMS THAT CREATE IN IT")
	for _, a := range accounts {
		teams := "-"
		if len(a.Teams) > 0 {
			teams = strings.Join(a.Teams, " ")
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", a.Name, a.Owned, a.Unfinished, teams)
	}
	return table.Flush()
}

func accountAssign(ctx context.Context, store *db.Store, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("agentsvc account assign", flag.ContinueOnError)
	flags.SetOutput(stderr)
	team := flags.String("team", "", "`team` that is to create in another account")
	account := flags.String("account", "", "`account` that it is to create in, as `agentsvc account list` has them")
	reason := flags.String("reason", "", "`why`, for the audit history")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *team == "" || *account == "" || flags.NArg() > 0 {
		return errors.New("say --team and --account, and nothing else but --reason")
	}
	var before string
	err := store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		row, err := q.AssignTeam(ctx, dbsql.AssignTeamParams{Team: *team, Account: *account})
		switch {
		case db.NoRows(err):
			return fmt.Errorf("there is no team %q", *team)
		case db.ForeignKeyViolation(err):
			return fmt.Errorf("there is no account %q: `agentsvc serve` makes those that it has a token of", *account)
		case err != nil:
			return err
		}
		before = row.Before
		was, is, err := accountChange(before, *account)
		if err != nil {
			return err
		}
		return audit.Record(ctx, q, audit.Event{
			Actor: audit.SystemActor, Team: &row.ID, Action: pb.Action_ACTION_UPDATE, Method: "agentsvc account assign",
			Resource: audit.Ref{Kind: "team", UUID: &row.ID, Name: *team}, Reason: *reason,
			Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_SYSTEM,
			Before: was, After: is,
		})
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "team %s creates in account %s from now on; it was %s before\n", *team, *account, before)
	return err
}

// accountChange is what the history shows of another account.
func accountChange(before, after string) (was, is json.RawMessage, err error) {
	if was, err = json.Marshal(map[string]string{"account": before}); err != nil {
		return nil, nil, fmt.Errorf("writing the account of before: %w", err)
	}
	is, err = json.Marshal(map[string]string{"account": after})
	return was, is, err
}
