package audit

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/methods"
)

const (
	// defaultTop is how many of a ranking are named if the request says 0.
	defaultTop = 20
	// longestSummary is the longest time that is counted.
	longestSummary = 366 * 24 * time.Hour
)

// Summarize counts the events that the caller may see.
func (r *Reader) Summarize(ctx context.Context, caller identity.Caller, req *pb.SummarizeAuditEventsRequest) (*pb.SummarizeAuditEventsResponse, error) {
	what, err := r.summary(caller, req)
	if err != nil {
		return nil, err
	}
	counts, err := r.store.SummarizeAuditEvents(ctx, what)
	if err != nil {
		return nil, err
	}
	if err := r.recordRead(ctx, caller, req); err != nil {
		return nil, err
	}
	return summaryToProto(what, counts), nil
}

func (r *Reader) summary(caller identity.Caller, req *pb.SummarizeAuditEventsRequest) (db.AuditSummary, error) {
	filter, err := r.schema.Filter(req.GetFilter())
	if err != nil {
		return db.AuditSummary{}, err
	}
	what := db.AuditSummary{
		Visible: visible(caller), Filter: filter, From: req.GetStartTime().AsTime(), Top: int(req.GetTop()), Secrets: secretMethods(),
		Longest: longestSummary,
	}
	if what.Top == 0 {
		what.Top = defaultTop
	}
	if req.GetEndTime() != nil {
		what.To = req.GetEndTime().AsTime()
	}
	return what, nil
}

// secretMethods are the changes whose answers have a secret that is given once.
func secretMethods() []string {
	var names []string
	for _, m := range methods.API().All() {
		if m.Access.GetReturnsSecret() {
			names = append(names, string(m.Name))
		}
	}
	return names
}

func summaryToProto(what db.AuditSummary, counts db.AuditCounts) *pb.SummarizeAuditEventsResponse {
	resp := &pb.SummarizeAuditEventsResponse{
		SnapshotTime: timestamppb.New(counts.At), StartTime: timestamppb.New(what.From), EndTime: timestamppb.New(counts.To),
		Total: tally(counts.Total), ByDay: each(counts.Days, tally), ByTeam: each(counts.Teams, tally), ByActor: each(counts.Actors, tally),
		Actors: counts.ActorCount, ByAction: each(counts.Actions, tally), ByOutcome: each(counts.Outcomes, tally),
		SecretsRevealed: each(counts.Secrets, use), Denials: each(counts.Denials, use),
	}
	for _, a := range counts.Agents {
		resp.TopChangedAgents = append(resp.TopChangedAgents, &pb.AuditChangedAgent{
			Agent: ref("agent", &a.UUID, a.Name), Team: a.Team, Changes: a.Changes, LastTime: timestamppb.New(a.LastTime),
		})
	}
	for _, b := range counts.Budget {
		resp.BudgetUse = append(resp.BudgetUse, &pb.AuditBudgetUse{
			Team: b.Team, Calls: b.Calls, ChangeCalls: b.Changes, ReadCalls: b.Reads, ThrottledCalls: b.Throttled,
		})
	}
	return resp
}

func tally(t db.AuditTally) *pb.AuditTally {
	return &pb.AuditTally{Name: t.Name, Events: t.Events, Changes: t.Changes, Failed: t.Failed, Denied: t.Denied, Revealed: t.Revealed}
}

func use(u db.AuditUse) *pb.AuditUse {
	return &pb.AuditUse{Actor: u.Actor, Team: u.Team, Method: u.Method, Events: u.Events, LastTime: timestamppb.New(u.LastTime)}
}

func each[A, B any](from []A, convert func(A) B) []B {
	to := make([]B, 0, len(from))
	for _, one := range from {
		to = append(to, convert(one))
	}
	return to
}
