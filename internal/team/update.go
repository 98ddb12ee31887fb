package team

import (
	"context"
	"fmt"
	"slices"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/db"
	"github.com/agentsvc/agentsvc/internal/db/dbsql"
	"github.com/agentsvc/agentsvc/internal/fault"
	"github.com/agentsvc/agentsvc/internal/identity"

	"google.golang.org/protobuf/proto"
)

// Update sets what administrators decide of a team.
func (r *Registry) Update(ctx context.Context, by identity.Caller, req *pb.UpdateTeamRequest) (*pb.Team, error) {
	return r.set(ctx, by, req, req.GetTeam(), req.GetReason(), func(p *dbsql.SetTeamParams) error {
		for _, path := range req.GetUpdateMask().GetPaths() {
			switch path {
			case "description":
				p.Description = req.GetDescription()
			case "weight":
				p.Weight = req.GetWeight()
			case "backlog_limit":
				p.BacklogLimit = req.GetBacklogLimit()
			case "account":
				p.Account = req.GetAccount()
			default:
				return fault.Invalid("update_mask", "%q is none of description, weight, backlog_limit and account", path)
			}
		}
		switch {
		case p.Weight < 1:
			return fault.Invalid("weight", "must be 1 to 1000")
		case p.BacklogLimit < 1:
			return fault.Invalid("backlog_limit", "must be 1 to 1000000")
		}
		return nil
	})
}

// SetApprovals says which changes of a team wait for a second owner. Owners add to them; if
// they could take one away, each could do alone what takes two.
func (r *Registry) SetApprovals(ctx context.Context, by identity.Caller, req *pb.SetTeamApprovalsRequest) (*pb.Team, error) {
	return r.set(ctx, by, req, req.GetTeam(), req.GetReason(), func(p *dbsql.SetTeamParams) error {
		before := p.Approvals
		p.Approvals = stored(req.GetApprovals())
		for _, rule := range before {
			if !slices.Contains(p.Approvals, rule) && !by.Admin() {
				return fault.Precondition("an administrator lets %s go on without a second owner: one owner cannot", rule)
			}
		}
		return nil
	})
}

// set changes a team. What is so already changes and records nothing.
func (r *Registry) set(
	ctx context.Context, by identity.Caller, req proto.Message, name, reason string, edit func(*dbsql.SetTeamParams) error,
) (*pb.Team, error) {
	var after *pb.Team
	err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		row, err := alive(ctx, q, name)
		if err != nil {
			return err
		}
		before, err := withFreeze(ctx, q, row)
		if err != nil {
			return err
		}
		params := dbsql.SetTeamParams{
			ID: row.ID, Description: row.Description, Weight: row.Weight, BacklogLimit: row.BacklogLimit, Account: row.Account, Approvals: row.Approvals,
		}
		if err := edit(&params); err != nil {
			return err
		}
		changed, err := q.SetTeam(ctx, params)
		if db.ForeignKeyViolation(err) {
			return noAccount(params.Account)
		}
		if err != nil {
			return fmt.Errorf("changing team %s: %w", name, err)
		}
		after = toProto(changed, before.GetFreeze())
		if proto.Equal(before, after) {
			return nil
		}
		return record(ctx, q, by, req, change{team: &row.ID, resource: refTo(row), reason: reason, before: before, after: after})
	})
	return after, err
}

// Archive ends a team that has nothing any more.
func (r *Registry) Archive(ctx context.Context, by identity.Caller, req *pb.ArchiveTeamRequest) (*pb.Team, error) {
	var after *pb.Team
	err := r.store.Tx(ctx, db.Durable, func(q *db.Queries) error {
		row, err := held(ctx, q, req.GetTeam())
		if err != nil {
			return err
		}
		if row.ArchivedAt != nil {
			after = toProto(row, nil)
			return nil
		}
		if row.Name == platform {
			return fault.Precondition("team %q has what belongs to nobody: it cannot be archived", row.Name)
		}
		has, err := q.WhatATeamHas(ctx, &row.ID)
		if err != nil {
			return fmt.Errorf("looking what team %s has: %w", row.Name, err)
		}
		if has.Resources > 0 || has.Operations > 0 {
			return fault.Precondition("team %q has %d resources and %d changes under way: delete, release or transfer the resources, and wait for the changes",
				row.Name, has.Resources, has.Operations)
		}
		before := toProto(row, nil)
		if row, err = q.ArchiveTeam(ctx, row.ID); err != nil {
			return fmt.Errorf("archiving team %s: %w", row.Name, err)
		}
		after = toProto(row, nil)
		return record(ctx, q, by, req, change{team: &row.ID, resource: refTo(row), reason: req.GetReason(), before: before, after: after})
	})
	return after, err
}

// platform is the team of what belongs to nobody.
const platform = "platform"
