package db

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	pb "github.com/agentsvc/agentsvc/gen/agentsvc/v1"
	"github.com/agentsvc/agentsvc/internal/listing"
)

// TeamRow is a team as lists show it.
type TeamRow struct {
	ID           uuid.UUID
	TeamID       uuid.UUID
	Team         string
	Name         string
	Description  string
	Weight       int32
	BacklogLimit int32
	Account      string
	CreatedAt    time.Time
	ArchivedAt   *time.Time
	Approvals    []string
	Keys         []string
}

// SortKeys are the row's place in the page's order.
func (r TeamRow) SortKeys() []string { return r.Keys }

// TeamSchema is what teams are filtered by. They are ordered by name.
func TeamSchema() *listing.Schema {
	return &listing.Schema{
		Fields: []listing.Field{
			{Name: "name", Type: listing.Text, SQL: "x.name"},
			{Name: "account", Type: listing.Text, SQL: "x.account"},
			{Name: "create_time", Type: listing.Time, SQL: "x.created_at"},
		},
		Default: []listing.Key{{Name: "name", SQL: "x.name", Type: "text"}},
	}
}

// ListTeams answers a page of teams, and one more if there is one.
func (s *Store) ListTeams(ctx context.Context, visible Visible, archived bool, page listing.Page) ([]TeamRow, error) {
	l := list{
		table:   "(SELECT teams.*, teams.id AS team_id FROM teams)",
		columns: []string{"id", "team_id", "name", "description", "weight", "backlog_limit", "account", "created_at", "archived_at", "approvals"},
		args:    &listing.Args{},
	}
	if !archived {
		l.where = append(l.where, "x.archived_at IS NULL")
	}
	teams, err := rows[TeamRow](ctx, s, l.page(visible, page), l.args)
	if err != nil {
		return nil, fmt.Errorf("listing teams: %w", err)
	}
	return teams, nil
}

// MemberRow is a member of a team as lists show it.
type MemberRow struct {
	TeamID      uuid.UUID
	Team        string
	PrincipalID uuid.UUID
	Kind        string
	Name        string
	Role        string
	CreatedAt   time.Time
	Disabled    bool
	Keys        []string
}

// SortKeys are the row's place in the page's order.
func (r MemberRow) SortKeys() []string { return r.Keys }

// MemberSchema is what members are filtered by. They are ordered by name.
func MemberSchema() *listing.Schema {
	return &listing.Schema{
		Fields: []listing.Field{
			{Name: "name", Type: listing.Text, SQL: "x.name"},
			listing.EnumField("role", "x.role", pb.Role(0).Descriptor().Values()),
			{Name: "create_time", Type: listing.Time, SQL: "x.created_at"},
		},
		Default: []listing.Key{{Name: "name", SQL: "x.name", Type: "text"}, {Name: "principal", SQL: "x.principal_id", Type: "uuid"}},
	}
}

// ListMembers answers a page of the members of a team, and one more if there is one.
func (s *Store) ListMembers(ctx context.Context, team uuid.UUID, page listing.Page) ([]MemberRow, error) {
	l := list{
		table: "(SELECT m.team_id, m.principal_id, m.role, m.created_at, p.kind, p.name, p.disabled_at IS NOT NULL AS disabled" +
			" FROM memberships m JOIN principals p ON p.id = m.principal_id)",
		columns: []string{"team_id", "principal_id", "kind", "name", "role", "created_at", "disabled"},
		args:    &listing.Args{},
	}
	members, err := rows[MemberRow](ctx, s, l.page(Visible{Teams: []uuid.UUID{team}}, page), l.args)
	if err != nil {
		return nil, fmt.Errorf("listing members: %w", err)
	}
	return members, nil
}

// TokenRow is a token of a service as lists show it.
type TokenRow struct {
	ID         string
	TeamID     uuid.UUID
	Team       string
	Service    string
	CreatedAt  time.Time
	ExpiresAt  time.Time
	RevokedAt  *time.Time
	LastUsedAt *time.Time
	Keys       []string
}

// SortKeys are the row's place in the page's order.
func (r TokenRow) SortKeys() []string { return r.Keys }

// TokenSchema is what tokens are filtered by. The newest come first.
func TokenSchema() *listing.Schema {
	return &listing.Schema{
		Fields: []listing.Field{
			{Name: "service", Type: listing.Text, SQL: "x.service"},
			{Name: "create_time", Type: listing.Time, SQL: "x.created_at"},
			{Name: "expire_time", Type: listing.Time, SQL: "x.expires_at"},
		},
		Default: []listing.Key{
			{Name: "create_time", SQL: "x.created_at", Type: "timestamptz", Desc: true},
			{Name: "id", SQL: "x.id", Type: "text"},
		},
	}
}

// ListServiceTokens answers a page of the tokens of a team's services, and one more if there
// is one.
func (s *Store) ListServiceTokens(ctx context.Context, team uuid.UUID, page listing.Page) ([]TokenRow, error) {
	l := list{
		table: "(SELECT p.team_id, t.id, p.name AS service, t.created_at, t.expires_at, t.revoked_at, t.last_used_at" +
			" FROM service_tokens t JOIN principals p ON p.id = t.principal_id)",
		columns: []string{"team_id", "id", "service", "created_at", "expires_at", "revoked_at", "last_used_at"},
		args:    &listing.Args{},
	}
	tokens, err := rows[TokenRow](ctx, s, l.page(Visible{Teams: []uuid.UUID{team}}, page), l.args)
	if err != nil {
		return nil, fmt.Errorf("listing tokens: %w", err)
	}
	return tokens, nil
}
