package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
)

//nolint:gosec // a usage text, not a credential
const tokenUsage = `Usage:
  agentsvc token create --name SERVICE [--team TEAM --role viewer|operator|owner] [--platform auditor|admin]
                        [--expires 90d] [--create-team] [--may-act-for-others[=false]] [--reason WHY]
  agentsvc token certificate --san NAME --name SERVICE …   as create, for who shows a client certificate of that name
  agentsvc token list
  agentsvc token revoke ID [--reason WHY]

The database is that of DATABASE_URL. A token is shown once, when it is made.
Roles are the service's: they hold for its other tokens too.
`

// runToken makes, lists and revokes the tokens of services. Who may reach the
// database may do all of it.
func runToken(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	commands := databaseCommands{
		name: "token", usage: tokenUsage,
		all: map[string]databaseCommand{
			"create": tokenCreate, "certificate": tokenCertificate, "list": tokenList, "revoke": tokenRevoke,
		},
	}
	return commands.run(ctx, args, getenv, stdout, stderr)
}

func tokenFlags(name string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("agentsvc token "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	return flags
}

// serviceFlags say what a service may do.
type serviceFlags struct {
	flags *flag.FlagSet

	name, team, role, platform, reason *string
	createTeam, mayAct                 *bool
}

func newServiceFlags(command string, stderr io.Writer) serviceFlags {
	flags := tokenFlags(command, stderr)
	return serviceFlags{
		flags:      flags,
		name:       flags.String("name", "", "name of the `service`"),
		team:       flags.String("team", "", "`team` that the service belongs to"),
		role:       flags.String("role", "", "its `role` there: viewer, operator or owner"),
		platform:   flags.String("platform", "", "platform `role`: auditor or admin; left as it is when not given"),
		createTeam: flags.Bool("create-team", false, "make the team if there is none of that name"),
		mayAct: flags.Bool("may-act-for-others", false, "let the service name the person it acts for; left as it is when not given, "+
			"taken away by --may-act-for-others=false"),
		reason: flags.String("reason", "", "`why`, for the audit history"),
	}
}

// parse reads them into what is to be made, all but the lifetime.
func (f serviceFlags) parse(args []string) (identity.TokenSpec, error) {
	if err := f.flags.Parse(args); err != nil {
		return identity.TokenSpec{}, err
	}
	if f.flags.NArg() > 0 {
		return identity.TokenSpec{}, fmt.Errorf("%q: nothing is expected after the flags", f.flags.Arg(0))
	}
	spec := identity.TokenSpec{Service: *f.name, Team: *f.team}
	number, err := enumValue(pb.Role_value, "ROLE_", "--role", *f.role)
	if err != nil {
		return spec, err
	}
	spec.Role = pb.Role(number)
	if number, err = enumValue(pb.PlatformRole_value, "PLATFORM_ROLE_", "--platform", *f.platform); err != nil {
		return spec, err
	}
	spec.Platform = pb.PlatformRole(number)
	f.flags.Visit(func(given *flag.Flag) {
		if given.Name == "may-act-for-others" {
			spec.MayActForOthers = f.mayAct
		}
	})
	return spec, nil
}

// store makes the service, and writes into the history that it did.
func (f serviceFlags) store(
	ctx context.Context, store *db.Store, makes func(*db.Queries) (identity.NewToken, audit.Event, error),
) (token identity.NewToken, err error) {
	err = store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		if *f.createTeam && *f.team != "" {
			if _, err := q.UpsertTeam(ctx, *f.team); err != nil {
				return fmt.Errorf("making team %q: %w", *f.team, err)
			}
		}
		var err error
		var event audit.Event
		if token, event, err = makes(q); err != nil {
			return err
		}
		event.Team = token.Team
		event.Parent = audit.Ref{Kind: "principal", UUID: &token.Principal}
		return audit.Record(ctx, q, event)
	})
	return token, err
}

