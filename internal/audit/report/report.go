// Package report writes what happened in a month as one HTML file, for auditors who read and print: no scripts,
// nothing fetched from elsewhere, and nothing that its subjects wrote is taken for markup.
package report

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
)

const (
	// top is how many actors, agents and the like are named.
	top = 50
	// maxRoutes is how many changes of routes are listed.
	maxRoutes = 500
)

//go:embed report.html
var page string

// Spec says what a report is about.
type Spec struct {
	// Month is such as "2026-10", in UTC.
	Month string
	// Team is the name of one; "" for all that the caller may see.
	Team string
}

func (s Spec) times() (from, to time.Time, err error) {
	from, err = time.Parse("2006-01", s.Month)
	if err != nil {
		return from, to, fault.Invalid("month", "is not a month such as 2026-10")
	}
	return from, from.AddDate(0, 1, 0), nil
}

// report is what the page shows.
type report struct {
	Spec

	From, To, At  time.Time
	Filter        string
	Summary       *pb.SummarizeAuditEventsResponse
	Budget        []*pb.AuditBudgetUse
	Routes        []*pb.AuditEvent
	RoutesAreMore bool
	Days          days
}

// Write writes the report of what the caller may see.
func Write(ctx context.Context, reader *audit.Reader, caller identity.Caller, spec Spec, w io.Writer) error {
	r, err := read(ctx, reader, caller, spec)
	if err != nil {
		return err
	}
	parsed, err := template.New("report").Funcs(template.FuncMap{
		"utc": utc, "method": shortMethod, "share": share, "changed": changed, "short": short,
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("reading the report's page: %w", err)
	}
	if err := parsed.Execute(w, r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func read(ctx context.Context, reader *audit.Reader, caller identity.Caller, spec Spec) (*report, error) {
	from, to, err := spec.times()
	if err != nil {
		return nil, err
	}
	r := &report{Spec: spec, From: from, To: to}
	if spec.Team != "" {
		r.Filter = "team = " + strconv.Quote(spec.Team)
	}
	r.Summary, err = reader.Summarize(ctx, caller, &pb.SummarizeAuditEventsRequest{
		StartTime: timestamppb.New(from), EndTime: timestamppb.New(to), Filter: r.Filter, Top: top,
	})
	if err != nil {
		return nil, err
	}
	r.At = r.Summary.GetSnapshotTime().AsTime()
	r.Budget = slices.DeleteFunc(slices.Clone(r.Summary.GetBudgetUse()), func(b *pb.AuditBudgetUse) bool {
		return spec.Team != "" && b.GetTeam() != spec.Team
	})
	routes, err := reader.List(ctx, caller, &pb.ListAuditEventsRequest{PageSize: maxRoutes, Filter: r.routes()})
	if err != nil {
		return nil, err
	}
	r.Routes, r.RoutesAreMore = routes.GetEvents(), routes.GetNextPageToken() != ""
	slices.Reverse(r.Routes) // the oldest first, as one reads
	r.Days = chart(from, to, r.Summary.GetByDay())
	return r, nil
}

// routes is the filter of changes of routes that were made.
func (r *report) routes() string {
	parts := []string{
		`method:"AgentRouteService."`, "outcome = SUCCEEDED", "(action = CREATE OR action = UPDATE OR action = DELETE)",
		"time >= " + strconv.Quote(r.From.Format(time.RFC3339)), "time < " + strconv.Quote(r.To.Format(time.RFC3339)),
	}
	if r.Filter != "" {
		parts = append(parts, r.Filter)
	}
	return strings.Join(parts, " AND ")
}

func utc(at any) string {
	switch t := at.(type) {
	case time.Time:
		return t.UTC().Format("2006-01-02 15:04:05")
	case *timestamppb.Timestamp:
		return t.AsTime().UTC().Format("2006-01-02 15:04:05")
	}
	return ""
}

func shortMethod(name string) string { return strings.TrimPrefix(name, "agentsvc.v1.") }

// short is the beginning of a uuid.
func short(id string) string { return id[:min(len(id), 8)] }

// changed is what a change of a route changed, in a line.
func changed(e *pb.AuditEvent) string {
	var parts []string
	for _, c := range e.GetChanges() {
		part := c.GetPath()
		if v := c.GetAfter().GetStringValue(); v != "" {
			part += ": " + v
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// share is a part of a whole, as the width of a bar.
func share(part int64, all []*pb.AuditTally) int64 {
	var most int64 = 1
	for _, t := range all {
		most = max(most, t.GetEvents())
	}
	return part * barWidth / most
}

// tallies are a table of them.
type tallies struct {
	Name string
	All  []*pb.AuditTally
}

// Tallies is for the page, which hands one thing to a part of it.
func (*report) Tallies(name string, all []*pb.AuditTally) tallies { return tallies{name, all} }

// OtherActors is how many actors are not named.
func (r *report) OtherActors() int64 {
	return r.Summary.GetActors() - int64(len(r.Summary.GetByActor()))
}
