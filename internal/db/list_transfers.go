package db

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// TransferRow is a transfer as lists show it.
type TransferRow struct {
	ID         uuid.UUID
	TeamID     uuid.UUID
	Team       string
	State      string
	Kind       string
	UUID       uuid.UUID
	Name       string
	FromTeam   string
	ToTeam     string
	Actor      string
	Reason     string
	CreatedAt  time.Time
	ExpiresAt  time.Time
	EndedBy    string
	ApprovedBy string
	EndedAt    *time.Time
	Keys       []string
}

// SortKeys are the row's place in the page's order.
func (r TransferRow) SortKeys() []string { return r.Keys }

// TransferSchema is what transfers are filtered by. The newest come first.
func TransferSchema() *listing.Schema {
	return &listing.Schema{
		Fields: []listing.Field{
			listing.EnumField("state", "x.state", pb.Transfer_State(0).Descriptor().Values()),
			{Name: "kind", Type: listing.Text, SQL: "x.kind"},
			{Name: "uuid", Type: listing.ID, SQL: "x.uuid"},
			{Name: "from_team", Type: listing.Text, SQL: "x.from_team"},
			{Name: "to_team", Type: listing.Text, SQL: "x.to_team"},
			{Name: "create_time", Type: listing.Time, SQL: "x.created_at"},
		},
		Default: []listing.Key{
			{Name: "create_time", SQL: "x.created_at", Type: "timestamptz", Desc: true},
			{Name: "id", SQL: "x.id", Type: "uuid", Desc: true},
		},
	}
}

// ListTransfers answers a page of what a team gives and is given, and one more if there is one.
func (s *Store) ListTransfers(ctx context.Context, team uuid.UUID, page listing.Page) ([]TransferRow, error) {
	l := list{
		// Once for each of the two teams, whose list it is in.
		table: `(SELECT t.*, side.team_id, f.name AS from_team, coalesce(o.name, '') AS to_team,
			CASE WHEN t.accepted THEN 'ACCEPTED' WHEN t.ended_by <> '' THEN 'DECLINED'
			     WHEN t.ended_at IS NOT NULL OR t.expires_at <= clock_timestamp() THEN 'EXPIRED'
			     WHEN t.needs_approval THEN 'PENDING_APPROVAL' ELSE 'PENDING' END AS state
			FROM transfers t JOIN teams f ON f.id = t.from_team_id LEFT JOIN teams o ON o.id = t.to_team_id
			CROSS JOIN LATERAL (VALUES (t.from_team_id), (t.to_team_id)) AS side (team_id))`,
		columns: []string{
			"id", "team_id", "state", "kind", "uuid", "name", "from_team", "to_team", "actor", "reason", "created_at",
			"expires_at", "ended_by", "ended_at", "approved_by",
		},
		args: &listing.Args{},
	}
	transfers, err := rows[TransferRow](ctx, s, l.page(Visible{Teams: []uuid.UUID{team}}, page), l.args)
	if err != nil {
		return nil, fmt.Errorf("listing transfers: %w", err)
	}
	return transfers, nil
}
