package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/audit/ledger"
	"github.com/agentsvc/agentsvc/internal/audit/report"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// operator is whoever runs a command: somebody with access to the database, who sees all. In the history it is the
// service itself.
func operator() identity.Caller {
	return identity.Caller{Name: audit.SystemActor, Service: true, Platform: pb.PlatformRole_PLATFORM_ROLE_AUDITOR}
}

// reader reads the history once. Its tokens are good for this process alone.
func reader(store *db.Store) *audit.Reader {
	return audit.NewReader(store, listing.NewTokens([]byte(rand.Text()+rand.Text())))
}

func auditExport(ctx context.Context, e auditEnv, args []string) error {
	flags := e.flags("export")
	out := flags.String("out", "", "`file` to write; standard output if none is named")
	formats := map[string]pb.AuditExportFormat{
		"jsonl": pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_JSON_LINES, "csv": pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_CSV,
		"ocsf": pb.AuditExportFormat_AUDIT_EXPORT_FORMAT_OCSF,
	}
	given := url.Values{}
	format := flags.String("format", "", "`form` of the events: jsonl, csv or ocsf")
	for name, usage := range map[string]string{
		"since": "the first `time` of events, such as 2026-10-01 or 2026-10-01T12:00:00Z", "until": "the `time` of the first event that is left out",
		"team": "`name` of the team", "filter": "a `filter` as ListAuditEvents takes it",
	} {
		flags.Func(name, usage, func(value string) error {
			if day, err := time.Parse(time.DateOnly, value); err == nil && (name == "since" || name == "until") {
				value = day.Format(time.RFC3339)
			}
			given.Set(name, value)
			return nil
		})
	}
	if _, err := parseMixed(flags, args, 0); err != nil {
		return err
	}
	if len(given) == 0 && *format == "" {
		return e.withStore(ctx, func(store *db.Store) error {
			return e.to(*out, func(w io.Writer) error { return ledger.Export(ctx, store, w) })
		})
	}
	filter, err := audit.FilterOf(given)
	if err != nil {
		return err
	}
	req := &pb.ExportAuditEventsRequest{Filter: filter, Format: formats["jsonl"]}
	if *format != "" {
		var ok bool
		if req.Format, ok = formats[*format]; !ok {
			return fmt.Errorf("--format %q: say jsonl, csv or ocsf", *format)
		}
	}
	return e.withStore(ctx, func(store *db.Store) error {
		if err := teamExists(ctx, store, given.Get("team")); err != nil {
			return err
		}
		return e.to(*out, func(w io.Writer) error { return exportTo(ctx, store, e, req, w) })
	})
}

// teamExists keeps a team's misspelt name from looking like a team of which nothing is told.
func teamExists(ctx context.Context, store *db.Store, name string) error {
	if name == "" {
		return nil
	}
	_, err := store.TeamByName(ctx, name)
	if db.NoRows(err) {
		return fmt.Errorf("there is no team %q", name)
	}
	return err
}

// exportTo writes an export, and says on the side what it has.
func exportTo(ctx context.Context, store *db.Store, e auditEnv, req *pb.ExportAuditEventsRequest, w io.Writer) error {
	return reader(store).Export(ctx, operator(), req, func(piece *pb.ExportAuditEventsResponse) error {
		if end := piece.GetEnd(); end != nil {
			_, err := fmt.Fprintf(e.stderr, "%d events as of %s, SHA-256 %s\n",
				end.GetRows(), end.GetSnapshotTime().AsTime().Format(time.RFC3339), end.GetSha256())
			return err
		}
		_, err := w.Write(piece.GetData())
		return err
	})
}

func auditReport(ctx context.Context, e auditEnv, args []string) error {
	flags := e.flags("report")
	month := flags.String("month", "", "`month` in UTC, such as 2026-10")
	team := flags.String("team", "", "`name` of the team; all if none is named")
	out := flags.String("out", "", "`file` to write; standard output if none is named")
	if _, err := parseMixed(flags, args, 0); err != nil {
		return err
	}
	if *month == "" {
		return errors.New("say which --month, such as 2026-10")
	}
	return e.withStore(ctx, func(store *db.Store) error {
		if err := teamExists(ctx, store, *team); err != nil {
			return err
		}
		return e.to(*out, func(w io.Writer) error {
			return report.Write(ctx, reader(store), operator(), report.Spec{Month: *month, Team: *team}, w)
		})
	})
}