func tokenCreate(ctx context.Context, store *db.Store, args []string, stdout, stderr io.Writer) error {
	flags := newServiceFlags("create", stderr)
	expires := flags.flags.String("expires", "90d", "`time` until it expires, such as 720h or 30d; 366d at the most")
	spec, err := flags.parse(args)
	if err != nil {
		return err
	}
	if spec.Lifetime, err = parseLifetime(*expires); err != nil {
		return err
	}
	token, err := flags.store(ctx, store, func(q *db.Queries) (identity.NewToken, audit.Event, error) {
		made, err := identity.CreateToken(ctx, q, spec)
		return made, tokenEvent(pb.Action_ACTION_CREATE, "create", spec.Service+"/"+made.ID, *flags.reason), err
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, token.Secret)
	fmt.Fprintf(stderr, "Token %s of service %s, good until %s. It is not shown again.\n",
		token.ID, spec.Service, token.Expires.UTC().Format(time.RFC3339))
	return nil
}

// tokenCertificate has a service known by its certificates instead of a token.
func tokenCertificate(ctx context.Context, store *db.Store, args []string, stdout, stderr io.Writer) error {
	flags := newServiceFlags("certificate", stderr)
	san := flags.flags.String("san", "", "`name` in its certificates: a SPIFFE id or a DNS name")
	spec, err := flags.parse(args)
	if err != nil {
		return err
	}
	_, err = flags.store(ctx, store, func(q *db.Queries) (identity.NewToken, audit.Event, error) {
		made, err := identity.TrustCertificate(ctx, q, spec, *san)
		return made, tokenEvent(pb.Action_ACTION_CREATE, "certificate", spec.Service+"/"+*san, *flags.reason), err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "certificates of %s are those of service %s\n", *san, spec.Service)
	return err
}

func tokenList(ctx context.Context, store *db.Store, args []string, stdout, stderr io.Writer) error {
	if err := tokenFlags("list", stderr).Parse(args); err != nil {
		return err
	}
	tokens, err := identity.ListTokens(ctx, store.Queries)
	if err != nil {
		return db.Classify(err)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSERVICE\tCREATED\tEXPIRES\tLAST USED\tREVOKED")
	for _, t := range tokens {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Service, stamp(&t.Created), stamp(&t.Expires), stamp(t.LastUsed), stamp(t.Revoked))
	}
	return table.Flush()
}

// stamp is a time as tables show it.
func stamp(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

func tokenRevoke(ctx context.Context, store *db.Store, args []string, stdout, stderr io.Writer) error {
	flags := tokenFlags("revoke", stderr)
	reason := flags.String("reason", "", "`why`, for the audit history")
	if err := flags.Parse(args); err != nil {
		return err
	}
	id := flags.Arg(0)
	// The flag may also come after the id, as in the usage.
	if flags.NArg() > 1 {
		if err := flags.Parse(flags.Args()[1:]); err != nil {
			return err
		}
		if flags.NArg() > 0 {
			return fmt.Errorf("%q: one id at a time", flags.Arg(0))
		}
	}
	if id == "" {
		return errors.New("say the token's id, as in `agentsvc token list`")
	}
	err := store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		id, err := identity.RevokeToken(ctx, q, id)
		if err != nil {
			return err
		}
		return audit.Record(ctx, q, tokenEvent(pb.Action_ACTION_DELETE, "revoke", id, *reason))
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "revoked")
	return nil
}

// tokenEvent says in the history what was done to a token. Who did it is not known:
// it was somebody with access to the database.
func tokenEvent(action pb.Action, command, name, reason string) audit.Event {
	return audit.Event{
		Actor: audit.SystemActor, Action: action, Method: "agentsvc token " + command,
		Resource: audit.Ref{Kind: "service_token", Name: name}, Reason: reason,
		Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_SYSTEM,
	}
}

// enumValue reads the lower-case form of an enum's value; "" is its zero.
func enumValue(values map[string]int32, prefix, flagName, text string) (int32, error) {
	if text == "" {
		return 0, nil
	}
	number := values[prefix+strings.ToUpper(text)]
	if number == 0 {
		return 0, fmt.Errorf("%s %q: there is no such role", flagName, text)
	}
	return number, nil
}

// parseLifetime reads a Go duration, or whole days such as 30d.
func parseLifetime(text string) (time.Duration, error) {
	var lifetime time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if n, err = strconv.Atoi(days); err == nil && n > int(identity.MaxLifetime/(24*time.Hour)) {
			err = errors.New("too many days")
		}
		lifetime = time.Duration(n) * 24 * time.Hour
	} else {
		lifetime, err = time.ParseDuration(text)
	}
	if err != nil || lifetime <= 0 {
		return 0, fmt.Errorf("--expires %q: say how long, such as 720h or 30d, up to 366d", text)
	}
	return lifetime, nil
}
