package main

import (
	"flag"
	"fmt"
	"io"
	"strings"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/access"
)

const accessUsage = `agentsvc access prints, as a Markdown table, who may call which method. It is made of
the methods' own options, which are the only place that says so.
`

const accessIntroduction = `# Who may call what

Made of the methods' own options by ` + "`agentsvc access`" + `; they are the only place that says so. Viewer, operator and owner are
roles in the team of what a call is about (of the team that is to own it, where something is made); each includes those before it.
Auditors and administrators have their role everywhere. What belongs to another team does not exist for a caller, whatever their
role in their own. Where a call touches something besides, a role there is needed, too. While a team, or everything, is frozen,
only what says so works.

`

// runAccess prints the whole matrix of methods and roles.
func runAccess(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("agentsvc access", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, accessUsage) } // nobody to tell that it could not be written
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("agentsvc access takes no argument, such as %q", flags.Arg(0))
	}
	var text strings.Builder
	text.WriteString(accessIntroduction)
	text.WriteString("| method | does | viewer | operator | owner | auditor | admin | also takes | while frozen |\n")
	text.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, need := range access.Needs() {
		cells := []string{"`" + need.Method + "`", strings.ToLower(strings.TrimPrefix(need.Action.String(), "ACTION_"))}
		for _, who := range []struct {
			role     pb.Role
			platform pb.PlatformRole
		}{
			{pb.Role_ROLE_VIEWER, 0}, {pb.Role_ROLE_OPERATOR, 0}, {pb.Role_ROLE_OWNER, 0},
			{0, pb.PlatformRole_PLATFORM_ROLE_AUDITOR}, {0, pb.PlatformRole_PLATFORM_ROLE_ADMIN},
		} {
			cells = append(cells, mark(need.May(who.role, who.platform)))
		}
		cells = append(cells, further(need), mark(need.WhileFrozen))
		fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | "))
	}
	_, err := io.WriteString(stdout, text.String())
	return err
}

func mark(yes bool) string {
	if yes {
		return "yes"
	}
	return ""
}

// further are the roles that a method takes where it touches something besides.
func further(need access.Need) string {
	var parts []string
	for _, target := range need.Targets[min(1, len(need.Targets)):] {
		kinds := append([]string{target.GetKind()}, target.GetOrKinds()...)
		parts = append(parts, strings.ToLower(strings.TrimPrefix(target.GetRole().String(), "ROLE_"))+" of the "+
			strings.ReplaceAll(strings.Join(kinds, " or "), "_", " ")+" in `"+target.GetField()+"`")
	}
	return strings.Join(parts, "; ")
}
