// Package team keeps who belongs where: teams, their members, the tokens of their services,
// and what is frozen. Each change is in the history, in the same commit.
package team

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/audit"
	"github.com/agentsvc/agentsvc/internal/budget"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"
	"github.com/agentsvc/agentsvc/internal/listing"
	"github.com/agentsvc/agentsvc/internal/methods"
)

// Registry keeps teams.
type Registry struct {
	store  *db.Store
	tokens *listing.Tokens
	lists  lists
}

// lists are what the lists are filtered by.
type lists struct{ teams, members, tokens *listing.Schema }

// New keeps teams in the store.
func New(store *db.Store, tokens *listing.Tokens) *Registry {
	return &Registry{store: store, tokens: tokens, lists: lists{teams: db.TeamSchema(), members: db.MemberSchema(), tokens: db.TokenSchema()}}
}

// change is what a call did, as the history tells it.
type change struct {
	team     *uuid.UUID
	resource audit.Ref
	// parent is the team, where the change is about something in it.
	parent audit.Ref
	reason string
	// before and after are of one type; nil: it was not there, or is not any more.
	before, after proto.Message
}

// record writes a change into the history.
func record(ctx context.Context, q *db.Queries, by identity.Caller, req proto.Message, c change) error {
	was, is, err := audit.Changed(c.before, c.after)
	if err != nil {
		return fmt.Errorf("writing what changed: %w", err)
	}
	m := methods.API().ByRequest(req)
	return audit.Record(ctx, q, audit.Event{
		Team: c.team, Action: m.Access.GetAction(), Method: string(m.Name), Resource: c.resource, Parent: c.parent, Reason: c.reason,
		Outcome: pb.AuditEvent_OUTCOME_SUCCEEDED, Origin: pb.AuditEvent_ORIGIN_API, Before: was, After: is,
	}.By(by))
}

func refTo(row dbsql.Team) audit.Ref { return audit.Ref{Kind: "team", UUID: &row.ID, Name: row.Name} }

// held is a team, locked until q's transaction ends. The access check has let the caller
// through, so that there is none is no secret.
func held(ctx context.Context, q *db.Queries, name string) (dbsql.Team, error) {
	row, err := q.LockTeam(ctx, name)
	if db.NoRows(err) {
		return row, fault.NotFound("team", name)
	}
	if err != nil {
		return row, fmt.Errorf("locking team %s: %w", name, err)
	}
	return row, nil
}

// alive is a team that is not archived, locked.
func alive(ctx context.Context, q *db.Queries, name string) (dbsql.Team, error) {
	row, err := held(ctx, q, name)
	if err == nil && row.ArchivedAt != nil {
		return row, fault.Precondition("team %q is archived", name)
	}
	return row, err
}

// Create makes a team.
func (r *Registry) Create(ctx context.Context, by identity.Caller, req *pb.CreateTeamRequest) (*pb.Team, error) {
	params := dbsql.InsertTeamParams{
		Name: req.GetName(), Description: req.GetDescription(), Weight: max(req.GetWeight(), 1),
		BacklogLimit: orElse(req.GetBacklogLimit(), defaultBacklog), Account: orElse(req.GetAccount(), budget.DefaultAccount),
	}
	var made *pb.Team
	err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		row, err := q.InsertTeam(ctx, params)
		switch {
		case db.NoRows(err):
			return fault.New(pb.ErrorReason_ERROR_REASON_ALREADY_EXISTS, "there is a team %q already, or was one: names are not given again", req.GetName())
		case db.ForeignKeyViolation(err):
			return noAccount(req.GetAccount())
		case err != nil:
			return fmt.Errorf("making team %s: %w", req.GetName(), err)
		}
		made = toProto(row, nil)
		return record(ctx, q, by, req, change{team: &row.ID, resource: refTo(row), reason: req.GetReason(), after: made})
	})
	return made, err
}

const defaultBacklog = 1000

func noAccount(name string) error {
	return fault.Invalid("account", "there is no vendor account %q: `agentsvc account list` shows those there are", name)
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Get is a team.
func (r *Registry) Get(ctx context.Context, name string) (*pb.Team, error) {
	row, err := r.store.Team(ctx, name)
	if db.NoRows(err) {
		return nil, fault.NotFound("team", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading team %s: %w", name, db.Classify(err))
	}
	return withFreeze(ctx, r.store.Queries, row)
}

// withFreeze is a team as callers see it.
func withFreeze(ctx context.Context, q *db.Queries, row dbsql.Team) (*pb.Team, error) {
	frozen, err := q.FreezeOf(ctx, &row.ID)
	if db.NoRows(err) {
		return toProto(row, nil), nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking whether team %s is frozen: %w", row.Name, db.Classify(err))
	}
	return toProto(row, toFreeze(frozen.Actor, frozen.FrozenAt, frozen.Reason)), nil
}

// List answers a page of the teams that the caller may see.
func (r *Registry) List(ctx context.Context, by identity.Caller, req *pb.ListTeamsRequest) (*pb.ListTeamsResponse, error) {
	frozen, err := r.store.Freezes(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking which teams are frozen: %w", db.Classify(err))
	}
	byTeam := make(map[uuid.UUID]*pb.Freeze, len(frozen))
	for _, f := range frozen {
		if f.TeamID != nil {
			byTeam[*f.TeamID] = toFreeze(f.Actor, f.FrozenAt, f.Reason)
		}
	}
	read := func(page listing.Page) ([]db.TeamRow, error) {
		return r.store.ListTeams(ctx, db.Visible{All: by.SeesAll(), Teams: by.TeamIDs()}, req.GetShowArchived(), page)
	}
	teams, next, err := listing.Answer(r.tokens, r.lists.teams, req, read, func(row db.TeamRow) *pb.Team {
		return toProto(dbsql.Team{
			Name: row.Name, Description: row.Description, Weight: row.Weight, BacklogLimit: row.BacklogLimit, Account: row.Account,
			CreatedAt: row.CreatedAt, ArchivedAt: row.ArchivedAt, Approvals: row.Approvals,
		}, byTeam[row.ID])
	})
	return &pb.ListTeamsResponse{Teams: teams, NextPageToken: next}, err
}

func toProto(row dbsql.Team, freeze *pb.Freeze) *pb.Team {
	team := &pb.Team{
		Name: row.Name, Description: row.Description, Weight: row.Weight, BacklogLimit: row.BacklogLimit, Account: row.Account,
		CreateTime: timestamppb.New(row.CreatedAt), ArchiveTime: timeOf(row.ArchivedAt), Freeze: freeze,
	}
	for _, name := range row.Approvals {
		team.Approvals = append(team.Approvals, methods.ApprovalRule(name))
	}
	return team
}

// stored are approvals as the database names them.
func stored(approvals []pb.ApprovalRule) []string {
	names := make([]string, 0, len(approvals))
	for _, rule := range approvals {
		names = append(names, methods.ApprovalName(rule))
	}
	return names
}

func timeOf(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}
